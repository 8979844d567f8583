"""Replayed days inform, and may FAIL, but a PASS rests on the days that count."""

import datetime as dt
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from shadow_deployment.config.policy import Policy
from shadow_deployment.decision.series import Evidence, Series
from shadow_deployment.decision.verdict import VerdictBasis, conclude, judge
from shadow_deployment.decision.words.finding import Verdict
from shadow_deployment.decision.words.wording import NO_EVIDENCE, no_value_on

FIRST = dt.date(2024, 1, 1)
SUPERIOR = {"metric": "brier_score", "is": "superior"}
BETTER, WORSE, UNCLEAR = 0.05, -0.05, 0.0


def evidence(*days: tuple[int, float], metric: str = "brier_score", start: int = 0) -> Evidence:
    """Days with these mean differences, one part after the other, from day number `start` on."""
    mean = np.concatenate([np.full(number, value) for number, value in days])
    alternating = 0.02 * np.resize([1.0, -1.0], len(mean))  # adds up to nothing
    dates = tuple(FIRST + dt.timedelta(days=start + number) for number in range(len(mean)))
    champion, count = np.full(len(mean), 0.5), np.full(len(mean), 100)
    difference = mean + alternating
    return {(metric, "all"): Series(metric, "all", dates, count, None, champion, champion - difference, difference)}


def concluded(
    counted: Evidence, shown: Evidence | None, *rules: dict[str, Any], blocked: tuple[str, ...] = ()
) -> Verdict:
    policy = Policy.model_validate({"rules": list(rules) or [SUPERIOR], "burn_in": 28})
    basis = VerdictBasis(FIRST + dt.timedelta(days=200), 0.05, blocked, (), counted=counted, shown=shown)
    return conclude(policy, basis)


def test_what_passes_with_replayed_days_alone_would_pass_and_does_not() -> None:
    shown = evidence((60, BETTER))
    alone = concluded(shown, None)
    (passing,) = alone.findings
    assert (alone.outcome, passing.outcome) == ("PASS", "PASS")
    verdict = concluded({}, shown)
    (finding,) = verdict.findings
    assert (verdict.outcome, finding.outcome, finding.decided_on) == ("INCONCLUSIVE", "INCONCLUSIVE", None)
    assert (finding.lower, finding.observations) == (passing.lower, 60)
    assert finding.reason == f"{passing.reason}, replayed days included; on the days that count: {NO_EVIDENCE}"
    assert verdict.reasons[0].startswith(f"with its replayed days it would PASS since {passing.decided_on}; ")
    assert len(verdict.reasons) == 2
    (few,), (of_few,) = (concluded(evidence((10, BETTER)), days).findings for days in (shown, None))
    assert few.reason.endswith(f"on the days that count: {of_few.reason}")


def test_a_verdict_is_at_the_alpha_and_of_the_day_of_its_basis() -> None:
    daily = {"metric": "error_rate", "is": "at_most", "value": 0.9}
    policy = Policy.model_validate({"rules": [SUPERIOR, daily], "burn_in": 28})
    counted = evidence((60, BETTER)) | evidence((60, BETTER), metric="error_rate")
    day = FIRST + dt.timedelta(days=60)
    of_sequence, of_day = conclude(policy, VerdictBasis(day, 0.01, (), (), counted=counted)).findings
    assert (of_sequence.alpha_pass, of_day.outcome) == (0.01, "INCONCLUSIVE")
    assert of_day.reason == no_value_on(day, day - dt.timedelta(days=1))


def test_it_passes_where_the_days_that_count_pass_too() -> None:
    verdict = concluded(evidence((60, BETTER), start=60), evidence((120, BETTER)))
    (finding,) = verdict.findings
    assert (verdict.outcome, list(verdict.reasons)) == ("PASS", [])
    assert (finding.outcome, finding.observations) == ("PASS", 120)


