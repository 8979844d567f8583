"""What a finding says, to the number and to the letter."""

import datetime as dt
import math
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from shadow_deployment.config.policy import Policy
from shadow_deployment.decision.alpha import alpha_of_batch
from shadow_deployment.decision.verdict import judge
from shadow_deployment.decision.words.finding import Finding
from shadow_deployment.decision.words.wording import reason_of
from tests.unit.decision.noisy import (
    AGREEMENT,
    BURN_IN,
    CONSTANT,
    DAYS,
    EXPECTED,
    FEW_ERRORS,
    FIRST,
    GUARDRAIL,
    LIKE_IT,
    SUPERIOR,
    TOO_SMALL,
    boundary,
    bounds_of,
    found,
    noise,
    series,
    values,
)


@pytest.mark.parametrize(
    ("mean", "outcome", "words"), [(0.1, "PASS", "clears 0"), (-0.1, "FAIL", "is entirely below 0")]
)
def test_a_decided_finding_holds_everything_that_it_was_judged_by(mean: float, outcome: Any, words: str) -> None:
    one = series(mean + noise("normal"), name="origin=JFK")
    everything = replace(one, slice="all")
    policy = Policy.model_validate({"rules": [SUPERIOR | {"slices": ["origin"]}]})
    verdict = judge(policy, {(each.metric, each.slice): each for each in (one, everything)}, alpha=policy.alpha / 4)
    lower, upper = bounds_of(one.difference, (0.05 / 4, alpha_of_batch(0.05, 1) / 2))
    decided = one.days[int(np.argmax(lower > 0 if outcome == "PASS" else upper < 0))]
    expected = Finding(
        metric="brier_score",
        slice="origin=JFK",
        is_="superior",
        role="blocking",
        outcome=outcome,
        bound=0.0,
        reason=f"after 60 days the interval {lower[-1]:.4g} to {upper[-1]:.4g} {words}",
        estimate=pytest.approx(mean),
        lower=pytest.approx(lower[-1]),
        upper=pytest.approx(upper[-1]),
        observations=60,
        requests=3000,
        alpha_pass=0.05 / 4,
        alpha_fail=alpha_of_batch(0.05, 1) / 2,
        decided_on=decided,
        more_days=None,
        champion=pytest.approx(one.champion.mean()),
        challenger=pytest.approx(one.challenger.mean()),
    )
    assert verdict.findings == [replace(expected, slice="all"), expected]
    words = {"PASS": "is better", "FAIL": "is worse"}[outcome]
    assert reason_of(verdict.findings[0]) == f"Brier score {words}: {expected.reason}"
    assert reason_of(verdict.findings[1]) == f"Brier score {words} in origin=JFK: {expected.reason}"
    if outcome == "FAIL":
        assert verdict.reasons == [reason_of(finding) for finding in verdict.findings]


def independent(t: int, alpha: float, method: str) -> float:
    """The margin of independent days; that of robust knows their variance with t - 1 degrees of freedom (Wallace)."""
    normal, degrees = boundary(t, alpha, EXPECTED), t - 1
    if method == "plain":
        return normal
    correction = (8 * degrees + 3) / (8 * degrees + 1)
    return math.sqrt(degrees / t * math.expm1((correction * normal) ** 2 * t / degrees))


def observations_missing(
    gains: np.ndarray, alpha: tuple[float, float], bounds: tuple[Any, Any], method: str
) -> int | None:
    """How many more observations would decide, one by one: the margins of today shrink as those of independent days."""
    count, effect, spread = len(gains), float(gains.mean()), float(gains.std(ddof=1))
    side = 0 if effect > 0 else 1
    if count >= BURN_IN:
        margin = abs(effect - float(bounds[side][-1]))
        spread *= max(1.0, margin / (spread * independent(count, alpha[side], method)))
    for later in range(max(count + 1, BURN_IN), 100_001):
        if spread * independent(later, alpha[side], method) < abs(effect):
            return later - count
    return None


