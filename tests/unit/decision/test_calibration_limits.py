"""What a short, dependent or many-ruled history leaves open is said."""

import math
from typing import Any

import numpy as np
import pytest

from shadow_deployment.decision.calibration import Calibration, calibrate
from shadow_deployment.decision.series import Evidence
from shadow_deployment.errors import LedgerError
from shadow_deployment.statistics.resampling import block_length
from tests.unit.decision.histories import (
    ALPHA,
    FEW_ERRORS,
    GUARDRAIL,
    LOG_LOSS,
    RELATIVE,
    RUNS,
    SUPERIOR,
    evidence,
    false_promotions,
    normal,
    policy,
    remembering,
    series,
)


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
