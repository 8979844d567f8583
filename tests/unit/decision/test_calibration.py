"""Calibration: resampled histories of which the truth is known, judged as the policy itself would judge them."""

import datetime as dt
import json
import math
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import ArrayLike
from scipy import stats

from shadow_deployment.config.policy import Policy
from shadow_deployment.decision.calibration import POLICIES, Calibration, calibrate
from shadow_deployment.decision.power import power_analysis
from shadow_deployment.decision.series import Evidence, Series
from shadow_deployment.decision.verdict import judge
from shadow_deployment.errors import LedgerError
from shadow_deployment.report.charts.calibration import calibration_chart
from shadow_deployment.statistics.resampling import block_length, resampled_days
from tests.unit.report.drawing import Drawing

FIRST = dt.date(2021, 3, 1)
ALPHA, RUNS = 0.05, 1000
SUPERIOR = {"metric": "brier_score", "is": "superior"}
NON_INFERIOR = {"metric": "brier_score", "is": "non_inferior", "margin": 0.5}
RELATIVE = {"metric": "brier_score", "is": "non_inferior", "relative_margin": 0.1}
GUARDRAIL = {"metric": "accuracy", "is": "guardrail"}
AT_MOST = {"metric": "brier_score", "is": "at_most", "value": 0.5}
AT_LEAST = {"metric": "roc_auc", "is": "at_least", "value": 0.25}
FEW_ERRORS = {"metric": "error_rate", "is": "at_most", "value": 0.01}
LOG_LOSS = {"metric": "log_loss", "is": "superior"}


def series(values: ArrayLike, metric: str = "brier_score", name: str = "all", **others: Any) -> Series:
    """Days in a row on which the difference and the challenger's value are the same numbers."""
    array = np.asarray(values, np.float64)
    counts = np.full(len(array), 50)
    days = tuple(FIRST + dt.timedelta(days=number) for number in range(len(array)))
    champion = np.zeros(len(array))
    plain = Series(metric, name, days, counts, np.zeros_like(counts), champion, array, array)
    return replace(plain, **others)


def evidence(*all_series: Series) -> Evidence:
    return {(one.metric, one.slice): one for one in all_series}


def policy(*rules: dict[str, Any], **settings: Any) -> Policy:
    return Policy.model_validate({"rules": list(rules)} | settings)


