"""The DAGs that Airflow parses: built of the tasks and callbacks beside; imported by nothing here."""
