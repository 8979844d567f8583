"""From evidence to a verdict: every rule becomes findings, and the findings one outcome.

Pure arithmetic on arrays: no database, no clock. What is missing, empty or not finite never passes, and says so.
"""

import datetime as dt
import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from shadow_deployment.base.numbers import quantity
from shadow_deployment.config.policy import COMPARING, Policy, Rule
from shadow_deployment.decision.alpha import alpha_of_evidence
from shadow_deployment.decision.estimand import Estimand, NoEstimandError, estimand_of, estimands_of, holds, size_of
from shadow_deployment.decision.futility import are_futile
from shadow_deployment.decision.power import more_observations
from shadow_deployment.decision.safeguards.dependent import dependence_of_requests
from shadow_deployment.decision.safeguards.lately import lately, turned
from shadow_deployment.decision.safeguards.left_out import at_their_worst
from shadow_deployment.decision.safeguards.missing_labels import effects_of
from shadow_deployment.decision.safeguards.usable import too_many_missing
from shadow_deployment.decision.sequential import JudgingTerms, SequentialResult, judge_sequences
from shadow_deployment.decision.series import Evidence, Series, slices_of
from shadow_deployment.decision.words import wording
from shadow_deployment.decision.words.finding import Finding, Outcome, Verdict


def judge(
    policy: Policy,
    evidence: Evidence,
    *,
    alpha: float | None = None,
    blocked: Sequence[str] = (),
    day: dt.date | None = None,
    left_out: Sequence[dt.date] = (),
) -> Verdict:
    """Return the verdict on one challenger.

    Args:
        policy: The rules and their error rates.
        evidence: The challenger's series by metric and slice.
        alpha: The error probability toward PASS of the challenger's trial; None is all of the policy's.
        blocked: Reasons why this challenger cannot pass whatever its evidence says; they are shown first.
        day: The judged day; None is the newest that a series has.
        left_out: Days that are missing from the evidence and could have been chosen; PASS must hold with each of them
            at its worst.
    """
    to_pass = policy.alpha if alpha is None else alpha
    terms = JudgingTerms(policy, alpha_of_evidence(policy, evidence, to_pass=to_pass), day, tuple(left_out))
    return _concluded([finding for rule in policy.rules for finding in _findings(rule, evidence, terms)], blocked)


@dataclass(frozen=True)
class VerdictBasis:
    """All that a verdict is computed from: kept with it, so that it can be computed again.

    `counted` and `shown` are the challenger's series by metric and slice. `shown` has the replayed days too, which
    inform and may FAIL but do not count toward PASS; None where there are none. The rest is as for `judge`.
    """

    day: dt.date
    alpha: float
    blocked: Sequence[str]
    left_out: Sequence[dt.date]
    counted: Evidence
    shown: Evidence | None = None

    @property
    def all_evidence(self) -> Evidence:
        """The evidence on all days that the verdict may show."""
        return self.counted if self.shown is None else self.shown


def conclude(policy: Policy, basis: VerdictBasis) -> Verdict:
    """Return the verdict on one challenger from all that it depends on."""
    blocked = [*basis.blocked, *too_many_missing(policy, basis.counted)]

    def judged(evidence: Evidence) -> Verdict:
        return judge(policy, evidence, alpha=basis.alpha, blocked=blocked, day=basis.day, left_out=basis.left_out)

    counted = judged(basis.counted)
    return counted if basis.shown is None else with_replayed(counted, judged(basis.shown), blocked)


def with_replayed(counted: Verdict, shown: Verdict, blocked: Sequence[str]) -> Verdict:
    """Return the verdict where days were replayed that inform and may FAIL, but do not count toward PASS.

    Args:
        counted: The verdict on the days that count.
        shown: The verdict on these and the replayed days.
        blocked: Reasons as for `judge`.
    """
    alone = {_rule_and_slice(finding): finding for finding in counted.findings}
    findings: list[Finding] = []
    for finding in shown.findings:
        other = alone.get(_rule_and_slice(finding))
        if other is not None and other.outcome == "FAIL":
            findings.append(other)
        elif finding.outcome == "PASS" and (other is None or other.outcome != "PASS"):
            reason = wording.replayed_only(finding.reason, other.reason if other else wording.NO_EVIDENCE)
            findings.append(_undecided(finding, reason))
        else:
            findings.append(finding)
    verdict = _concluded(findings, blocked)
    if shown.outcome == "PASS" and verdict.outcome == "INCONCLUSIVE":
        since = max((each.decided_on for each in shown.findings if each.is_blocking and each.decided_on), default=None)
        return replace(verdict, reasons=[wording.replayed_would_pass(since), *verdict.reasons])
    return verdict


