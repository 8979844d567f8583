"""Retention: requests, predictions and labels of old days are removed, and the sums that verdicts rest on are kept."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.db import Session
from shadow_deployment.errors import LedgerError
from shadow_deployment.ledger.batches.shared_labels import days_before
from shadow_deployment.ledger.reading import read_column, read_value
from shadow_deployment.ledger.snapshots import Snapshot, keys
from shadow_deployment.ledger.writing.rows import upsert

_UNNEEDED = "SELECT id, day FROM shadow.unneeded(%s, 'infinity', %s::date[]) WHERE day < %s"


def declare(session: Session[Any], deployment: Deployment) -> None:
    """Enter how long a deployment's days are kept, which only the ledger's owner may. The caller commits."""
    row = {"deployment": deployment.name, **_terms(deployment)}
    upsert(session, "retention", ["deployment"], [row])


def is_declared(session: Session[Any], deployment: Deployment) -> bool:
    """Return whether the ledger has entered what the deployment file says."""
    row = session.execute(
        "SELECT keep_days, maturity_days, look_back FROM shadow.retention WHERE deployment = %s", [deployment.name]
    ).fetchone()
    return row is not None and tuple(row) == tuple(_terms(deployment).values())


def _terms(deployment: Deployment) -> dict[str, int | None]:
    return {
        "keep_days": deployment.store.keep_days,
        "maturity_days": deployment.labels.maturity_days,
        "look_back": days_before(deployment),
    }


def prune(session: Session[Any], deployment: Deployment, keep: Sequence[dt.date], by: str) -> dt.date | None:
    """Remove the first day that is older than the declared time and not needed; return it, None for none. Commits.

    `keep` are days that are kept besides. Whoever may write to the ledger may call this.
    """
    day: dt.date | None = read_value(
        session, "SELECT shadow.prune(%s, %s::date[], %s)", [deployment.name, list(keep), by]
    )
    session.commit()
    return day


def prune_before(
    session: Session[Any], deployment: Deployment, keep: Sequence[dt.date], by: str, before: dt.date
) -> list[dt.date]:
    """Remove the days before one that are not needed, as the ledger's owner; return them. Commits each."""
    removed: list[dt.date] = []
    for key, day in session.execute(_UNNEEDED, [deployment.name, list(keep), before]).fetchall():
        session.execute("SELECT shadow.remove_day(%s, %s)", [key, by])
        session.commit()
        removed.append(day)
    return removed


def waiting(session: Session[Any], deployment: Deployment, before: dt.date) -> list[dt.date]:
    """Return the days before one whose requests are kept."""
    query = (
        "SELECT s.day FROM shadow.snapshot AS s JOIN shadow.deployment AS d ON d.id = s.deployment_id "
        "WHERE d.name = %s AND s.day < %s AND shadow.is_kept(s.id) ORDER BY s.day"
    )
    return read_column(session, query, [deployment.name, before])


def drop_partitions(session: Session[Any]) -> None:
    """Drop the partitions of days that no deployment has requests of; those that are in use are left. Commits."""
    session.execute("SELECT shadow.drop_pruned_partitions()")
    session.commit()


def kept(session: Session[Any], snapshots: Sequence[Snapshot]) -> set[int]:
    """Return the keys of those snapshots whose requests are still in the ledger."""
    query = (
        "SELECT s.id FROM unnest(%s::int[], %s::date[]) AS s (id, day) "
        "WHERE EXISTS (SELECT FROM shadow.request_batch AS r WHERE r.day = s.day AND r.snapshot_id = s.id)"
    )
    return set(read_column(session, query, [keys(snapshots), [snapshot.day for snapshot in snapshots]]))


def require_kept(session: Session[Any], snapshot: Snapshot) -> None:
    """Raise LedgerError where the requests of a day were removed: nothing of it can be computed again."""
    if snapshot.rows and snapshot.id not in kept(session, [snapshot]):
        raise LedgerError(
            f"the requests of {snapshot.day} are not in the ledger any more: the day cannot be run again, and its "
            "evidence stays as it is"
        )
