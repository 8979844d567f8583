"""From evidence to a verdict: each rule, and that what is missing never passes."""

import datetime as dt
import json
import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from shadow_deployment.decision.alpha import alpha_of_batch
from shadow_deployment.decision.verdict import judge
from shadow_deployment.decision.words.wording import claim_of
from shadow_deployment.statistics.confidence_sequence import confidence_sequence
from tests.unit.decision.verdicts import (
    AGREEMENT,
    AT_LEAST,
    AT_MOST,
    BURN_IN,
    DAYS,
    EVERY_RULE,
    FEW_ERRORS,
    FIRST,
    NOISE,
    NON_INFERIOR,
    ORDER,
    SEQUENTIAL,
    SUPERIOR,
    around,
    evidence,
    finding_on,
    policy,
    series,
    verdict_on,
)


@pytest.mark.parametrize(
    ("rule", "mean", "outcome"),
    [
        (SUPERIOR, 0.3, "PASS"),
        (SUPERIOR, 0.0, "INCONCLUSIVE"),
        (SUPERIOR, -0.3, "FAIL"),
        (NON_INFERIOR, 0.3, "PASS"),
        (NON_INFERIOR, 0.0, "PASS"),
        (NON_INFERIOR, -0.1, "INCONCLUSIVE"),
        (NON_INFERIOR, -0.3, "FAIL"),
        (AT_MOST, 0.3, "PASS"),
        (AT_MOST, 0.5, "INCONCLUSIVE"),
        (AT_MOST, 0.7, "FAIL"),
        (AT_LEAST, 0.7, "PASS"),
        (AT_LEAST, 0.5, "INCONCLUSIVE"),
        (AT_LEAST, 0.3, "FAIL"),
    ],
)
def test_a_rule_passes_beyond_its_bound_fails_on_the_other_side_and_waits_between(
    rule: dict[str, Any], mean: float, outcome: str
) -> None:
    verdict = verdict_on(around(mean), rule)
    (finding,) = verdict.findings
    assert verdict.outcome == finding.outcome == outcome
    assert finding.estimate == pytest.approx(mean)
    assert finding.lower is not None
    assert finding.upper is not None
    assert finding.lower < finding.estimate < finding.upper
    assert (finding.observations, finding.requests) == (DAYS, 50 * DAYS)
    assert verdict.reasons == ([] if outcome == "PASS" else [f"{claim_of(finding, finding.outcome)}: {finding.reason}"])


@pytest.mark.parametrize(
    ("rule", "last", "outcome"),
    [
        (FEW_ERRORS, 0.0, "PASS"),
        (FEW_ERRORS, 0.01, "PASS"),
        (FEW_ERRORS, 0.0101, "FAIL"),
        (AGREEMENT, 0.9, "PASS"),
        (AGREEMENT, 0.8, "PASS"),
        (AGREEMENT, 0.7999, "FAIL"),
    ],
)
@pytest.mark.parametrize("earlier", [[], [0.0, 1.0, 0.5]])
def test_an_operational_rule_judges_the_last_day_alone_and_includes_its_bound(
    rule: dict[str, Any], last: float, outcome: str, earlier: list[float]
) -> None:
    finding = finding_on([*earlier, last], rule)
    assert (finding.outcome, finding.estimate) == (outcome, last)
    assert str(FIRST + dt.timedelta(days=len(earlier))) in finding.reason
    assert (finding.lower, finding.upper, finding.alpha_pass, finding.alpha_fail) == (None, None, None, None)


@pytest.mark.parametrize(("kind", "side"), [("at_most", "upper"), ("at_least", "lower")])
def test_a_value_that_the_interval_just_reaches_is_met(kind: str, side: str) -> None:
    values = around(0.5)
    reached = getattr(finding_on(values, {"metric": "brier_score", "is": kind, "value": 0.0}), side)
    missed = reached + (-1e-9 if kind == "at_most" else 1e-9)
    assert finding_on(values, {"metric": "brier_score", "is": kind, "value": reached}).outcome == "PASS"
    assert finding_on(values, {"metric": "brier_score", "is": kind, "value": missed}).outcome == "INCONCLUSIVE"


def test_a_margin_must_be_wider_than_what_the_interval_reaches() -> None:
    values = around(0.0)
    lower = finding_on(values, NON_INFERIOR).lower
    assert lower is not None
    assert finding_on(values, NON_INFERIOR | {"margin": -lower - 1e-9}).outcome == "INCONCLUSIVE"
    assert finding_on(values, NON_INFERIOR | {"margin": -lower + 1e-9}).outcome == "PASS"


