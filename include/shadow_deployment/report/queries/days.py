"""What each day says for itself: labels, expectations, latency, drift, the A/A check's noise, outcomes."""

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.policy import BOUNDING
from shadow_deployment.config.window import window_of
from shadow_deployment.data.db import Session
from shadow_deployment.decision.calendar import comparable
from shadow_deployment.decision.finding import Outcome
from shadow_deployment.decision.series import Series
from shadow_deployment.ledger.page import ValidationRow
from shadow_deployment.ledger.snapshots import Snapshot
from shadow_deployment.metrics.catalog import METRICS
from shadow_deployment.metrics.slices import ALL
from shadow_deployment.pipeline.challengers.basis import labels_on
from shadow_deployment.report.views.facts import (
    DriftFacts,
    ExpectationFailure,
    LabelDay,
    LatencyFacts,
    NoiseFacts,
    NoiseSeries,
    OutcomeDay,
    Role,
    ValidationDay,
)

LATENCIES: Final = {"p50": "latency_p50", "p95": "latency_p95", "p99": "latency_p99"}
DRIFTS: Final = ("population_stability_index", "kolmogorov_smirnov")
MOST_REQUESTS: Final = 20

ByName = Mapping[tuple[str, str], Series]


def labels(
    session: Session[Any], deployment: Deployment, taken: Sequence[Snapshot], day: dt.date
) -> tuple[LabelDay, ...]:
    """Return the labels of each sampled day as they were known at the end of `day`'s window."""
    now, progress = window_of(deployment, day).end, labels_on(session, deployment, taken, day)

    def entry(snapshot: Snapshot) -> LabelDay:
        known = progress[snapshot.day]
        until = snapshot.labels_until
        return LabelDay(
            day=snapshot.day,
            sampled=snapshot.rows,
            labelled=known.labelled,
            expected=known.expected,
            waiting=None if known.expected is None else known.expected - known.labelled,
            contradicted=snapshot.contradicted,
            ripe=known.counts,
            collected_until=None if until is None else min(until, now),
        )

    return tuple(entry(snapshot) for snapshot in taken)


def comparable_days(
    taken: Sequence[Snapshot], valid: Mapping[int | None, set[int]], challenger: int, champion_version: str
) -> list[Snapshot]:
    """Return the days that `judging.comparable_days` compares; `valid` are those that met their expectations."""
    return comparable(taken, champion_version, valid.get(None, set()) & valid.get(challenger, set()))


def validations(found: Iterable[ValidationRow]) -> tuple[ValidationDay, ...]:
    """Return the validations of inputs and of one challenger's predictions, in order of their days."""
    return tuple(
        ValidationDay(
            day=one.day,
            subject="inputs" if one.challenger_id is None else "predictions",
            success=one.success,
            evaluated=one.evaluated,
            validated_at=one.validated_at,
            failures=failures(one),
        )
        for one in found
    )


def failures(one: ValidationRow) -> tuple[ExpectationFailure, ...]:
    """Return what failed, with the ids of at most twenty requests each."""
    return tuple(
        ExpectationFailure(
            expectation=failure["expectation"],
            column=failure.get("column"),
            detail=failure["detail"],
            requests=tuple(failure.get("requests", ())[:MOST_REQUESTS]),
        )
        for failure in one.failures or ()
    )


def latency(evidence: ByName) -> LatencyFacts | None:
    """Return both models' latency percentiles by day; None where no percentile is kept."""
    found = {key: evidence[name, ALL] for key, name in LATENCIES.items() if (name, ALL) in evidence}
    days = _days(found.values())
    if not days:
        return None
    return LatencyFacts(
        days=days,
        champion={key: _aligned(days, one, one.champion) for key, one in found.items()},
        challenger={key: _aligned(days, one, one.challenger) for key, one in found.items()},
    )


def drift(deployment: Deployment, evidence: ByName) -> DriftFacts | None:
    """Return the distance between the two models' answers by day; None where no distance is kept."""
    found = {name: evidence[name, ALL] for name in DRIFTS if (name, ALL) in evidence}
    days = _days(found.values())
    if not days:
        return None
    rules = [rule for rule in deployment.policy.rules if rule.metric in found and rule.is_ in BOUNDING]
    return DriftFacts(
        days=days,
        values={name: _aligned(days, one, one.challenger) for name, one in found.items()},
        titles={name: METRICS[name].title for name in found},
        bounds={rule.metric: rule.bound for rule in rules},
    )


def noise(metric: str, members: Sequence[tuple[str, Role, Series | None]]) -> NoiseFacts | None:
    """Return each challenger's daily differences beside the A/A check's; None where nobody has a day."""
    drawn = [_noise(name, role, series) for name, role, series in members if series is not None and series.days]
    if not drawn:
        return None
    return NoiseFacts(
        metric=metric,
        title=METRICS[metric].title,
        a_a_check=next((one for one in drawn if one.role == "a_a_check"), None),
        others=tuple(one for one in drawn if one.role != "a_a_check"),
    )


def _noise(name: str, role: Role, series: Series) -> NoiseSeries:
    finite = np.isfinite(series.difference)
    values = series.difference[finite]
    return NoiseSeries(
        name=name,
        role=role,
        days=tuple(day for day, is_in in zip(series.days, finite.tolist(), strict=True) if is_in),
        differences=tuple(values.tolist()),
        mean=float(values.mean()) if len(values) else None,
        deviation=float(values.std(ddof=1)) if len(values) > 1 else None,
    )


def outcomes(found: Iterable[tuple[dt.date, Outcome, int]], until: dt.date) -> tuple[OutcomeDay, ...]:
    """Return the judged days up to one, in order."""
    return tuple(OutcomeDay(day, outcome, revisions) for day, outcome, revisions in found if day <= until)


def _days(found: Iterable[Series]) -> tuple[dt.date, ...]:
    return tuple(sorted({day for one in found for day in one.days}))


def _aligned(days: Sequence[dt.date], series: Series, values: "np.ndarray[Any, Any]") -> tuple[float | None, ...]:
    known = {
        day: value
        for day, value in zip(series.days, np.asarray(values, np.float64).tolist(), strict=True)
        if math.isfinite(value)
    }
    return tuple(known.get(day) for day in days)
