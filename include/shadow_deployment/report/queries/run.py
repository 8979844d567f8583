"""What one run did: the sample, what the expectations said, scoring, labels and outcomes of its day."""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.window import window_of
from shadow_deployment.data.db import Session
from shadow_deployment.ledger import page
from shadow_deployment.ledger.snapshots import snapshots
from shadow_deployment.report.queries import days
from shadow_deployment.report.views.facts import ChallengerLine, Checked, DayFacts, ScoringDay


def read(
    session: Session[Any], deployment: Deployment, day: dt.date, challengers: Sequence[ChallengerLine]
) -> DayFacts:
    """Return the facts of one day, for the challengers that there are; one that was not sampled has only its window."""
    window = window_of(deployment, day)
    taken = snapshots(session, deployment, None, day)
    one = taken[-1] if taken and taken[-1].day == day else None
    empty = DayFacts(
        day=day,
        window_start=window.start,
        window_end=window.end,
        sampled=False,
        judged={line.name: line.outcome if line.day == day else None for line in challengers},
    )
    if one is None:
        return empty
    return replace(
        empty,
        sampled=True,
        population=one.population,
        rows=one.rows,
        rate=one.rows / one.population if one.population else None,
        shards=page.shards(session, one),
        snapshot_digest=one.digest,
        snapshot_location=one.location,
        champion_versions=tuple(one.champion_versions),
        labels=days.labels(session, deployment, taken, day)[-1],
        validations=tuple(_validations(page.validations(session, [one], None), challengers)),
        scoring=tuple(_scoring(page.scored(session, one), challengers)),
    )


def _validations(found: Sequence[page.ValidationRow], challengers: Sequence[ChallengerLine]) -> Iterator[Checked]:
    """Yield the inputs and then each challenger's predictions, of the model that was validated last."""
    ordered = sorted(found, key=lambda one: one.validated_at)
    by_subject = {(one.name, one.version): one for one in ordered}
    subjects = [("inputs", None, None), *((line.name, line.name, line.version) for line in challengers)]
    for subject, name, version in subjects:
        one = by_subject.get((name, version))
        if one is None:
            yield Checked(subject, None, 0, ())
        else:
            yield Checked(subject, one.success, one.evaluated, days.failures(one))


def _scoring(found: Sequence[page.ScoringRow], challengers: Sequence[ChallengerLine]) -> Iterator[ScoringDay]:
    by_model = {(one.name, one.version): one for one in sorted(found, key=lambda one: one.scored_at)}
    for line in challengers:
        one = by_model.get((line.name, line.version))
        yield ScoringDay(
            name=line.name,
            version=line.version,
            role=line.role,
            rows=one.rows if one else 0,
            errors=one.errors if one else 0,
            shards=one.shards if one else 0,
            scored_at=one.scored_at if one else None,
        )
