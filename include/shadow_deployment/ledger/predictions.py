"""Answers in the ledger: written once, a shard in one transaction, as arrays of thousands."""

import math
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.data.db import Session
from shadow_deployment.data.postgres_copy import copy
from shadow_deployment.ledger.batching import in_batches
from shadow_deployment.ledger.reading import read_column, read_value, statement
from shadow_deployment.ledger.snapshots import Snapshot, deployment_id
from shadow_deployment.ledger.writing.rows import insert


def challenger_id(session: Session[Any], deployment: Deployment, challenger: Challenger, digest: str) -> int:
    """Return the key of a challenger's model as it is now, entering it at first."""
    key = find_challenger(session, deployment, challenger, digest)
    if key is None:
        row = {"name": challenger.name, "version": challenger.version, "digest": digest, "uri": challenger.model}
        insert(session, "model_version", row | {"deployment_id": deployment_id(session, deployment)}, once=True)
        key = find_challenger(session, deployment, challenger, digest)
    assert key is not None  # noqa: S101 (it was there or was inserted)
    return key


def find_challenger(session: Session[Any], deployment: Deployment, challenger: Challenger, digest: str) -> int | None:
    """Return the key of a challenger's model as it is now, None where it never was scored."""
    key: int | None = read_value(
        session,
        "SELECT m.id FROM shadow.model_version AS m JOIN shadow.deployment AS d ON d.id = m.deployment_id "
        "WHERE d.name = %s AND m.name = %s AND m.version = %s AND m.digest = %s",
        [deployment.name, challenger.name, challenger.version, digest],
    )
    return key


def challenger_names(session: Session[Any], deployment: Deployment) -> dict[int, str]:
    """Return the names of all challengers that were ever scored, by the keys of their models."""
    rows = session.execute(
        "SELECT m.id, m.name FROM shadow.model_version AS m JOIN shadow.deployment AS d ON d.id = m.deployment_id "
        "WHERE d.name = %s",
        [deployment.name],
    )
    return dict(rows.fetchall())


def is_scored(session: Session[Any], snapshot: Snapshot, challenger: int, shard: int) -> tuple[int, int] | None:
    """Return rows and errors of a shard whose answers are stored, None where they are not."""
    return session.execute(
        "SELECT rows, errors FROM shadow.scoring WHERE snapshot_id = %s AND challenger_id = %s AND shard = %s",
        [snapshot.id, challenger, shard],
    ).fetchone()


def unscored(session: Session[Any], snapshot: Snapshot, challenger: int) -> set[int]:
    """Return the shards of a day so far that one challenger has not answered."""
    query = "SELECT shard FROM shadow.scoring WHERE snapshot_id = %s AND challenger_id = %s"
    shards = range(sum(window.shards for window in snapshot.windows))
    return set(shards).difference(read_column(session, query, [snapshot.id, challenger]))


def rows_scored(session: Session[Any], snapshot: Snapshot, challenger: int) -> int:
    """Return how many of a snapshot's requests one challenger has answered, errors included."""
    query = "SELECT coalesce(sum(rows), 0) FROM shadow.scoring WHERE snapshot_id = %s AND challenger_id = %s"
    return int(read_value(session, query, [snapshot.id, challenger]))


def common_error(session: Session[Any], snapshot: Snapshot, challenger: int) -> tuple[str, int] | None:
    """Return the most frequent error and how many requests have it where no request of a snapshot has an answer."""
    key = {"day": snapshot.day, "snapshot": snapshot.id, "challenger": challenger}
    row = session.execute(statement("common_error"), key).fetchone()
    return (str(row[0]), int(row[1])) if row else None


def has_answered(session: Session[Any], challenger: int) -> bool:
    """Return whether a challenger's answers to any shard are stored."""
    query = "SELECT EXISTS (SELECT FROM shadow.scoring WHERE challenger_id = %s)"
    return bool(read_value(session, query, [challenger]))


def store(
    session: Session[Any], snapshot: Snapshot, challenger: int, shard: int, answers: Iterable[pa.Table]
) -> tuple[int, int]:
    """Write a shard's answers in one transaction; return rows and errors. A shard that is there stays as it is."""
    table = pa.concat_tables(answers).combine_chunks()
    rows, errors = table.num_rows, pc.count(table["error"]).as_py()
    key = {"snapshot_id": snapshot.id, "challenger_id": challenger, "shard": shard}
    result = {"first_ordinal": table["ordinal"][0].as_py(), "rows": rows, "errors": errors}
    if insert(session, "scoring", key | result, once=True):
        copy(session, "prediction_batch", [_in_batches(table, snapshot, challenger)])
    session.commit()
    return rows, errors


def _in_batches(answers: pa.Table, snapshot: Snapshot, challenger: int) -> pa.Table:
    """Return answers to consecutive requests as rows of `shadow.prediction_batch`."""
    keys = {
        "day": pa.scalar(snapshot.day),
        "snapshot_id": pa.scalar(snapshot.id, pa.int32()),
        "challenger_id": pa.scalar(challenger, pa.int32()),
    }
    columns = {name: pc.fill_null(answers[name].combine_chunks(), math.nan) for name in ("value", "latency_ms")}
    columns |= {
        name: answers[name].combine_chunks() for name in ("error", "probabilities") if name in answers.column_names
    }
    return in_batches(answers["ordinal"][0].as_py(), keys, columns, optional=["error", "probabilities"])