def _rule_and_slice(finding: Finding) -> tuple[object, ...]:
    return finding.metric, finding.slice, finding.is_, finding.bound, finding.role


def _concluded(findings: Sequence[Finding], blocked: Sequence[str]) -> Verdict:
    blocking = [finding for finding in findings if finding.is_blocking]
    reasons = list(blocked)
    if not blocking:
        reasons.append(wording.NO_BLOCKING_RULE)
    for outcome in ("FAIL", "INCONCLUSIVE"):
        reasons += [wording.reason_of(finding) for finding in blocking if finding.outcome == outcome]
    if any(finding.outcome == "FAIL" for finding in blocking):
        return Verdict("FAIL", reasons, findings)
    return Verdict("INCONCLUSIVE" if reasons else "PASS", reasons, findings)


def _findings(rule: Rule, evidence: Evidence, terms: JudgingTerms) -> list[Finding]:
    """Judge one rule on all its slices, their sequences together."""
    findings: dict[str, Finding] = {}
    judged: dict[str, tuple[Series, Estimand]] = {}
    names = slices_of(rule, evidence)
    for name in names:
        series = evidence.get((rule.metric, name))
        if series is None or not series.days:
            findings[name] = _finding(rule, name, "INCONCLUSIVE", wording.NO_EVIDENCE)
            continue
        try:
            result = _judged(rule, name, series, terms)
        except NoEstimandError as error:
            result = str(error)
        if isinstance(result, tuple):
            judged[name] = result
        elif isinstance(result, Finding):
            findings[name] = result
        else:
            findings[name] = _finding(rule, name, "INCONCLUSIVE", result, series)
    findings |= _of_sequences(rule, judged, {name: evidence[rule.metric, name] for name in judged}, terms)
    return [findings[name] for name in names]


def _judged(rule: Rule, name: str, series: Series, terms: JudgingTerms) -> Finding | tuple[Series, Estimand] | str:
    """Return the finding of a daily rule, what a sequence is judged on, or why nothing can be concluded."""
    reason = _unfit(rule, name, series)
    if reason is not None:
        return reason
    if rule.is_daily:
        return _of_days(rule, name, series, terms)
    dependence = dependence_of_requests(terms.policy, series)
    if dependence is not None:
        return wording.dependent_requests(dependence.ratio)
    observed = series.observed(terms.policy)
    if not observed.days:
        return _finding(rule, name, "INCONCLUSIVE", wording.NO_COMPLETE_WEEK, observed)
    return observed, estimand_of(rule, observed)


def _unfit(rule: Rule, name: str, series: Series) -> str | None:
    """Return why nothing can be concluded from a series that has a day, None where something can."""
    sums = [] if series.squares is None else [*series.squares.T]
    weights = [] if series.weight is None else [series.weight]
    columns = (series.champion, series.challenger, series.difference, *weights, *sums)
    finite = np.isfinite(columns).all(axis=0)
    if not finite.all():
        return wording.not_a_number(series.days[int(np.argmin(finite))])
    needed = rule.requests_needed(name)
    return None if series.total_requests >= needed else wording.too_few_requests(series.total_requests, needed)


