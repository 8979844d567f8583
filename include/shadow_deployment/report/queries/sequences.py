"""Confidence sequences over days, as a verdict judged them, and the slices of the metric that is compared."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.config.policy import COMPARING, Policy, Rule
from shadow_deployment.decision.alpha import AlphaSplit, alpha_used, split_alpha
from shadow_deployment.decision.estimand import NoEstimandError
from shadow_deployment.decision.finding import Finding
from shadow_deployment.decision.sequential import JudgingTerms, SequentialResult, judge_sequence, newest
from shadow_deployment.decision.series import Series
from shadow_deployment.metrics.catalog import METRICS
from shadow_deployment.metrics.slices import ALL
from shadow_deployment.report.queries.findings import holds_above, unit_of, unit_words
from shadow_deployment.report.views.facts import SequenceFacts, SliceFacts, SlicesFacts

MOST_SEQUENCES = 12
MOST_SLICES = 50
_SAME = 1e-9

Findings = Sequence[tuple[Rule, Finding]]


def alphas_of(policy: Policy, findings: Findings, promotable: int) -> AlphaSplit:
    """Return the error rates of a verdict; where no finding has a sequence, those that the policy gives now."""
    stored = alpha_used((finding.alpha_pass, finding.alpha_fail) for _, finding in findings)
    alarms = sum(rule.role == "blocking" and not rule.is_daily for rule, _ in findings)
    return stored or split_alpha(policy, promotable=promotable, alarms=alarms)


def shown(findings: Findings) -> list[tuple[Rule, Finding]]:
    """Return the gates that are judged by a sequence, on all requests: what slices say is one interval each."""
    gates = [(rule, finding) for rule, finding in findings if rule.role == "blocking" and not rule.is_daily]
    return [one for one in gates if one[1].slice == ALL][:MOST_SEQUENCES]


def sequences(
    policy: Policy, chosen: Findings, alphas: AlphaSplit, evidence: Mapping[tuple[str, str], Series]
) -> Iterator[SequenceFacts]:
    """Yield the sequence behind each chosen finding whose evidence there is."""
    terms = JudgingTerms(policy, alphas)
    for rule, finding in chosen:
        series = evidence.get((finding.metric, finding.slice))
        looked = None if series is None else _look(rule, series, terms)
        if looked is not None:
            yield _sequence(rule, finding, *looked, terms)


def _look(rule: Rule, series: Series, terms: JudgingTerms) -> tuple[Series, SequentialResult] | None:
    """Return the series in the policy's unit and its looks; None where there is nothing to look at."""
    series = series.by_week() if terms.policy.unit == "week" else series
    if not series.days or not np.isfinite(series.difference).all():
        return None
    try:
        return series, judge_sequence(rule, series, terms)
    except NoEstimandError:
        return None


def _sequence(
    rule: Rule, finding: Finding, series: Series, looks: SequentialResult, terms: JudgingTerms
) -> SequenceFacts:
    estimand = looks.estimand
    mean = estimand.naturals(looks.estimate)
    lower, upper = looks.natural_bounds
    burn_in = terms.policy.observations_before_bound
    last = (float(mean[-1]), _finite(lower[-1]), _finite(upper[-1]))
    found = (finding.estimate, finding.lower, finding.upper)
    return SequenceFacts(
        text=str(rule),
        metric=rule.metric,
        title=rule.definition.title,
        slice=finding.slice,
        is_=rule.is_,
        outcome=finding.outcome,
        per="week" if terms.policy.unit == "week" else "day",
        days=series.days,
        observed=tuple(estimand.naturals(estimand.gains).tolist()),
        mean=tuple(mean.tolist()),
        lower=_finites(lower),
        upper=_finites(upper),
        bound=rule.bound,
        unit=unit_of(rule),
        unit_words=unit_words(rule),
        holds_above=holds_above(rule),
        burn_in=burn_in,
        burn_in_end=series.days[burn_in - 1] if len(series.days) >= burn_in else None,
        decided_on=finding.decided_on,
        alpha_pass=terms.alpha.to_pass,
        alpha_fail=terms.alpha.to_fail,
        agrees=finding.observations == len(series.days) and all(map(_same, last, found)),
    )


def compared_metric(policy: Policy, task_metrics: Sequence[str]) -> str:
    """Return the metric that slices and noise are shown in: the first that a gate compares, else any rule, else one.

    Where no rule compares, the first of `task_metrics` on which a difference means something.
    """
    comparing = [rule for rule in policy.rules if rule.is_ in COMPARING]
    gates = [rule.metric for rule in comparing if rule.role == "blocking"]
    others = [name for name in task_metrics if METRICS[name].compares and METRICS[name].needs_label]
    return next(iter([*gates, *(rule.metric for rule in comparing), *others]), task_metrics[0])


def slices(
    policy: Policy, metric: str, alphas: AlphaSplit, evidence: Mapping[tuple[str, str], Series]
) -> SlicesFacts | None:
    """Return all slices of a metric, the one with the worst mean daily difference first; None without evidence."""
    rule = Rule.model_validate({"metric": metric, "is": "superior"})
    terms = JudgingTerms(policy, alphas)
    in_unit = {
        name: series.by_week() if policy.unit == "week" else series
        for (of, name), series in evidence.items()
        if of == metric
    }
    known = {name: one for name, one in in_unit.items() if one.days and np.isfinite(one.difference).all()}
    ranked = sorted((name for name in known if name != ALL), key=lambda name: float(known[name].difference.mean()))
    if not known:
        return None
    names = [*([ALL] if ALL in known else []), *ranked[:MOST_SLICES]]
    bounds = newest(rule, [known[name] for name in names], terms).tolist()
    drawn = [_slice(name, known[name], *found) for name, found in zip(names, bounds, strict=True)]
    return SlicesFacts(
        metric=metric,
        title=rule.definition.title,
        unit_words=unit_words(rule),
        overall=next((one for one in drawn if one.name == ALL), None),
        slices=tuple(sorted((one for one in drawn if one.name != ALL), key=lambda one: one.estimate)),
        left_out=max(len(ranked) - MOST_SLICES, 0),
        alpha_lower=alphas.to_pass,
        alpha_upper=alphas.to_fail,
    )


def _slice(name: str, series: Series, estimate: float, low: float, high: float) -> SliceFacts:
    lower, upper = _finite(low), _finite(high)
    column, _, value = name.partition("=")
    return SliceFacts(
        name=name,
        column=column,
        value=value,
        estimate=estimate,
        lower=lower,
        upper=upper,
        days=len(series.days),
        requests=series.total_requests,
        worse=upper is not None and upper < 0,
        better=lower is not None and lower > 0,
    )


def _finites(values: NDArray[np.float64]) -> tuple[float | None, ...]:
    return tuple(value if math.isfinite(value) else None for value in values.tolist())


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=_SAME, abs_tol=_SAME * 1e-3)
