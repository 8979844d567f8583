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
from numpy.typing import NDArray

from include.shadow.confidence import confidence_sequence, observations_needed
from include.shadow.deployment import Policy, Rule
from include.shadow.evidence import ALL, Evidence, Series

Outcome = Literal["PASS", "FAIL", "INCONCLUSIVE"]


@dataclass(frozen=True)
class Finding:
    """What one rule says of one slice.

    `estimate` and the interval `lower` to `upper` are of the difference (champion minus challenger as losses) for
    superior and non_inferior, of the challenger's own value otherwise; None where nothing can be said yet. `alpha_pass`
    and `alpha_fail` are what the lower and the upper bound (for at_most the other way round) were judged at, None for
    a rule judged on the day itself. `decided_on` is the first day on which the sequence had cleared the bound.
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


@dataclass(frozen=True)
class Verdict:
    """One challenger on one day: the outcome, why it cannot be PASS where that is so, and a finding for each rule."""

    outcome: Outcome
    reasons: Sequence[str]
    findings: Sequence[Finding]


@dataclass(frozen=True)
class Terms:
    """At which error rates a challenger's sequences are judged, from which observation on, and tuned to how many."""

    alpha_pass: float
    alpha_fail: float
    burn_in: int
    expected: int


def judge(policy: Policy, evidence: Evidence, *, promotable: int, blocked: Sequence[str] = ()) -> Verdict:
    """Return the verdict on one challenger.

    `promotable` is the number of challengers that alpha is divided among. `blocked` are reasons why this challenger
    cannot pass whatever its evidence says: they are shown first.
    """
    judged = [(rule, name) for rule in policy.rules for name in _slices(rule, evidence)]
    alarms = sum(rule.role == "gate" and not _is_daily(rule) for rule, _ in judged)
    terms = Terms(policy.alpha / max(promotable, 1), policy.alpha / max(alarms, 1), policy.burn_in, policy.expected)
    findings = [_find(rule, name, evidence.get((rule.metric, name)), terms) for rule, name in judged]
    gates = [finding for finding in findings if finding.role == "gate"]
    reasons = list(blocked)
    if not gates:
        reasons.append("no rule is a gate: a policy of monitors decides nothing")
    reasons += [_sentence(finding) for finding in gates if finding.outcome == "FAIL"]
    reasons += [_sentence(finding) for finding in gates if finding.outcome == "INCONCLUSIVE"]
    if any(finding.outcome == "FAIL" for finding in gates):
        return Verdict("FAIL", reasons, findings)
    passed = bool(gates) and not blocked and all(finding.outcome == "PASS" for finding in gates)
    return Verdict("PASS" if passed else "INCONCLUSIVE", reasons, findings)


def _sentence(finding: Finding) -> str:
    where = "" if finding.slice == ALL else f" in {finding.slice}"
    return f"{finding.metric} {finding.is_}{where}: {finding.reason}"


def _slices(rule: Rule, evidence: Evidence) -> list[str]:
    columns = [name for name in rule.slices if name != ALL]
    found = [
        name for metric, name in evidence if metric == rule.metric and name != ALL and name.split("=", 1)[0] in columns
    ]
    return [ALL, *sorted(found)]


def _is_daily(rule: Rule) -> bool:
    """Whether a rule judges the day's own value, as operational metrics are, and no sequence."""
    return rule.definition.operational and rule.is_ in ("at_most", "at_least")


def _find(rule: Rule, name: str, series: Series | None, terms: Terms) -> Finding:
    if series is None or not series.days:
        return _finding(rule, name, "INCONCLUSIVE", "there is no evidence: no day has a pair whose label is ripe")
    values = series.difference if rule.is_ in ("superior", "non_inferior") else series.challenger
    if not np.isfinite(values).all():
        bad = series.days[int(np.flatnonzero(~np.isfinite(values))[0])]
        return _finding(rule, name, "INCONCLUSIVE", f"the value of {bad} is not a number", series)
    if _is_daily(rule):
        return _judge_day(rule, name, series, float(values[-1]))
    return _judge_sequence(rule, name, series, values, terms)