@pytest.mark.parametrize("rule", EVERY_RULE)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("position", [0, 40, DAYS - 1])
def test_a_value_that_is_not_a_number_never_passes(rule: dict[str, Any], bad: float, position: int) -> None:
    values = around({"non_inferior": 0.3, "superior": 0.3, "at_least": 0.9, "at_most": 0.005}[rule["is"]])
    values[position] = bad
    verdict = verdict_on(values, rule)
    assert verdict.outcome == "INCONCLUSIVE"
    assert f"{FIRST + dt.timedelta(days=position)} is not a number" in verdict.reasons[0]


@pytest.mark.parametrize("rule", EVERY_RULE)
@pytest.mark.parametrize("empty", [True, False])
def test_without_evidence_nothing_passes_or_fails(rule: dict[str, Any], empty: bool) -> None:
    found = evidence(series([], rule["metric"])) if empty else {}
    verdict = judge(policy(rule), found)
    assert verdict.outcome == "INCONCLUSIVE"
    assert "there is no evidence" in verdict.reasons[0]
    assert (verdict.findings[0].observations, verdict.findings[0].requests) == (0, 0)


def test_a_metric_that_is_missing_beside_one_that_passes_never_passes() -> None:
    verdict = judge(policy(SUPERIOR, FEW_ERRORS), evidence(series(around(0.3))))
    assert [finding.outcome for finding in verdict.findings] == ["PASS", "INCONCLUSIVE"]
    assert verdict.outcome == "INCONCLUSIVE"


@pytest.mark.parametrize("rule", SEQUENTIAL)
@pytest.mark.parametrize("value", [-1e9, -0.3, 0.0, 0.1, 0.5, 1e9])
def test_days_that_do_not_differ_decide_nothing(rule: dict[str, Any], value: float) -> None:
    finding = finding_on(np.full(DAYS, value), rule)
    assert (finding.outcome, finding.lower, finding.upper) == ("INCONCLUSIVE", None, None)
    assert "do not differ from each other" in finding.reason


@pytest.mark.parametrize("rule", SEQUENTIAL)
def test_days_that_differ_by_rounding_alone_decide_nothing(rule: dict[str, Any]) -> None:
    values = np.resize([0.3, np.nextafter(0.3, 1), np.nextafter(0.3, 0)], DAYS)
    assert finding_on(values, rule).outcome == finding_on(-values, rule).outcome == "INCONCLUSIVE"


@pytest.mark.parametrize("rule", SEQUENTIAL)
@pytest.mark.parametrize("toward", [1, -1])
def test_days_that_differ_from_the_bound_by_rounding_alone_decide_nothing(rule: dict[str, Any], toward: int) -> None:
    steps = np.resize([0, 1, 2], DAYS) * np.spacing(0.5) * toward
    one = replace(series(policy(rule).rules[0].bound + steps), champion=np.full(DAYS, 0.5))
    assert judge(policy(rule), evidence(one)).outcome == "INCONCLUSIVE"


@pytest.mark.parametrize("rule", SEQUENTIAL)
@pytest.mark.parametrize("scale", [1e160, 1e300, 1e-160])
def test_numbers_of_any_size_are_judged(rule: dict[str, Any], scale: float) -> None:
    finding = finding_on(scale * NOISE, rule)
    assert finding.outcome in ORDER
    json.dumps(asdict(finding), allow_nan=False, default=str)


@pytest.mark.parametrize("rule", SEQUENTIAL)
@pytest.mark.parametrize("mean", [5.0, -5.0])
@pytest.mark.parametrize("burn_in", [2, BURN_IN, DAYS])
def test_no_verdict_is_given_before_the_burn_in(rule: dict[str, Any], mean: float, burn_in: int) -> None:
    values = mean + 1e-3 * NOISE
    early = finding_on(values[: burn_in - 1], rule, burn_in=burn_in)
    assert (early.outcome, early.lower, early.upper) == ("INCONCLUSIVE", None, None)
    assert early.reason.startswith(f"{burn_in - 1} day")
    assert early.reason.endswith(f"first bound on day {burn_in}")
    assert finding_on(values[:burn_in], rule, burn_in=burn_in).outcome in ("PASS", "FAIL")


@pytest.mark.parametrize("rule", SEQUENTIAL)
@pytest.mark.parametrize("promotable", [1, 2, 5])
def test_the_interval_is_the_confidence_sequence_at_the_divided_alpha(rule: dict[str, Any], promotable: int) -> None:
    values = around(0.2)
    rules = [rule, SUPERIOR | {"metric": "log_loss"}]
    found = evidence(series(values), series(around(0.1), "log_loss"))
    finding = judge(policy(*rules, tuned_for=80), found, alpha=0.05 / promotable).findings[0]
    design = {"burn_in": BURN_IN, "tuned_for": 80}
    good, bad = 0.05 / promotable, 0.05 / 2
    at_lower, at_upper = (bad, good) if rule["is"] == "at_most" else (good, bad)
    assert (finding.alpha_pass, finding.alpha_fail) == (good, bad)
    assert_allclose(finding.lower, confidence_sequence(values, alpha=at_lower, side="lower", **design).lower[-1])
    assert_allclose(finding.upper, confidence_sequence(values, alpha=at_upper, side="upper", **design).upper[-1])