@pytest.mark.parametrize("days", [2, 10, BURN_IN - 1, BURN_IN, 45, DAYS])
@pytest.mark.parametrize("kind", ["normal", "dependent", "rare gains", "rare losses"])
@pytest.mark.parametrize("mean", [0.004, 0.015, -0.004, -0.015])
@pytest.mark.parametrize("method", ["robust", "plain"])
def test_how_many_more_days_are_needed_is_when_the_margins_of_today_will_have_shrunk_to_the_effect(
    days: int, kind: str, mean: float, method: str
) -> None:
    gains = noise(kind, days) + mean
    policy = Policy.model_validate({"rules": [SUPERIOR], "method": method, "recent_days": 0})
    (finding,) = judge(policy, {("brier_score", "all"): series(gains)}, alpha=policy.alpha / 3).findings
    bounds = bounds_of(gains, (0.05 / 3, 0.05), method=method)
    assert finding.outcome == "INCONCLUSIVE"
    assert finding.more_days == observations_missing(gains, (0.05 / 3, 0.05), bounds, method)
    if days >= BURN_IN:
        outlook = f"about {finding.more_days} more days {LIKE_IT}" if finding.more_days else TOO_SMALL
        assert finding.reason.partition("; even if")[0] == (
            f"after {days} days the interval {bounds[0][-1]:.4g} to {bounds[1][-1]:.4g} contains 0; {outlook}"
        )


@pytest.mark.parametrize(
    ("days", "burn_in", "words", "more"),
    [
        (1, 28, "1 day of evidence, first bound on day 28", 27),
        (1, 2, "1 day of evidence, first bound on day 2", 1),
        (27, 28, "27 days of evidence, first bound on day 28", None),
    ],
)
def test_before_the_burn_in_is_over_a_finding_says_when_it_will_be(
    days: int, burn_in: int, words: str, more: int | None
) -> None:
    one = series(noise("normal", DAYS)[:days] + 1)
    finding = found(one, SUPERIOR, burn_in=burn_in)
    assert (finding.outcome, finding.reason, finding.lower, finding.upper) == ("INCONCLUSIVE", words, None, None)
    assert finding.more_days == (more or 1)
    harmless = found(one, GUARDRAIL, burn_in=burn_in)
    assert (harmless.outcome, harmless.reason) == ("PASS", f"no harm detected yet: {words}")
    assert (harmless.more_days, harmless.decided_on) == (None, FIRST)


def test_weeks_are_counted_as_weeks_and_their_days_are_told() -> None:
    one_week = found(series(noise("normal", 7) + 1), SUPERIOR, unit="week")
    assert one_week.reason == "1 week of evidence, first bound on week 8"
    assert (one_week.observations, one_week.requests, one_week.more_days) == (1, 350, 49)
    two_weeks = found(series(noise("normal", 14) + 1), SUPERIOR, unit="week")
    assert two_weeks.reason == "2 weeks of evidence, first bound on week 8"
    open_ = found(series(noise("normal", 63) + 0.03), SUPERIOR, unit="week")
    assert open_.more_days is not None
    assert open_.more_days % 7 == 0
    weeks = open_.more_days // 7
    counted = "1 more week" if weeks == 1 else f"{weeks} more weeks"
    assert open_.reason.startswith("after 9 weeks the interval ")
    assert f" contains 0; about {counted} {LIKE_IT}" in open_.reason


def test_an_effect_of_nothing_is_decided_by_no_number_of_days() -> None:
    finding = found(series(np.resize([0.125, -0.125], DAYS)), SUPERIOR)
    assert (finding.outcome, finding.more_days) == ("INCONCLUSIVE", None)
    assert finding.reason.endswith(f" contains 0; {TOO_SMALL}")


def test_one_more_day_is_one_day() -> None:
    lower, _ = bounds_of(noise("normal"))
    finding = found(series(noise("normal") - lower[-1] - 1e-6), SUPERIOR)
    assert finding.more_days == 1
    assert finding.reason.endswith(f" contains 0; about 1 more day {LIKE_IT}")


