"""Units day, week and request answer one question: the mean over production's requests."""

import datetime as dt
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from shadow_deployment.config.policy import Policy
from shadow_deployment.decision.alpha import AlphaSplit
from shadow_deployment.decision.calibration import calibrate
from shadow_deployment.decision.power import power_analysis
from shadow_deployment.decision.sequential import JudgingTerms, SequentialResult, judge_sequence
from shadow_deployment.decision.series import Series
from shadow_deployment.decision.verdict import judge
from shadow_deployment.decision.words.finding import Finding

FIRST, DAYS = dt.date(2024, 1, 1), 84
SUPERIOR = {"metric": "brier_score", "is": "superior"}
NON_INFERIOR = {"metric": "brier_score", "is": "non_inferior", "margin": 0.01}
RELATIVE = {"metric": "brier_score", "is": "non_inferior", "relative_margin": 0.05}
AT_MOST = {"metric": "brier_score", "is": "at_most", "value": 0.3}
GUARDRAIL = {"metric": "brier_score", "is": "guardrail"}
WEEKENDS = np.where(np.arange(DAYS) % 7 < 5, 100, 10)


def requests(count: np.ndarray, *, mean: np.ndarray | float = 0.01, own: float = 0.0, seed: int = 0) -> Series:
    """Days of requests with differences around a mean; `own` is how much days themselves vary."""
    rng = np.random.default_rng(seed)
    centre = np.broadcast_to(mean, len(count)) + own * rng.standard_normal(len(count))
    drawn = [rng.normal(middle, 0.1, number) for middle, number in zip(centre, count, strict=True)]
    return of_requests([np.ones(number) for number in count], drawn)


def of_requests(weights: list[np.ndarray], differences: list[np.ndarray]) -> Series:
    both = list(zip(weights, differences, strict=True))
    weight = np.array([w.sum() for w, _ in both])
    mean = np.array([w @ d for w, d in both]) / weight
    champion = 0.2 + 0.02 * np.sin(np.arange(len(both)))
    return Series(
        metric="brier_score",
        slice="all",
        days=tuple(FIRST + dt.timedelta(days=number) for number in range(len(both))),
        pairs=np.array([len(w) for w, _ in both]),
        identical=None,
        champion=champion,
        challenger=champion - mean,
        difference=mean,
        weight=weight,
        squares=np.array([[(w**2).sum(), (w**2 * d).sum(), (w**2 * d**2).sum()] for w, d in both]),
    )


def policy(rule: dict[str, Any], **changes: Any) -> Policy:
    return Policy.model_validate({"rules": [rule], **changes})


def finding(one: Series, rule: dict[str, Any] = SUPERIOR, **changes: Any) -> Finding:
    (found,) = judge(policy(rule, **changes), {("brier_score", "all"): one}).findings
    return found


def looks(one: Series, rule: dict[str, Any] = SUPERIOR, **changes: Any) -> SequentialResult:
    judged = policy(rule, **changes)
    return judge_sequence(judged.rules[0], one.observed(judged), JudgingTerms(judged, AlphaSplit(0.05, 0.05)))


@pytest.mark.parametrize("rule", [SUPERIOR, NON_INFERIOR])
def test_day_week_and_request_estimate_the_same_and_agree_on_its_sign(rule: dict[str, Any]) -> None:
    one = requests(WEEKENDS, mean=np.where(np.arange(DAYS) % 7 < 5, 0.02, -0.06))
    assert one.difference.mean() < 0 < np.average(one.difference, weights=one.weight)
    estimates = [looks(one, rule, unit=unit).estimate[-1] for unit in ("day", "week", "request")]
    found = [finding(one, rule, unit=unit) for unit in ("day", "week")]
    assert_allclose(estimates, estimates[0], rtol=1e-12)
    assert_allclose([each.estimate for each in found], np.average(one.difference, weights=one.weight), rtol=1e-12)
    assert {each.estimate > 0 for each in found if each.estimate is not None} == {True}


@pytest.mark.parametrize("unit", ["day", "week"])
def test_weighting_by_day_is_the_mean_of_days_in_either_unit(unit: str) -> None:
    one = requests(WEEKENDS, mean=np.where(np.arange(DAYS) % 7 < 5, 0.02, -0.06))
    found = finding(one, unit=unit, weighting="day")
    assert found.estimate == pytest.approx(one.difference.mean(), rel=1e-12)
    assert found.estimate < 0


def test_a_day_of_one_request_weighs_one_request_and_as_a_day_where_days_are_weighed() -> None:
    count = np.full(DAYS, 200)
    count[40] = 1
    one = requests(count)
    lost = of_requests([np.ones(number) for number in count], list(map(np.full, count, one.difference)))
    lost.difference[40] = -1.0
    by_request, by_day = (finding(lost, weighting=weighting).estimate for weighting in ("request", "day"))
    others = np.delete(lost.difference, 40)
    assert by_request == pytest.approx((200 * others.sum() - 1) / (200 * (DAYS - 1) + 1))
    assert by_day == pytest.approx((others.sum() - 1) / DAYS)


@pytest.mark.parametrize(
    "rule", [SUPERIOR, NON_INFERIOR, RELATIVE, AT_MOST, {"metric": "brier_score", "is": "guardrail"}]
)
@pytest.mark.parametrize("unit", ["day", "week", "request"])
def test_a_past_bound_does_not_move_with_what_comes_after_it(rule: dict[str, Any], unit: str) -> None:
    if unit == "request" and rule in (AT_MOST, RELATIVE):
        pytest.skip("not judged on requests")
    grown = np.concatenate([np.full(63, 50), np.full(21, 900)])
    one = requests(grown)
    judged = {"unit": unit, "burn_in": 28}
    every, before = looks(one, rule, **judged), looks(part(one, 63), rule, **judged)
    seen = len(before.lower)
    assert np.isfinite(before.lower[-1])
    for name in ("estimate", "lower", "upper"):
        assert_array_equal(getattr(every, name)[:seen], getattr(before, name))


