"""What holds of verdicts and evidence whatever the numbers are: found by search, the same at every run."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose

from shadow_deployment.decision.series import Series
from shadow_deployment.metrics.catalog import METRICS
from shadow_deployment.statistics.confidence_sequence import weighted_confidence_sequence
from tests.unit.decision.paired import (
    DAILY,
    EVERY_RULE,
    GUARDRAIL,
    SEQUENTIAL,
    finding_on,
    good,
    judged,
    paired,
    worse,
)
from tests.unit.decision.test_evidence import gather, row

SEARCH = settings(derandomize=True, max_examples=150)
SHARES = st.floats(0, 1, width=32)
VALUES = arrays(np.float64, st.integers(8, 30), elements=SHARES)
METHODS = st.sampled_from([("day", "robust"), ("day", "plain"), ("week", "robust"), ("day", "betting")])
SUMS = ("count", "weight", "weight_difference", "weight2", "weight2_difference", "weight2_difference2")
COLUMNS = ("champion_sum", "challenger_sum", "difference_sum", "weight")


def outcome(challenger: np.ndarray, rule: dict[str, Any], method: tuple[str, str]) -> str:
    """The outcome of a rule on these daily values of a challenger, against a champion that has 0.5 on each."""
    one = paired(np.full(len(challenger), 0.5), challenger, rule["metric"])
    return finding_on(one, rule, unit=method[0], method=method[1], burn_in=5).outcome


def can(rule: dict[str, Any], method: tuple[str, str]) -> bool:
    """Whether a method can judge a rule: what is bet on must lie between two numbers."""
    return method[1] != "betting" or rule.get("of") != "relative_change"


@SEARCH
@given(values=VALUES, data=st.data(), rule=st.sampled_from([*SEQUENTIAL, *DAILY]), method=METHODS)
def test_days_that_are_worse_by_any_amounts_turn_no_fail_into_a_pass(
    values: np.ndarray, data: st.DataObject, rule: dict[str, Any], method: tuple[str, str]
) -> None:
    """One day that is much worse can make a bound so wide that nothing follows, and never that the rule holds."""
    if not can(rule, method):
        return
    harm = data.draw(arrays(np.float64, len(values), elements=st.just(0.0) | SHARES))
    towards = 0.0 if worse(rule) < 0 else 1.0
    adverse = values + harm * (towards - values)
    assert (outcome(values, rule, method), outcome(adverse, rule, method)) != ("FAIL", "PASS")


@SEARCH
@given(
    level=st.sampled_from([0.0005, 0.002, 0.01, 0.05]),
    noise=arrays(np.float64, 25, elements=st.sampled_from([-1.0, 1.0]) | st.floats(-1, 1)),
    more=arrays(np.float64, st.integers(1, 8), elements=st.sampled_from([0.0, 1.0]) | SHARES),
    rule=st.sampled_from([*SEQUENTIAL, GUARDRAIL]),
    method=METHODS,
)
def test_adverse_days_that_follow_turn_no_fail_into_a_pass(
    level: float, noise: np.ndarray, more: np.ndarray, rule: dict[str, Any], method: tuple[str, str]
) -> None:
    """Harm that was shown is not taken back by days that do still more of it, however wide they make the bound."""
    if not can(rule, method):
        return
    steady = bound_of(rule) + worse(rule) * level * (1 + 0.2 * noise)
    furthest = 0.0 if worse(rule) < 0 else 1.0
    following = steady.mean() + more * (furthest - steady.mean())
    before = outcome(steady, rule, method)
    after = outcome(np.concatenate([steady, following]), rule, method)
    assert (before, after) != ("FAIL", "PASS")


def bound_of(rule: dict[str, Any]) -> float:
    """The challenger's value at which a rule just holds, or does not, against a champion that has 0.5."""
    relative = rule.get("relative_margin", rule.get("value", 0.0)) * 0.5
    if rule["is"] in ("superior", "non_inferior", "guardrail"):
        return 0.5 + rule.get("margin", relative)
    return {"value": rule["value"], "change": 0.5 + rule["value"], "relative_change": 0.5 + relative}[rule["of"]]


NOT_NUMBERS = st.sampled_from([math.nan, math.inf, -math.inf])
ARRAYS = ["champion", "challenger", "difference", "weight", "squares"]
UNITS = [("day", "robust"), ("day", "plain"), ("week", "robust"), ("request", "plain")]


def weighted(rule: dict[str, Any], days: int = 70) -> Series:
    """Evidence on which a rule passes, with everything that any unit is judged on."""
    one = good(rule, np.resize(0.005 * np.sin(np.arange(days)), days))
    weight = np.full(days, 100.0)
    squares = np.column_stack([weight, weight * one.difference, weight * one.difference**2 + 50.0])
    return replace(one, weight=weight, squares=squares if METRICS[one.metric].is_sum else None)


