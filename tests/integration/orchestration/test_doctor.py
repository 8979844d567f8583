"""The doctor's DAG through Airflow's own task runner: green where all is there, red with what to do where it is not."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from shadow_deployment.doctor import airflow
from shadow_deployment.doctor.checks import examine
from tests.production import World

pytestmark = pytest.mark.usefixtures("airflow_database")
DagBag = Callable[[], Any]


def run(dag_bag: DagBag) -> dict[tuple[str, str], str]:
    result = dag_bag().dags["shadow_doctor"].test(logical_date=dt.datetime.now(dt.UTC))
    return {(one.task_id, one.rendered_map_index or ""): str(one.state) for one in result.get_task_instances()}


def test_the_doctor_looks_every_day_and_in_the_pool_of_scoring(dag_bag: DagBag) -> None:
    dag = dag_bag().dags["shadow_doctor"]
    assert dag.get_task("scoring_pool").pool == "shadow_scoring"
    assert dag.schedule == "30 5 * * *"
    assert dag.dagrun_timeout == dt.timedelta(hours=1)


def test_a_pool_that_is_missing_or_has_no_slots_is_reported() -> None:
    from airflow.models.pool import Pool

    def found() -> tuple[str, str]:
        [check] = examine("here", [one for one in airflow.installation_probes() if one.what == "pool"])
        return check.state, check.result

    assert found() == ("failed", "the pool shadow_scoring is missing: no score task would ever start")
    for slots, expected in ((0, ("failed", "has no slots")), (4, ("ok", "shadow_scoring has 4 slots"))):
        Pool.create_or_update_pool("shadow_scoring", slots, "challengers being scored", include_deferred=False)
        state, text = found()
        assert (state, expected[1] in text) == (expected[0], True)
    Pool.delete_pool("shadow_scoring")


def test_every_deployment_is_looked_at_and_the_broken_one_is_red(
    dag_bag: DagBag, reading: World, caplog: pytest.LogCaptureFixture
) -> None:
    reading.deploy()
    text = (reading.deployments / "late.yaml").read_text()
    (reading.deployments / "lost.yaml").write_text(
        text.replace("name: late", "name: lost").replace("flights.outcome", "flights.outcomes")
    )
    states = run(dag_bag)
    assert states["deployment", "late"] == states["scoring_pool", ""] == "success"
    assert states["deployment", "lost"] == "failed"
    assert "did you mean flights.outcome?" in caplog.text
