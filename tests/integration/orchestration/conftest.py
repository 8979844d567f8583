"""Airflow's own database, once, for the tests that need Airflow."""

from collections.abc import Callable

import pytest

from tests.conftest import PROJECT


@pytest.fixture(scope="session")
def airflow_database() -> None:
    """Make Airflow's metadata database in its temporary home."""
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture
def dag_bag(airflow_database: None) -> Callable[[], object]:
    """Parse the project's DAG folder anew, with the environment as it is now."""
    from airflow.dag_processing.dagbag import DagBag

    return lambda: DagBag(PROJECT / "dags")
