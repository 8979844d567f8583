"""A verdict as a text: what was compared, each rule with its numbers, its slices, what would change it."""

import datetime as dt
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from shadow_deployment.base.numbers import quantity, significant
from shadow_deployment.base.redaction import one_line
from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.config.policy import COMPARING
from shadow_deployment.decision.series import Evidence, Series
from shadow_deployment.decision.trial import Trial
from shadow_deployment.decision.words.finding import Verdict
from shadow_deployment.decision.words.wording import (
    change_needed,
    difference_shown,
    explanation_of,
    interval_of,
    missing_note,
    title_of,
    value_of,
)
from shadow_deployment.metrics.catalog import METRICS
from shadow_deployment.metrics.slices import ALL

MOST_SLICES: Final = 10
_CONFIDENCE: Final = 0.95


@dataclass(frozen=True)
class DisagreeingRequest:
    """One request that the two predicted differently; `label` is None where it is unknown."""

    day: dt.date
    request_id: str | None
    champion: float
    challenger: float
    label: float | None
    slices: dict[str, str]


def explain(
    deployment: Deployment,
    challenger: Challenger,
    verdict: Verdict,
    evidence: Evidence,
    *,
    champion: str,
    trial: Trial | None,
    warnings: Sequence[str],
) -> str:
    """Return the explanation of a verdict, several lines. They are kept for good, so they name no request.

    `champion` is what the challenger is compared with, in words.
    """
    lines = [f"{challenger.name} {challenger.version} against {champion}: {verdict.outcome}", ""]
    lines += ["What was compared", *_compared(deployment, evidence), *([f"- {trial}"] if trial else []), ""]
    lines += ["Rules", *(f"- {explanation_of(finding)}" for finding in verdict.findings), ""]
    lines += _section("Why not PASS", [f"- {reason}" for reason in verdict.reasons if verdict.outcome != "PASS"])
    lines += _section("Warnings", [f"- {warning}" for warning in warnings])
    lines += _section("Slices, by mean difference", list(_slices(deployment, verdict, evidence)))
    lines += ["What would change the verdict", *(f"- {text}" for text in _changes(verdict))]
    return "\n".join(lines)


def _section(title: str, lines: list[str]) -> list[str]:
    return [title, *lines, ""] if lines else []


def _compared(deployment: Deployment, evidence: Evidence) -> Iterator[str]:
    names = [rule.metric for rule in deployment.policy.rules]
    overall = [evidence[name, ALL] for name in names if (name, ALL) in evidence]
    longest = max(overall, key=lambda series: (series.metric in _comparing(deployment), len(series.days)), default=None)
    if longest is None or not longest.days:
        yield "- nothing yet: no day has evidence"
        return
    days = quantity(len(longest.days), deployment.policy.period)
    yield (
        f"- {longest.total_requests} requests from {deployment.requests.table} on {days}, "
        f"{longest.days[0]} to {longest.days[-1]}"
        f"{missing_note(deployment.catalog[longest.metric], longest.total_unanswered, longest.total_champion_missing)}"
    )
    yield f"- labels from {deployment.labels.table}, waited for up to {deployment.labels.maturity_days} days"
    yield from (f"- mean {_both(series)}" for series in overall if series.metric == "squared_error" and series.days)
    yield "- a difference is the champion's loss minus the challenger's: positive favours the challenger"
    yield from _unseen(longest, deployment.policy.period) if longest.metric in _comparing(deployment) else ()


def _unseen(series: Series, period: str) -> Iterator[str]:
    """Say how rare days worse than the worst one may be: with t days alike, below 1 - 0.05^(1/t), about 3/t."""
    days, worst = len(series.days), int(np.argmin(series.difference))
    rarer = math.floor(1 / -math.expm1(math.log(1 - _CONFIDENCE) / days))
    if rarer > 1:
        yield (
            f"- the worst of {days} {period}s, {series.days[worst]}, had a difference of "
            f"{significant(float(series.difference[worst]), 3)} in {series.metric}; that there was no worse one shows "
            f"(with {_CONFIDENCE:.0%} confidence) only that such {period}s are fewer than 1 in {rarer}: no rule "
            "excludes a disaster that has not happened yet"
        )


def _both(series: Series) -> str:
    """Return both models' mean values over all requests."""
    champion, challenger = (value_of(series.metric, mean) for mean in series.means)
    return f"{METRICS[series.metric].title}: champion {champion}, challenger {challenger}"


def _comparing(deployment: Deployment) -> list[str]:
    """Return the metrics on which the two are compared, in the order of their rules."""
    return [rule.metric for rule in deployment.policy.rules if rule.is_ in COMPARING]


def _slices(deployment: Deployment, verdict: Verdict, evidence: Evidence) -> Iterator[str]:
    """List the slices of the first metric on which the two are compared: those of most requests, by mean difference."""
    metric = next(iter(_comparing(deployment)), None)
    slices = [
        series.weighed(deployment.policy)
        for (name, _), series in evidence.items()
        if name == metric and series.slice != ALL and series.days
    ]
    largest = sorted(slices, key=lambda series: series.total_requests, reverse=True)[:MOST_SLICES]
    for series in sorted(largest, key=lambda series: series.mean_difference):
        mean, name = significant(series.mean_difference), title_of(series.metric)
        days = quantity(len(series.days), deployment.policy.period)
        yield (
            f"- {series.slice}: mean difference in {name} {mean} over {days}, "
            f"{series.total_requests} requests{_shown(verdict, series)}"
        )
    if len(slices) > MOST_SLICES:
        yield f"- {len(slices) - MOST_SLICES} slices with fewer requests are not listed"


def _shown(verdict: Verdict, series: Series) -> str:
    """Return what the interval of a slice shows, where a rule that compares is judged in it."""
    judged = (each for each in verdict.findings if (each.metric, each.slice) == (series.metric, series.slice))
    finding = next((each for each in judged if each.is_ in COMPARING and each.has_interval), None)
    if finding is None:
        return ", without an interval of its own"
    side = difference_shown(finding.lower, finding.upper)
    return f", interval {interval_of(finding)}: {f'{side} than the champion' if side else 'no difference is shown'}"


def disagreements(deployment: Deployment, requests: Sequence[DisagreeingRequest]) -> Iterator[str]:
    """Yield the lines that name the requests on which the two disagree most, none where there are none."""

    def prediction(value: float) -> str:
        return deployment.classes[int(value)] if deployment.classes else significant(value)

    if requests:
        yield "Requests on which the two disagree most"
    for request in requests:
        label = "no label yet" if request.label is None else f"label {prediction(request.label)}"
        slices = ", ".join(f"{name}={value}" for name, value in request.slices.items())
        yield one_line(
            f"- {request.day} {request.request_id}: champion {prediction(request.champion)}, "
            f"challenger {prediction(request.challenger)}, {label}{f' ({slices})' if slices else ''}"
        )


def _changes(verdict: Verdict) -> Iterator[str]:
    blocking = [finding for finding in verdict.findings if finding.is_blocking]
    if verdict.outcome == "PASS":
        yield "an interval that widens again makes it INCONCLUSIVE, an operational rule that no longer holds FAIL"
    for outcome in ("FAIL", "INCONCLUSIVE"):
        yield from (change_needed(finding) for finding in blocking if finding.outcome == outcome)
    if not blocking:
        yield "a blocking rule"
