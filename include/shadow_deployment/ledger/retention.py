"""Retention: requests, predictions and labels of old days are removed, and the sums that verdicts rest on are kept."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from psycopg import sql

from shadow_deployment.base.sql_templates import load_statement
from shadow_deployment.data.db import Session
from shadow_deployment.errors import LedgerError
from shadow_deployment.ledger.snapshots import Snapshot, keys

_SQL = Path(__file__).parent / "sql"


def prune(session: Session[Any], before: dt.date) -> list[dt.date]:
    """Remove the requests, predictions and labels of all days before one, of every deployment; return these days.

    Evidence, validations and verdicts stay, and so do the snapshots' files. Commits. Raises LedgerError where a day
    still waits for labels: its evidence is not final.
    """
    waiting = session.execute("SELECT min(day) FROM shadow.provisional_evidence WHERE day < %s", [before]).fetchone()
    if waiting is not None and waiting[0] is not None:
        raise LedgerError(
            f"{waiting[0]} still waits for labels, so its evidence is not final: prune before {waiting[0]}"
        )
    partitions = session.execute(load_statement(_SQL / "partitions_before.sql"), {"before": before}).fetchall()
    for name, _ in partitions:
        session.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier("shadow", name)))
    session.commit()
    return sorted({day for _, day in partitions})


def kept(session: Session[Any], snapshots: Sequence[Snapshot]) -> set[int]:
    """Return the keys of those snapshots whose requests are still in the ledger."""
    rows = session.execute(
        "SELECT s.id FROM unnest(%s::int[], %s::date[]) AS s (id, day) "
        "WHERE EXISTS (SELECT FROM shadow.request_batch AS r WHERE r.day = s.day AND r.snapshot_id = s.id)",
        [keys(snapshots), [snapshot.day for snapshot in snapshots]],
    )
    return {int(key) for (key,) in rows}


def require_kept(session: Session[Any], snapshot: Snapshot) -> None:
    """Raise LedgerError where the requests of a day were removed: nothing of it can be computed again."""
    if snapshot.rows and snapshot.id not in kept(session, [snapshot]):
        raise LedgerError(
            f"the requests of {snapshot.day} are not in the ledger any more: the day cannot be run again, and its "
            "evidence stays as it is"
        )