@pytest.mark.parametrize("size", [1e200, 1e308])
@pytest.mark.parametrize("days", [10, DAYS])
def test_days_too_far_apart_for_arithmetic_are_left_open_without_a_warning(size: float, days: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        finding = found(series(size * noise("normal")[:days]), SUPERIOR)
    assert (finding.outcome, finding.more_days) == ("INCONCLUSIVE", None)


@pytest.mark.parametrize(("mean", "words"), [(0.1, "shows no harm below 0"), (-0.1, "is entirely below 0")])
def test_harm_is_told_in_words_of_its_own(mean: float, words: str) -> None:
    finding = found(series(mean + noise("normal")), GUARDRAIL)
    lower, upper = bounds_of(mean + noise("normal"))
    assert finding.reason == f"after 60 days the interval {lower[-1]:.4g} to {upper[-1]:.4g} {words}"
    assert (finding.outcome, finding.decided_on) == (
        ("PASS", FIRST) if mean > 0 else ("FAIL", FIRST + dt.timedelta(days=int(np.argmax(upper < 0))))
    )


def test_harm_that_was_shown_and_is_no_longer_is_told_as_such() -> None:
    days = np.append(noise("normal", 40) - 0.1, -20.0)  # still more harm, and so uneven that no bound shows it
    assert found(series(days[:40]), GUARDRAIL).outcome == "FAIL"
    lower, upper = bounds_of(days)
    finding = found(series(days), GUARDRAIL)
    assert (finding.outcome, finding.reason) == (
        "INCONCLUSIVE",
        f"after 41 days the interval {lower[-1]:.4g} to {upper[-1]:.4g} no longer shows, but has shown, harm below 0",
    )


@pytest.mark.parametrize("steady", [2, 30, DAYS - 1])
def test_an_interval_is_told_as_soon_as_days_differ(steady: int) -> None:
    days = noise("normal") + 0.1
    days[:steady] = 0.1
    lower, upper = bounds_of(days)
    assert found(series(days), SUPERIOR).reason.startswith(
        f"after 60 days the interval {lower[-1]:.4g} to {upper[-1]:.4g} "
    )


@pytest.mark.parametrize("unit", ["day", "request"])
@pytest.mark.parametrize("column", [0, 1, 2, None])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_sum_of_weights_or_squares_that_is_not_a_number_never_passes(
    unit: str, column: int | None, bad: float
) -> None:
    one = series(0.1 + noise("normal"))
    weight, squares = (
        np.full(DAYS, 50.0),
        np.column_stack([np.full(DAYS, 50.0), 50 * one.difference, np.full(DAYS, 30.0)]),
    )
    assert found(replace(one, weight=weight, squares=squares), SUPERIOR, unit=unit).outcome == "PASS"
    changed = weight if column is None else squares[:, column]
    changed[7] = bad
    finding = found(replace(one, weight=weight, squares=squares), SUPERIOR, unit=unit)
    assert (finding.outcome, finding.reason) == ("INCONCLUSIVE", "the value of 2013-03-08 is not a number")


def test_days_that_do_not_differ_are_told_so() -> None:
    steady = series(np.full(DAYS, 0.25))
    assert found(steady, SUPERIOR).reason == f"60 days of evidence {CONSTANT}"
    assert found(steady, GUARDRAIL).reason == f"no harm detected: 60 days of evidence {CONSTANT}"
    assert (found(steady, SUPERIOR).estimate, found(steady, SUPERIOR).more_days) == (0.25, None)


def test_an_interval_that_is_one_sided_by_rounding_is_not_told() -> None:
    """Days whose gains differ by rounding only have a sequence, which nothing may be concluded from."""
    rule = {"metric": "brier_score", "is": "at_most", "value": 0.5}
    finding = found(series(np.resize([0.0, 1e-13], DAYS)), rule)
    assert (finding.outcome, finding.reason) == ("INCONCLUSIVE", f"60 days of evidence {CONSTANT}")


@pytest.mark.parametrize(
    ("rule", "value", "outcome", "reason"),
    [
        (FEW_ERRORS, 0.0, "PASS", "0 on 2013-03-03 is at most 0.01"),
        (FEW_ERRORS, 0.0123456, "FAIL", "0.01235 on 2013-03-03 is not at most 0.01"),
        (AGREEMENT, 0.8, "PASS", "0.8 on 2013-03-03 is at least 0.8"),
        (AGREEMENT, 0.123456, "FAIL", "0.1235 on 2013-03-03 is not at least 0.8"),
        (FEW_ERRORS | {"value": 123456.0}, 99999.0, "PASS", "1e+05 on 2013-03-03 is at most 1.235e+05"),
    ],
)
def test_a_day_is_told_with_its_value_and_its_bound(
    rule: dict[str, Any], value: float, outcome: str, reason: str
) -> None:
    finding = found(values([0.5, 0.5, value], rule["metric"]), rule)
    assert (finding.outcome, finding.reason, finding.estimate) == (outcome, reason, pytest.approx(value))
    assert (finding.observations, finding.requests, finding.bound) == (3, 150, rule["value"])
    assert (finding.alpha_pass, finding.alpha_fail, finding.decided_on, finding.more_days) == (None,) * 4


def test_a_share_too_large_for_arithmetic_is_told_as_unbounded() -> None:
    rule = FEW_ERRORS | {"of": "relative_change", "value": 0.5}
    with np.errstate(over="ignore"):
        finding = found(values([1e200], champion=np.array([1e-200])), rule)
    assert (finding.outcome, finding.estimate) == ("FAIL", None)
    assert finding.reason == "unbounded on 2013-03-01 is not at most 0.5"
