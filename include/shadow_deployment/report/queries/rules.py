"""A verdict's findings with their rules in words, the confidence sequences behind them, and the compared slices."""

import datetime as dt
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.policy import BOUNDING, COMPARING, Policy, Rule
from shadow_deployment.decision.alpha import AlphaSplit, alpha_of_alarm, alpha_used
from shadow_deployment.decision.estimand import NoEstimandError
from shadow_deployment.decision.safeguards.dependent import dependence_of_requests
from shadow_deployment.decision.sequential import JudgingTerms, judge_sequence, newest
from shadow_deployment.decision.series import Evidence, Series
from shadow_deployment.decision.words.finding import Finding
from shadow_deployment.ledger.verdicts import StoredVerdict
from shadow_deployment.metrics.slices import ALL
from shadow_deployment.report.views import RuleView, SequenceView, SlicesView, SliceView, Unit, Values
from shadow_deployment.report.wording import measure_of

MOST_SEQUENCES: Final = 12
MOST_SLICES: Final = 50
_SAME: Final = 1e-9
_UNIT_WORDS: Final[Mapping[Unit, str]] = {
    "difference": "champion's loss minus challenger's, {title}: above 0 favours the challenger",
    "value": "the challenger's {title}",
    "change": "challenger minus champion, {title}",
}

Findings = Sequence[tuple[Rule, Finding]]


def policy_of(verdict: StoredVerdict, present: Policy) -> Policy:
    """Return the policy that a verdict was judged by; the present one where its form is no longer known."""
    try:
        return Policy.model_validate_json(json.dumps(verdict.policy))
    except ValidationError:
        return present


def rule_view(rule: Rule, finding: Finding) -> RuleView:
    """Return a finding with its rule in words and its unit."""
    unit: Unit = "difference" if rule.is_ in COMPARING else "change" if rule.of == "change" else "value"
    words = _UNIT_WORDS[unit].format(title=rule.definition.title)
    if rule.is_relative:
        what = "champion's loss minus challenger's" if rule.is_ in COMPARING else "challenger minus champion"
        unit, words = "share", f"{what}, as a share of the champion's {rule.definition.title}"
    text, measure = str(rule), measure_of(rule.metric, unit)
    if rule.is_ in BOUNDING and measure.factor != 1:
        text = text.replace(f" {rule.value}", f" {measure.exact(rule.bound)}", 1)
    return RuleView(finding, text, unit, words, rule.is_daily, rule.spelling)


def alphas_of(policy: Policy, findings: Findings, to_pass: float) -> AlphaSplit:
    """Return the error rates of a verdict; where no finding has a sequence, its trial's and the policy's."""
    stored = alpha_used((finding.slice, finding.alpha_pass, finding.alpha_fail) for _, finding in findings)
    alarms = sum(rule.role == "blocking" and not rule.is_daily for rule, _ in findings)
    return stored or AlphaSplit(to_pass, alpha_of_alarm(policy, alarms))


def sequences(
    findings: Findings, terms: JudgingTerms, evidence: Evidence, live_from: dt.date | None
) -> Iterator[SequenceView]:
    """Yield the sequences of the blocking rules on all requests, where there is evidence.

    Days before `live_from` are replayed; None where no day is.
    """
    of_sequences = [
        (rule, finding)
        for rule, finding in findings
        if rule.role == "blocking" and not rule.is_daily and finding.slice == ALL
    ]
    for rule, finding in of_sequences[:MOST_SEQUENCES]:
        series = evidence.get((finding.metric, ALL))
        sequence = None if series is None else _sequence(rule, finding, series, terms, live_from)
        if sequence is not None:
            yield sequence


