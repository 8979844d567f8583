"""Unit tests need neither a database nor Airflow: whoever asks for one here is in the wrong folder."""

import pytest


@pytest.fixture(scope="session")
def postgres() -> None:
    """Fail: a test that needs a database is an integration test."""
    pytest.fail("a unit test asks for a database: put it below tests/integration")
