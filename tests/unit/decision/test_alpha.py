"""How alpha is spent: on batches of trials toward PASS, on slices toward FAIL, and never again what was spent."""

import datetime as dt
import math
from typing import Any

import pytest

from shadow_deployment.decision.alpha import (
    AlphaSplit,
    alpha_of_batch,
    alpha_of_evidence,
    alpha_of_trial,
    alpha_used,
    spends_alpha,
)
from tests.unit.decision.histories import policy, series

ADVISORY = {"metric": "log_loss", "is": "superior", "role": "advisory"}
SLICED = {"metric": "brier_score", "is": "superior", "slices": ["origin"]}
FIRST = 6 / math.pi**2  # the share of the first batch


def later(days: int, start: int) -> Any:
    """Return a series that begins `start` days after the others."""
    one = series([0.1] * days)
    return type(one)(**vars(one) | {"days": tuple(day + dt.timedelta(days=start) for day in one.days)})


def test_batches_add_up_to_alpha_however_many_there_are() -> None:
    spent = [alpha_of_batch(0.05, place) for place in range(1, 10_001)]
    assert sum(spent) < 0.05
    assert sum(spent) == pytest.approx(0.05, rel=1e-4)
    assert spent[:3] == pytest.approx([0.030396, 0.007599, 0.003377], rel=1e-3)
    assert sum(alpha_of_trial(0.05, place=3, size=5) for _ in range(5)) == pytest.approx(alpha_of_batch(0.05, 3))


def test_a_policy_of_advisory_rules_alone_spends_none() -> None:
    assert spends_alpha(policy(SLICED, ADVISORY))
    assert not spends_alpha(policy(ADVISORY))


def test_without_slices_the_blocking_rules_share_alpha_toward_fail() -> None:
    judged = policy(
        {"metric": "brier_score", "is": "superior"}, {"metric": "log_loss", "is": "guardrail"},
        {"metric": "error_rate", "is": "at_most", "value": 0.1}, ADVISORY, alpha=0.1,
    )  # fmt: skip
    assert alpha_of_evidence(judged, {}, to_pass=0.02) == AlphaSplit(0.02, 0.05)
    assert alpha_of_evidence(policy(ADVISORY, alpha=0.1), {}, to_pass=0.02) == AlphaSplit(0.02, 0.1)


def test_slices_by_the_end_of_the_burn_in_share_what_the_first_batch_has() -> None:
    judged = policy(SLICED, {"metric": "log_loss", "is": "guardrail"}, alpha=0.1, burn_in=10)
    found = {("brier_score", name): series([0.1] * 30) for name in ("all", "origin=EWR", "carrier=UA")}
    found["brier_score", "origin=JFK"] = later(20, 9)
    given = alpha_of_evidence(judged, found, to_pass=0.02)
    assert given.to_fail == pytest.approx(0.1 * FIRST / 4), "all by two rules, and two origins by one"
    assert not given.late


def test_no_sequences_alpha_toward_fail_ever_moves_once_something_may_be_concluded() -> None:
    judged = policy(SLICED, alpha=0.1, burn_in=10)

    def on_day(number: int) -> AlphaSplit:
        starts = {"all": 0, "origin=EWR": 0, "origin=JFK": 9, "origin=LGA": 10, "origin=HPN": 10, "origin=SWF": 25}
        found = {
            ("brier_score", name): later(number - start, start) for name, start in starts.items() if start < number
        }
        return alpha_of_evidence(judged, found, to_pass=0.02)

    before: dict[str, float] = {}
    for number in range(10, 60):
        now = on_day(number)
        known = {"origin=EWR": now.to_fail} | dict(now.late)
        assert before == {name: known[name] for name in before}
        before = known
    assert before["origin=EWR"] == pytest.approx(0.1 * FIRST / 3)
    assert before["origin=LGA"] == before["origin=HPN"] == pytest.approx(0.1 * FIRST / 4 / 2)
    assert before["origin=SWF"] == pytest.approx(0.1 * FIRST / 9)
    spent = 3 * before["origin=EWR"] + sum(value for name, value in before.items() if name != "origin=EWR")
    assert spent < 0.1
    assert on_day(60).to_fail_in("origin=SWF") == before["origin=SWF"]
    assert on_day(60).to_fail_in("all") == before["origin=EWR"]


def test_the_burn_in_of_weeks_ends_after_as_many_weeks() -> None:
    judged = policy(SLICED, burn_in=10, unit="week")
    for start, is_late in ((55, False), (56, True)):
        found = {("brier_score", "all"): series([0.1] * 90), ("brier_score", "origin=JFK"): later(20, start)}
        assert bool(alpha_of_evidence(judged, found, to_pass=0.02).late) == is_late


def test_the_alphas_of_a_stored_verdict_are_those_of_its_sequences() -> None:
    kept = [("all", None, None), ("all", 0.02, 0.01), ("origin=JFK", 0.02, 0.001)]
    assert alpha_used(kept) == AlphaSplit(0.02, 0.01, {"origin=JFK": 0.001})
    assert alpha_used([("all", None, None)]) is None
