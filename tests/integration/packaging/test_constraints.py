"""The wheel and all its extras resolve beside the releases of Airflow that managed services run."""

from pathlib import Path

import pytest

from tests.compat import Constraints, constraints, resolve

FOUND = constraints()


@pytest.mark.skipif(not FOUND, reason="no airflow-VERSION-pythonVERSION.txt; CONSTRAINTS names the folder")
@pytest.mark.parametrize("one", FOUND, ids=lambda one: one.airflow)
def test_the_wheel_resolves_against_the_constraints_of_an_airflow(one: Constraints, wheel: Path) -> None:
    assert f"\napache-airflow=={one.airflow}\n" in resolve(one, wheel)
