"""Labels as they lie in the ledger: arrays over BATCH_ROWS requests, of which one is written anew where a label comes.

A request's first label stands with the time at which it became known; one that contradicts it is kept beside it.
"""

from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shadow_deployment.base.sql_templates import load_statement
from shadow_deployment.data.db import Session
from shadow_deployment.data.postgres_arrays import YEAR_2000, reading_arrays
from shadow_deployment.data.postgres_copy import copy
from shadow_deployment.ledger.batching import BATCH_ROWS, cut, in_batches
from shadow_deployment.ledger.snapshots import Snapshot

_NEVER: Final = np.iinfo(np.int64).min  # what Postgres calls -infinity
_NOTHING: Final = {"value": np.nan, "known_at": _NEVER, "collected_at": _NEVER, "conflict": np.nan}
_DROP: Final = Path(__file__).parents[1] / "sql" / "drop_labels.sql"

Columns = dict[str, NDArray[Any]]  # times are microseconds since the year 2000


def enter(session: Session[Any], snapshot: Snapshot, arrived: pa.Table, *, anew: bool) -> int:
    """Enter labels, of which more than one may be of a request; return how many requests changed.

    `anew` says that the ledger has none of the snapshot's.
    """
    if not arrived.num_rows:
        return 0
    ordinal, value, known_at, conflict = _first_known(arrived)
    first = int(ordinal[0]) // BATCH_ROWS * BATCH_ROWS
    end = min((int(ordinal[-1]) // BATCH_ROWS + 1) * BATCH_ROWS, snapshot.rows)
    labels = _labels(session, snapshot, first, end, anew=anew)
    place = ordinal - first
    there, contradicted = labels["value"][place], labels["conflict"][place]
    new = np.isnan(there)
    against = np.where(new | (value == there), conflict, value)
    later = ~new & np.isnan(contradicted) & ~np.isnan(against)
    for name, new_values in (("value", value), ("known_at", known_at), ("collected_at", _now(session))):
        labels[name][place] = np.where(new, new_values, labels[name][place])
    labels["conflict"][place] = np.where(new | later, against, contradicted)
    changed = place[new | later]
    _write(session, snapshot, first, labels, np.unique(changed // BATCH_ROWS), anew=anew)
    return len(changed)


def _first_known(labels: pa.Table) -> tuple[NDArray[Any], ...]:
    """Return ordinal, value, known_at and conflict of each request, in order.

    The label is the one that was known first, and the conflict the largest that contradicts it, NaN where none does.
    """
    ordinal, value, known_at = (labels[name].to_numpy() for name in ("ordinal", "value", "known_at"))
    order = np.lexsort((value, known_at, ordinal))
    ordinal, value, known_at = ordinal[order], value[order], known_at[order]
    starts = np.flatnonzero(np.diff(ordinal, prepend=-1))
    first = np.repeat(value[starts], np.diff(starts, append=len(ordinal)))
    against = np.where(value != first, value, np.nan)
    since_2000 = known_at[starts].astype(np.int64) - YEAR_2000
    return ordinal[starts], value[starts], since_2000, np.fmax.reduceat(against, starts)


def _labels(session: Session[Any], snapshot: Snapshot, first: int, end: int, *, anew: bool) -> Columns:
    """Return the columns of `shadow.label_batch` between two ordinals."""
    labels = {name: np.full(end - first, nothing) for name, nothing in _NOTHING.items()}
    if not anew:
        span = {"day": snapshot.day, "snapshot": snapshot.id, "first": first, "end": end}
        with reading_arrays(session) as cursor:
            for where, part in cut(cursor, "label_batch", list(labels), span):
                for name, values in part.items():
                    if values is not None:
                        labels[name][where] = values
    return labels


def _now(session: Session[Any]) -> int:
    """Return when the transaction began."""
    row = session.execute("SELECT extract(epoch FROM now()) * 1000000").fetchone()
    assert row is not None  # noqa: S101 (it has no FROM)
    return int(row[0]) - YEAR_2000


def _write(
    session: Session[Any], snapshot: Snapshot, first: int, labels: Columns, batches: NDArray[np.int64], *, anew: bool
) -> None:
    """Write some batches, counted from `first`, in place of those that are there."""
    keys = {"day": pa.scalar(snapshot.day), "snapshot_id": pa.scalar(snapshot.id, pa.int32())}
    rows = []
    for begin in (batches * BATCH_ROWS).tolist():
        columns = {name: _column(values[begin : begin + BATCH_ROWS]) for name, values in labels.items()}
        rows.append(in_batches(first + begin, keys, columns, optional=["conflict"]))
    if rows and not anew:
        firsts = (first + batches * BATCH_ROWS).tolist()
        session.execute(load_statement(_DROP), {"day": snapshot.day, "snapshot": snapshot.id, "first_ordinals": firsts})
    copy(session, "label_batch", rows)


def _column(values: NDArray[Any]) -> pa.Array:
    if values.dtype == np.int64:
        return pa.array(values + YEAR_2000, pa.timestamp("us", "UTC"))
    return pa.array(values, from_pandas=True)
