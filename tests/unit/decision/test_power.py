"""Power: what an effect needs in days, and what another sampling rate would change."""

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from shadow_deployment.decision.power import RATES, PowerAnalysis, power_analysis
from shadow_deployment.decision.series import Series
from shadow_deployment.errors import LedgerError
from shadow_deployment.statistics.first_passage import decision_times
from shadow_deployment.statistics.long_run_variance import long_run_ratio
from tests.unit.decision.histories import (
    ALPHA,
    AT_MOST,
    FEW_ERRORS,
    GUARDRAIL,
    NON_INFERIOR,
    RELATIVE,
    SUPERIOR,
    calibrated,
    normal,
    policy,
    remembering,
    series,
)

BETWEEN, WITHIN, REQUESTS = 0.04, 0.5, 25


def drawn(days: int, *, uneven: bool, seed: int = 0, requests: int = REQUESTS) -> Series:
    """Days whose own mean varies by BETWEEN and whose requests vary by WITHIN around it."""
    rng = np.random.default_rng(seed)
    weight = rng.choice([1.0, 4.0], (days, requests)) if uneven else np.full((days, requests), 2.0)
    own = 0.1 + math.sqrt(BETWEEN) * rng.standard_normal((days, 1))
    d = own + math.sqrt(WITHIN) * rng.standard_normal((days, requests))
    squares = np.column_stack([(weight**2 * power).sum(axis=1) for power in (np.ones_like(d), d, d**2)])
    total = weight.sum(axis=1)
    return series((weight * d).sum(axis=1) / total, weight=total, squares=squares)


def planned(one: Series, rule: dict[str, Any] | None = None, *, share: float = 1.0, **settings: Any) -> PowerAnalysis:
    arguments = {key: settings.pop(key) for key in ("effect", "rates", "present") if key in settings}
    judged = policy(rule or SUPERIOR, **settings)
    given = {"effect": 0.1, "present": 0.2} | arguments
    return power_analysis(one, judged.rules[0], judged, alpha=share * judged.alpha, **given)


@pytest.mark.parametrize(("uneven", "effective"), [(False, REQUESTS), (True, REQUESTS * 2.5**2 / 8.5)])
def test_the_variance_is_split_into_that_of_days_and_that_of_the_sample(uneven: bool, effective: float) -> None:
    found = planned(drawn(8000, uneven=uneven))
    assert found.within == pytest.approx(WITHIN / effective, rel=0.03)
    assert found.between == pytest.approx(BETWEEN, rel=0.1)


def test_in_weeks_both_shrink_by_seven() -> None:
    found = planned(drawn(8000, uneven=False), unit="week")
    assert found.within == pytest.approx(WITHIN / REQUESTS / 7, rel=0.03)
    assert found.between == pytest.approx(BETWEEN / 7, rel=0.2)
    assert found.days is not None
    assert found.days % 7 == 0


def test_what_another_rate_would_need_is_what_was_needed_at_that_rate() -> None:
    """Half the requests of a day, drawn anew: the plan from the whole sample foresees the plan from the half."""
    whole = planned(drawn(8000, uneven=False))
    half = planned(drawn(8000, uneven=False, seed=1), rates=(1.0,))
    assert whole.days == pytest.approx(half.days, rel=0.05)
    rates = {one.rate: one.days for one in whole.rates}
    deviation = math.sqrt(BETWEEN + WITHIN / REQUESTS / 0.1)
    expected, _ = decision_times(0.1, deviation, alpha=ALPHA, tuned_for=60, burn_in=28, method="robust")
    assert rates[0.1] == pytest.approx(expected, rel=0.1)
    assert rates[1.0] == whole.days


def test_days_fall_with_effect_and_rate() -> None:
    one = drawn(200, uneven=True)
    days = [planned(one, effect=effect).days or math.inf for effect in (0.02, 0.05, 0.1, 0.5)]
    assert days == sorted(days, reverse=True)
    assert days[0] > days[2] > days[3] == 28
    by_rate = [rate.days or math.inf for rate in planned(one).rates]
    assert by_rate == sorted(by_rate, reverse=True)
    assert by_rate[0] > by_rate[-1]


def test_the_smallest_rate_that_takes_hardly_longer_is_proposed() -> None:
    """Of days with many requests a part would do; of days with few, none may be spared."""
    many = planned(drawn(2000, uneven=False, requests=400))
    rates = {one.rate: one.days or math.inf for one in many.rates}
    assert tuple(rates) == RATES
    assert many.days is not None
    assert many.proposed == min(rate for rate, days in rates.items() if days <= 1.1 * many.days) < 1
    assert planned(drawn(2000, uneven=False, requests=4)).proposed == 1
    large = planned(drawn(2000, uneven=False), effect=5.0)
    assert (large.days, large.proposed) == (28, 0.01)


@pytest.mark.parametrize(("method", "memory"), [("plain", 0.0), ("robust", 0.0), ("robust", 0.4)])
def test_a_plan_foresees_by_when_half_and_nine_tenths_of_resampled_histories_are_decided(
    method: str, memory: float
) -> None:
    one = series(remembering(1500, memory))
    effect = 0.5 if memory else 0.3
    row = calibrated(memory=memory, effect=effect, method=method).rows[0]
    found = planned(one, effect=effect * float(one.difference.std(ddof=1)), method=method)
    assert found.days == pytest.approx(row.median_day, rel=0.15)
    assert found.days_90 == pytest.approx(row.day_90, rel=0.15)


