"""A FAIL concludes a trial: one red day, nothing scored after it, and another verdict only from corrected labels."""

import datetime as dt
import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from shadow_deployment.context import DeploymentContext
from shadow_deployment.errors import GateFailed
from shadow_deployment.pipeline import steps
from shadow_deployment.pipeline.history.verify import verify
from shadow_deployment.pipeline.run import missing_days, run_days, run_missing
from tests.conftest import declare
from tests.production import World, day

LAST = 7
OTHER = {"name": "other", "model": "logged:flights.prediction_log.other_probability", "trained_until": str(day(-5))}
CHALLENGERS = [OTHER, {"name": "a_a_check", "model": "champion"}]
POLICY = {
    "alpha": 0.4,
    "method": "plain",
    "burn_in": 2,
    "tuned_for": 4,
    "replay": "count",
    "max_unanswered": 0.5,
    "rules": [{"metric": "brier_score", "is": "at_most", "value": 0.4}],
}


def policy(**changes: Any) -> dict[str, Any]:
    return {"challengers": CHALLENGERS, "policy": POLICY | changes}


def run_all(shadow: DeploymentContext, first: int = 0, last: int = LAST) -> None:
    run_days(shadow, [day(number) for number in range(first, last + 1)], Console(file=io.StringIO()))


def scored(world: World, name: str) -> list[dt.date]:
    rows = world.query(
        "SELECT DISTINCT s.day FROM shadow.scoring JOIN shadow.snapshot AS s ON s.id = snapshot_id "
        "JOIN shadow.model_version AS m ON m.id = challenger_id WHERE m.name = %s ORDER BY 1",
        [name],
    )
    return [day for (day,) in rows]


def newest(world: World, name: str) -> dict[dt.date, tuple[str, list[str], dict[str, Any]]]:
    """Return outcome, warnings and days of each day's newest verdict."""
    rows = world.query(
        "SELECT DISTINCT ON (day) day, outcome, warnings, days FROM shadow.verdict "
        "JOIN shadow.model_version AS m ON m.id = challenger_id WHERE m.name = %s ORDER BY day, verdict.id DESC",
        [name],
    )
    return {day: (outcome, warnings, days) for day, outcome, warnings, days in rows}


def first_failure(world: World) -> dt.date:
    return next(day for day, (outcome, *_) in newest(world, "other").items() if outcome == "FAIL")


def contradict(world: World) -> World:
    """Let each request that the challenger gets right have a second label that contradicts."""
    world.change_production(
        "INSERT INTO flights.outcome SELECT o.request_id, 1 - o.is_late, o.known_at FROM flights.outcome AS o "
        "JOIN flights.prediction_log AS l USING (request_id) WHERE abs(l.other_probability - o.is_late) < 0.5"
    )
    return world


@pytest.fixture
def doubtful(world: World) -> World:
    return contradict(world)


@pytest.fixture(scope="module")
def failed_once(worlds: Callable[..., World]) -> World:
    """All days of a challenger that failed on one of them. Tests copy it."""
    world = contradict(worlds(own=True))
    run_all(world.shadow(**policy()))
    return world


@pytest.fixture
def concluded(failed_once: World, worlds: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> World:
    return declare(worlds(failed_once), monkeypatch)


def correct(world: World) -> None:
    world.change_production(
        "DELETE FROM flights.outcome AS o USING flights.prediction_log AS l WHERE l.request_id = o.request_id "
        "AND abs(l.other_probability - o.is_late) > 0.5 AND EXISTS (SELECT FROM flights.outcome AS other "
        "WHERE other.request_id = o.request_id AND other.is_late <> o.is_late)"
    )


def test_a_fail_is_one_red_day_after_which_nothing_is_scored(concluded: World) -> None:
    shadow = concluded.shadow(**policy())
    failed = first_failure(concluded)
    assert day(2) <= failed < day(LAST - 1)
    assert scored(concluded, "other")[-1] == failed
    assert scored(concluded, "a_a_check")[-1] == day(LAST)
    judged = newest(concluded, "other")
    assert list(judged) == [day(number) for number in range(LAST + 1)]
    counted = judged[failed][2]["counted"]
    for after in (number for number in judged if number > failed):
        outcome, warnings, days = judged[after]
        assert (outcome, days["counted"], days["left_out"]) == ("FAIL", counted, [])
        assert any(f"the FAIL of {failed} concluded this trial" in warning for warning in warnings)
        assert steps.gate(shadow, after) == {"other": "FAIL", "a_a_check": "INCONCLUSIVE"}
    assert missing_days(shadow) == ([], day(LAST))
    with pytest.raises(GateFailed, match="other FAILS"):
        steps.gate(shadow, failed)
    assert verify(shadow).difference is None


def test_a_rule_on_the_days_own_value_is_judged_on_the_day_of_its_failure(world: World) -> None:
    rules = [{"metric": "error_rate", "is": "at_most", "value": 0.0}]
    shadow = world.shadow(**policy(rules=rules))
    run_all(shadow)
    failed = first_failure(world)
    assert failed < day(LAST)
    later = [outcome for day, (outcome, *_) in newest(world, "other").items() if day > failed]
    assert set(later) == {"FAIL"}
    assert verify(shadow).difference is None


def test_a_day_of_a_concluded_trial_is_judged_the_same_however_often(concluded: World) -> None:
    shadow = concluded.shadow(**policy())
    before = concluded.verdicts()
    for number in (LAST, 0, 3, LAST - 1):
        steps.judge(shadow, day(number), "other")
    assert concluded.verdicts() == before


def test_corrected_labels_reopen_a_concluded_trial_whose_days_are_then_missing(doubtful: World) -> None:
    shadow = doubtful.shadow(**policy())
    run_all(shadow, last=LAST - 2)
    failed = first_failure(doubtful)
    correct(doubtful)
    run_all(shadow, LAST - 1, LAST - 1)
    outcome, warnings, days = newest(doubtful, "other")[day(LAST - 1)]
    assert outcome != "FAIL"
    assert days["left_out"] == []
    unscored = [day(number) for number in range(LAST) if day(number) > failed]
    assert missing_days(shadow)[0] == unscored
    run_missing(shadow, Console(file=io.StringIO()))
    run_all(shadow, LAST)
    assert scored(doubtful, "other") == [day(number) for number in range(LAST + 1)]
    outcome, warnings, days = newest(doubtful, "other")[day(LAST)]
    assert (outcome, days["left_out"]) == ("INCONCLUSIVE", [])
    assert days["counted"] + days["waiting"] == LAST + 1
    assert not any("concluded" in warning for warning in warnings)


def test_a_trial_goes_on_after_a_fail_where_the_policy_says_so_which_is_no_term_of_it(doubtful: World) -> None:
    run_all(doubtful.shadow(**policy(after_fail="continue")))
    assert newest(doubtful, "other")[day(LAST)][0] == "FAIL"
    assert scored(doubtful, "other")[-1] == day(LAST)
    run_all(doubtful.shadow(**policy(after_fail="conclude")), LAST)
    assert doubtful.query("SELECT count(*) FROM shadow.trial WHERE kind = 'challenger'") == [(1,)]
