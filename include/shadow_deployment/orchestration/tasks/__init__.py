"""What each task of these DAGs does. Airflow parses these files, so they reach the engine through `engine.py`."""
