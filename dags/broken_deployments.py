"""No DAG: reports, as Airflow's import error, what is wrong in the deployment files that have none."""

from shadow_deployment import require_valid_deployments

require_valid_deployments()
