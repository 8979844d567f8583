"""From evidence to a verdict: every rule becomes findings, and the findings one outcome.

Pure arithmetic on arrays: no database, no clock. PASS needs every gate finding to pass, so alpha needs no correction
across rules; it is divided among the challengers that may be promoted. FAIL is an alarm on any gate finding, so its
alpha is divided among them. What is missing, empty or not finite never passes, and says so.
"""

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from include.shadow.confidence import confidence_sequence, observations_needed
from include.shadow.evidence import ALL, WEEK, Evidence, Series
from include.shadow.looks import Terms, look
from include.shadow.observations import Question, UnanswerableError, ask, holds
from include.shadow.rules import Policy, Rule

UNBOUNDED = (-math.inf, math.inf)
Outcome = Literal["PASS", "FAIL", "INCONCLUSIVE"]


@dataclass(frozen=True)
class Finding:
    """What one rule says of one slice.

    `estimate` and the interval `lower` to `upper` are in the rule's unit: of the difference (champion minus challenger
    as losses) for superior, non_inferior and not_harmful, of the challenger's value or its change for at_most and
    at_least, as shares of the champion's value where the rule is relative; None where nothing can be said yet.
    `alpha_pass` and `alpha_fail` are what the bound toward passing and the one toward failing were judged at, None for
    a rule judged on daily values. `decided_on` is the first day on which the sequence had cleared the bound, and
    `more_days` in how many days the effect seen so far would be decided.
    """

    metric: str
    slice: str
    is_: str
    role: str
    outcome: Outcome
    bound: float
    reason: str
    estimate: float | None = None
    lower: float | None = None
    upper: float | None = None
    observations: int = 0
    requests: int = 0
    alpha_pass: float | None = None
    alpha_fail: float | None = None
    decided_on: dt.date | None = None
    more_days: int | None = None


@dataclass(frozen=True)
class Verdict:
    """One challenger on one day: the outcome, why it cannot be PASS where that is so, and a finding for each rule."""

    outcome: Outcome
    reasons: Sequence[str]
    findings: Sequence[Finding]


def judge(
    policy: Policy, evidence: Evidence, *, promotable: int, blocked: Sequence[str] = (), day: dt.date | None = None
) -> Verdict:
    """Return the verdict on one challenger, of `day`; None is the newest day that a series has.

    `promotable` is the number of challengers that alpha is divided among. `blocked` are reasons why this challenger
    cannot pass whatever its evidence says: they are shown first.
    """
    terms = terms_of(policy, evidence, promotable=promotable, day=day)
    judged = [(rule, name) for rule in policy.rules for name in slices_of(rule, evidence)]
    findings = [find(rule, name, evidence.get((rule.metric, name)), terms) for rule, name in judged]
    gates = [finding for finding in findings if finding.role == "gate"]
    reasons = list(blocked)
    if not gates:
        reasons.append("no rule is a gate: a policy of monitors decides nothing")
    reasons += [reason_of(finding) for finding in gates if finding.outcome == "FAIL"]
    reasons += [reason_of(finding) for finding in gates if finding.outcome == "INCONCLUSIVE"]
    if any(finding.outcome == "FAIL" for finding in gates):
        return Verdict("FAIL", reasons, findings)
    passed = bool(gates) and not blocked and all(finding.outcome == "PASS" for finding in gates)
    return Verdict("PASS" if passed else "INCONCLUSIVE", reasons, findings)


def terms_of(policy: Policy, evidence: Evidence, *, promotable: int, day: dt.date | None = None) -> Terms:
    """Divide alpha: to pass among the promotable challengers, to fail among the gates' sequences, slice by slice."""
    alarms = sum(len(slices_of(rule, evidence)) for rule in policy.rules if rule.role == "gate" and not rule.is_daily)
    return Terms(policy, policy.alpha / max(promotable, 1), policy.alpha / max(alarms, 1), day)


