"""A run of a calibration is promoted when the policy passes, and naive policies are what scipy says."""

import datetime as dt
import math
import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from shadow_deployment.config.policy import Policy
from shadow_deployment.decision.calibration import calibrate
from shadow_deployment.decision.series import Evidence, Series
from shadow_deployment.decision.verdict import judge
from shadow_deployment.statistics.resampling import resampled_days
from tests.unit.decision.histories import (
    AT_LEAST,
    FIRST,
    GUARDRAIL,
    LOG_LOSS,
    NON_INFERIOR,
    RUNS,
    SUPERIOR,
    evidence,
    normal,
    policy,
    series,
)


def sparse(one: Series, missing: float, seed: int) -> Series:
    """The series without a share of its days."""
    kept = np.random.default_rng(seed).random(len(one.days)) >= missing
    arrays = ("pairs", "identical", "champion", "challenger", "difference", "weight")
    values = {key: getattr(one, key) for key in arrays}
    return replace(
        one,
        days=tuple(day for day, keep in zip(one.days, kept, strict=True) if keep),
        **{key: None if array is None else array[kept] for key, array in values.items()},
    )


def promoted_by_the_policy(
    judged: Policy, history: Evidence, index: np.ndarray, moved: dict[tuple[str, str], float]
) -> list[float]:
    """Day of the first PASS of policy.judge on each run of resampled days, inf for none; evidence moved by `moved`."""
    calendar = sorted({day for one in history.values() for day in one.days})
    return [
        next((day for day in range(1, len(run) + 1) if passes(judged, history, calendar, run[:day], moved)), math.inf)
        for run in index
    ]


def passes(
    judged: Policy,
    history: Evidence,
    calendar: Sequence[dt.date],
    run: np.ndarray,
    moved: dict[tuple[str, str], float],
) -> bool:
    found = {}
    for key, one in history.items():
        at = {day: number for number, day in enumerate(one.days)}
        pairs = [(day, at[calendar[number]]) for day, number in enumerate(run) if calendar[number] in at]
        rows = np.array([row for _, row in pairs], np.int64)
        found[key] = replace(
            one,
            days=tuple(FIRST + dt.timedelta(days=day) for day, _ in pairs),
            pairs=one.pairs[rows],
            identical=one.identical[rows],
            champion=one.champion[rows],
            challenger=one.challenger[rows] + moved[key],
            difference=one.difference[rows] + moved[key],
            weight=None if one.weight is None else one.weight[rows],
        )
    return judge(judged, found, alpha=judged.alpha / 2).outcome == "PASS"


def requests(days: int) -> np.ndarray:
    return np.random.default_rng(8).integers(5, 40, days)


