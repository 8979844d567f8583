"""The tasks around a promotion: what starts them decides what they do, and what has changed since stops them."""

import datetime as dt
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from shadow_deployment.config.actions import FORMER_CHAMPION
from shadow_deployment.context import DeploymentContext
from shadow_deployment.errors import RegistryError
from shadow_deployment.pipeline.challengers.former_champion import with_former_champion
from shadow_deployment.promotion import registry
from tests.conftest import declare
from tests.integration.promotion.promoting import CHANGED, by, judge, settings
from tests.production import World, day

pytestmark = pytest.mark.usefixtures("stored_verdicts_stand")


class Events(dict[Any, Any]):
    """Stands for Airflow's outlet events: what was added to the deployment's alias."""

    def __init__(self) -> None:
        super().__init__()
        self.added: list[tuple[str, dict[str, Any]]] = []

    def __getitem__(self, key: Any) -> Any:
        assert key.name == "shadow_late"
        return SimpleNamespace(add=lambda asset, extra: self.added.append((asset.uri, extra)))


@pytest.fixture(scope="module")
def fresh(worlds: Callable[..., World]) -> World:
    world = worlds()
    world.shadow(**settings(world))
    return world


@pytest.fixture
def world(worlds: Callable[..., World], fresh: World, monkeypatch: pytest.MonkeyPatch) -> World:
    return declare(worlds(fresh, own=True), monkeypatch)


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The context of a task of a run that somebody has started by hand."""
    from shadow_deployment.orchestration.tasks import daily as tasks
    from shadow_deployment.orchestration.tasks import promotion as promotion_tasks

    start = dt.datetime.combine(day(0), dt.time(), dt.UTC)
    found: dict[str, Any] = {
        "run_id": "run 1",
        "params": {},
        "dag_run": SimpleNamespace(run_type="scheduled", run_after=None, triggering_user_name="ada"),
        "ti": SimpleNamespace(
            dag_id="shadow_late_promotion",
            run_id="run 1",
            task_id="prepare_request",
            xcom_pull=lambda **_: found["answer"],
        ),
        "outlet_events": Events(),
        "data_interval_start": start,
        "triggering_asset_events": {},
        "answer": None,
    }
    for module in (promotion_tasks, tasks):
        monkeypatch.setattr(module, "get_current_context", lambda: found)
    return found


def started_by(context: dict[str, Any], **extra: Any) -> None:
    event = SimpleNamespace(timestamp=dt.datetime.now(dt.UTC), extra=extra)
    context["triggering_asset_events"] = {"asset": [event]}


def passing(world: World, **promotion: Any) -> DeploymentContext:
    shadow = world.shadow(**settings(world, promotion=promotion))
    judge(shadow, 0, "PASS")
    return shadow


def better_before(world: World, **promotion: Any) -> DeploymentContext:
    """`linear` has followed `other`, and on the third day `other` is the better one again."""
    shadow = world.shadow(**settings(world, promotion={"watch_days": 9, **promotion}))
    judge(shadow, 0, "PASS", "other")
    registry.promote(shadow, "other", **by("ada"))
    world.change_production(CHANGED, ["1"])
    judge(shadow, 1, "PASS", "linear", against="1")
    registry.promote(shadow, "linear", **by("bob"))
    judge(with_former_champion(shadow, day(2)), 2, "PASS", FORMER_CHAMPION, against="linear@2")
    return shadow


def test_a_run_that_a_pass_has_started_asks_about_its_challenger(world: World, context: dict[str, Any]) -> None:
    from shadow_deployment.orchestration.tasks import promotion as promotion_tasks

    shadow = passing(world)
    started_by(context, challenger="other", day=str(day(0)))
    case = promotion_tasks.prepare_request("late")
    assert case["digest"] == registry.promotion_request(shadow, "other").digest
    assert case["digest"][:12] in case["body"]


def test_a_run_whose_case_is_gone_skips_and_one_by_hand_fails(world: World, context: dict[str, Any]) -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    from shadow_deployment.orchestration.tasks import promotion as promotion_tasks

    judge(passing(world), 1, "FAIL")
    context["params"] = {"challenger": "other"}
    with pytest.raises(RegistryError, match="is FAIL, must be PASS"):
        promotion_tasks.prepare_request("late")
    started_by(context, challenger="other", day=str(day(0)))
    with pytest.raises(AirflowSkipException, match="is FAIL, must be PASS"):
        promotion_tasks.prepare_request("late")


def test_a_run_by_hand_is_about_the_one_that_passes_and_must_name_one_where_none_or_more_do(
    world: World, context: dict[str, Any]
) -> None:
    from shadow_deployment.orchestration.tasks import promotion as promotion_tasks

    context["params"] = {"challenger": promotion_tasks.ANY}
    world.shadow(**settings(world))
    with pytest.raises(RegistryError, match="must be one of other, linear, since none passes"):
        promotion_tasks.prepare_request("late")
    shadow = passing(world)
    assert promotion_tasks.prepare_request("late")["challenger"] == "other"
    judge(shadow, 0, "PASS", "linear")
    with pytest.raises(RegistryError, match="since other, linear pass"):
        promotion_tasks.prepare_request("late")


def test_without_an_answer_the_policy_approves(world: World, context: dict[str, Any]) -> None:
    from shadow_deployment.orchestration.tasks import promotion as promotion_tasks

    passing(world, approval="automatic")
    started_by(context, challenger="other", day=str(day(0)))
    made = promotion_tasks.promote("late", promotion_tasks.prepare_request("late"))
    assert made["approved_by"] == registry.BY_POLICY
    [(uri, facts)] = context["outlet_events"].added
    assert (uri, facts["name"], facts["number"]) == ("shadow://late/champion", "other", 1)


def test_a_record_of_an_approval_without_its_promotion_fails(world: World, context: dict[str, Any]) -> None:
    from shadow_deployment.orchestration.tasks import promotion as promotion_tasks

    passing(world)
    started_by(context, challenger="other", day=str(day(0)))
    case = promotion_tasks.prepare_request("late")
    with pytest.raises(
        RegistryError, match="no approval request was created for other; check the log of task 'approve'"
    ):
        promotion_tasks.record_answer("late", case)
    context["answer"] = {"approved": True, "by": "bob", "at": "2024-03-02T00:00:00+00:00", "reason": ""}
    with pytest.raises(RegistryError, match="bob approved other, and it was not promoted"):
        promotion_tasks.record_answer("late", case)
    promotion_tasks.promote("late", case, context["answer"])
    assert promotion_tasks.record_answer("late", case) == "approved"


@pytest.mark.parametrize(("who", "kept"), [("bob", "rejected"), (None, "silence")])
def test_a_rejection_and_a_time_out_are_kept_apart(
    world: World, context: dict[str, Any], who: str | None, kept: str
) -> None:
    from shadow_deployment.orchestration.tasks import promotion as promotion_tasks

    passing(world)
    started_by(context, challenger="other", day=str(day(0)))
    case = promotion_tasks.prepare_request("late")
    context["answer"] = {"approved": False, "by": who, "at": "2024-03-02T00:00:00+00:00", "reason": "not now"}
    assert promotion_tasks.record_answer("late", case) == kept
    assert world.query("SELECT decision, decided_by FROM shadow.approval_decision") == [(kept, who)]


def test_the_day_announces_a_former_champion_that_is_better(world: World, context: dict[str, Any]) -> None:
    from shadow_deployment.orchestration.tasks import daily as tasks

    better_before(world)
    context["params"] = {"day": str(day(2))}
    tasks.publish_results("late", None)
    added = dict(context["outlet_events"].added)
    assert (added["shadow://late/regression"]["promotion"], added["shadow://late/verdict"]["outcome"]) == (2, "PASS")
    assert "shadow://late/case" not in added


@pytest.mark.parametrize(("run_type", "number"), [("backfill", 2), ("scheduled", 0)])
def test_backfills_and_past_days_announce_nothing(
    world: World, context: dict[str, Any], run_type: str, number: int
) -> None:
    from shadow_deployment.orchestration.tasks import daily as tasks

    better_before(world)
    context["params"] = {"day": str(day(number))}
    context["dag_run"].run_type = run_type
    assert tasks.publish_results("late", None) == []
    assert context["outlet_events"].added == []


def test_automatic_rollback_puts_the_better_one_back(world: World, context: dict[str, Any]) -> None:
    from shadow_deployment.orchestration.tasks import promotion as promotion_tasks

    shadow = better_before(world, rollback="automatic")
    started_by(context, promotion=2, day=str(day(2)))
    made = promotion_tasks.rollback("late")
    assert (made["kind"], made["name"], made["approved_by"]) == (
        "rollback",
        "other",
        "policy: promotion.rollback is automatic",
    )
    assert "is better than linear 2 by every blocking rule" in registry.history(shadow)[-1].reason


@pytest.mark.parametrize("event", [{"promotion": 1}, {"promotion": 2, "day": str(day(1))}])
def test_automatic_rollback_takes_back_nothing_else(
    world: World, context: dict[str, Any], event: dict[str, Any]
) -> None:
    from airflow.sdk.exceptions import AirflowSkipException

    from shadow_deployment.orchestration.tasks import promotion as promotion_tasks

    shadow = better_before(world, rollback="automatic")
    started_by(context, **{"day": str(day(2)), **event})
    with pytest.raises(AirflowSkipException, match="nothing speaks against it any more"):
        promotion_tasks.rollback("late")
    assert len(registry.history(shadow)) == 2


def test_rollback_by_hand_is_by_who_started_the_run_with_a_reason(world: World, context: dict[str, Any]) -> None:
    from shadow_deployment.orchestration.tasks import promotion as promotion_tasks

    shadow = better_before(world)
    with pytest.raises(RegistryError, match="reason == '', must not be empty"):
        promotion_tasks.rollback("late")
    context["params"] = {"reason": "complaints", "undoes": 1}
    with pytest.raises(RegistryError, match="undoes == 1, must be 2"):
        promotion_tasks.rollback("late")
    context["params"] = {"reason": "complaints"}
    promotion_tasks.rollback("late")
    made = registry.history(shadow)[-1]
    assert (made.undoes, made.approved_by, made.reason) == (2, "ada", "complaints")
