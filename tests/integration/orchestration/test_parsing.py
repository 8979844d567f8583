"""What is parsed: all DAGs where Airflow looks for them, and in a task's process the one that the task is of."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.definitions.context import _AIRFLOW_PARSING_CONTEXT_DAG_ID

from tests.builders import EXAMPLE

pytestmark = pytest.mark.usefixtures("airflow_database", "deployed")
DagBag = Callable[[], Any]
NAMES = ("early", "late")
KINDS = ("", "_promotion", "_replay", "_rollback")


@pytest.fixture
def deployed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two deployments."""
    for name in NAMES:
        (tmp_path / f"{name}.yaml").write_text(EXAMPLE.replace("name: flight_delay\n", f"name: {name}\n", 1))
    monkeypatch.setenv("SHADOW_DEPLOYMENTS", str(tmp_path))


def test_all_dags_are_there_where_they_are_looked_for(dag_bag: DagBag) -> None:
    assert set(dag_bag().dags) == {f"shadow_{name}{kind}" for name in NAMES for kind in KINDS} | {"shadow_doctor"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_tasks_process_builds_its_own_dag_alone(dag_bag: DagBag, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(_AIRFLOW_PARSING_CONTEXT_DAG_ID, f"shadow_late{kind}")
    assert set(dag_bag().dags) == {f"shadow_late{kind}"}


def test_what_a_run_may_be_given_is_the_dags_and_not_copied_to_each_task(dag_bag: DagBag) -> None:
    found = dag_bag().dags
    assert {kind: set(found[f"shadow_late{kind}"].params) for kind in KINDS} == {
        "": {"day", "challengers"},
        "_promotion": {"challenger", "reason"},
        "_replay": {"challenger", "days"},
        "_rollback": {"reason", "undoes"},
    }
    assert found["shadow_late"].params["challengers"] == ["gradient_boosting", "logged_elsewhere", "a_a_check"]
    assert all(not task.params for task in found["shadow_late"].tasks)