WEIGHT = np.random.default_rng(9).uniform(1, 9, 56)
CASES: dict[str, tuple[Policy, list[Series], dict[tuple[str, str], float]]] = {
    # The policy, its evidence, and by key the value of the mean at which the rule is at its bound.
    "one rule": (policy(SUPERIOR, alpha=0.999, burn_in=10), [series(normal(56))], {("brier_score", "all"): 0.0}),
    "two rules and a slice with missing days": (
        policy(SUPERIOR | {"slices": ["origin"]}, LOG_LOSS, alpha=0.9999, burn_in=5),
        [
            series(normal(56)),
            sparse(series(normal(56) + 0.5 * normal(56, 1), name="origin=JFK"), 0.2, 4),
            series(normal(56) + 0.2 * normal(56, 2), "log_loss"),
        ],
        {("brier_score", "all"): 0.0, ("brier_score", "origin=JFK"): 0.0, ("log_loss", "all"): 0.0},
    ),
    "a margin, and harm where it passes": (
        policy(NON_INFERIOR, GUARDRAIL | {"slices": ["origin"]}, alpha=0.9, burn_in=5, method="plain"),
        [
            series(normal(56)),
            series(-normal(56) + 0.8 * normal(56, 1), "accuracy"),
            series(-normal(56) + 0.8 * normal(56, 2), "accuracy", "origin=JFK"),
        ],
        {("brier_score", "all"): -0.5, ("accuracy", "all"): 0.0, ("accuracy", "origin=JFK"): 0.0},
    ),
    "no harm, once there is evidence": (
        policy(GUARDRAIL | {"metric": "brier_score"}, GUARDRAIL),
        [series(normal(56)), sparse(series(normal(56), "accuracy"), 0.5, 1)],
        {("brier_score", "all"): 0.0, ("accuracy", "all"): 0.0},
    ),
    "a value": (policy(AT_LEAST, alpha=0.999, burn_in=10), [series(normal(56), "roc_auc")], {("roc_auc", "all"): 0.25}),
    "too few requests at first": (
        policy(SUPERIOR | {"minimum_requests": 600}, alpha=0.999, burn_in=10),
        [series(normal(56), pairs=requests(56))],
        {("brier_score", "all"): 0.0},
    ),
    "betting": (
        policy(SUPERIOR, alpha=0.95, burn_in=10, method="betting"),
        [series(np.clip(normal(56), -0.9, 0.9) / 4 + 0.4)],
        {("brier_score", "all"): 0.0},
    ),
    "weeks": (
        policy(SUPERIOR, alpha=0.999, unit="week"),
        [series(normal(56), weight=WEIGHT)],
        {("brier_score", "all"): 0.0},
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("with_effect", [False, True])
def test_a_run_is_promoted_on_the_day_on_which_the_policy_first_passes(case: str, with_effect: bool) -> None:
    judged, all_series, bounds = CASES[case]
    history, runs = evidence(*all_series), 12
    days = 84 if judged.unit == "week" or judged.method == "betting" else 42
    effect = 0.3
    found = calibrate(judged, history, alpha=judged.alpha / 2, effect=effect, runs=runs, days=days, seed=6)
    index = resampled_days(np.random.default_rng(6), runs, days, 56, found.block_length)
    moved = {}
    for key, one in history.items():
        centre = np.average(one.difference, weights=one.weight)
        overall = history[one.metric, "all"].difference.std(ddof=1)
        moved[key] = bounds[key] - centre + (effect * overall if with_effect else 0)
    expected = np.sort(promoted_by_the_policy(judged, history, index, moved))
    this = found.rows[0]
    assert np.isfinite(expected).any(), "the case shows nothing"
    if with_effect:
        assert this.missed == np.isinf(expected).mean()
        assert (this.median_day or math.inf, this.day_90 or math.inf) == (expected[5], expected[10])
    else:
        assert_allclose(this.by_day, [(expected <= day).mean() for day in range(1, days + 1)])


def first_days(promoted: np.ndarray) -> np.ndarray:
    return np.where(promoted.any(axis=1), promoted.argmax(axis=1) + 1.0, np.inf)


@pytest.mark.parametrize("effect", [None, 0.4])
def test_the_naive_policies_are_what_scipy_says(effect: float | None) -> None:
    """Two rules, one of them on half of the days only: both must have seen the burn-in, and both must hold."""
    values, days, runs = normal(56, seed=2), 40, 150
    other = sparse(series(values + 0.3 * normal(56, 3), "log_loss"), 0.4, seed=1)
    kept = np.isin(series(values).days, other.days)
    judged = policy(SUPERIOR, LOG_LOSS, burn_in=3)
    found = calibrate(
        judged, evidence(series(values), other), alpha=judged.alpha / 2, runs=runs, days=days, seed=3, effect=effect
    )
    index = resampled_days(np.random.default_rng(3), runs, days, 56, found.block_length)
    by_mean, by_test = np.ones((2, runs, days), bool)
    for gains in (values, np.where(kept, values + 0.3 * normal(56, 3), np.nan)):
        moved = gains - np.nanmean(gains) + (effect or 0) * np.nanstd(gains, ddof=1)
        for day in range(days):
            seen = moved[index[:, : day + 1]]
            enough = np.isfinite(seen).sum(axis=1) >= 3
            with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
                pvalue = stats.ttest_1samp(seen, 0, axis=1, alternative="greater", nan_policy="omit").pvalue
            by_mean[:, day] &= enough & (np.nansum(seen, axis=1) > 0)
            by_test[:, day] &= enough & (np.asarray(pvalue) < 0.025)
    for row, promoted in zip(found.rows[1:], (by_mean, by_test), strict=True):
        expected = np.sort(first_days(promoted))
        if effect is None:
            assert 0 < row.false_promotion < 1
            assert_allclose(row.by_day, [(expected <= day).mean() for day in range(1, days + 1)])
        else:
            assert row.missed == np.isinf(expected).mean()
            assert (row.median_day or math.inf, row.day_90 or math.inf) == (expected[74], expected[134])


def test_a_bound_that_is_just_met_counts_for_at_least_and_not_for_superior() -> None:
    values = np.random.default_rng(0).permutation(np.tile([-1.0, 1.0], 98))
    first = {
        name: calibrate(policy(rule), evidence(series(values, rule["metric"])), runs=RUNS).rows[1].by_day[27]
        for name, rule in (("above", SUPERIOR), ("met", AT_LEAST | {"value": 0.0}))
    }
    assert first["met"] > first["above"] + 0.1