def _of_days(rule: Rule, name: str, series: Series, terms: JudgingTerms) -> Finding:
    """Count the days, or weeks, on which the rule held; those without a value count for neither side.

    A metric that waits for labels is judged on the newest mature day, any other on the judged day itself or not at all.
    """
    newest, day, length = series.days[-1], terms.day, terms.policy.days_per_period
    if day is not None and newest != day and not rule.definition.needs_label:
        return _finding(rule, name, "INCONCLUSIVE", wording.no_value_on(day, newest), series, more_days=length)
    estimand = estimand_of(rule, series)
    held = holds(rule, estimand.gains, size_of(series))
    value = estimand.natural(float(estimand.gains[-1]))
    hold, of = (rule.last.hold, rule.last.of) if rule.last else (1, 1)
    recent = held[bisect_right(series.days, newest - dt.timedelta(days=of * length)) :]
    good, bad = int(recent.sum()), int((~recent).sum())
    outcome: Outcome = "PASS" if good >= hold else "FAIL" if bad > of - hold else "INCONCLUSIVE"
    reason = wording.daily_reason(rule, newest, value, holds=bool(held[-1]), held=good, recent=len(recent))
    return _finding(rule, name, outcome, reason, series, estimate=_finite(value))


def _of_sequences(
    rule: Rule, judged: Mapping[str, tuple[Series, Estimand]], daily: Mapping[str, Series], terms: JudgingTerms
) -> dict[str, Finding]:
    """Judge one rule on many slices, each with an observation or more in the policy's unit; `daily` has their days."""
    results = dict(zip(judged, judge_sequences(rule, list(judged.values()), terms), strict=True))
    undecided = [name for name, result in results.items() if _outcome(result) == "INCONCLUSIVE"]
    more = dict(zip(undecided, more_observations([results[name].nearest for name in undecided], terms), strict=True))
    proving = [name for name in undecided if rule.is_ != "guardrail"]
    futile = dict(zip(proving, are_futile(rule, [results[name] for name in proving], terms), strict=True))
    findings = {
        name: _of_sequence(rule, name, series, results[name], more.get(name), terms)
        for name, (series, _) in judged.items()
    }
    findings |= {
        name: replace(finding, reason=finding.reason + wording.futility_note(terms.policy.horizon), is_futile=True)
        for name, finding in findings.items()
        if futile.get(name)
    }
    findings |= _charged(rule, _passing(findings, daily), terms)
    findings |= _lately(rule, findings, daily, terms.policy)
    return findings | _with_missing_labels(rule, _passing(findings, daily), terms)


def _passing(findings: Mapping[str, Finding], daily: Mapping[str, Series]) -> dict[str, tuple[Finding, Series]]:
    return {name: (finding, daily[name]) for name, finding in findings.items() if finding.outcome == "PASS"}


def _with_missing_labels(
    rule: Rule, passing: Mapping[str, tuple[Finding, Series]], terms: JudgingTerms
) -> dict[str, Finding]:
    """Return the findings that rest on requests without a label too, with what those can do to them."""
    if rule.is_ not in COMPARING:
        return {}
    some = {name: pair for name, pair in passing.items() if pair[0].has_interval and pair[1].unlabelled is not None}
    effects = effects_of([series for _, series in some.values()], lambda many: _pass(rule, many, terms))
    noted: dict[str, Finding] = {}
    for (name, (finding, _)), effect in zip(some.items(), effects, strict=True):
        reason = f"{finding.reason}; {wording.missing_labels_note(effect)}"
        noted[name] = replace(finding, reason=reason, missing_labels=effect)
    return noted


def _pass(rule: Rule, many: Sequence[Series], terms: JudgingTerms) -> list[bool]:
    """Return of each series of days whether the rule passes, with the left-out days at their worst for each side."""
    cases = [(place, case) for place, series in enumerate(many) for case in _worst_cases(rule, series, terms)]
    observed = [case.observed(terms.policy) for _, case in cases]
    results = judge_sequences(rule, [(series, estimand_of(rule, series)) for series in observed], terms, "newest")
    held = [True] * len(many)
    for (place, _), result in zip(cases, results, strict=True):
        held[place] &= bool(result.passes[-1])
    return held


def _worst_cases(rule: Rule, series: Series, terms: JudgingTerms) -> list[Series]:
    """Return a series of days with the left-out ones at their worst for each side; alone where there are none."""
    days = series.weighed(terms.policy)
    if not terms.left_out:
        return [days]
    charged = [at_their_worst(side, days, terms.left_out) for side in estimands_of(rule, days)]
    return [each for each in charged if each is not None] or [days]