def _judge_day(rule: Rule, name: str, series: Series, value: float) -> Finding:
    passed = value <= rule.bound if rule.is_ == "at_most" else value >= rule.bound
    relation = f"{'is' if passed else 'is not'} {rule.is_.replace('_', ' ')}"
    reason = f"{_number(value)} on {series.days[-1]} {relation} {_number(rule.bound)}"
    return _finding(rule, name, "PASS" if passed else "FAIL", reason, series, estimate=value)


def _judge_sequence(rule: Rule, name: str, series: Series, values: NDArray[np.float64], terms: Terms) -> Finding:
    """Hold the sequence against the bound: beyond it on the good side passes, on the other side fails."""
    toward = -1.0 if rule.is_ == "at_most" else 1.0  # so that more is better
    inclusive = rule.is_ in ("at_most", "at_least")
    bound = toward * rule.bound
    passing = confidence_sequence(
        toward * values, alpha=terms.alpha_pass, burn_in=terms.burn_in, expected=terms.expected, side="lower"
    )
    failing = confidence_sequence(
        toward * values, alpha=terms.alpha_fail, burn_in=terms.burn_in, expected=terms.expected, side="upper"
    )
    passes = passing.lower >= bound if inclusive else passing.lower > bound
    fails = failing.upper < bound
    outcome: Outcome = "PASS" if passes[-1] else "FAIL" if fails[-1] else "INCONCLUSIVE"
    decided = {"PASS": passes, "FAIL": fails}.get(outcome)
    worst, best = float(passing.lower[-1]), float(failing.upper[-1])
    lower, upper = (worst, best) if toward > 0 else (-best, -worst)
    return _finding(
        rule,
        name,
        outcome,
        _reason(rule, outcome, (lower, upper), toward * values, terms),
        series,
        estimate=float(values.mean()),
        lower=lower,
        upper=upper,
        terms=terms,
        decided_on=None if decided is None else series.days[int(np.argmax(decided))],
    )


def _reason(
    rule: Rule, outcome: Outcome, bounds: tuple[float, float], values: NDArray[np.float64], terms: Terms
) -> str:
    lower, upper = bounds
    days, bound = len(values), _number(rule.bound)
    if days < terms.burn_in:
        return f"{days} {'day' if days == 1 else 'days'} of evidence, a bound is given from day {terms.burn_in} on"
    if not math.isfinite(lower) and not math.isfinite(upper):
        return f"{days} days of evidence do not differ from each other: nothing can be concluded from them"
    interval = f"{_number(lower)} to {_number(upper)}"
    if outcome != "INCONCLUSIVE":
        side = "clears" if outcome == "PASS" else "lies beyond"
        return f"after {days} days the interval {interval} {side} {bound}"
    return f"after {days} days the interval {interval} holds {bound}{_outlook(values, rule, terms)}"


def _outlook(values: NDArray[np.float64], rule: Rule, terms: Terms) -> str:
    """Return in how many more days the effect seen so far would be decided."""
    toward = -1.0 if rule.is_ == "at_most" else 1.0
    effect = float(values.mean()) - toward * rule.bound
    alpha = terms.alpha_pass if effect > 0 else terms.alpha_fail
    needed = observations_needed(
        effect, float(values.std(ddof=1)), alpha=alpha, expected=terms.expected, burn_in=terms.burn_in
    )
    if needed is None:
        return "; no number of days would decide an effect as small as the one seen so far"
    more = max(needed - len(values), 1)
    return f"; about {more} more days would decide an effect like the one seen so far"


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
    )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _number(value: float) -> str:
    return f"{value:.4g}" if math.isfinite(value) else "unbounded"
