"""Labels in the ledger: appended as they arrive, with the time at which each became known."""

import datetime as dt
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from psycopg import sql

from shadow_deployment.base.parts import parts_on_disk, places_among, tables_of_one_size
from shadow_deployment.base.sql_templates import columns_of
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.db import Session
from shadow_deployment.data.ports import LABELS
from shadow_deployment.data.postgres_arrays import YEAR_2000
from shadow_deployment.data.sources.identity import IdColumn, label_column
from shadow_deployment.ledger.batches import labels as batches
from shadow_deployment.ledger.batches.label_states import NEVER, LabelCounts
from shadow_deployment.ledger.batches.request_ids import SCHEMA, request_ids
from shadow_deployment.ledger.batching import BATCH_ROWS
from shadow_deployment.ledger.reading import read_column, read_value, statement
from shadow_deployment.ledger.snapshots import Snapshot, keys
from shadow_deployment.ledger.writing.locks import until_commit
from shadow_deployment.ledger.writing.rows import insert

IDS_AT_ONCE = 64 * BATCH_ROWS
MOST_EXAMPLES = 3
_SPREAD, _SAMPLE = 8 * BATCH_ROWS, BATCH_ROWS // 8  # of so many requests, so many ids are read to divide them all
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def due(snapshots: Sequence[Snapshot], maturity: dt.timedelta, cutoff: dt.datetime) -> list[Snapshot]:
    """Return the snapshots with labels to collect: known up to `cutoff`, or doubtful, which production may correct."""
    return [
        snapshot
        for snapshot in snapshots
        if snapshot.rows
        and (
            snapshot.labels_until is None
            or snapshot.labels_until < until(snapshot, maturity, cutoff)
            or snapshot.contradicted + snapshot.invalid + snapshot.early > 0
        )
    ]


def until(snapshot: Snapshot, maturity: dt.timedelta, cutoff: dt.datetime) -> dt.datetime:
    """Return up to when labels of a snapshot count: to the cutoff, and never beyond its maturity."""
    return min(cutoff, snapshot.window_end + maturity)


def requests(
    session: Session[Any], deployment: Deployment, snapshot: Snapshot, *, in_order: bool
) -> Iterator[pa.Table]:
    """Yield ordinal and request_id of a snapshot's requests that have an id, about IDS_AT_ONCE at a time.

    Where requests share labels, request_id is the key that labels are looked up by.
    They may be wanted in the order of their ids, from the first table to the last: so each leaf of an index, and each
    page of a table that is in that order too, is read once, however many requests there are.
    """
    column = label_column(deployment)
    spans = range(0, snapshot.rows, IDS_AT_ONCE)
    drawn = (request_ids(session, snapshot.day, snapshot.id, first, first + IDS_AT_ONCE, column) for first in spans)
    parts: Iterator[pa.Table] = (ids.filter(ids["request_id"].is_valid()) for ids in drawn)
    if not in_order:
        yield from parts
        return
    if len(spans) > 1:
        bounds = _bounds(session, snapshot, column)
        parts = parts_on_disk(parts, lambda ids: places_among(ids["request_id"], bounds), len(bounds) + 1)
    for ids in parts:
        yield ids.sort_by("request_id")


