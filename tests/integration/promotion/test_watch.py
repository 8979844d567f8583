"""After a promotion the former champion is judged in the other direction, and what it says closes the gate."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from rich.console import Console

from shadow_deployment.config.actions import FORMER_CHAMPION
from shadow_deployment.context import DeploymentContext
from shadow_deployment.decision.alpha import alpha_of_trial
from shadow_deployment.errors import GateFailed
from shadow_deployment.ledger import verdicts
from shadow_deployment.pipeline import steps
from shadow_deployment.pipeline.challengers import too_good
from shadow_deployment.pipeline.challengers.former_champion import with_former_champion
from shadow_deployment.pipeline.run import run_days
from shadow_deployment.promotion import registry
from shadow_deployment.promotion.watch import regression
from tests.integration.promotion.promoting import CHANGED, by, judge, settings
from tests.production import SHADOW, World, day, linear_model, unguarded

pytestmark = pytest.mark.usefixtures("stored_verdicts_stand")


@pytest.fixture(scope="module")
def promoted(worlds: Callable[..., World]) -> World:
    """`other` was promoted on the first day and followed by `linear` on the second; the log says so."""
    world = worlds(own=True)
    shadow = world.shadow(**settings(world))
    judge(shadow, 0, "PASS", "other")
    registry.promote(shadow, "other", **by("ada"))
    world.change_production(CHANGED, ["1"])
    judge(shadow, 1, "PASS", "linear", against="1")
    registry.promote(shadow, "linear", **by("bob"))
    world.change_production(CHANGED, ["linear@2"])
    return world


@pytest.fixture
def world(worlds: Callable[..., World], promoted: World) -> World:
    return worlds(promoted, own=True)


def shadow_of(world: World, **promotion: Any) -> DeploymentContext:
    return world.shadow(**settings(world, promotion={"watch_days": 3, **promotion}))


def names(shadow: DeploymentContext) -> list[str]:
    return [one.name for one in shadow.deployment.challengers]


def test_former_champion_is_a_challenger_on_the_days_after_its_promotion(world: World) -> None:
    shadow = shadow_of(world)
    assert [FORMER_CHAMPION in names(with_former_champion(shadow, day(number))) for number in range(7)] == [
        False,
        False,  # the day that the promotion rests on
        True,
        True,
        True,
        False,
        False,
    ]
    former = with_former_champion(shadow, day(2)).deployment.challenger(FORMER_CHAMPION)
    assert (former.version, former.model) == ("1", "logged:flights.prediction_log.other_probability")
    assert FORMER_CHAMPION not in names(shadow)


def test_former_champion_takes_no_share_of_alpha_and_cannot_be_promoted(world: World) -> None:
    shadow = shadow_of(world)
    there = with_former_champion(shadow, day(2))
    assert [one.name for one in there.deployment.promotable] == [one.name for one in shadow.deployment.promotable]
    judge(there, 2, "PASS", FORMER_CHAMPION, against="linear@2")
    assert "roll that back instead" in registry.promotion_request(there, FORMER_CHAMPION).barred[0]


def test_nobody_is_watched_where_the_deployment_says_so(world: World) -> None:
    shadow = shadow_of(world, watch_days=0)
    assert with_former_champion(shadow, day(2)) is shadow


def test_nobody_is_watched_after_a_rollback(world: World) -> None:
    shadow = shadow_of(world)
    registry.rollback(shadow, **by("cid"))
    assert FORMER_CHAMPION not in names(with_former_champion(shadow, day(2)))


def test_a_former_champion_without_a_model_is_not_watched_and_the_log_says_so(
    worlds: Callable[..., World], caplog: pytest.LogCaptureFixture
) -> None:
    world = worlds()
    shadow = shadow_of(world)
    judge(shadow, 0, "PASS", "other")
    registry.promote(shadow, "other", **by("ada"))
    assert FORMER_CHAMPION not in names(with_former_champion(shadow, day(1)))
    assert "champion 7, is not watched: its model is unknown; declare it as champion.model" in caplog.text


def test_a_former_champion_whose_file_has_changed_is_not_watched(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    shadow = shadow_of(world)
    judge(shadow, 2, "PASS", "other", against="linear@2")
    registry.promote(shadow, "other", **by("ada"))
    former = with_former_champion(shadow, day(3)).deployment.challenger(FORMER_CHAMPION)
    path = Path(former.model.removeprefix("onnx:"))
    content = path.read_bytes()  # other tests' worlds have promoted the same file
    try:
        linear_model(path, {"dep_hour": 0.7, "distance": -0.0005})
        assert FORMER_CHAMPION not in names(with_former_champion(shadow, day(3)))
        assert "is another model than the one that was champion" in caplog.text
        path.unlink()
        assert FORMER_CHAMPION not in names(with_former_champion(shadow, day(3)))
    finally:
        path.write_bytes(content)


def test_days_run_with_the_former_champion_among_the_challengers(world: World) -> None:
    shadow = shadow_of(world)
    assert run_days(shadow, [day(1), day(2), day(3)], Console(file=io.StringIO())) == []
    with shadow.ledger() as session:
        stored = verdicts.latest(session, shadow.deployment)
    former = stored[FORMER_CHAMPION]
    assert (former.day, former.version, former.champion_version) == (day(3), "1", "linear@2")
    assert "PASS means that it is better than its successor, champion linear@2" in former.warnings[0]
    scored = world.query(
        "SELECT DISTINCT p.day FROM shadow.prediction AS p JOIN shadow.model_version AS m ON m.id = p.challenger_id "
        "WHERE m.name = %s ORDER BY 1",
        [FORMER_CHAMPION],
    )
    assert scored == [(day(2),), (day(3),)]


def test_former_champion_is_judged_at_the_whole_alpha(world: World) -> None:
    rules = [{"metric": "brier_score", "is": "superior"}]
    policy = {"alpha": 0.04, "burn_in": 2, "rules": rules}
    changes = {"policy": policy, "labels": {"maturity_days": 0}}
    shadow = world.shadow(**settings(world, promotion={"watch_days": 9}) | changes)
    run_days(shadow, [day(2), day(3)], Console(file=io.StringIO()))
    with shadow.ledger() as session:
        stored = verdicts.latest(session, shadow.deployment)
    assert stored[FORMER_CHAMPION].findings[0]["alpha_pass"] == pytest.approx(0.04)
    assert stored["other"].findings[0]["alpha_pass"] == pytest.approx(alpha_of_trial(0.04, place=1, size=2))


@pytest.fixture
def run(world: World) -> DeploymentContext:
    """A day was run to its gate; verdicts of it are then set by hand."""
    shadow = shadow_of(world)
    run_days(shadow, [day(2)], Console(file=io.StringIO()))
    there = with_former_champion(shadow, day(2))
    for name in names(there):
        judge(there, 2, "INCONCLUSIVE", name, against="linear@2")
    return there


def test_gate_closes_on_a_former_champion_that_is_better_and_says_how_to_go_back(run: DeploymentContext) -> None:
    assert steps.gate(run, day(2))[FORMER_CHAMPION] == "INCONCLUSIVE"
    judge(run, 2, "PASS", FORMER_CHAMPION, against="linear@2")
    with pytest.raises(GateFailed) as closed:
        steps.gate(run, day(2))
    message = str(closed.value)
    assert "previous_champion 1 is better than its successor, champion linear@2" in message
    assert "shadow rollback late" in message


def test_the_gate_stays_closed_until_the_regression_of_this_promotion_is_acknowledged(
    run: DeploymentContext, world: World
) -> None:
    judge(run, 2, "PASS", FORMER_CHAMPION, against="linear@2")
    for _ in range(2):
        with pytest.raises(GateFailed, match="acknowledge late --challenger previous_champion"):
            steps.gate(run, day(2))
    _, alarms = too_good.acknowledge(run, FORMER_CHAMPION, by="ada", reason="a holiday")
    assert alarms[-1].kind == "regression"
    assert steps.gate(run, day(2))[FORMER_CHAMPION] == "PASS"
    with psycopg.connect(world.postgres.uri(world.ledger, SHADOW)) as session, unguarded(session, "acknowledgement"):
        session.execute("UPDATE shadow.acknowledgement SET acknowledged_at = '2000-01-01'")  # of an earlier promotion
    with pytest.raises(GateFailed, match="is better than its successor"):
        steps.gate(run, day(2))


def test_gate_stays_open_on_a_former_champion_that_is_worse(run: DeploymentContext) -> None:
    judge(run, 2, "FAIL", FORMER_CHAMPION, against="linear@2")
    assert steps.gate(run, day(2))[FORMER_CHAMPION] == "FAIL"


def test_a_better_former_champion_speaks_against_its_promotion(run: DeploymentContext) -> None:
    assert regression(run, day(2)) is None
    judge(run, 2, "PASS", FORMER_CHAMPION, against="linear@2")
    found = regression(run, day(2))
    assert found is not None
    assert found.promotion.number == 2
    assert found.reason == (
        f"other 1, champion before promotion 2, is better than linear 2 by every blocking rule on {day(2)}"
    )


@pytest.mark.parametrize("against", ["7", "1"])
def test_a_verdict_against_another_champion_speaks_against_nothing(run: DeploymentContext, against: str) -> None:
    judge(run, 2, "PASS", FORMER_CHAMPION, against=against)
    assert regression(run, day(2)) is None


def test_a_past_days_verdict_of_the_former_champion_speaks_against_nothing(run: DeploymentContext) -> None:
    judge(run, 2, "PASS", FORMER_CHAMPION, against="linear@2")
    judge(run, 3, "INCONCLUSIVE", FORMER_CHAMPION, against="linear@2")
    assert regression(run, day(2)) is None
    assert regression(with_former_champion(run, day(3)), day(3)) is None


def test_after_the_rollback_nothing_is_spoken_against(run: DeploymentContext) -> None:
    judge(run, 2, "PASS", FORMER_CHAMPION, against="linear@2")
    registry.rollback(run, **by("cid"))
    assert regression(run, day(2)) is None
