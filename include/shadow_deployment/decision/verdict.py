"""From evidence to a verdict: every rule becomes findings, and the findings one outcome.

Pure arithmetic on arrays: no database, no clock. PASS needs every gate finding to pass, so alpha needs no correction
across rules; it is divided among the challengers that may be promoted. FAIL is an alarm on any gate finding, so its
alpha is divided among them. What is missing, empty or not finite never passes, and says so.
"""

import datetime as dt
import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from shadow_deployment.config.policy import Policy, Rule
from shadow_deployment.decision.estimand import Estimand, NoEstimandError, estimand_of, holds, size_of
from shadow_deployment.decision.sequential import JudgingTerms, SequentialResult, judge_sequences, plain_margins
from shadow_deployment.decision.series import WEEK, Evidence, Series
from shadow_deployment.metrics.slices import ALL
from shadow_deployment.statistics.confidence import observations_needed

UNBOUNDED = (-math.inf, math.inf)
Outcome = Literal["PASS", "FAIL", "INCONCLUSIVE"]


@dataclass(frozen=True)
class Finding:
    """What one rule says of one slice.

    `estimate` and the interval `lower` to `upper` are in the rule's unit: of the difference (champion minus challenger
    as losses) for superior, non_inferior and guardrail, of the challenger's value or its change for at_most and
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
    findings = [finding for rule in policy.rules for finding in _find(rule, evidence, terms)]
    gates = [finding for finding in findings if finding.role == "blocking"]
    reasons = list(blocked)
    if not gates:
        reasons.append("no rule is blocking: a policy of advisory rules decides nothing")
    reasons += [reason_of(finding) for finding in gates if finding.outcome == "FAIL"]
    reasons += [reason_of(finding) for finding in gates if finding.outcome == "INCONCLUSIVE"]
    if any(finding.outcome == "FAIL" for finding in gates):
        return Verdict("FAIL", reasons, findings)
    passed = bool(gates) and not blocked and all(finding.outcome == "PASS" for finding in gates)
    return Verdict("PASS" if passed else "INCONCLUSIVE", reasons, findings)


def terms_of(policy: Policy, evidence: Evidence, *, promotable: int, day: dt.date | None = None) -> JudgingTerms:
    """Divide alpha: to pass among the promotable challengers, to fail among the gates' sequences, slice by slice."""
    alarms = sum(
        len(slices_of(rule, evidence)) for rule in policy.rules if rule.role == "blocking" and not rule.is_daily
    )
    return JudgingTerms(policy, policy.alpha / max(promotable, 1), policy.alpha / max(alarms, 1), day)


def slices_of(rule: Rule, evidence: Evidence) -> list[str]:
    """Return the slices that a rule is judged in: all requests, and each value of its columns.

    A column without a value is named itself: it has no evidence, so the rule does not pass.
    """
    names = [ALL]
    for column in sorted(set(rule.slices) - {ALL}):
        values = [name for metric, name in evidence if metric == rule.metric and name.split("=", 1)[0] == column]
        names += sorted(values) or [column]
    return names


def _find(rule: Rule, evidence: Evidence, terms: JudgingTerms) -> list[Finding]:
    """Judge one rule on all its slices, their sequences together."""
    found: dict[str, Finding] = {}
    asked: dict[str, tuple[Series, Estimand]] = {}
    names = slices_of(rule, evidence)
    for name in names:
        series = evidence.get((rule.metric, name))
        reason = _unfit(rule, name, series)
        if series is None or reason is not None:
            found[name] = _finding(rule, name, "INCONCLUSIVE", reason or "", series if _has_days(series) else None)
            continue
        try:
            if rule.is_daily:
                found[name] = _judge_days(rule, name, series, terms.day)
                continue
            units = series.by_week() if terms.policy.unit == "week" else series
            if units.days:
                asked[name] = units, estimand_of(rule, units)
            else:
                found[name] = _finding(rule, name, "INCONCLUSIVE", "no week of evidence is complete", units)
        except NoEstimandError as error:
            found[name] = _finding(rule, name, "INCONCLUSIVE", str(error), series)
    found |= _judge_sequences(rule, asked, terms)
    return [found[name] for name in names]


def _has_days(series: Series | None) -> bool:
    return series is not None and bool(series.days)


def _unfit(rule: Rule, name: str, series: Series | None) -> str | None:
    """Return why nothing can be concluded from a series, None where it can be looked at."""
    if series is None or not series.days:
        return "there is no evidence: no day has a pair whose label is ripe"
    sums = [] if series.squares is None else [*series.squares.T]
    weights = [] if series.weight is None else [series.weight]
    finite = [np.isfinite(one) for one in (series.champion, series.challenger, series.difference, *weights, *sums)]
    if not all(one.all() for one in finite):
        bad = series.days[int(np.argmin(np.logical_and.reduce(finite)))]
        return f"the value of {bad} is not a number"
    needed = rule.requests_needed(name)
    if series.total_requests < needed:
        return f"{series.total_requests} requests are too few: {needed} are asked for"
    return None


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
    question = estimand_of(rule, series)
    held = holds(rule, question.gains, size_of(series))
    value = question.natural(float(question.gains[-1]))
    hold, of = (rule.last.hold, rule.last.of) if rule.last else (1, 1)
    recent = held[bisect_right(series.days, newest - dt.timedelta(days=of)) :]
    good, bad = int(recent.sum()), int((~recent).sum())
    outcome: Outcome = "PASS" if good >= hold else "FAIL" if bad > of - hold else "INCONCLUSIVE"
    relation = f"{'is' if held[-1] else 'is not'} {rule.is_.replace('_', ' ')} {_number(rule.bound)}"
    reason = f"{_number(value)} on {series.days[-1]} {relation}"
    if rule.last:
        reason += f"; it held on {good} of the last {len(recent)} days, {hold} of {of} are asked for"
    return _finding(rule, name, outcome, reason, series, estimate=value)


