"""The Airflow DAGs of every deployment: shadow_<name>, its promotion and rollback, and shadow_doctor."""

from shadow_deployment import shadow_dags

globals().update(shadow_dags())