def _charged(rule: Rule, passing: Mapping[str, tuple[Finding, Series]], terms: JudgingTerms) -> dict[str, Finding]:
    """Return the findings that pass on the days that count, but not with the left-out days at their worst."""
    missing = {name: sum(day < series.days[-1] for day in terms.left_out) for name, (_, series) in passing.items()}
    some = {name: pair for name, pair in passing.items() if missing[name]}
    held = _pass(rule, [series for _, series in some.values()], terms)
    return {
        name: _undecided(finding, wording.left_out_reason(finding.reason, missing[name]))
        for (name, (finding, _)), holds_still in zip(some.items(), held, strict=True)
        if not holds_still
    }


def _lately(
    rule: Rule, findings: Mapping[str, Finding], daily: Mapping[str, Series], policy: Policy
) -> dict[str, Finding]:
    """Return the findings of a rule that compares to which its newest days have something to add; PASS needs them."""
    noted: dict[str, Finding] = {}
    passing: dict[str, Series] = {}
    for name, finding in findings.items():
        means = lately(rule, daily[name], policy) if finding.has_interval else None
        if finding.outcome != "PASS":
            if means is not None and means.held != means.holds:
                noted[name] = replace(finding, reason=f"{finding.reason}; {wording.both_means(means)}")
        elif means is not None and not means.holds:
            noted[name] = _undecided(finding, wording.not_lately(finding.reason, means))
        elif finding.has_interval:
            passing[name] = daily[name]
    for name, since in zip(passing, turned(rule, list(passing.values()), policy), strict=True):
        if since is not None:
            noted[name] = _undecided(findings[name], wording.has_turned(findings[name].reason, since))
    return noted


def _undecided(finding: Finding, reason: str) -> Finding:
    """Return a finding that passes by its sequence alone, undecided for a reason."""
    return replace(finding, outcome="INCONCLUSIVE", reason=reason, decided_on=None)


def _outcome(result: SequentialResult) -> Outcome:
    return "FAIL" if result.fails[-1] else "PASS" if result.passes[-1] else "INCONCLUSIVE"


def _of_sequence(
    rule: Rule, name: str, series: Series, result: SequentialResult, more: int | None, terms: JudgingTerms
) -> Finding:
    outcome, bounds = _outcome(result), result.newest_bounds
    decided = {"PASS": result.passes, "FAIL": result.fails}.get(outcome)
    observations, first = quantity(len(series.days), terms.unit), terms.policy.observations_before_bound
    if len(series.days) < first:
        reason = wording.before_burn_in(outcome, observations, terms.unit, first)
    else:
        shown = (-math.inf, math.inf) if result.blind[-1] else bounds
        reason = wording.sequence_reason(rule, outcome, shown, observations, wording.forecast_of(more, terms.unit))
    return _finding(
        rule,
        name,
        outcome,
        reason,
        series,
        estimate=_finite(result.estimand.natural(float(result.estimate[-1]))),
        lower=_finite(bounds[0]),
        upper=_finite(bounds[1]),
        alpha_pass=result.alpha[0],
        alpha_fail=result.alpha[1],
        decided_on=None if decided is None else series.days[int(np.argmax(decided))],
        more_days=None if more is None else more * terms.policy.days_per_observation,
    )


def _finding(
    rule: Rule, name: str, outcome: Outcome, reason: str, series: Series | None = None, **figures: Any
) -> Finding:
    unanswered, champion_missing = (series.total_unanswered, series.total_champion_missing) if series else (0, 0)
    champion, challenger = map(_finite, series.means) if series and series.days else (None, None)
    return Finding(
        metric=rule.metric,
        slice=name,
        is_=rule.is_,
        role=rule.role,
        outcome=outcome,
        bound=rule.bound,
        reason=reason + wording.missing_note(rule.definition, unanswered, champion_missing),
        observations=len(series.days) if series else 0,
        requests=series.total_requests if series else 0,
        unanswered=unanswered,
        champion_missing=champion_missing,
        champion=champion,
        challenger=challenger,
        **figures,
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