def part(one: Series, days: int) -> Series:
    names = ("pairs", "champion", "challenger", "difference", "weight", "squares")
    cut = {name: getattr(one, name)[:days] for name in names}
    return Series(one.metric, one.slice, one.days[:days], identical=None, **cut)


def test_an_interval_does_not_widen_with_the_distance_of_its_bound() -> None:
    one = requests(WEEKENDS)
    near, far = finding(one), finding(one, NON_INFERIOR | {"margin": 50.0})
    assert_allclose([near.lower, near.upper], [far.lower, far.upper], rtol=1e-9)
    value = finding(one, AT_MOST | {"value": 500.0})
    same = finding(one, AT_MOST | {"value": 0.1})
    assert_allclose([value.lower, value.upper], [same.lower, same.upper], rtol=1e-9)


def test_days_that_are_equal_give_no_bound_however_their_traffic_varies() -> None:
    same = of_requests([np.ones(number) for number in WEEKENDS], [np.full(number, 0.01) for number in WEEKENDS])
    found = finding(same)
    assert (found.outcome, found.lower, found.upper) == ("INCONCLUSIVE", None, None)
    assert "do not differ from each other" in found.reason


def test_the_weighted_mean_of_a_relative_margin_is_of_what_production_serves() -> None:
    one = requests(WEEKENDS)
    found = finding(one, RELATIVE)
    assert found.estimate == pytest.approx(
        np.average(one.difference, weights=one.weight) / np.average(one.champion, weights=one.weight), rel=1e-12
    )


def test_requests_of_days_that_vary_by_themselves_are_refused_with_the_design_effect_and_the_remedy() -> None:
    found = finding(requests(np.full(DAYS, 400), mean=0.05, own=0.05), unit="request")
    assert (found.outcome, found.estimate, found.lower) == ("INCONCLUSIVE", None, None)
    assert "days differ by more than their requests explain (design effect " in found.reason
    assert found.reason.endswith("use policy.unit: day")
    effect = float(found.reason.partition("design effect ")[2].partition(")")[0])
    assert 60 < effect < 140, "400 requests of variance 0.01 in days of variance 0.0025: 1 + 400 / 4"
    assert finding(requests(np.full(DAYS, 400), mean=0.05), unit="request").outcome == "PASS"
    harm = finding(requests(np.full(DAYS, 400), mean=-0.05, own=0.05), unit="request")
    assert harm.outcome == "INCONCLUSIVE", "nothing is concluded, harm neither"


def test_days_of_one_request_do_not_tell_whether_requests_depend_on_each_other() -> None:
    assert "design effect" not in finding(requests(np.full(DAYS, 1), mean=0.1), unit="request").reason


def by_schedule(one: Series) -> Series:
    """The same requests by a weekly schedule: an entry a week, named by its first day."""
    weeks = one.by_week()
    return replace(weeks, days=tuple(day - dt.timedelta(days=6) for day in weeks.days))


TURNED = np.where(np.arange(140) < 98, 0.03, -0.05)


@pytest.mark.parametrize(
    ("rule", "mean", "outcome"),
    [
        (SUPERIOR, 0.01, "PASS"),
        (SUPERIOR, -0.01, "FAIL"),
        (SUPERIOR, 0.0, "INCONCLUSIVE"),
        (SUPERIOR, TURNED, "INCONCLUSIVE"),
        (SUPERIOR | {"worst_day": 0.1}, 0.01, "PASS"),
        (RELATIVE, 0.01, "PASS"),
        (GUARDRAIL, -0.01, "FAIL"),
    ],
    ids=["better", "worse", "equal", "better no more", "with one bad day more", "relative", "harm"],
)
def test_a_week_that_was_sampled_as_one_counts_as_a_week_of_days(
    rule: dict[str, Any], mean: np.ndarray | float, outcome: str
) -> None:
    one = replace(requests(np.where(np.arange(140) % 7 < 5, 100, 10), mean=mean), squares=None)
    of_days = finding(one, rule, unit="week")
    (of_weeks,) = judge(policy(rule).of_weeks(), {("brier_score", "all"): by_schedule(one)}).findings
    assert of_days.outcome == outcome
    assert replace(of_weeks, decided_on=None) == replace(of_days, decided_on=None)
    if of_days.decided_on is not None:
        assert of_weeks.decided_on == of_days.decided_on - dt.timedelta(days=6)


def test_plans_and_calibrations_on_weeks_count_calendar_days() -> None:
    one = replace(requests(np.full(280, 100), own=0.01), squares=None)
    of_days, of_weeks = policy(SUPERIOR, unit="week"), policy(SUPERIOR).of_weeks()
    series, effect = by_schedule(one), 0.003
    daily = power_analysis(one, of_days.rules[0], of_days, effect=effect)
    weekly = power_analysis(series, of_weeks.rules[0], of_weeks, effect=effect)
    assert weekly.days is not None
    assert replace(weekly, other_unit="", other_days=None) == replace(daily, other_unit="", other_days=None)
    assert (weekly.seen, weekly.days % 7, weekly.other_days) == (280, 0, None)
    found = calibrate(of_weeks, {("brier_score", "all"): series}, runs=200)
    assert (found.history, found.days, found.gates[0].days) == (280, 364, 280)
    assert found.rows[0].median_day is not None
    assert found.rows[0].median_day % 7 == 0
    assert found.rows[0].median_day >= 56
    assert len(found.rows[0].by_day) == 364
