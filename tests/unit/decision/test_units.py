"""Weeks and single requests as units, and bets."""

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose

from shadow_deployment.statistics.confidence_sequence import confidence_sequence, weighted_confidence_sequence
from tests.unit.decision.paired import (
    BURN_IN,
    FIRST,
    GUARDRAIL,
    NOISE,
    NON_INFERIOR,
    ORDER,
    SEQUENTIAL,
    SUPERIOR,
    finding_on,
    gains_of,
    paired,
    requests,
)


@pytest.mark.parametrize("missing", [[], [0], [6], [3, 4], list(range(14, 21)), [*range(20, 36), 41], [69]])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("days", [70, 75, 76, 77])
def test_a_week_is_seven_days_from_the_first_weighted_by_their_requests(
    missing: list[int], weighted: bool, days: int
) -> None:
    random = np.random.default_rng(days)
    numbers = np.array([number for number in range(days) if number not in missing])
    size = len(numbers)
    one = paired(
        random.normal(0.3, 0.05, size),
        random.normal(0.28, 0.05, size),
        days=tuple(FIRST + dt.timedelta(days=int(number)) for number in numbers),
        pairs=random.integers(1, 90, size),
        weight=random.uniform(1, 200, size) if weighted else None,
    )
    frame = pd.DataFrame({"number": numbers - numbers[0], "pairs": one.pairs, "difference": one.difference})
    frame["weight"] = one.weight if weighted else 1.0
    frame["week"] = frame.number // 7
    over = frame.week < (frame.number.max() + 1) // 7
    weeks = frame[over].groupby("week")
    weight = weeks.weight.sum().to_numpy()
    means = ((frame.weight * frame.difference)[over].groupby(frame.week).sum() / weeks.weight.sum()).to_numpy()
    finding = finding_on(one, SUPERIOR, unit="week", burn_in=56)
    weighted_means = weight * (means - means[:8].mean())
    expected = confidence_sequence(weighted_means, alpha=0.05, burn_in=8, tuned_for=60 / 7, side="lower")
    assert finding.observations == len(means)
    assert finding.requests == weeks.pairs.sum().sum()
    assert finding.estimate == pytest.approx(np.average(frame.difference[over], weights=frame.weight[over]))
    lower = means[:8].mean() + expected.lower[-1] / weight.mean()
    assert finding.lower == (pytest.approx(lower) if len(means) >= 8 else None)


@pytest.mark.parametrize(("burn_in", "weeks"), [(2, 8), (28, 8), (56, 8), (57, 9), (70, 10)])
def test_a_bound_of_weeks_is_given_when_the_burn_in_is_over_and_not_before_eight(burn_in: int, weeks: int) -> None:
    random = np.random.default_rng(1)
    one = paired(np.full(7 * weeks, 0.5), 0.2 + 0.01 * random.standard_normal(7 * weeks))
    last = one.days[-1]
    finding = finding_on(one, SUPERIOR, unit="week", burn_in=burn_in)
    assert (finding.outcome, finding.observations, finding.decided_on) == ("PASS", weeks, last)
    shorter = paired(one.champion[:-1], one.challenger[:-1])
    early = finding_on(shorter, SUPERIOR, unit="week", burn_in=burn_in)
    assert (early.outcome, early.observations, early.lower) == ("INCONCLUSIVE", weeks - 1, None)
    assert early.reason == f"{weeks - 1} weeks of evidence, first bound on week {weeks}"


def test_before_the_first_week_is_over_nothing_is_said() -> None:
    finding = finding_on(paired(0.5, 0.2 + NOISE[:6]), SUPERIOR, unit="week")
    assert (finding.outcome, finding.reason) == ("INCONCLUSIVE", "no week of evidence is complete")


@pytest.mark.parametrize("unit", ["day", "week"])
def test_days_that_may_still_be_needed_are_days_whatever_the_unit(unit: str) -> None:
    random = np.random.default_rng(4)
    one = paired(np.full(84, 0.5), 0.499 + 0.01 * random.standard_normal(84))
    finding = finding_on(one, SUPERIOR, unit=unit)
    assert finding.outcome == "INCONCLUSIVE"
    assert finding.more_days is not None
    more = finding.more_days // (7 if unit == "week" else 1)
    assert finding.more_days == more * (7 if unit == "week" else 1)
    assert f"about {more} more {unit}" in finding.reason


