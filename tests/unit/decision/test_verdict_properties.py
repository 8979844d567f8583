"""What holds of verdicts on any days: worse ones never pass, more rules never help, all can be stored."""

import json
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shadow_deployment.decision.verdict import judge
from tests.unit.decision.verdicts import (
    AT_LEAST,
    EVERY_RULE,
    NON_INFERIOR,
    ORDER,
    SUPERIOR,
    evidence,
    policy,
    series,
    verdict_on,
)

DIFFERENCES = arrays(np.float64, st.integers(0, 40), elements=st.floats(-1, 1, width=32))


@given(values=DIFFERENCES, shift=st.floats(0, 2), rule=st.sampled_from([SUPERIOR, NON_INFERIOR, AT_LEAST]))
@settings(max_examples=100)
def test_worse_days_never_turn_a_fail_into_a_pass(values: np.ndarray, shift: float, rule: dict[str, Any]) -> None:
    before = verdict_on(values, rule, burn_in=5).outcome
    after = verdict_on(values - shift, rule, burn_in=5).outcome
    assert (before, after) != ("FAIL", "PASS")
    if len(values) and np.ptp(values) > 1e-6:
        assert ORDER[after] <= ORDER[before]


@given(
    values=DIFFERENCES,
    other=DIFFERENCES,
    extra=st.sampled_from(EVERY_RULE),
    role=st.sampled_from(["blocking", "advisory"]),
)
@settings(max_examples=50)
def test_one_rule_more_never_makes_a_pass(
    values: np.ndarray, other: np.ndarray, extra: dict[str, Any], role: str
) -> None:
    added = extra | {"role": role}
    found = evidence(series(values), series(other, "error_rate"), series(other, "agreement"))
    with_fewer = judge(policy(SUPERIOR, burn_in=5), found)
    with_more = judge(policy(SUPERIOR, added, burn_in=5), found)
    assert with_more.outcome != "PASS" or with_fewer.outcome == "PASS"


@given(values=arrays(np.float64, st.integers(0, 40), elements=st.floats(allow_nan=True, width=32)))
@settings(max_examples=50)
def test_whatever_the_evidence_a_verdict_is_given_and_can_be_stored(values: np.ndarray) -> None:
    found = evidence(*(replace(series(values), metric=metric) for metric in ("brier_score", "error_rate", "agreement")))
    verdict = judge(policy(*EVERY_RULE, burn_in=5), found)
    json.dumps(asdict(verdict), allow_nan=False, default=str)
    assert len(verdict.findings) == len(EVERY_RULE)
    if not np.isfinite(values).all():
        assert verdict.outcome != "PASS"
