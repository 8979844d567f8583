"""Alerts that Airflow sends: callbacks of the gate, the deadline, a promotion; imported by tasks and dags."""
