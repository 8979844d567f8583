"""Verifications in the ledger: what was found when all that verdicts rest on was computed again."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.db import Session
from shadow_deployment.ledger.reading import read_row
from shadow_deployment.ledger.snapshots import deployment_id
from shadow_deployment.ledger.writing.rows import insert


@dataclass(frozen=True)
class StoredVerification:
    """A verification: how many of each kind were as they were written, of which days (None: all), and when.

    `difference` is the first that differs, None where none does; `is_complete` says whether the time was enough.
    """

    verified: Mapping[str, int]
    days: Sequence[dt.date] | None
    is_complete: bool
    difference: str | None
    verified_at: dt.datetime


def store(
    session: Session[Any],
    deployment: Deployment,
    verified: Mapping[str, int],
    days: Sequence[dt.date] | None,
    difference: str | None,
    *,
    is_complete: bool,
) -> None:
    """Keep what a verification found. Commits."""
    row = {
        "deployment_id": deployment_id(session, deployment),
        "verified": json.dumps(dict(verified)),
        "days": None if days is None else list(days),
        "is_complete": is_complete,
        "difference": difference,
    }
    insert(session, "verification", row)
    session.commit()


def newest(session: Session[Any], deployment: Deployment) -> StoredVerification | None:
    """Return the newest verification, of whatever days; None without one."""
    return read_row(
        session,
        StoredVerification,
        "SELECT v.verified, v.days, v.is_complete, v.difference, v.verified_at FROM shadow.verification AS v "
        "JOIN shadow.deployment AS d ON d.id = v.deployment_id WHERE d.name = %s ORDER BY v.id DESC LIMIT 1",
        [deployment.name],
    )
