"""Airflow's side: the only part of the engine that imports Airflow."""