@pytest.mark.parametrize("replayed", [BETTER, UNCLEAR])
def test_it_fails_where_the_days_that_count_fail_whatever_the_replayed_ones_say(replayed: float) -> None:
    counted = evidence((60, WORSE), start=120)
    verdict = concluded(counted, evidence((120, replayed), (60, WORSE)))
    assert verdict.outcome == "FAIL"
    assert list(verdict.findings) == list(concluded(counted, None).findings)


def test_it_fails_where_replayed_days_fail_although_those_that_count_do_not_decide() -> None:
    shown = evidence((120, WORSE), (20, UNCLEAR))
    verdict = concluded(evidence((20, UNCLEAR), start=120), shown)
    assert (verdict.outcome, list(verdict.findings)) == ("FAIL", list(concluded(shown, None).findings))
    assert not any("would PASS" in reason for reason in verdict.reasons)


def test_each_rule_is_matched_with_itself_and_the_last_that_blocks_says_since_when() -> None:
    strict = {"metric": "brier_score", "is": "non_inferior", "margin": 0.001}
    loose = {"metric": "brier_score", "is": "non_inferior", "margin": 0.3}
    shown = evidence((20, UNCLEAR), (100, BETTER))
    by_rule = concluded(shown, None, loose, strict).findings
    assert all(each.outcome == "PASS" for each in by_rule)
    first, last = (each.decided_on for each in by_rule)
    assert first is not None
    assert last is not None
    assert first < last
    counted = evidence((40, UNCLEAR), start=100)
    verdict = concluded(counted, shown, loose, strict)
    assert [each.outcome for each in verdict.findings] == ["PASS", "INCONCLUSIVE"]
    assert f"would PASS since {last};" in verdict.reasons[0]
    advisory = concluded(counted, shown, loose, strict | {"role": "advisory"})
    assert [each.outcome for each in advisory.findings] == ["PASS", "INCONCLUSIVE"]
    assert (advisory.outcome, list(advisory.reasons)) == ("PASS", [])
    only = concluded({}, shown, loose, strict | {"role": "advisory"})
    assert f"would PASS since {first};" in only.reasons[0]


def test_what_blocks_a_pass_blocks_it_with_replayed_days_too_and_is_all_that_is_said() -> None:
    verdict = concluded(evidence((60, BETTER), start=60), evidence((120, BETTER)), blocked=("it is the A/A check",))
    assert (verdict.outcome, list(verdict.reasons)) == ("INCONCLUSIVE", ["it is the A/A check"])
    assert verdict.findings[0].outcome == "PASS"


def test_a_verdict_rests_on_all_of_its_basis() -> None:
    rules = [SUPERIOR, {"metric": "error_rate", "is": "at_most", "value": 0.001}]
    policy = Policy.model_validate({"rules": rules, "burn_in": 28})
    counted = evidence((30, BETTER), (28, 0.03), (2, WORSE))
    (errors,) = evidence((60, 0.0), metric="error_rate").values()
    none = np.zeros(60)
    counted |= {("error_rate", "all"): replace(errors, champion=none, challenger=none, difference=none)}
    left_out = [FIRST - dt.timedelta(days=number) for number in range(40, 0, -1)]
    basis = VerdictBasis(FIRST + dt.timedelta(days=59), 0.05, ("it waits",), left_out, counted)
    given = {"alpha": basis.alpha, "blocked": basis.blocked, "day": basis.day, "left_out": basis.left_out}
    assert conclude(policy, basis) == judge(policy, counted, **given)
    others = {"alpha": 0.01, "blocked": [], "day": FIRST + dt.timedelta(days=60), "left_out": ()}
    for name, value in others.items():
        assert conclude(policy, basis) != judge(policy, counted, **given | {name: value}), name


def test_missing_predictions_block_a_verdict_by_themselves() -> None:
    missing = evidence((60, BETTER)) | evidence((60, 0.2), metric="error_rate")
    blocked = concluded(missing, None)
    assert (blocked.outcome, concluded(evidence((60, BETTER)), None).outcome) == ("INCONCLUSIVE", "PASS")
    assert ["no usable prediction of the" in reason for reason in blocked.reasons] == [True, True]