def test_dependent_days_count_for_fewer_where_the_method_allows_for_them() -> None:
    one = series(remembering(400, 0.6))
    plain, robust = (planned(one, method=method) for method in ("plain", "robust"))
    assert plain.between == pytest.approx(one.difference.var(ddof=1))
    assert robust.between == pytest.approx(plain.between * long_run_ratio(one.difference))
    assert robust.between > 2.5 * plain.between
    few = planned(series(remembering(27, 0.6)), method="robust")
    assert few.between == pytest.approx(remembering(27, 0.6).var(ddof=1))


@pytest.mark.parametrize(("unit", "other"), [("day", "week"), ("week", "day")])
def test_what_the_other_unit_would_take_is_its_own_plan(unit: str, other: str) -> None:
    one = series(remembering(700, 0.4))
    found, expected = planned(one, effect=0.3, unit=unit), planned(one, effect=0.3, unit=other)
    assert (found.other_unit, found.other_days) == (other, expected.days)
    assert found.days != expected.days


def test_no_more_than_all_requests_can_be_sampled() -> None:
    one = drawn(500, uneven=False)
    for present, expected in ((1.0, 1.0), (0.4, 2.5), (0.2, 5.0), (0.01, 5.0)):
        assert max(rate.rate for rate in planned(one, present=present).rates) == expected
    assert [rate.rate for rate in planned(one, present=0.4).rates] == [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 2.5]


def test_an_effect_is_in_the_rules_unit_and_counted_from_its_bound() -> None:
    """A twentieth of a champion of 0.2 is 0.01; a margin moves the bound and not the effect."""
    one = series(0.1 * normal(200), champion=np.full(200, 0.2))
    expected = planned(one, effect=0.01)
    assert planned(one, RELATIVE, effect=0.05).days == expected.days
    assert planned(one, NON_INFERIOR, effect=0.01).days == expected.days
    assert planned(one, AT_MOST, effect=0.01).days == expected.days
    assert planned(one, effect=0.01, share=0.2).days > expected.days  # type: ignore[operator]


@pytest.mark.parametrize("rule", [SUPERIOR, RELATIVE, AT_MOST])
def test_where_the_sample_cannot_be_told_from_the_day_no_rate_is_proposed(rule: dict[str, Any]) -> None:
    one = drawn(100, uneven=True)
    one = replace(one, champion=np.full(100, 0.2), squares=None if rule is SUPERIOR else one.squares)
    found = planned(one, rule)
    assert (found.within, found.rates, found.proposed) == (None, (), None)
    assert found.days is not None


def test_no_more_variance_is_due_to_the_sample_than_there_is() -> None:
    one = drawn(100, uneven=False)
    found = planned(replace(one, difference=0.1 + 0.01 * one.difference))
    total = 1e-4 * one.difference.var(ddof=1)
    assert found.within == pytest.approx(total)
    assert found.between == pytest.approx(total * (long_run_ratio(one.difference) - 1))


def test_days_with_one_request_say_nothing_of_the_sample() -> None:
    one = drawn(300, uneven=False)
    assert one.squares is not None
    assert one.weight is not None
    weight, squares = one.weight.copy(), one.squares.copy()
    single = np.arange(300) % 3 == 0
    weight[single] = 2.0
    squares[single] = np.column_stack([np.full(100, 4.0), 4 * one.difference[single], 4 * one.difference[single] ** 2])
    found = planned(replace(one, weight=weight, squares=squares))
    assert found.within == pytest.approx(WITHIN / REQUESTS, rel=0.1)
    alone = planned(replace(one, weight=np.full(300, 2.0), squares=np.tile([4.0, 0.4, 0.04], (300, 1))))
    assert alone.within is None


@pytest.mark.parametrize(
    ("rule", "days", "settings", "message"),
    [
        (SUPERIOR, 1, {}, "1 day of evidence is too few, 2 are needed"),
        (SUPERIOR, 13, {"unit": "week"}, "13 days of evidence are too few, 14 are needed"),
        (FEW_ERRORS, 60, {}, "judged day by day"),
        (GUARDRAIL, 60, {}, "passes unless harm is shown"),
        (RELATIVE, 60, {}, "champion's brier_score is 0"),
    ],
)
def test_what_cannot_be_planned_is_said(
    rule: dict[str, Any], days: int, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(LedgerError, match=message):
        planned(series(normal(days), rule["metric"]), rule, **settings)


@pytest.mark.parametrize(
    "wrong",
    [
        {"effect": 0.0},
        {"effect": math.nan},
        {"rates": (0.0,)},
        {"rates": (math.inf,)},
        {"present": 0.0},
        {"present": 1.1},
    ],
)
def test_a_plan_refuses_arguments_out_of_range(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} == "):
        planned(drawn(100, uneven=False), **wrong)


def test_a_plan_is_plain_data() -> None:
    found = json.loads(json.dumps(planned(drawn(100, uneven=False)).to_json(), allow_nan=False))
    assert found["rule"] == "brier_score superior"
    assert (found["seen"], found["effect"], found["alpha"]) == (100, 0.1, 0.05)
    assert found["rates"][0].keys() == {"rate", "days"}
