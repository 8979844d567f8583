"""Labels in the ledger: written once, with the time at which each became known."""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from shadow_deployment.base.sql_templates import load_statement
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.db import Session
from shadow_deployment.ledger.batches.labels import enter
from shadow_deployment.ledger.batches.request_ids import request_ids
from shadow_deployment.ledger.batching import BATCH_ROWS
from shadow_deployment.ledger.snapshots import Snapshot

IDS_AT_ONCE = 64 * BATCH_ROWS
_SQL = Path(__file__).parent / "sql"


def due(snapshots: Sequence[Snapshot], maturity: dt.timedelta, cutoff: dt.datetime) -> list[Snapshot]:
    """Return the snapshots of which labels known up to `cutoff` have not been collected yet."""
    return [snap for snap in snapshots if snap.rows and _behind(snap.labels_until, until(snap, maturity, cutoff))]


def until(snapshot: Snapshot, maturity: dt.timedelta, cutoff: dt.datetime) -> dt.datetime:
    """Return up to when labels of a snapshot count: to the cutoff, and never beyond its maturity."""
    return min(cutoff, snapshot.window_end + maturity)


def requests(session: Session[Any], snapshot: Snapshot) -> Iterator[pa.Table]:
    """Yield ordinal and request_id of a snapshot's requests that have an id, IDS_AT_ONCE at a time, by their ids.

    In that order an index is looked into from one end to the other; the more there are, the fewer times in all.
    """
    for first in range(0, snapshot.rows, IDS_AT_ONCE):
        ids = request_ids(session, snapshot.day, snapshot.id, first, first + IDS_AT_ONCE)
        yield ids.filter(ids["request_id"].is_valid()).sort_by("request_id")


def known_by(session: Session[Any], snapshots: Sequence[Snapshot], moment: dt.datetime) -> dict[int, int]:
    """Return how many labels of these snapshots, by their keys, were known at a moment in the past."""
    if not snapshots:
        return {}
    rows = session.execute(
        "SELECT snapshot_id, count(*) FROM shadow.label WHERE day = ANY(%s) AND snapshot_id = ANY(%s) "
        "AND conflict IS NULL AND known_at <= %s GROUP BY snapshot_id",
        [[snapshot.day for snapshot in snapshots], [snapshot.id for snapshot in snapshots], moment],
    )
    counted = {int(key): int(count) for key, count in rows}
    return {snapshot.id: counted.get(snapshot.id, 0) for snapshot in snapshots}


def lock(session: Session[Any], snapshot: Snapshot) -> dt.datetime | None:
    """Let one collector at a time work on a snapshot; return up to when its labels have been collected."""
    row = session.execute(
        "SELECT labels_until FROM shadow.snapshot WHERE id = %s FOR NO KEY UPDATE", [snapshot.id]
    ).fetchone()
    return row[0] if row else None


def add(
    session: Session[Any],
    snapshot: Snapshot,
    arrived: Iterable[pa.Table],
    since: dt.datetime | None,
    until: dt.datetime,
) -> int:
    """Enter the labels that became known in (since, until], and that they were; return how many requests changed.

    Tables have ordinal, value and known_at; each row of `shadow.label_batch` is about requests of one of them. Where
    `since` is None there is none yet. Commits.
    """
    changed = sum(enter(session, snapshot, table, anew=since is None) for table in arrived)
    session.execute(
        load_statement(_SQL / "labels_collected.sql"),
        {"day": snapshot.day, "snapshot": snapshot.id, "until": until, "changed": changed},
    )
    session.commit()
    return changed


def maturity_of(deployment: Deployment) -> dt.timedelta:
    """Return how long after its window a request's label still counts."""
    return dt.timedelta(days=deployment.labels.maturity_days)


def _behind(collected: dt.datetime | None, wanted: dt.datetime) -> bool:
    return collected is None or collected < wanted