def slices_of(rule: Rule, evidence: Evidence) -> list[str]:
    """Return the slices that a rule is judged in: all requests, and each value of its columns.

    A column without a value is named itself: it has no evidence, so the rule does not pass.
    """
    names = [ALL]
    for column in sorted(set(rule.slices) - {ALL}):
        values = [name for metric, name in evidence if metric == rule.metric and name.split("=", 1)[0] == column]
        names += sorted(values) or [column]
    return names


def find(rule: Rule, name: str, series: Series | None, terms: Terms) -> Finding:
    """Judge one rule on one slice."""
    if series is None or not series.days:
        return _finding(rule, name, "INCONCLUSIVE", "there is no evidence: no day has a pair whose label is ripe")
    values = np.vstack([series.champion, series.challenger, series.difference])
    if not np.isfinite(values).all():
        bad = series.days[int(np.flatnonzero(~np.isfinite(values).all(axis=0))[0])]
        return _finding(rule, name, "INCONCLUSIVE", f"the value of {bad} is not a number", series)
    needed = rule.requests_needed(name)
    if series.total_requests < needed:
        reason = f"{series.total_requests} requests are too few: {needed} are asked for"
        return _finding(rule, name, "INCONCLUSIVE", reason, series)
    try:
        if rule.is_daily:
            return _judge_days(rule, name, series, terms.day)
        return _judge_sequence(rule, name, series.by_week() if terms.policy.unit == "week" else series, terms)
    except UnanswerableError as error:
        return _finding(rule, name, "INCONCLUSIVE", str(error), series)


def reason_of(finding: Finding) -> str:
    """Return a finding as the reason for a verdict."""
    where = "" if finding.slice == ALL else f" in {finding.slice}"
    return f"{finding.metric} {finding.is_}{where}: {finding.reason}"


def _judge_days(rule: Rule, name: str, series: Series, day: dt.date | None) -> Finding:
    """Count the days on which the rule held; days without a value are held against neither side.

    A metric that waits for labels is judged on the newest ripe day, any other on the judged day itself or not at all.
    """
    newest = series.days[-1]
    if day is not None and newest != day and not rule.definition.needs_label:
        return _finding(rule, name, "INCONCLUSIVE", f"{day} has no value, the newest is of {newest}", series)
    question = ask(rule, series)
    held = holds(rule, question.gains, series)
    value = question.natural(float(question.gains[-1]))
    hold, of = (rule.last.hold, rule.last.of) if rule.last else (1, 1)
    recent = held[[newest - one < dt.timedelta(days=of) for one in series.days]]
    good, bad = int(recent.sum()), int((~recent).sum())
    outcome: Outcome = "PASS" if good >= hold else "FAIL" if bad > of - hold else "INCONCLUSIVE"
    relation = f"{'is' if held[-1] else 'is not'} {rule.is_.replace('_', ' ')} {_number(rule.bound)}"
    reason = f"{_number(value)} on {series.days[-1]} {relation}"
    if rule.last:
        reason += f"; it held on {good} of the last {len(recent)} days, {hold} of {of} are asked for"
    return _finding(rule, name, outcome, reason, series, estimate=value)


def _judge_sequence(rule: Rule, name: str, series: Series, terms: Terms) -> Finding:
    if not series.days:
        return _finding(rule, name, "INCONCLUSIVE", "no week of evidence is complete", series)
    looks = look(rule, series, terms)
    question = looks.question
    outcome: Outcome = "FAIL" if looks.fails[-1] else "PASS" if looks.passes[-1] else "INCONCLUSIVE"
    decided = {"PASS": looks.passes, "FAIL": looks.fails}.get(outcome)
    bounds = [float(bound[-1]) for bound in looks.natural_bounds]
    widths = (float((looks.estimate - looks.lower)[-1]), float((looks.upper - looks.estimate)[-1]))
    more = _more_observations(question, widths, terms) if outcome == "INCONCLUSIVE" else None
    count = len(series.days)
    return _finding(
        rule,
        name,
        outcome,
        _early(outcome, count, terms)
        or _reason(
            rule, outcome, UNBOUNDED if looks.blind[-1] else bounds, _counted(count, terms.unit), _outlook(more, terms)
        ),
        series,
        estimate=question.natural(float(looks.estimate[-1])),
        lower=bounds[0],
        upper=bounds[1],
        terms=terms,
        decided_on=None if decided is None else series.days[int(np.argmax(decided))],
        more_days=None if more is None else more * (WEEK if terms.policy.unit == "week" else 1),
    )