@pytest.mark.parametrize(
    ("rules", "alarms"),
    [
        ([SUPERIOR], 1),
        ([SUPERIOR, NON_INFERIOR], 2),
        ([SUPERIOR, NON_INFERIOR | {"role": "advisory"}], 1),
        ([SUPERIOR, FEW_ERRORS], 1),
        ([SUPERIOR | {"slices": ["origin"]}], 3),
        ([SUPERIOR | {"slices": ["origin"]}, NON_INFERIOR], 4),
    ],
)
def test_the_alpha_of_alarms_is_divided_among_gates_that_are_judged_by_a_sequence(
    rules: list[dict[str, Any]], alarms: int
) -> None:
    slices = [series(around(0.3), name=name) for name in ("all", "origin=JFK", "origin=LGA", "carrier=AA")]
    found = evidence(*slices, series([0.0], "error_rate"))
    verdict = judge(policy(*rules), found, alpha=0.05 / 4)
    terms = {(one.alpha_pass, one.alpha_fail) for one in verdict.findings if one.metric == "brier_score"}
    has_slices = any("slices" in rule for rule in rules)
    assert terms == {(0.05 / 4, (alpha_of_batch(0.05, 1) if has_slices else 0.05) / alarms)}


def test_dividing_alpha_makes_a_pass_rarer() -> None:
    found = evidence(series(around(0.035)))
    assert judge(policy(SUPERIOR), found).outcome == "PASS"
    assert judge(policy(SUPERIOR), found, alpha=0.05 / 50).outcome == "INCONCLUSIVE"


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        (["PASS", "PASS"], "PASS"),
        (["PASS", "INCONCLUSIVE"], "INCONCLUSIVE"),
        (["PASS", "FAIL"], "FAIL"),
        (["INCONCLUSIVE", "FAIL"], "FAIL"),
        (["INCONCLUSIVE", "INCONCLUSIVE"], "INCONCLUSIVE"),
        (["FAIL", "FAIL"], "FAIL"),
    ],
)
@pytest.mark.parametrize("swapped", [False, True])
def test_a_verdict_passes_if_every_gate_does_and_fails_if_one_does(
    outcomes: list[str], expected: str, swapped: bool
) -> None:
    mean = {"PASS": 0.3, "INCONCLUSIVE": 0.0, "FAIL": -0.3}
    first, second = reversed(outcomes) if swapped else outcomes
    found = evidence(series(around(mean[first])), series(around(mean[second]), "log_loss"))
    verdict = judge(policy(SUPERIOR, SUPERIOR | {"metric": "log_loss"}), found)
    assert [finding.outcome for finding in verdict.findings] == [first, second]
    assert verdict.outcome == expected
    assert len(verdict.reasons) == sum(outcome != "PASS" for outcome in outcomes)


def test_what_fails_is_said_before_what_is_open() -> None:
    found = evidence(series(around(0.0)), series(around(-0.3), "log_loss"))
    verdict = judge(policy(SUPERIOR, SUPERIOR | {"metric": "log_loss"}), found)
    assert [reason.split(":")[0] for reason in verdict.reasons] == [
        "log loss is worse",
        "Brier score is not shown to be better",
    ]


@pytest.mark.parametrize("monitored", [0.3, 0.0, -0.3])
@pytest.mark.parametrize(("gated", "outcome"), [(0.3, "PASS"), (0.0, "INCONCLUSIVE"), (-0.3, "FAIL")])
def test_a_monitor_is_judged_and_never_decides(monitored: float, gated: float, outcome: str) -> None:
    found = evidence(series(around(gated)), series(around(monitored), "log_loss"))
    verdict = judge(policy(SUPERIOR, SUPERIOR | {"metric": "log_loss", "role": "advisory"}), found)
    assert verdict.outcome == outcome
    assert verdict.findings[1].role == "advisory"
    assert verdict.findings[1].outcome == {0.3: "PASS", 0.0: "INCONCLUSIVE", -0.3: "FAIL"}[monitored]
    assert not any("log_loss" in reason for reason in verdict.reasons)