@pytest.mark.parametrize("margin", [None, 0.01, 0.1])
@pytest.mark.parametrize("better", [0.05, 0.0, -0.15])
def test_requests_as_units_are_judged_by_the_sequence_of_the_requests_themselves(
    margin: float | None, better: float
) -> None:
    one, drawn = requests(better=better)
    rule = SUPERIOR if margin is None else NON_INFERIOR | {"margin": margin}
    finding = finding_on(one, rule, unit="request", burn_in=20, tuned_for=50)
    gains = [(weight, difference + (margin or 0.0)) for weight, difference in drawn]

    def sums(of: Any) -> list[float]:
        return [float(of(weight, gain).sum()) for weight, gain in gains]

    counts = [len(weight) for weight, _ in gains]
    lower, upper = (
        weighted_confidence_sequence(
            count=counts,
            weight=sums(lambda w, _: w),
            weight_difference=sums(lambda w, g: w * g),
            weight2=sums(lambda w, _: w**2),
            weight2_difference=sums(lambda w, g: w**2 * g),
            weight2_difference2=sums(lambda w, g: w**2 * g**2),
            alpha=0.05,
            burn_in=20,
            tuned_for=50 * float(np.mean(counts[:20])),
            side=side,
        )
        for side in ("lower", "upper")
    )
    shift = margin or 0.0
    weight, difference = (np.concatenate(columns) for columns in zip(*drawn, strict=True))
    assert finding.estimate == pytest.approx(np.average(difference, weights=weight))
    assert_allclose([finding.lower, finding.upper], [lower.lower[-1] - shift, upper.upper[-1] - shift], rtol=1e-9)
    assert finding.outcome == ("PASS" if lower.lower[-1] > 0 else "FAIL" if upper.upper[-1] < 0 else "INCONCLUSIVE")
    assert (finding.observations, finding.requests) == (40, sum(counts))


def test_requests_as_units_give_no_bound_before_the_burn_in_in_days() -> None:
    one, _ = requests(days=19)
    assert finding_on(one, SUPERIOR, unit="request", burn_in=20).lower is None
    assert finding_on(requests(days=20)[0], SUPERIOR, unit="request", burn_in=20).lower is not None


BETS = np.random.default_rng(9).beta(2, 6, 300)
CHAMPIONS = np.random.default_rng(10).beta(6, 2, 300)


@pytest.mark.parametrize(
    ("rule", "low", "high"),
    [
        ({"is": "superior"}, -1, 1),
        ({"is": "non_inferior", "margin": 0.1}, -0.9, 1.1),
        ({"is": "at_most", "value": 0.4}, -0.6, 0.4),
        ({"is": "at_least", "value": 0.1}, -0.1, 0.9),
        ({"is": "at_most", "of": "change", "value": 0.1}, -0.9, 1.1),
        ({"is": "at_least", "of": "change", "value": -0.9}, -0.1, 1.9),
    ],
)
def test_bets_are_placed_within_the_bounds_of_what_the_rule_asks(rule: dict[str, Any], low: float, high: float) -> None:
    rule = {"metric": "brier_score"} | rule
    one = paired(CHAMPIONS, BETS)
    finding = finding_on(one, rule, method="betting")
    gains = gains_of(rule, one)
    bets = confidence_sequence(
        gains, alpha=0.05, burn_in=BURN_IN, tuned_for=60, side="lower", method="betting", bounds=(low, high)
    )
    reached = finding.upper if rule["is"] == "at_most" else finding.lower
    direction = -1 if rule["is"] == "at_most" else 1
    assert finding.outcome == "PASS"
    assert reached == pytest.approx(finding.bound + direction * bets.lower[-1])
    assert finding.decided_on == one.days[int(np.argmax(bets.lower > 0))]


@given(
    values=arrays(np.float64, (2, 30), elements=st.floats(0, 1, width=32)),
    rule=st.sampled_from([rule for rule in [*SEQUENTIAL, GUARDRAIL] if rule.get("of") != "relative_change"]),
    metric=st.sampled_from(["brier_score", "accuracy"]),
)
@settings(max_examples=100)
def test_whatever_lies_between_zero_and_one_can_be_bet_on(
    values: np.ndarray, rule: dict[str, Any], metric: str
) -> None:
    assert finding_on(paired(*values, metric), rule | {"metric": metric}, method="betting").outcome in ORDER