def _reason(rule: Rule, outcome: Outcome, bounds: Sequence[float], past: str, outlook: str) -> str:
    bound = _number(rule.bound)
    if not any(math.isfinite(one) for one in bounds):
        known = f"{past} of evidence do not differ from each other: nothing can be concluded from them"
        return f"no harm is shown: {known}" if outcome == "PASS" else known
    interval = f"after {past} the interval {_number(bounds[0])} to {_number(bounds[1])}"
    if rule.is_ == "not_harmful":
        return f"{interval} {'lies below' if outcome == 'FAIL' else 'shows no harm below'} {bound}"
    if outcome != "INCONCLUSIVE":
        return f"{interval} {'clears' if outcome == 'PASS' else 'lies beyond'} {bound}"
    return f"{interval} holds {bound}; {outlook}"


def _early(outcome: Outcome, count: int, terms: Terms) -> str | None:
    """Return the reason before the burn-in is over, None after it."""
    first = terms.policy.observations_before_bound
    if count >= first:
        return None
    known = f"{_counted(count, terms.unit)} of evidence, a bound is given from {terms.unit} {first} on"
    return f"no harm is shown: {known}" if outcome == "PASS" else known


def _outlook(more: int | None, terms: Terms) -> str:
    if more is None:
        return "no number of days would decide an effect as small as the one seen so far"
    return f"about {_counted(more, f'more {terms.unit}')} would decide an effect like the one seen so far"


def _more_observations(question: Question, widths: tuple[float, float], terms: Terms) -> int | None:
    """Return how many more observations would decide the effect seen so far, None where none would.

    `widths` are the margins toward passing and failing as they are. They are wider than those of independent, symmetric
    days with the same spread, and are taken to stay so.
    """
    gains, first = question.gains, terms.policy.observations_before_bound
    if len(gains) < 2:
        return max(first - len(gains), 1)
    with np.errstate(over="ignore", invalid="ignore"):
        effect, spread = float(gains.mean()), float(gains.std(ddof=1))
    if not (math.isfinite(effect) and math.isfinite(spread)):
        return None
    alpha, width = (terms.alpha_pass, widths[0]) if effect > 0 else (terms.alpha_fail, widths[1])
    if len(gains) >= first and math.isfinite(width):
        plain = confidence_sequence(
            gains, alpha=alpha, burn_in=first, expected=terms.expected, side="lower", method="plain"
        )
        spread *= max(1.0, width / float((plain.estimate - plain.lower)[-1]))
    needed = observations_needed(effect, spread, alpha=alpha, expected=terms.expected, burn_in=first)
    return None if needed is None else max(needed - len(gains), 1)


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"


def _finding(
    rule: Rule,
    name: str,
    outcome: Outcome,
    reason: str,
    series: Series | None = None,
    *,
    estimate: float | None = None,
    lower: float | None = None,
    upper: float | None = None,
    terms: Terms | None = None,
    decided_on: dt.date | None = None,
    more_days: int | None = None,
) -> Finding:
    return Finding(
        metric=rule.metric,
        slice=name,
        is_=rule.is_,
        role=rule.role,
        outcome=outcome,
        bound=rule.bound,
        reason=reason,
        estimate=_finite(estimate),
        lower=_finite(lower),
        upper=_finite(upper),
        observations=len(series.days) if series else 0,
        requests=series.total_requests if series else 0,
        alpha_pass=terms.alpha_pass if terms else None,
        alpha_fail=terms.alpha_fail if terms else None,
        decided_on=decided_on,
        more_days=more_days,
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "unbounded"
