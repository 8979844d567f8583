"""What holds of any rule: worse days are judged no better, and no missing number passes."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.unit.decision.paired import (
    BOUNDED,
    DAILY,
    EVERY_RULE,
    GUARDRAIL,
    NOISE,
    NON_INFERIOR,
    ORDER,
    SEQUENTIAL,
    SUPERIOR,
    finding_on,
    good,
    paired,
    worse,
)

SHIFTED = arrays(np.float64, st.integers(0, 30), elements=st.floats(0, 1, width=32))


@given(
    values=SHIFTED,
    shift=st.floats(0, 2),
    rule=st.sampled_from([*SEQUENTIAL, GUARDRAIL]),
    unit=st.sampled_from(["day", "week"]),
    method=st.sampled_from(["robust", "plain"]),
)
@settings(max_examples=200)
def test_a_challenger_that_is_worse_on_every_day_is_judged_no_better(
    values: np.ndarray, shift: float, rule: dict[str, Any], unit: str, method: str
) -> None:
    champion = np.full(len(values), 0.5)
    before, after = (
        finding_on(paired(champion, one), rule, unit=unit, method=method, burn_in=5).outcome
        for one in (values, values + shift * worse(rule))
    )
    assert (before, after) != ("FAIL", "PASS")
    if len(values) and np.ptp(values) > 1e-6:
        assert ORDER[after] <= ORDER[before]


@given(values=SHIFTED, data=st.data(), rule=st.sampled_from(DAILY))
@settings(max_examples=150)
def test_a_day_that_is_worse_is_judged_no_better(values: np.ndarray, data: st.DataObject, rule: dict[str, Any]) -> None:
    harm = data.draw(arrays(np.float64, len(values), elements=st.floats(0, 1, width=32)))
    before, after = (
        finding_on(paired(np.full(len(values), 0.5), one, rule["metric"]), rule).outcome
        for one in (values, values + harm * worse(rule))
    )
    assert ORDER[after] <= ORDER[before]


@given(values=SHIFTED, shift=st.floats(0, 0.5), rule=st.sampled_from([SUPERIOR, NON_INFERIOR, *BOUNDED[:2]]))
@settings(max_examples=50)
def test_a_bettor_turns_no_fail_into_a_pass(values: np.ndarray, shift: float, rule: dict[str, Any]) -> None:
    champion, shrunk = np.full(len(values), 0.5), values / 2
    before, after = (
        finding_on(paired(champion, one), rule, method="betting", burn_in=5).outcome for one in (shrunk, shrunk + shift)
    )
    assert (before, after) != ("FAIL", "PASS")


@pytest.mark.parametrize("rule", EVERY_RULE)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("column", ["champion", "challenger", "difference"])
def test_no_rule_passes_with_a_number_missing_anywhere(rule: dict[str, Any], bad: float, column: str) -> None:
    shape = np.resize(NOISE, 70)
    for unit in ("day", "week"):
        one = good(rule, shape)
        assert finding_on(one, rule, unit=unit).outcome == "PASS"
        for position in (0, 30, len(shape) - 1):
            values = getattr(one, column).copy()
            values[position] = bad
            finding = finding_on(replace(one, **{column: values}), rule, unit=unit)
            assert finding.outcome == "INCONCLUSIVE"
            assert finding.reason == f"the value of {one.days[position]} is not a number"
