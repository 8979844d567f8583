"""A day's answers from the ledger, as arrays: a fixed number of requests at a time, in the order of the draw."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from psycopg import sql

from include.shadow.deployment import Deployment
from include.shadow.ledger.arrays import reading_arrays
from include.shadow.ledger.database import Session
from include.shadow.ledger.snapshots import Snapshot
from include.shadow.losses import Array, Batch
from include.shadow.statements import parameterised

BATCH_ROWS: Final = 65_536  # sums of doubles depend on it: it is part of what a day's evidence is computed by
_SQL = Path(__file__).parent / "sql"
STATEMENTS: Final = tuple(_SQL / f"day_{name}.sql" for name in ("requests", "predictions", "labels"))
_NONE: Final = sql.SQL("NULL::float8[]")


def batches(
    session: Session[Any], deployment: Deployment, snapshot: Snapshot, challengers: Sequence[int], *, latencies: bool
) -> Iterator[tuple[int, Batch]]:
    """Yield the day's requests that each challenger has a row for, batch by batch, with the challenger's key.

    Requests and labels are read once for all of them. Without `latencies` they are NaN. Whoever wants one state of the
    ledger throughout says so of the transaction.
    """
    requests, predictions, labels = (
        parameterised(path, pieces)
        for path, pieces in zip(STATEMENTS, (*_pieces(deployment, latencies), {}), strict=True)
    )
    key = {"day": snapshot.day, "snapshot": snapshot.id, "versions": snapshot.champion_versions}
    with reading_arrays(session) as cursor:
        for first in range(0, snapshot.rows, BATCH_ROWS):
            span = key | {"first": first, "end": first + BATCH_ROWS}
            found = cursor.execute(requests, span).fetchone()
            if found is None or found[0] is None:
                continue
            drawn = _drawn(found, _placed(cursor.execute(labels, span).fetchone(), first), first)
            for challenger in challengers:
                answered = cursor.execute(predictions, span | {"challenger": challenger}).fetchone()
                yield challenger, _answered(drawn, answered, first)


def _pieces(deployment: Deployment, latencies: bool) -> Iterator[dict[str, sql.Composable]]:
    """Yield what the statements on requests and on predictions read besides the answers."""
    missing = sql.SQL("array_fill('NaN'::float8, ARRAY[{}])").format(len(deployment.classes))
    for prefix in ("champion_", ""):
        latency = sql.SQL("array_agg(coalesce({}, 'NaN'))").format(sql.Identifier(f"{prefix}latency_ms"))
        probabilities = sql.SQL("array_agg(coalesce({}, {}))").format(sql.Identifier(f"{prefix}probabilities"), missing)
        yield {
            "latency": latency if latencies else _NONE,
            "probabilities": probabilities if deployment.classes else _NONE,
        }


def _drawn(found: Sequence[Any], label: Array, first: int) -> Batch:
    """Return the champion's side, in the order of the draw."""
    order = np.argsort(found[0], kind="stable")
    ordinal, cell, version, weight, champion = (column[order] for column in found[:5])
    latency, probabilities = (None if column is None else column[order] for column in found[5:])
    unknown = np.full(len(order), np.nan)
    return Batch(
        ordinal=ordinal.astype(np.int64),
        cell=cell.astype(np.int64),
        version=version.astype(np.int64) - 1,
        weight=weight,
        champion=champion,
        challenger=unknown,
        label=label[ordinal - first],
        champion_latency_ms=unknown if latency is None else latency,
        latency_ms=unknown,
        champion_probabilities=probabilities,
    )


def _answered(drawn: Batch, found: Sequence[Any] | None, first: int) -> Batch:
    """Add a challenger's side, and leave out the requests of which it has no row."""
    ordinal, value, latency, probabilities = found or (None,) * 4
    there = np.zeros(BATCH_ROWS, bool)
    if ordinal is not None:
        there[ordinal - first] = True
    place = drawn.ordinal - first
    rows = there[place]
    kept = {
        name: column[rows]
        for name, column in vars(drawn).items()
        if column is not None and name not in ("challenger", "latency_ms")
    }
    where = place[rows]
    return replace(
        drawn,
        **kept,
        challenger=_placed((ordinal, value), first)[where],
        latency_ms=_placed((ordinal, latency), first)[where],
        challenger_probabilities=None if probabilities is None else _placed((ordinal, probabilities), first)[where],
    )


def _placed(found: Sequence[Any] | None, first: int) -> Array:
    """Return values by their place in the batch, NaN where there is none."""
    ordinal, values = found or (None, None)
    if ordinal is None or values is None:
        return np.full(BATCH_ROWS, np.nan)
    placed = np.full((BATCH_ROWS, *values.shape[1:]), np.nan)
    placed[ordinal - first] = values
    return placed
