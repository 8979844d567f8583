"""The replay DAG: what is parsed of it, what starts it, and a replay through Airflow's own task runner."""

import datetime as dt
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from shadow_deployment.errors import DeploymentError
from tests.conftest import PROJECT, Invoke
from tests.integration.orchestration.test_promotion_tasks import Events, started_by
from tests.integration.pipeline.test_replay import LAST, answered, days, deploy, judged, verdict, world
from tests.production import World, day

__all__ = ["judged", "world"]  # fixtures

pytestmark = pytest.mark.usefixtures("airflow_database")
DagBag = Callable[[], Any]
TRAINED_UNTIL = str(day(0))
FIRST = 3  # labels mature in three days


def run(dag: Any, **configuration: Any) -> dict[tuple[str, str], str]:
    """Run the DAG; return states by task and the name of its map index."""
    result = dag.test(logical_date=dt.datetime(2024, 4, 1, tzinfo=dt.UTC), run_conf=configuration)
    instances = result.get_task_instances()
    return {(one.task_id, one.rendered_map_index or ""): str(one.state) for one in instances}


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The context of a task of the newest day's run, or of a replay's."""
    from shadow_deployment.orchestration.tasks import daily, replay

    found: dict[str, Any] = {
        "params": {"day": str(day(LAST))},
        "dag_run": SimpleNamespace(run_type="scheduled", run_after=None),
        "outlet_events": Events(),
        "triggering_asset_events": {},
    }
    for module in (daily, replay):
        monkeypatch.setattr(module, "get_current_context", lambda: found)
    return found


def test_a_replay_is_parsed_with_its_form_and_waits_for_a_new_challenger(dag_bag: DagBag, reading: World) -> None:
    reading.deploy(policy={"replay_days": 30, "rules": [{"metric": "brier_score", "is": "superior"}]})
    found = dag_bag()
    assert found.import_errors == {}
    dag = found.dags["shadow_late_replay"]
    assert [one.task_id for one in dag.topological_sort()] == ["days", "replay_day", "judge"]
    assert [asset.uri for asset in dag.timetable.asset_condition.objects] == ["shadow://late/replay"]
    assert dag.get_task("replay_day").pool == "shadow_scoring"
    assert dag.params.get_param("challenger").schema["enum"] == [None, "other"]
    assert (dag.params.get_param("days").schema["minimum"], dag.params.get_param("days").schema["maximum"]) == (1, 30)
    assert "at most 30 days" in dag.doc_md
    assert "count toward PASS from its declared `trained_until` on" in dag.doc_md


def test_parsing_makes_no_new_dag_version() -> None:
    from airflow.utils.dag_version_inflation_checker import check_dag_file_stability

    path = PROJECT / "include" / "shadow_deployment" / "orchestration" / "dags" / "replay.py"
    assert not getattr(check_dag_file_stability(str(path)), "warnings", None)


def test_a_replay_through_airflow_answers_the_days_and_judges(dag_bag: DagBag, world: World, invoke: Invoke) -> None:
    deploy(world)
    states = run(dag_bag().dags["shadow_late_replay"], challenger="fresh", days=3)
    assert set(states.values()) == {"success"}
    assert {label for task, label in states if task == "replay_day"} == {f"fresh {each}" for each in days(LAST - 2)}
    assert answered(world) == days(LAST - 2)
    assert verdict(invoke)["days"]["replayed"] == 3


def test_a_replay_of_nothing_still_judges(dag_bag: DagBag, world: World) -> None:
    deploy(world, trained_until=str(day(LAST)))
    states = run(dag_bag().dags["shadow_late_replay"], challenger="fresh")
    assert states == {("days", ""): "success", ("replay_day", ""): "skipped", ("judge", ""): "success"}
    assert world.query("SELECT count(*) FROM shadow.verdict WHERE day = %s", [day(LAST)]) == [(2,)]


def test_the_sample_of_a_day_starts_the_replay_of_a_challenger_that_is_new_and_declares_its_training_date(
    world: World, context: dict[str, Any]
) -> None:
    from shadow_deployment.orchestration.tasks import daily, replay

    deploy(world, trained_until=TRAINED_UNTIL)
    daily.sample("late")
    daily.sample("late")  # tried again: the event of an attempt that fails is lost
    assert context["outlet_events"].added == [("shadow://late/replay", {"challenger": "fresh"})] * 2
    started_by(context, challenger="fresh")
    context["params"] = {}
    mapped = replay.days("late")
    assert mapped == [{"challenger": "fresh", "day": str(each)} for each in days(FIRST)]
    replay.replay_day("late", **mapped[-1])
    assert replay.judge("late") == {"fresh": "INCONCLUSIVE"}
    context["outlet_events"].added.clear()
    context["params"] = {"day": str(day(LAST))}
    daily.sample("late")
    assert context["outlet_events"].added == [], "it is new no more"


@pytest.mark.parametrize("why", ["no training date", "a backfill", "trained on all days", "only this day"])
def test_no_other_day_starts_a_replay(why: str, world: World, context: dict[str, Any]) -> None:
    from shadow_deployment.orchestration.tasks import daily

    trained = {"trained on all days": str(day(LAST)), "only this day": str(day(LAST - 3)), "no training date": None}
    deploy(world, trained_until=trained.get(why, TRAINED_UNTIL))
    if why == "a backfill":
        context["dag_run"].run_type = "backfill"
    daily.sample("late")
    assert context["outlet_events"].added == []


def test_a_run_by_hand_must_say_whom_it_is_about(world: World, context: dict[str, Any]) -> None:
    from shadow_deployment.orchestration.tasks import replay

    deploy(world)
    context["params"] = {}
    with pytest.raises(DeploymentError, match="choose in the form who is to answer"):
        replay.days("late")