def _sequence(
    rule: Rule, finding: Finding, series: Series, terms: JudgingTerms, live_from: dt.date | None
) -> SequenceView | None:
    """Return the sequence in the policy's unit; None where there is nothing to look at."""
    series = series.observed(terms.policy)
    if not _is_finite(series) or dependence_of_requests(terms.policy, series) is not None:
        return None
    try:
        looks = judge_sequence(rule, series, terms)
    except NoEstimandError:
        return None
    mean, (lower, upper) = looks.estimand.naturals(looks.estimate), map(_finite, looks.natural_bounds)
    last, stored = (mean[-1], lower[-1], upper[-1]), (finding.estimate, finding.lower, finding.upper)
    return SequenceView(
        rule=rule_view(rule, finding),
        per="week" if terms.policy.unit == "week" else "day",
        days=series.days,
        observed=tuple(looks.estimand.naturals(looks.estimand.gains).tolist()),
        mean=tuple(mean.tolist()),
        lower=lower,
        upper=upper,
        burn_in=terms.policy.observations_before_bound,
        replayed=sum(day < live_from for day in series.days) if live_from else 0,
        agrees=finding.observations == len(series.days) and all(map(_same, last, stored)),
    )


def compared_rule(policy: Policy, deployment: Deployment) -> Rule:
    """Return `superior` on the metric that slices and noise are shown in: the first that a blocking rule compares.

    Else the first that any rule does; where none compares, the first metric on which a difference means something.
    """
    comparing = [rule for rule in policy.rules if rule.is_ in COMPARING]
    blocking = [rule for rule in comparing if rule.role == "blocking"]
    for rule in [*blocking, *comparing]:
        return Rule.model_validate({"metric": rule.metric, "is": "superior", "custom": rule.custom})
    known = [deployment.catalog[name] for name in deployment.tracked]
    name = next((metric.name for metric in known if metric.compares and metric.needs_label), known[0].name)
    return Rule.model_validate({"metric": name, "is": "superior", "custom": deployment.custom_metrics.get(name)})


def slices(rule: Rule, policy: Policy, evidence: Evidence) -> SlicesView | None:
    """Return the slices of a rule's metric, by how much of their interval favours the champion; None without any.

    Their intervals hold for all slices at once: each has an equal part of the policy's alpha (Bonferroni).
    """
    compared = {name: series for (of, name), series in evidence.items() if of == rule.metric}
    in_unit = {name: series.observed(policy) for name, series in compared.items()}
    known = {name: series for name, series in in_unit.items() if name != ALL and _is_finite(series)}
    if not known:
        return None
    alpha = policy.alpha / (2 * len(known))
    terms = JudgingTerms(policy, AlphaSplit(alpha, alpha))
    largest = sorted(known, key=lambda name: known[name].total_requests, reverse=True)[:MOST_SLICES]
    views = []
    for name, bounds in zip(largest, newest(rule, [known[name] for name in largest], terms), strict=True):
        series, is_refused = known[name], dependence_of_requests(policy, known[name]) is not None
        estimate, (lower, upper) = float(bounds[0]), (None, None) if is_refused else _finite(bounds[1:])
        views.append(SliceView(name, estimate, lower, upper, len(series.days), series.total_requests))
    return SlicesView(
        metric=rule.metric,
        title=rule.definition.title,
        unit_words=_UNIT_WORDS["difference"].format(title=rule.definition.title),
        overall=float(in_unit[ALL].mean_difference) if ALL in in_unit and _is_finite(in_unit[ALL]) else None,
        slices=tuple(sorted(views, key=lambda view: view.order)),
        left_out=len(known) - len(views),
        level=1 - policy.alpha,
        alpha=AlphaSplit(alpha, alpha),
    )


def _is_finite(series: Series) -> bool:
    return bool(series.days) and bool(np.isfinite(series.difference).all())


def _finite(values: NDArray[np.float64]) -> Values:
    return tuple(value if math.isfinite(value) else None for value in values.tolist())


def _same(value: float | None, other: float | None) -> bool:
    if value is None or other is None:
        return value is other
    return math.isclose(value, other, rel_tol=_SAME, abs_tol=_SAME * 1e-3)
