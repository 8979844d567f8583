"""Labels in the ledger: written once, with the time at which each became known."""

import datetime as dt
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from include.shadow.deployment import Deployment
from include.shadow.ledger.database import Session
from include.shadow.ledger.snapshots import Snapshot
from include.shadow.statements import parameterised

IDS_AT_ONCE = 50_000
_SQL = Path(__file__).parent / "sql"

Label = tuple[int, float, dt.datetime]


def due(snapshots: Sequence[Snapshot], maturity: dt.timedelta, cutoff: dt.datetime) -> list[Snapshot]:
    """Return the snapshots of which labels known up to `cutoff` have not been collected yet."""
    return [one for one in snapshots if one.rows and _behind(one.labels_until, until(one, maturity, cutoff))]


def until(snapshot: Snapshot, maturity: dt.timedelta, cutoff: dt.datetime) -> dt.datetime:
    """Return up to when labels of a snapshot count: to the cutoff, and never beyond its maturity."""
    return min(cutoff, snapshot.window_end + maturity)


def requests(session: Session[Any], snapshot: Snapshot) -> Iterator[dict[int, str]]:
    """Yield a snapshot's request ids by ordinal, IDS_AT_ONCE at a time."""
    for first in range(0, snapshot.rows, IDS_AT_ONCE):
        rows = session.execute(
            "SELECT ordinal, request_id FROM shadow.request WHERE day = %s AND snapshot_id = %s "
            "AND ordinal >= %s AND ordinal < %s AND request_id IS NOT NULL ORDER BY ordinal",
            [snapshot.day, snapshot.id, first, first + IDS_AT_ONCE],
        ).fetchall()
        yield {int(ordinal): str(request) for ordinal, request in rows}


def known_by(session: Session[Any], snapshots: Sequence[Snapshot], moment: dt.datetime) -> dict[int, int]:
    """Return how many labels of these snapshots, by their keys, were known at a moment in the past."""
    if not snapshots:
        return {}
    rows = session.execute(
        "SELECT snapshot_id, count(*) FROM shadow.label WHERE day = ANY(%s) AND snapshot_id = ANY(%s) "
        "AND conflict IS NULL AND known_at <= %s GROUP BY snapshot_id",
        [[one.day for one in snapshots], [one.id for one in snapshots], moment],
    )
    counted = {int(key): int(count) for key, count in rows}
    return {one.id: counted.get(one.id, 0) for one in snapshots}


def lock(session: Session[Any], snapshot: Snapshot) -> dt.datetime | None:
    """Let one collector at a time work on a snapshot; return up to when its labels have been collected."""
    row = session.execute("SELECT labels_until FROM shadow.snapshot WHERE id = %s FOR UPDATE", [snapshot.id]).fetchone()
    return row[0] if row else None


def add(session: Session[Any], snapshot: Snapshot, labels: Sequence[Label], collected_until: dt.datetime) -> int:
    """Enter labels and how far they were collected; return how many requests changed. Commits."""
    changed = 0
    if labels:
        session.execute(
            "CREATE TEMPORARY TABLE arrived_labels (ordinal int, value float8, known_at timestamptz) ON COMMIT DROP"
        )
        with session.cursor() as cursor, cursor.copy("COPY arrived_labels FROM STDIN") as stream:
            for label in labels:
                stream.write_row(label)
        statement = parameterised(_SQL / "add_labels.sql")
        row = session.execute(statement, {"day": snapshot.day, "snapshot": snapshot.id}).fetchone()
        changed = int(row[0]) if row else 0
    session.execute(
        parameterised(_SQL / "labels_collected.sql"),
        {"day": snapshot.day, "snapshot": snapshot.id, "until": collected_until, "changed": changed},
    )
    session.commit()
    return changed


def maturity_of(deployment: Deployment) -> dt.timedelta:
    """Return how long after its window a request's label still counts."""
    return dt.timedelta(days=deployment.labels.maturity_days)


def _behind(collected: dt.datetime | None, wanted: dt.datetime) -> bool:
    return collected is None or collected < wanted
