"""A guardrail passes unless harm is shown, a rule on the last days and one on few requests wait."""

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from shadow_deployment.decision.series import Series
from shadow_deployment.statistics.confidence_sequence import confidence_sequence
from tests.unit.decision.paired import (
    A_DAY,
    BURN_IN,
    DAILY,
    DAYS,
    GUARDRAIL,
    NOISE,
    SUPERIOR,
    finding_on,
    good,
    judged,
    paired,
)


@pytest.mark.parametrize("mean", [0.3, 0.01, 0.0, -0.001])
def test_a_guardrail_passes_unless_harm_is_shown(mean: float) -> None:
    finding = finding_on(paired(0.5, 0.5 - mean + NOISE), GUARDRAIL)
    assert finding.outcome == "PASS"
    assert finding.reason.endswith("shows no harm below 0")
    assert finding.upper is not None
    assert finding.upper > 0


@pytest.mark.parametrize("days", [1, BURN_IN - 1])
def test_a_guardrail_passes_before_a_bound_is_given_and_says_so(days: int) -> None:
    finding = finding_on(paired(0.2, 0.5 + NOISE[:days]), GUARDRAIL)
    assert finding.outcome == "PASS"
    assert finding.reason.startswith("no harm detected yet: ")
    assert finding.reason.endswith(f"first bound on day {BURN_IN}")


def test_a_guardrail_fails_from_the_day_on_which_harm_is_shown() -> None:
    one = paired(0.5, 0.5025 + NOISE)
    finding = finding_on(one, GUARDRAIL)
    assert finding.outcome == "FAIL"
    assert "is entirely below 0" in finding.reason
    upper = confidence_sequence(one.difference, alpha=0.05, burn_in=BURN_IN, tuned_for=60, side="upper").upper
    assert finding.decided_on == one.days[int(np.argmax(upper < 0))]
    assert finding.upper == pytest.approx(upper[-1])


@pytest.mark.parametrize(
    ("one", "changes"),
    [
        (None, {}),
        (paired([], []), {}),
        (paired([0.5, math.nan], [0.5, 0.5]), {}),
        (paired(0.5, 0.5 + NOISE[:6]), {"unit": "week"}),
        (paired(0.5, 0.5 + NOISE), {"minimum_requests": DAYS * A_DAY + 1}),
    ],
)
def test_a_guardrail_never_passes_without_evidence(one: Series | None, changes: dict[str, Any]) -> None:
    rule = GUARDRAIL | {key: value for key, value in changes.items() if key == "minimum_requests"}
    unit = {key: value for key, value in changes.items() if key == "unit"}
    verdict = judged([] if one is None else one, rule, **unit)
    assert verdict.outcome == "INCONCLUSIVE"


@pytest.mark.parametrize(("hold", "of"), [(hold, of) for of in range(1, 5) for hold in range(1, of + 1)])
@pytest.mark.parametrize("metric", ["error_rate", "brier_score"])
def test_a_rule_on_the_last_days_waits_for_days_only_while_they_can_still_change_it(
    hold: int, of: int, metric: str
) -> None:
    rule = {"metric": metric, "is": "at_most", "value": 0.5, "last": {"hold": hold, "of": of}}
    for length in range(1, of + 3):
        for held in itertools.product([True, False], repeat=length):
            missing = max(of - length, 0)
            counts = [sum(held[-of:]) + sum(rest) for rest in itertools.product([0, 1], repeat=missing)]
            expected = {True: "PASS", False: "FAIL"}.get(counts[0] >= hold, "")
            if len({count >= hold for count in counts}) > 1:
                expected = "INCONCLUSIVE"
            finding = finding_on(paired(0.5, [0.4 if one else 0.6 for one in held], metric), rule)
            assert finding.outcome == expected, held
            assert f"it held on {sum(held[-of:])} of the last {min(length, of)} days" in finding.reason
            assert finding.reason.endswith(f"{hold} of {of} are required")
            assert (finding.alpha_pass, finding.alpha_fail, finding.lower) == (None, None, None)


def test_a_rule_on_the_last_days_without_a_day_is_open() -> None:
    rule = DAILY[0]
    assert judged([], rule).outcome == judged(paired([], []), rule).outcome == "INCONCLUSIVE"


@pytest.mark.parametrize(
    ("minimum", "open_slices"),
    [
        (0, []),
        (300, []),
        (301, ["origin=JFK"]),
        (1201, ["origin=EWR", "origin=JFK"]),
        (3001, ["all", "origin=EWR", "origin=JFK"]),
        ({}, []),
        ({"origin=JFK": 301}, ["origin=JFK"]),
        ({"JFK": 301}, ["origin=JFK"]),
        ({"JFK": 300, "EWR": 1201}, ["origin=EWR"]),
        ({"origin=JFK": 300, "JFK": 301}, []),
        ({"all": 3001}, ["all"]),
        ({"LGA": 9999}, []),
    ],
)
@pytest.mark.parametrize("rule", [SUPERIOR, GUARDRAIL, {"metric": "brier_score", "is": "at_most", "value": 0.9}])
def test_a_slice_with_too_few_requests_stays_open(
    rule: dict[str, Any], minimum: int | dict[str, int], open_slices: list[str]
) -> None:
    found = [
        replace(paired(0.5, 0.4 + NOISE, name=name), pairs=np.full(DAYS, pairs))
        for name, pairs in (("all", 50), ("origin=EWR", 20), ("origin=JFK", 5))
    ]
    verdict = judged(found, rule | {"slices": ["origin"], "minimum_requests": minimum})
    assert [finding.slice for finding in verdict.findings if finding.outcome != "PASS"] == open_slices
    assert verdict.outcome == ("INCONCLUSIVE" if open_slices else "PASS")
    for finding in verdict.findings:
        if finding.slice in open_slices:
            assert finding.reason.startswith(f"{finding.requests} requests are too few: ")


@pytest.mark.parametrize("rule", DAILY)
def test_a_rule_on_days_judges_days_whatever_the_unit(rule: dict[str, Any]) -> None:
    assert finding_on(good(rule), rule, unit="week") == finding_on(good(rule), rule, unit="day")
