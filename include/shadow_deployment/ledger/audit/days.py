"""Requests and evidence of a day, compared with the snapshot's files and with predictions and labels."""

import datetime as dt
from typing import Any

import numpy as np
from psycopg.rows import dict_row

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.db import Session
from shadow_deployment.data.postgres_arrays import reading_arrays
from shadow_deployment.data.snapshots import DayFiles, read_part
from shadow_deployment.data.storage import Store
from shadow_deployment.ledger import evidence
from shadow_deployment.ledger.batching import cut
from shadow_deployment.ledger.snapshots import Snapshot

_COLUMNS = ("request_id", "champion", "inclusion_probability")


def changed_request(session: Session[Any], snapshot: Snapshot, files: DayFiles, store: Store) -> str | None:
    """Return which request of the ledger is not as the snapshot's files have it, None where all are.

    Raises SnapshotError where a file is not the one that was written.
    """
    for part in files.parts:
        first, file = part.first_ordinal, read_part(store, snapshot.location, part)
        for batch in file.iter_batches(columns=list(_COLUMNS)):
            span = {"day": snapshot.day, "snapshot": snapshot.id, "first": first, "end": first + batch.num_rows}
            ids = batch["request_id"].to_pylist()
            champion, probability = (
                batch[name].fill_null(np.nan).to_numpy(zero_copy_only=False) for name in _COLUMNS[1:]
            )
            with reading_arrays(session) as cursor:
                seen = 0
                for where, stored in cut(cursor, "request_batch", _COLUMNS, span):
                    seen = where.stop
                    same = np.array([a == b for a, b in zip(stored["request_id"], ids[where], strict=True)])
                    same &= _equal(stored["champion"], champion[where])
                    same &= stored["inclusion_probability"] == probability[where]
                    if not same.all():
                        return f"request {ids[where.start + int(np.argmin(same))]} of {snapshot.day}"
            if seen < batch.num_rows:
                return f"request {ids[seen]} of {snapshot.day}"
            first += batch.num_rows
    return None


def changed_evidence(
    session: Session[Any],
    deployment: Deployment,
    snapshot: Snapshot,
    since: dt.datetime | None,
    custom: evidence.CustomValues | None = None,
) -> str | None:
    """Return whose evidence of a day is not what it was, or not what predictions and labels give; None for nobody's.

    Only the newest revision can be computed again, and only where its requests are kept and it was computed as it would
    be today, against the same champion, after `since`: when requests were erased that it holds. `custom` as for
    `evidence.compare`.
    """
    with session.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            "SELECT b.*, m.name, b.revision = max(b.revision) OVER w AS is_newest FROM shadow.evidence_batch AS b "
            "JOIN shadow.model_version AS m ON m.id = b.challenger_id WHERE b.snapshot_id = %s "
            "WINDOW w AS (PARTITION BY b.challenger_id, b.champion_version, b.needs_labels) ORDER BY b.id",
            [snapshot.id],
        ).fetchall()
    for row in rows:
        if evidence.digest_of_row(row) != row["digest"]:
            return f"evidence {row['id']} of {row['name']} on {snapshot.day}, which was changed"
    rows = [row for row in rows if since is None or row["computed_at"] > since]
    stale = {key for _, key in evidence.stale(session, deployment, [snapshot], [row["challenger_id"] for row in rows])}
    for key in {row["challenger_id"] for row in rows} - stale:
        expected = evidence.recomputed(session, deployment, snapshot, key, custom)
        for row in rows:
            is_current = row["is_newest"] and row["champion_version"] in snapshot.champions
            if not (row["challenger_id"] == key and is_current and expected):
                continue
            if expected.get((row["champion_version"], row["needs_labels"])) != row["digest"]:
                return (
                    f"evidence {row['id']} of {row['name']} on {snapshot.day}, which is not what its predictions and "
                    "labels give"
                )
    return None


def _equal(stored: Any, written: Any) -> Any:
    return (stored == written) | (np.isnan(stored) & np.isnan(written))
