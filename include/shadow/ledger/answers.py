"""A day's answers from the ledger, as arrays: a fixed number of requests at a time, in the order of the draw."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from psycopg import Cursor, sql

from include.shadow.deployment import Deployment
from include.shadow.ledger.arrays import reading_arrays
from include.shadow.ledger.database import Session
from include.shadow.ledger.snapshots import Snapshot
from include.shadow.losses import Array, Batch
from include.shadow.statements import parameterised

BATCH_ROWS: Final = 65_536  # sums of doubles depend on it: it is part of what a day's evidence is computed by
_SQL = Path(__file__).parent / "sql"
STATEMENTS: Final = tuple(_SQL / f"day_{name}.sql" for name in ("requests", "predictions", "labels"))
_REQUESTS, _PREDICTIONS, _LABELS = STATEMENTS
_NONE: Final = sql.SQL("NULL::float8[]")


def batches(
    session: Session[Any], deployment: Deployment, snapshot: Snapshot, challengers: Sequence[int], *, latencies: bool
) -> Iterator[tuple[int, Batch]]:
    """Yield the day's requests that each challenger has a row for, batch by batch, with the challenger's key.

    Requests and labels are read once for all of them. Without `latencies` they are NaN. Whoever wants one state of the
    ledger throughout says so of the transaction.
    """
    requests, labels = parameterised(_REQUESTS, _pieces(deployment, latencies)), parameterised(_LABELS)
    columns = ["value", *(["latency_ms"] if latencies else []), *(["probabilities"] if deployment.classes else [])]
    key = {"day": snapshot.day, "snapshot": snapshot.id, "versions": snapshot.champion_versions}
    with reading_arrays(session) as cursor:
        for first in range(0, snapshot.rows, BATCH_ROWS):
            span = key | {"first": first, "end": first + BATCH_ROWS}
            asked = cursor.execute(requests, span).fetchone()
            if asked is None or asked[0] is None:
                continue
            drawn = _drawn(asked, _placed(cursor.execute(labels, span).fetchone(), first), first)
            for challenger in challengers:
                found = answered(cursor, columns, span | {"challenger": challenger})
                yield challenger, _answered(drawn, found, first)


def _pieces(deployment: Deployment, latencies: bool) -> dict[str, sql.Composable]:
    """Return what is read of requests besides the answers."""
    missing = sql.SQL("array_fill('NaN'::float8, ARRAY[{}])").format(len(deployment.classes))
    probabilities = sql.SQL("array_agg(coalesce(champion_probabilities, {}))").format(missing)
    return {
        "latency": sql.SQL("array_agg(coalesce(champion_latency_ms, 'NaN'))") if latencies else _NONE,
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


def answered(
    cursor: Cursor[Any], columns: Sequence[str], span: Mapping[str, Any]
) -> Iterator[tuple[slice, dict[str, Any]]]:
    """Yield which of a span's requests a batch of answers is to, and its columns for these; None where one is null.

    `span` names day, snapshot and challenger, the first ordinal and the end.
    """
    first, end = span["first"], span["end"]
    chosen = sql.SQL(", ").join(map(sql.Identifier, ("first_ordinal", "rows", *columns)))
    for begin, rows, *found in cursor.execute(parameterised(_PREDICTIONS, {"columns": chosen}), span).fetchall():
        start, stop = max(begin, first), min(begin + rows, end)
        cut = (None if values is None else values[start - begin : stop - begin] for values in found)
        yield slice(start - first, stop - first), dict(zip(columns, cut, strict=True))


def _answered(drawn: Batch, batches: Iterable[tuple[slice, Mapping[str, Any]]], first: int) -> Batch:
    """Add a challenger's side, and leave out the requests of which it has no row."""
    there = np.zeros(BATCH_ROWS, bool)
    answers = {name: np.full(BATCH_ROWS, np.nan) for name in ("value", "latency_ms")}
    for span, found in batches:
        there[span] = True
        for name, values in found.items():
            if values is not None:
                whole = answers.setdefault(name, np.full((BATCH_ROWS, *values.shape[1:]), np.nan))
                whole[span] = values
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
        challenger=answers["value"][where],
        latency_ms=answers["latency_ms"][where],
        challenger_probabilities=answers["probabilities"][where] if "probabilities" in answers else None,
    )


def _placed(found: Sequence[Any] | None, first: int) -> Array:
    """Return values by their place in the batch, NaN where there is none."""
    ordinal, values = found or (None, None)
    if ordinal is None or values is None:
        return np.full(BATCH_ROWS, np.nan)
    placed = np.full((BATCH_ROWS, *values.shape[1:]), np.nan)
    placed[ordinal - first] = values
    return placed