@pytest.mark.parametrize("mean", [0.3, -0.3])
def test_a_policy_of_monitors_decides_nothing(mean: float) -> None:
    verdict = verdict_on(around(mean), SUPERIOR | {"role": "advisory"})
    assert verdict.outcome == "INCONCLUSIVE"
    assert verdict.reasons == ["no rule is blocking: a policy of advisory rules decides nothing"]


@pytest.mark.parametrize(("mean", "outcome"), [(0.3, "INCONCLUSIVE"), (0.0, "INCONCLUSIVE"), (-0.3, "FAIL")])
def test_a_blocked_challenger_can_fail_and_never_passes(mean: float, outcome: str) -> None:
    verdict = judge(policy(SUPERIOR), evidence(series(around(mean))), blocked=["it is the A/A check", "x"])
    assert verdict.outcome == outcome
    assert list(verdict.reasons[:2]) == ["it is the A/A check", "x"]


def test_where_none_can_be_promoted_alpha_is_not_divided_by_zero() -> None:
    assert judge(policy(SUPERIOR), evidence(series(around(0.3)))).findings[0].alpha_pass == 0.05


def test_a_rule_is_judged_on_all_requests_and_on_each_value_of_its_columns() -> None:
    names = ["origin=LGA", "carrier=AA", "all", "origin=JFK", "originally=x"]
    found = evidence(*(series(around(0.3), name=name) for name in names), series(around(0.3), "log_loss", "origin=EWR"))
    verdict = judge(policy(SUPERIOR | {"slices": ["origin", "all"]}), found)
    assert [finding.slice for finding in verdict.findings] == ["all", "origin=JFK", "origin=LGA"]


@pytest.mark.parametrize("rule", EVERY_RULE)
def test_a_column_that_no_evidence_was_cut_by_never_passes(rule: dict[str, Any]) -> None:
    values = around({"at_least": 0.9, "at_most": 0.005}.get(rule["is"], 0.3))
    found = evidence(series(values, rule["metric"]), series(values, rule["metric"], "carrier=AA"))
    verdict = judge(policy(rule | {"slices": ["origin"]}), found)
    assert [(finding.slice, finding.outcome) for finding in verdict.findings][1:] == [("origin", "INCONCLUSIVE")]
    assert verdict.outcome != "PASS"
    assert any("in origin: there is no evidence" in reason for reason in verdict.reasons)


@pytest.mark.parametrize(
    ("values", "outcome"), [(around(-0.3), "FAIL"), ([], "INCONCLUSIVE"), (around(0.0), "INCONCLUSIVE")]
)
def test_one_slice_is_enough_to_keep_a_challenger_from_passing(values: Sequence[float], outcome: str) -> None:
    found = evidence(series(around(0.3)), series(around(0.3), name="origin=JFK"), series(values, name="origin=LGA"))
    verdict = judge(policy(SUPERIOR | {"slices": ["origin"]}), found)
    assert verdict.outcome == outcome
    words = {"FAIL": "is worse", "INCONCLUSIVE": "is not shown to be better"}[outcome]
    assert [reason.split(":")[0] for reason in verdict.reasons] == [f"Brier score {words} in origin=LGA"]


@pytest.mark.parametrize(("mean", "outcome"), [(0.05, "PASS"), (-0.05, "FAIL")])
def test_decided_on_is_the_first_day_on_which_the_sequence_cleared_its_bound(mean: float, outcome: str) -> None:
    values = around(mean)
    decided_on = finding_on(values, SUPERIOR).decided_on
    assert decided_on is not None
    days = (decided_on - FIRST).days + 1
    assert BURN_IN < days < DAYS
    assert finding_on(values[:days], SUPERIOR).outcome == outcome
    assert {finding_on(values[:earlier], SUPERIOR).outcome for earlier in range(BURN_IN, days)} == {"INCONCLUSIVE"}


def test_decided_on_is_open_while_nothing_is_decided_though_it_once_was() -> None:
    values = np.concatenate([around(0.3), around(-0.3)])
    assert finding_on(values[:DAYS], SUPERIOR).decided_on is not None
    late = finding_on(values, SUPERIOR)
    assert (late.outcome, late.decided_on) == ("INCONCLUSIVE", None)


@pytest.mark.parametrize("rule", SEQUENTIAL)
def test_an_open_verdict_says_how_many_more_days_it_may_take(rule: dict[str, Any]) -> None:
    bound = policy(rule).rules[0].bound
    finding = finding_on(around(bound + 0.02), rule)
    assert finding.outcome == "INCONCLUSIVE"
    more = int(finding.reason.split("; about ")[1].split(" more days")[0])
    (longer,) = verdict_on(np.resize(around(bound + 0.02), DAYS + 3 * more), rule).findings
    assert longer.outcome == ("FAIL" if rule["is"] == "at_most" else "PASS")