def normal(days: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(days)


def remembering(days: int, memory: float, seed: int = 0) -> np.ndarray:
    """AR(1), of standard deviation 1 whatever the memory."""
    shocks = normal(days + 100, seed) * math.sqrt(1 - memory**2)
    for day in range(1, len(shocks)):
        shocks[day] += memory * shocks[day - 1]
    return shocks[100:]


@cache
def calibrated(memory: float = 0.0, effect: float | None = None, **settings: Any) -> Calibration:
    """One superiority rule on a long history, so that what it shows by chance is small."""
    found = evidence(series(remembering(1500, memory)))
    return calibrate(policy(SUPERIOR, **settings), found, effect=effect, runs=RUNS, days=365)


def false_promotions(found: Calibration) -> list[float]:
    assert [row.policy for row in found.rows] == list(POLICIES)
    return [row.false_promotion for row in found.rows]


# What it finds where the truth is known


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


# Centring: whatever was seen, the truth is at the bound


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


# It is the policy itself that is resampled


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


def test_with_weeks_nothing_is_promoted_before_eight_of_them() -> None:
    found = calibrated(effect=5.0, unit="week")
    assert [(row.median_day, row.day_90, row.missed) for row in found.rows] == [(56, 56, 0.0)] * 3
    assert all(max(row.by_day[:55]) == 0 for row in found.rows)
    weekly = np.flatnonzero(np.diff(found.rows[0].by_day)) + 2
    assert len(weekly)
    assert set(weekly % 7) == {0}


def test_the_alpha_is_that_of_the_trial() -> None:
    assert calibrate(policy(SUPERIOR), evidence(series(normal(100))), alpha=0.0123, runs=2).alpha == 0.0123


# Short histories


def arma(days: int, seed: int) -> np.ndarray:
    """ARMA(0.8, -0.5), whose memory is longer than the default allows for: it promotes in 12 % of years."""
    shocks = normal(days + 100, seed)
    found = np.zeros(days + 100)
    for day in range(1, days + 100):
        found[day] = 0.8 * found[day - 1] + shocks[day] - 0.5 * shocks[day - 1]
    return found[100:]


def short(values: np.ndarray, **settings: Any) -> Calibration:
    return calibrate(policy(SUPERIOR, **settings), evidence(series(values)), runs=200)


def test_a_history_of_60_days_with_a_long_memory_is_not_said_to_be_safe() -> None:
    """Its blocks say so in most cases; the upper limit of what 60 days leave open does not, and is wide."""
    found = [short(arma(60, seed)) for seed in range(10)]
    assert sum(one.rows[0].false_promotion <= ALPHA for one in found) >= 5
    assert sum(one.upper_limit > ALPHA for one in found) >= 9
    assert np.median([one.upper_limit for one in found]) > 0.12


def test_a_longer_history_leaves_less_open() -> None:
    limits = [np.median([short(normal(days, seed)).upper_limit for seed in range(5)]) for days in (56, 364)]
    assert limits[0] > 1.5 * limits[1]
    assert limits[1] < 0.1


@pytest.mark.parametrize(("days", "is_short"), [(119, True), (126, False)])
def test_below_120_days_an_autoregression_is_looked_at_too(days: int, is_short: bool) -> None:
    found = short(remembering(days, 0.7), method="plain")
    assert (found.autoregressive is not None) == is_short
    if found.autoregressive is not None:
        assert found.autoregressive > found.rows[0].false_promotion
        assert f"{found.autoregressive:.1%}" in str(found.warning)
    assert found.upper_limit >= max(found.autoregressive or 0, found.rows[0].false_promotion)


def test_weeks_of_an_autoregression_are_centred_with_their_weights() -> None:
    """Weights that go with the gains would move the mean of weeks to one side."""
    values = remembering(112, 0.5)
    shares = [
        calibrate(
            policy(SUPERIOR, unit="week", method="plain", alpha=0.5),
            evidence(series(sign * values, weight=np.exp(values / 4))),
            runs=RUNS,
            days=364,
        ).autoregressive
        for sign in (1, -1)
    ]
    assert abs(shares[0] - shares[1]) < 0.25  # type: ignore[operator]
    assert min(shares) > 0.1  # type: ignore[type-var, operator]


def test_days_of_a_long_memory_get_the_advice_of_a_method_that_allows_for_it() -> None:
    advised = short(arma(364, 1)).advice
    assert len(advised) == 1
    assert "policy.method: long_memory" in advised[0]
    assert short(normal(364)).advice == ()
    assert short(arma(364, 1), method="long_memory").advice == ()


# Several rules


def two(correlation: float, days: int = 300) -> Evidence:
    first, second = normal(days, 1), normal(days, 2)
    return evidence(series(first), series(correlation * first + math.sqrt(1 - correlation**2) * second, "log_loss"))


def test_the_same_days_are_resampled_for_all_rules() -> None:
    alone = calibrate(policy(SUPERIOR), two(1.0), runs=RUNS)
    same, independent, opposite = (
        calibrate(policy(SUPERIOR, LOG_LOSS), two(correlation), runs=RUNS) for correlation in (1.0, 0.0, -1.0)
    )
    assert [row.by_day for row in same.rows] == [row.by_day for row in alone.rows]
    assert false_promotions(opposite) == [0, 0, 0]
    for row, single in zip(independent.rows, alone.rows, strict=True):
        assert row.false_promotion < single.false_promotion


def test_blocks_are_as_long_as_the_most_dependent_rule_asks_slices_being_too_thin_to_tell() -> None:
    dependent, independent = remembering(300, 0.8), normal(300)
    rules = (SUPERIOR | {"slices": ["origin"]}, LOG_LOSS)

    def length(overall: np.ndarray, other: np.ndarray, thin: np.ndarray) -> float:
        found = evidence(series(overall), series(other, "log_loss"), series(thin, name="origin=JFK"))
        return calibrate(policy(*rules), found, runs=1).block_length

    assert length(independent, dependent, independent) == length(dependent, independent, independent)
    assert length(dependent, independent, independent) == block_length(dependent) > 9
    assert length(independent, independent, dependent) == 7 > block_length(independent)


def test_a_gate_at_its_bound_is_held_back_by_others_as_they_were_seen_unless_these_block() -> None:
    """Alone, beside one that passes for sure, beside one that was seen below its bound, and beside a slow one."""
    alone = calibrate(policy(SUPERIOR, alpha=0.3), two(0.0), runs=RUNS).gates[0]
    beside = {}
    for seen in (10.0, -10.0, 0.1):
        values = normal(300, 2)
        found = evidence(series(normal(300, 1)), series(values - values.mean() + seen, "log_loss"))
        beside[seen] = calibrate(policy(SUPERIOR, LOG_LOSS, alpha=0.3), found, runs=RUNS)
    share = {seen: one.gates[0].false_promotion for seen, one in beside.items()}
    assert alone.false_promotion == share[10.0] == share[-10.0]
    assert share[0.1] < alone.false_promotion
    for one in beside.values():
        assert one.rows[0].false_promotion < min(gate.false_promotion or 0 for gate in one.gates)
    below = beside[-10.0]
    assert below.gates[1].missed is None, "there is nothing to miss below the bound"
    assert {(row.missed, row.missed_se, row.median_day, row.day_90) for row in below.rows} == {(None,) * 4}
    assert calibrate(policy(SUPERIOR), two(-1.0), effect=0.3, runs=300).rows[0].missed is not None


def test_a_slice_has_the_same_effect_as_all_requests_in_the_rules_unit() -> None:
    found = evidence(series(normal(300)), series(3 * normal(300, 1), name="origin=JFK"))
    gates = calibrate(policy(SUPERIOR | {"slices": ["origin"]}), found, effect=0.3, runs=300).gates
    assert [gate.rule for gate in gates] == ["brier_score superior", "brier_score superior in origin=JFK"]
    assert gates[0].effect == gates[1].effect == pytest.approx(0.3 * normal(300).std(ddof=1))
    assert (gates[0].missed or 0.0) < 0.1 < (gates[1].missed or 0.0)


def test_no_harm_is_no_proof_so_it_has_no_false_promotion_of_its_own_but_is_warned_of_alone() -> None:
    found = evidence(series(normal(300)), series(normal(300, 1), "accuracy"))
    both = calibrate(policy(SUPERIOR, GUARDRAIL), found, runs=300)
    assert [gate.false_promotion is None for gate in both.gates] == [False, True]
    assert both.warning is None
    alone = calibrate(policy(GUARDRAIL), found, runs=300)
    assert alone.rows[0].false_promotion > 0.9
    assert "proves nothing" in str(alone.warning)


@pytest.mark.parametrize(("shares", "promotes"), [(1, True), (2, False), (4, False)])
def test_harm_is_shown_at_the_alpha_of_alarms_which_is_divided_among_gates_with_a_sequence(
    shares: int, promotes: bool
) -> None:
    """Two mirrored rules: one is harmed as soon as the other is proven, unless an alarm takes more than a proof."""
    found = evidence(series(normal(300)), series(-normal(300), "accuracy"), series(np.zeros(300), "error_rate"))
    judged = policy(SUPERIOR, GUARDRAIL, FEW_ERRORS, method="plain")
    this, _, t_test = false_promotions(calibrate(judged, found, alpha=judged.alpha / shares, runs=300))
    assert (this > 0) is promotes
    if shares != 2:  # where both take the same, rounding decides
        assert (t_test > 0) is promotes


def test_a_worse_gate_than_the_whole_is_warned_of_by_name() -> None:
    """A gate beside a certain one: the policy as a whole, both at their bounds, hardly errs."""
    found = evidence(series(remembering(1000, 0.6)), series(remembering(1000, 0.6, 1) + 9, "log_loss"))
    calibration = calibrate(policy(SUPERIOR, LOG_LOSS, method="plain"), found, runs=RUNS)
    assert calibration.rows[0].false_promotion < calibration.gates[0].false_promotion  # type: ignore[operator]
    assert " superior at its bound" in str(calibration.warning)


def test_a_share_that_may_be_alpha_but_for_the_simulation_is_not_warned_of() -> None:
    between = 0
    found = evidence(series(remembering(300, 0.3)))
    for alpha in (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6):
        judged = policy(SUPERIOR, method="plain", alpha=alpha)
        calibration = calibrate(judged, found, runs=100, days=100)
        row = calibration.rows[0]
        assert (calibration.warning is not None) == (row.false_promotion - 2 * row.false_promotion_se > alpha)
        between += alpha < row.false_promotion and calibration.warning is None
    assert between


def test_the_effect_on_a_gate_is_given_in_the_rules_unit() -> None:
    one = series(normal(60), champion=np.full(60, 0.2))
    gate = calibrate(policy(RELATIVE), evidence(one), effect=0.3, runs=1).gates[0]
    assert gate.effect == pytest.approx(0.3 * one.difference.std(ddof=1) / 0.2)


# What is left out, and what cannot be calibrated


def test_what_is_not_resampled_is_named_with_its_reason() -> None:
    broken = np.append(normal(59), math.nan)
    found = evidence(
        series(normal(60)),
        series(normal(60)[:20], name="origin=JFK"),
        series(broken, name="origin=LGA"),
        series(np.full(60, 0.1), "log_loss"),
    )
    rules = [
        SUPERIOR | {"slices": ["origin"]},
        RELATIVE,
        LOG_LOSS,
        FEW_ERRORS,
        LOG_LOSS | {"role": "advisory"},
        GUARDRAIL,
    ]
    calibration = calibrate(policy(*rules), found, runs=2)
    assert [gate.rule for gate in calibration.gates] == ["brier_score superior"]
    assert list(calibration.left_out) == [
        "brier_score superior in origin=JFK: 20 days of evidence are too few, 28 are needed",
        "brier_score superior in origin=LGA: a value is not a number",
        "brier_score non_inferior -0.1: the champion's brier_score is 0: a share of it has no meaning",
        "log_loss superior: its days do not differ from each other",
        "error_rate at_most 0.01: judged day by day, without a sequence",
        "log_loss superior: advisory, it decides nothing",
        "accuracy guardrail: 0 days of evidence are too few, 28 are needed",
    ]


@pytest.mark.parametrize(
    ("rules", "days", "message"),
    [
        ([SUPERIOR], 27, "27 days of evidence are too few, 28 are needed"),
        ([SUPERIOR], 0, "0 days of evidence are too few, 28 are needed"),
        ([FEW_ERRORS], 60, "error_rate at_most 0.01: judged day by day, without a sequence"),
        ([SUPERIOR | {"role": "advisory"}], 60, "advisory, it decides nothing"),
    ],
)
def test_without_a_gate_or_with_too_little_history_it_says_so(
    rules: list[dict[str, Any]], days: int, message: str
) -> None:
    found = evidence(series(normal(days)), series(normal(days), "error_rate"))
    with pytest.raises(LedgerError, match="there is no gate to calibrate: .*" + message):
        calibrate(policy(*rules), found)


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


# Shown


def test_the_result_is_plain_data() -> None:
    found = json.loads(json.dumps(calibrated().to_json(), allow_nan=False))
    assert set(found) == {
        "alpha", "history", "block_length", "days", "runs", "seed", "effect", "rows", "autoregressive", "upper_limit",
        "gates", "left_out", "advice", "warning"
    }  # fmt: skip
    assert [row["policy"] for row in found["rows"]] == list(POLICIES)
    assert len(found["rows"][0]["by_day"]) == 365
    assert found["gates"][0]["rule"] == "brier_score superior"


def test_the_chart_names_what_it_shows_and_follows_the_page() -> None:
    calibration = calibrated()
    drawing = Drawing(calibration_chart(calibration).file())
    assert drawing.legend == [f"{row.policy} {row.false_promotion:.1%}" for row in calibration.rows]
    assert "% of runs promoted, by days of evidence: brier_score superior" in drawing.words
    assert "alpha 5.00%" in drawing.words
    assert "prefers-color-scheme:dark" in drawing.svg
    assert "http" not in drawing.svg.replace("http://www.w3.org/2000/svg", "")
    for row in calibration.rows:
        assert f"{row.policy} {row.false_promotion:.1%}" in drawing.described()[1]


def test_the_lines_of_the_chart_show_the_share_of_each_day() -> None:
    calibration = calibrated()
    drawing = Drawing(calibration_chart(calibration).file())
    for number, row in enumerate(calibration.rows):
        heights = [drawing.value_at(y) for _, y in drawing.the(f"policy_{number}").points][::2]
        assert_allclose(heights, [0.0, *(100 * share for share in row.by_day)], atol=0.2)  # half a pixel
    assert drawing.value_at(drawing.the("alpha").y) == pytest.approx(100 * calibration.alpha, abs=0.2)
    assert len({drawing.the(f"policy_{number}").element.get("stroke-dasharray") for number in range(3)}) == 3


def test_the_chart_of_no_promotion_at_all_is_drawn_too() -> None:
    none = tuple(replace(row, by_day=(0.0,) * 28, false_promotion=0.0) for row in calibrated().rows)
    drawing = Drawing(calibration_chart(replace(calibrated(), rows=none, days=28)).file())
    assert len(drawing.the("policy_0").points) == 2 * 29 - 1


def test_names_in_the_chart_are_escaped() -> None:
    name = "origin=<script>alert('&\"')</script>\x0b"
    known = evidence(series(normal(60)), series(normal(60), name=name))
    calibration = calibrate(policy(SUPERIOR | {"slices": ["origin"]}), known, runs=2)
    drawing = Drawing(calibration_chart(calibration).file())
    assert "<script>" not in drawing.svg
    assert any("<script>alert('&\"')</script>⟨U+000B⟩" in text.whole for text in drawing.layer("caption"))