@SEARCH
@given(
    rule=st.sampled_from(EVERY_RULE),
    unit=st.sampled_from(UNITS),
    where=st.sampled_from(ARRAYS),
    bad=NOT_NUMBERS,
    place=st.floats(0, 1, exclude_max=True),
)
def test_a_number_that_is_none_anywhere_never_passes(
    rule: dict[str, Any], unit: tuple[str, str], where: str, bad: float, place: float
) -> None:
    one = weighted(rule)
    of_requests = unit[0] == "request"
    if of_requests and rule["is"] not in ("superior", "non_inferior", "guardrail"):
        return
    policy = {"unit": unit[0], "method": unit[1]}
    assert judged(one, rule, **policy).outcome == "PASS"
    found = getattr(one, where)
    if found is None:
        return
    values = found.copy()
    values.flat[int(place * values.size)] = bad
    verdict = judged(replace(one, **{where: values}), rule, **policy)
    assert verdict.outcome == "INCONCLUSIVE"
    assert "not a number" in verdict.reasons[0]


@SEARCH
@given(
    column=st.sampled_from([*COLUMNS, "weight_squares", "difference_sum_weighted", "difference_squares_weighted"]),
    bad=NOT_NUMBERS | st.none(),
    day=st.integers(0, 69),
    unit=st.sampled_from(UNITS),
)
def test_a_sum_of_the_ledger_that_is_no_number_never_passes(
    column: str, bad: float | None, day: int, unit: tuple[str, str]
) -> None:
    rows = [row(number, challenger_sum=24.0 + number % 3, difference_sum=8.0 - number % 3) for number in range(70)]
    rule, policy = SEQUENTIAL[0], {"unit": unit[0], "method": unit[1], "burn_in": 5}
    assert judged(list(gather(rows).values()), rule, **policy).outcome == "PASS"
    rows[day] |= {column: bad}
    assert judged(list(gather(rows).values()), rule, **policy).outcome != "PASS"


@st.composite
def of_requests(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return weights, differences and days of requests, every day with some."""
    days = draw(st.integers(3, 12))
    count = draw(st.integers(days, 60))
    weights = draw(arrays(np.float64, count, elements=st.sampled_from([1.0, 2.5, 10.0])))
    differences = draw(arrays(np.float64, count, elements=st.floats(-1, 1, width=32)))
    rest = draw(arrays(np.int64, count - days, elements=st.integers(0, days - 1)))
    return weights, differences, np.concatenate([np.arange(days), rest])


def sums(weight: np.ndarray, difference: np.ndarray, group: np.ndarray) -> dict[str, np.ndarray]:
    """Return the sums that a sequence of requests needs, one for each group."""
    squared = weight**2
    columns = (
        np.ones_like(weight),
        weight,
        weight * difference,
        squared,
        squared * difference,
        squared * difference**2,
    )
    return {name: np.bincount(group, column) for name, column in zip(SUMS, columns, strict=True)}


@SEARCH
@given(drawn=of_requests(), data=st.data())
def test_requests_merged_in_any_order_and_grouping_give_the_same_bound(
    drawn: tuple[np.ndarray, np.ndarray, np.ndarray], data: st.DataObject
) -> None:
    """Shards of a day, days, and days that come in another order: only what was summed counts, not how."""
    weight, difference, day = drawn
    order = np.array(data.draw(st.permutations(range(len(weight)))))
    relabelled = np.array(data.draw(st.permutations(range(day.max() + 1))))[day]
    fewer = relabelled // data.draw(st.integers(1, 2))
    looks = {"alpha": 0.05, "burn_in": 2, "tuned_for": 30.0, "side": "lower"}
    whole = weighted_confidence_sequence(**sums(weight, difference, day), **looks)
    for groups in (day[order], relabelled[order], fewer[order]):
        merged = weighted_confidence_sequence(**sums(weight[order], difference[order], groups), **looks)
        assert_allclose(merged.estimate[-1], whole.estimate[-1], rtol=1e-9, atol=1e-12)
        assert_allclose(merged.lower[-1], whole.lower[-1], rtol=1e-6, atol=1e-9)


@SEARCH
@given(drawn=of_requests(), data=st.data())
def test_a_week_is_the_mean_of_its_requests_however_they_are_spread_over_its_days(
    drawn: tuple[np.ndarray, np.ndarray, np.ndarray], data: st.DataObject
) -> None:
    weight, difference, _ = drawn
    week = data.draw(arrays(np.int64, len(weight), elements=st.integers(0, 1)))
    days = [data.draw(arrays(np.int64, len(weight), elements=st.integers(0, 6))) + 7 * week for _ in range(2)]
    for day in days:
        present = np.unique(np.concatenate([day, [0, 13]]))  # the first day and the last are there
        rows = []
        for number in present:
            of_day = day == number
            total = float(weight[of_day].sum()) or 1e-300
            gained = float((weight * difference)[of_day].sum())
            values = {"weight": total, "champion_sum": 0.0, "challenger_sum": -gained, "difference_sum": gained}
            rows.append(row(int(number), pairs=max(int(of_day.sum()), 1), **values))
        blocks = gather(rows)["brier_score", "all"].by_week()
        for block, found in zip(sorted({0, 1}), blocks.difference, strict=True):
            inside = week == block
            if inside.any():
                assert_allclose(found, np.average(difference[inside], weights=weight[inside]), rtol=1e-9, atol=1e-12)
