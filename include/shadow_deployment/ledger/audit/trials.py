"""Trials, compared with what their terms, their batch and their verdicts say of their alpha."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.db import Session
from shadow_deployment.data.sampling import digest
from shadow_deployment.decision.alpha import alpha_of_trial
from shadow_deployment.ledger import trials
from shadow_deployment.ledger.reading import statement
from shadow_deployment.ledger.trials import TrialRecord

_ROUNDING = 1e-12


def changed_trial(session: Session[Any], deployment: Deployment) -> str | None:
    """Return how a trial is not as it was opened, or a verdict not at its trial's alpha; None where all are."""
    records = trials.trials(session, deployment)
    changes = [*_changed(session, deployment, records), *_misjudged(session, deployment)]
    return next(iter(changes), None)


def _changed(session: Session[Any], deployment: Deployment, records: Sequence[TrialRecord]) -> Iterator[str]:
    for record in records:
        if (digest(record.terms), digest(record.terms["rules"])) != (record.terms_digest, record.rules_digest):
            yield f"trial {record.number} has other terms than it was opened on"
        alpha, blocking = record.terms["rules"]["alpha"], record.terms["rules"]["rules"]
        spends = record.kind == "challenger" and bool(blocking)
        if spends != (record.batch is not None):
            yield f"trial {record.number} is in {_batch(record)}, must be {'in a' if spends else 'in no'} batch"
        elif not spends and record.alpha != alpha:
            yield f"trial {record.number} has alpha {record.alpha:g}, must be {alpha:g}"
        elif record.batch is not None:
            yield from _changed_batch(session, deployment, record, alpha)


def _changed_batch(session: Session[Any], deployment: Deployment, record: TrialRecord, whole: float) -> Iterator[str]:
    expected = trials.next_batch(session, deployment, record.opened_at)
    if (record.batch, record.place) != expected:
        yield (
            f"trial {record.number} is in {_batch(record)}, must be in batch {expected[0]} at place {expected[1]} by "
            "when it was opened"
        )
        return
    alpha = alpha_of_trial(whole, place=expected[1], size=record.batch_size or 1)
    if not math.isclose(record.alpha, alpha, rel_tol=_ROUNDING):
        yield f"trial {record.number} has alpha {record.alpha:g}, must be {alpha:g} in {_batch(record)}"


def _batch(record: TrialRecord) -> str:
    return "no batch" if record.batch is None else f"batch {record.batch} at place {record.place}"


def _misjudged(session: Session[Any], deployment: Deployment) -> Iterator[str]:
    """Yield the verdicts that were judged at another alpha than that of their trial."""
    rows = session.execute(statement("misjudged"), {"deployment": deployment.name})
    for day, name, judged, number, alpha in rows:
        yield f"the verdict of {day} on {name} was judged at alpha {judged:g}, and trial {number} has {alpha:g}"
