"""Calibration: resampled histories of which the truth is known err as often as they should."""

import json
import math
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from shadow_deployment.decision.calibration import POLICIES, calibrate
from shadow_deployment.decision.power import power_analysis
from shadow_deployment.errors import LedgerError
from tests.unit.decision.histories import (
    ALPHA,
    AT_MOST,
    NON_INFERIOR,
    RUNS,
    SUPERIOR,
    calibrated,
    evidence,
    false_promotions,
    normal,
    policy,
    series,
)


def test_on_independent_days_this_policy_keeps_alpha_and_the_naive_ones_do_not() -> None:
    this, running_mean, t_test = false_promotions(calibrated())
    assert this <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / RUNS)
    assert running_mean > 0.5
    assert t_test > 0.15


def test_on_dependent_days_the_t_test_errs_more_and_this_policy_hardly() -> None:
    this, running_mean, t_test = false_promotions(calibrated(memory=0.6))
    assert this < 0.1
    assert running_mean > 0.5
    assert t_test > false_promotions(calibrated())[2] + 0.15


def test_a_policy_that_errs_more_than_its_alpha_gets_a_warning() -> None:
    found = calibrated(memory=0.6, method="plain")
    row = found.rows[0]
    assert row.false_promotion > ALPHA + 3 * row.false_promotion_se
    assert found.warning is not None
    assert f"{row.false_promotion:.1%}" in found.warning
    assert "alpha is 5.00%" in found.warning
    assert calibrated().warning is None


def test_more_effect_is_missed_less_and_found_earlier() -> None:
    found = [calibrated(effect=effect).rows for effect in (0.05, 0.1, 0.3, 0.6)]
    for rows in zip(*found, strict=True):
        missed = [row.missed for row in rows]
        assert missed == sorted(missed, reverse=True)
        days = [row.median_day or math.inf for row in rows]
        assert days == sorted(days, reverse=True)
    this = [rows[0] for rows in found]
    assert this[0].missed > 0.5
    assert this[0].median_day is None
    assert this[-1].missed == 0
    assert 28 <= this[-1].median_day < this[-1].day_90 < this[-2].day_90  # type: ignore[operator]


def test_without_an_effect_it_is_the_one_that_was_seen() -> None:
    values = normal(399)
    values += 0.3 * values.std(ddof=1) - values.mean()
    seen, given = (
        calibrate(policy(SUPERIOR), evidence(series(values)), effect=effect, runs=200) for effect in (None, 0.3)
    )
    assert (seen.effect, given.effect) == (None, 0.3)
    assert seen.rows == given.rows
    assert seen.gates[0].effect == pytest.approx(values.mean())


def test_by_day_is_the_share_up_to_each_day() -> None:
    for row in calibrated().rows:
        assert len(row.by_day) == 365
        assert row.by_day[:27] == (0.0,) * 27
        assert_array_equal(np.maximum.accumulate(row.by_day), row.by_day)
        assert row.by_day[-1] == row.false_promotion
        assert row.false_promotion_se == pytest.approx(
            math.sqrt(row.false_promotion * (1 - row.false_promotion) / RUNS)
        )


def test_a_seed_makes_it_repeatable() -> None:
    found = evidence(series(normal(100)))
    first, same, other = (calibrate(policy(SUPERIOR), found, runs=300, seed=seed) for seed in (1, 1, 2))
    assert first == same
    assert first.rows != other.rows


@pytest.mark.parametrize(("history", "days"), [(98, 365), (497, 497)])
def test_a_year_is_looked_at_or_the_history_where_it_is_longer(history: int, days: int) -> None:
    found = calibrate(policy(SUPERIOR), evidence(series(normal(history))), runs=2)
    assert (found.history, found.days, found.gates[0].days) == (history, days, history)


@pytest.mark.parametrize("rule", [SUPERIOR, NON_INFERIOR, AT_MOST])
@pytest.mark.parametrize("unit", ["day", "week"])
def test_false_promotions_do_not_depend_on_the_mean_that_was_seen(rule: dict[str, Any], unit: str) -> None:
    weight = np.random.default_rng(5).uniform(1, 9, 300)
    shares = {
        tuple(
            false_promotions(
                calibrate(
                    policy(rule, unit=unit, alpha=0.3),
                    evidence(series(normal(300) + seen, weight=weight)),
                    runs=200,
                )
            )
        )
        for seen in (-3.0, 0.0, 3.0)
    }
    assert len(shares) == 1
    assert shares.pop()[0] > 0


@pytest.mark.parametrize("unit", ["day", "week"])
def test_at_the_bound_one_side_is_as_likely_as_the_other(unit: str) -> None:
    """Weights that go with the differences move the mean of all requests, which is centred with them."""
    values = normal(399, seed=3)
    weight = np.exp(values / 4)
    promoted = [
        calibrate(
            policy(SUPERIOR, unit=unit, method="plain", alpha=0.5),
            evidence(series(sign * values, weight=weight)),
            runs=RUNS,
            days=364,
        )
        .rows[0]
        .false_promotion
        for sign in (1, -1)
    ]
    assert abs(promoted[0] - promoted[1]) < 0.2  # uncentred they are 0.9 apart
    assert min(promoted) > 0.1


def test_with_weeks_nothing_is_promoted_before_eight_of_them() -> None:
    found = calibrated(effect=5.0, unit="week")
    assert [(row.median_day, row.day_90, row.missed) for row in found.rows] == [(56, 56, 0.0)] * 3
    assert all(max(row.by_day[:55]) == 0 for row in found.rows)
    weekly = np.flatnonzero(np.diff(found.rows[0].by_day)) + 2
    assert len(weekly)
    assert set(weekly % 7) == {0}


def test_the_alpha_is_that_of_the_trial() -> None:
    assert calibrate(policy(SUPERIOR), evidence(series(normal(100))), alpha=0.0123, runs=2).alpha == 0.0123


def test_requests_as_unit_are_refused_with_the_way_out() -> None:
    by_request = policy(SUPERIOR, unit="request")
    one = series(normal(60))
    with pytest.raises(LedgerError, match=r"unit == 'request'.* with unit day"):
        calibrate(by_request, evidence(one))
    with pytest.raises(LedgerError, match=r"unit == 'request'.* with unit day"):
        power_analysis(one, by_request.rules[0], by_request, effect=0.1)


@pytest.mark.parametrize(
    "wrong", [{"effect": 0.0}, {"effect": -1.0}, {"effect": math.nan}, {"effect": math.inf}, {"runs": 0}, {"days": 27}]
)
def test_arguments_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} == .*must be >"):
        calibrate(policy(SUPERIOR), evidence(series(normal(60))), **wrong)


def test_the_result_is_plain_data() -> None:
    found = json.loads(json.dumps(calibrated().to_json(), allow_nan=False))
    assert set(found) == {
        "alpha", "history", "block_length", "days", "runs", "seed", "effect", "rows", "autoregressive", "upper_limit",
        "gates", "left_out", "advice", "warning"
    }  # fmt: skip
    assert [row["policy"] for row in found["rows"]] == list(POLICIES)
    assert len(found["rows"][0]["by_day"]) == 365
    assert found["gates"][0]["rule"] == "brier_score superior"