def _bounds(session: Session[Any], snapshot: Snapshot, column: IdColumn) -> pa.Array:
    """Return ids that divide all into parts of one size, about: quantiles of some that lie spread over the snapshot."""
    spread = range(0, snapshot.rows, _SPREAD)
    some = [request_ids(session, snapshot.day, snapshot.id, first, first + _SAMPLE, column) for first in spread]
    ids = pa.concat_tables(some)["request_id"].drop_null().combine_chunks()
    parts = 1 << math.ceil(math.log2(snapshot.rows / IDS_AT_ONCE))
    places = [len(ids) * part // parts for part in range(1, parts)] if len(ids) else []
    return ids.take(pc.sort_indices(ids)).take(pa.array(places, pa.int64()))


def doubtful(session: Session[Any], deployment: Deployment, snapshot: Snapshot) -> pa.Table:
    """Return those requests, as `requests` does, of which a label was ever contradicted, invalid or early."""
    values = {"day": snapshot.day, "snapshot": snapshot.id}
    pieces = {"column": sql.Identifier(label_column(deployment))}
    rows = session.execute(statement("doubtful_requests", pieces), values).fetchall()
    return pa.table(columns_of(SCHEMA.names, rows), schema=SCHEMA)


def lock(session: Session[Any], snapshot: Snapshot) -> Snapshot:
    """Let one collector at a time work on a snapshot, until the transaction ends; return it as it is now."""
    until_commit(session, f"labels/{snapshot.id}")
    session.execute("SET LOCAL idle_in_transaction_session_timeout = 0")  # a throttled production takes its time
    row = session.execute(
        "SELECT labels_until, label_revision FROM shadow.labelled_snapshot WHERE id = %s", [snapshot.id]
    ).fetchone()
    assert row is not None  # noqa: S101 (snapshots are never deleted)
    return replace(snapshot, labels_until=row[0], label_revision=row[1])


def add(session: Session[Any], snapshot: Snapshot, arrived: Iterator[pa.RecordBatch]) -> Snapshot:
    """Append labels that became known since the last collection; return the snapshot with its newest revision.

    They come in any order, as a `LabelSource` yields them, and are kept in that of the draw.
    """
    arrival = snapshot.label_revision + 1
    parts = math.ceil(snapshot.rows / IDS_AT_ONCE)
    if parts > 1:
        tables = tables_of_one_size(arrived, IDS_AT_ONCE)
        rows = parts_on_disk(tables, lambda part: part["ordinal"].to_numpy() // IDS_AT_ONCE, parts)
    else:
        rows = iter([pa.Table.from_batches(arrived, LABELS)])
    changed = sum(batches.append(session, snapshot, arrival, each) for each in rows)
    return replace(snapshot, label_revision=arrival) if changed else snapshot


def correct(session: Session[Any], snapshot: Snapshot, asked: pa.Table, labels: pa.Table) -> Snapshot:
    """Append all labels that production has of some requests where they differ; return the newest revision."""
    arrival = snapshot.label_revision + 1
    changed = batches.replace(session, snapshot, arrival, asked["ordinal"].to_numpy(), labels)
    return replace(snapshot, label_revision=arrival) if changed else snapshot


def record(session: Session[Any], before: Snapshot, after: Snapshot, until: dt.datetime) -> None:
    """Record up to when a snapshot's labels have been collected, where that or the labels are new. Commits."""
    if (before.labels_until, before.label_revision) != (until, after.label_revision):
        _add_collection(session, after, until)
    session.commit()


def count_again(session: Session[Any], snapshot: Snapshot) -> None:
    """Record the newest collection again, of a snapshot from which requests were taken out. The caller commits."""
    if snapshot.labels_until is not None:
        _add_collection(session, snapshot, snapshot.labels_until)


def as_of(session: Session[Any], snapshots: Sequence[Snapshot], moment: dt.datetime) -> list[Snapshot]:
    """Return snapshots with their labels as production knew them at a moment, whatever was collected since."""
    return [
        replace(snapshot, labels_until=moment, **_counts(session, snapshot, moment))
        if snapshot.labels_until and snapshot.labels_until > moment
        else snapshot
        for snapshot in snapshots
    ]


def invalid_examples(session: Session[Any], snapshots: Sequence[Snapshot], moment: dt.datetime) -> list[str]:
    """Return the first invalid values of some days that were known at a moment; verdicts name no request."""
    values = {
        "days": [snapshot.day for snapshot in snapshots],
        "snapshots": keys(snapshots),
        "known_by": moment,
        "most": MOST_EXAMPLES,
    }
    return read_column(session, statement("invalid_labels"), values)


def maturity_of(deployment: Deployment) -> dt.timedelta:
    """Return how long after its window a request's label still counts."""
    return dt.timedelta(days=deployment.labels.maturity_days)


def _add_collection(session: Session[Any], snapshot: Snapshot, until: dt.datetime) -> None:
    """Enter a collection after those before; whoever calls this has locked the snapshot's labels."""
    query = "SELECT coalesce(max(collection), 0) + 1 FROM shadow.label_collection WHERE snapshot_id = %s"
    key = {"snapshot_id": snapshot.id, "collection": read_value(session, query, [snapshot.id])}
    state = {"labels_until": until, "arrival": snapshot.label_revision} | _counts(session, snapshot, until)
    insert(session, "label_collection", key | state)


def _counts(session: Session[Any], snapshot: Snapshot, moment: dt.datetime) -> dict[str, Any]:
    """Return the fields of a snapshot that count its labels as known at a moment."""
    since_2000 = (moment - _EPOCH) // dt.timedelta(microseconds=1) - YEAR_2000
    counts = LabelCounts()
    for first in range(0, snapshot.rows, IDS_AT_ONCE):
        states = batches.read(session, snapshot, first, min(first + IDS_AT_ONCE, snapshot.rows))
        counts += LabelCounts.of(states, since_2000)
    is_complete = counts.labelled + counts.contradicted == snapshot.rows and counts.newest > -NEVER
    complete_at = _EPOCH + dt.timedelta(microseconds=counts.newest + YEAR_2000) if is_complete else None
    return {
        "labelled": counts.labelled,
        "contradicted": counts.contradicted,
        "invalid": counts.invalid,
        "early": counts.early,
        "complete_at": complete_at,
    }