def _judge_sequences(
    rule: Rule, asked: Mapping[str, tuple[Series, Estimand]], terms: JudgingTerms
) -> dict[str, Finding]:
    """Judge one rule on slices whose gains were asked for, each with at least one observation in the policy's unit."""
    looks = dict(zip(asked, judge_sequences(rule, list(asked.values()), terms), strict=True))
    outcomes: dict[str, Outcome] = {
        name: "FAIL" if one.fails[-1] else "PASS" if one.passes[-1] else "INCONCLUSIVE" for name, one in looks.items()
    }
    undecided = [name for name, outcome in outcomes.items() if outcome == "INCONCLUSIVE"]
    more = dict(zip(undecided, _more_observations([looks[name] for name in undecided], terms), strict=True))
    return {
        name: _judge_sequence(rule, name, series, looks[name], outcomes[name], more.get(name), terms)
        for name, (series, _) in asked.items()
    }


def _judge_sequence(
    rule: Rule,
    name: str,
    series: Series,
    looks: SequentialResult,
    outcome: Outcome,
    more: int | None,
    terms: JudgingTerms,
) -> Finding:
    decided = {"PASS": looks.passes, "FAIL": looks.fails}.get(outcome)
    bounds = looks.newest_bounds
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
        estimate=looks.question.natural(float(looks.estimate[-1])),
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
    if rule.is_ == "guardrail":
        says = {"FAIL": "lies below", "PASS": "shows no harm below"}
        return f"{interval} {says.get(outcome, 'no longer shows, and has shown, harm below')} {bound}"
    if outcome != "INCONCLUSIVE":
        return f"{interval} {'clears' if outcome == 'PASS' else 'lies beyond'} {bound}"
    return f"{interval} holds {bound}; {outlook}"


def _early(outcome: Outcome, count: int, terms: JudgingTerms) -> str | None:
    """Return the reason before the burn-in is over, None after it."""
    first = terms.policy.observations_before_bound
    if count >= first:
        return None
    known = f"{_counted(count, terms.unit)} of evidence, a bound is given from {terms.unit} {first} on"
    return f"no harm is shown: {known}" if outcome == "PASS" else known


def _outlook(more: int | None, terms: JudgingTerms) -> str:
    if more is None:
        return "no number of days would decide an effect as small as the one seen so far"
    return f"about {_counted(more, f'more {terms.unit}')} would decide an effect like the one seen so far"


def _more_observations(many: Sequence[SequentialResult], terms: JudgingTerms) -> list[int | None]:
    """Return in how many more observations the effects seen so far would be decided, None where none would.

    Margins as they are now are wider than those of independent, symmetric days with the same spread, and are taken to
    stay so.
    """
    first = terms.policy.observations_before_bound
    seen = [_seen(looks, terms) for looks in many]
    wide = [place for place, one in enumerate(seen) if one.count >= first and math.isfinite(one.width)]
    plain = plain_margins([many[place].question for place in wide], [seen[place].alpha for place in wide], terms)
    wider = {place: max(1.0, seen[place].width / width) for place, width in zip(wide, plain, strict=True)}
    more: list[int | None] = []
    for place, one in enumerate(seen):
        if one.count < 2:
            more.append(max(first - one.count, 1))
        elif not (math.isfinite(one.effect) and math.isfinite(one.spread)):
            more.append(None)
        else:
            spread = one.spread * wider.get(place, 1.0)
            needed = observations_needed(one.effect, spread, alpha=one.alpha, tuned_for=terms.tuned_for, burn_in=first)
            more.append(None if needed is None else max(needed - one.count, 1))
    return more


@dataclass(frozen=True)
class _Seen:
    """The effect so far, its spread, the side that it would be decided on with its margin, and of how many it is."""

    count: int
    effect: float = math.nan
    spread: float = math.nan
    alpha: float = math.nan
    width: float = math.nan


def _seen(looks: SequentialResult, terms: JudgingTerms) -> _Seen:
    gains = looks.question.gains
    if len(gains) < 2:
        return _Seen(len(gains))
    with np.errstate(over="ignore", invalid="ignore"):
        effect, spread = float(gains.mean()), float(gains.std(ddof=1))
    if not (math.isfinite(effect) and math.isfinite(spread)):
        return _Seen(len(gains))
    if effect > 0:
        return _Seen(len(gains), effect, spread, terms.alpha_pass, float((looks.estimate - looks.lower)[-1]))
    return _Seen(len(gains), effect, spread, terms.alpha_fail, float((looks.upper - looks.estimate)[-1]))


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
    terms: JudgingTerms | None = None,
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
