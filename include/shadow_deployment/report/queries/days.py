"""What each day says for itself: labels, latency, distances of predictions, the A/A noise, and what its run did."""

import datetime as dt
import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.policy import BOUNDING
from shadow_deployment.config.window import window_of
from shadow_deployment.data.db import Session
from shadow_deployment.decision.calendar import label_progress
from shadow_deployment.decision.series import Evidence, Series
from shadow_deployment.ledger import page
from shadow_deployment.ledger.checks import validations
from shadow_deployment.ledger.labels import maturity_of
from shadow_deployment.ledger.predictions import find_challenger
from shadow_deployment.ledger.snapshots import Snapshot, snapshots, so_far
from shadow_deployment.metrics.catalog import Metric
from shadow_deployment.metrics.slices import ALL
from shadow_deployment.models.loading import model_digest
from shadow_deployment.pipeline.challengers.basis import Basis, basis_of, labels_on
from shadow_deployment.pipeline.window_guard import what_is_missing
from shadow_deployment.report.views import (
    ChallengerLine,
    DailySeries,
    DayView,
    LabelDay,
    NoiseSeries,
    NoiseView,
    Role,
    Values,
)

LATENCIES: Final = {"p50": "latency_p50", "p95": "latency_p95", "p99": "latency_p99"}
DISTANCES: Final = ("population_stability_index", "kolmogorov_smirnov")


def labels(
    session: Session[Any], deployment: Deployment, sampled: Sequence[Snapshot], day: dt.date
) -> tuple[LabelDay, ...]:
    """Return the labels of each sampled day as they were known at the end of `day`'s window."""
    known = labels_on(session, deployment, sampled, day)
    progress = label_progress(known, maturity_of(deployment))
    return tuple(
        LabelDay(
            day=snapshot.day,
            sampled=snapshot.rows,
            labelled=progress[snapshot.day].labelled,
            expected=progress[snapshot.day].expected,
            contradicted=snapshot.contradicted,
            invalid=snapshot.invalid,
            early=snapshot.early,
            collected_until=snapshot.labels_until,
            mature=progress[snapshot.day].counts,
        )
        for snapshot in known
    )


def calendar(session: Session[Any], deployment: Deployment, name: str, day: dt.date | None) -> dict[str, Any]:
    """Return what became of each day of a challenger's trial, consecutive days of one kind as one run.

    `state` is as in the verdict's calendar; `labels_count` says of a day with evidence whether its labels are complete
    or no longer expected, None of any other. `counts` are the days in short, as `verdict` has them. `day` is the last
    one, None for the newest that was sampled. There is no run before the trial is opened. Raises DeploymentError for an
    unknown challenger.
    """
    challenger, sampled = deployment.challenger(name), snapshots(session, deployment, None, day)
    key = find_challenger(session, deployment, challenger, model_digest(challenger)) if sampled else None
    shown: dict[str, Any] = {"deployment": deployment.name, "challenger": name, "version": challenger.version}
    if key is None:
        return shown | {"trial": None, "champion": None, "counts": None, "runs": []}
    basis = basis_of(session, deployment, challenger, key, day or sampled[-1].day)
    return shown | {
        "trial": basis.trial.number if basis.trial else None,
        "champion": basis.champion,
        "live_from": str(basis.live_from),
        "counts": basis.counts.to_json(),
        "runs": list(_runs(basis)),
    }


def _runs(basis: Basis) -> Iterator[dict[str, Any]]:
    states = basis.calendar.states
    for (state, counts), run in groupby(states, lambda day: (states[day], basis.mature.get(day))):
        days = list(run)
        kind = {"state": state, "labels_count": counts}
        yield {"from": str(days[0]), "to": str(days[-1]), "days": len(days)} | kind


def latency(evidence: Evidence) -> DailySeries | None:
    """Return both models' latency percentiles by day; None where no percentile is kept."""
    kept = {key: evidence[name, ALL] for key, name in LATENCIES.items() if (name, ALL) in evidence}
    return _daily(
        {
            f"{model} {key}": (series, getattr(series, model))
            for model in ("champion", "challenger")
            for key, series in kept.items()
        }
    )


def distances(deployment: Deployment, evidence: Evidence) -> DailySeries | None:
    """Return the distance between the two models' predictions by day; None where no distance is kept."""
    kept = {name: evidence[name, ALL] for name in DISTANCES if (name, ALL) in evidence}
    rules = [rule for rule in deployment.policy.rules if rule.metric in kept and rule.is_ in BOUNDING]
    values = {name: (series, series.challenger) for name, series in kept.items()}
    return _daily(values, {rule.metric: rule.bound for rule in rules})


def _daily(
    series: Mapping[str, tuple[Series, NDArray[np.float64]]], bounds: Mapping[str, float] | None = None
) -> DailySeries | None:
    """Return values of several series on the days of all of them; None without a day."""
    days = tuple(sorted({day for each, _ in series.values() for day in each.days}))

    def aligned(each: Series, values: NDArray[np.float64]) -> Values:
        known = dict(zip(each.days, values.tolist(), strict=True))
        return tuple(value if math.isfinite(value := known.get(day, math.nan)) else None for day in days)

    return DailySeries(days, {key: aligned(*each) for key, each in series.items()}, bounds or {}) if days else None


def noise(metric: Metric, series: Sequence[tuple[ChallengerLine, Series | None]]) -> NoiseView | None:
    """Return each challenger's daily differences beside the A/A check's; None where nobody has a day."""
    shown = [_noise(line.name, line.role, each) for line, each in series if each is not None and each.days]
    if not shown:
        return None
    check = next((each for each in shown if each.role == "a_a_check"), None)
    return NoiseView(metric.name, metric.title, check, tuple(each for each in shown if each.role != "a_a_check"))


def _noise(name: str, role: Role, series: Series) -> NoiseSeries:
    finite = np.isfinite(series.difference)
    days = tuple(day for day, is_finite in zip(series.days, finite.tolist(), strict=True) if is_finite)
    return NoiseSeries(name, role, days, tuple(series.difference[finite].tolist()))


def run_of_day(
    session: Session[Any], deployment: Deployment, day: dt.date, challengers: Sequence[ChallengerLine]
) -> DayView:
    """Return what the run of one day did for the challengers; a day that was not sampled has only its window."""
    window, snapshot = window_of(deployment, day), so_far(session, deployment, day)
    judged = {line.name: line.outcome if line.day == day else None for line in challengers}
    if snapshot is None:
        return DayView(window, judged)
    whole = snapshot.is_complete
    # Of several models under one name, the one that was validated or scored last.
    validated = sorted(validations.recorded(session, [snapshot], None), key=lambda row: row.validated_at)
    newest = {(row.name, row.version): row for row in validated}
    scored = sorted(page.scored(session, snapshot), key=lambda row: row.scored_at)
    scoring = {(row.name, row.version): row for row in scored}
    return DayView(
        window=window,
        judged=judged,
        snapshot=snapshot,
        missing="" if whole else what_is_missing(deployment, snapshot),
        shards=page.shards(session, snapshot),
        labels=labels(session, deployment, snapshots(session, deployment, None, day), day)[-1] if whole else None,
        validations={
            "inputs": newest.get((None, None)),
            **{line.name: newest.get((line.name, line.version)) for line in challengers},
        },
        scoring={line.name: scoring.get((line.name, line.version)) for line in challengers},
    )
