"""Labels as they lie in the ledger: each arrival as arrays over its requests, appended to those before."""

from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shadow_deployment.data.db import Session
from shadow_deployment.data.postgres_arrays import YEAR_2000, reading_arrays
from shadow_deployment.data.postgres_copy import copy
from shadow_deployment.ledger.batches.label_states import NEVER, LabelRows, LabelStates, resolve
from shadow_deployment.ledger.batches.request_ids import request_times
from shadow_deployment.ledger.batching import BATCH_ROWS
from shadow_deployment.ledger.snapshots import Snapshot

_READ: Final = """
SELECT ordinal, value, known_at, conflict, conflict_at, invalid, invalid_at, early_at FROM shadow.label_arrival
WHERE day = %s AND snapshot_id = %s AND first_ordinal < %s AND last_ordinal >= %s ORDER BY arrival
"""


def read(session: Session[Any], snapshot: Snapshot, first: int, end: int) -> LabelStates:
    """Return what is known of the labels of the requests between two ordinals."""
    states = LabelStates.nothing(end - first)
    with reading_arrays(session) as cursor:
        for ordinal, *columns in cursor.execute(_READ, [snapshot.day, snapshot.id, end, first]):
            inside = (ordinal >= first) & (ordinal < end)
            states.put(ordinal[inside] - first, _states(columns, len(ordinal)).at(inside))
    return states


def append(session: Session[Any], snapshot: Snapshot, arrival: int, labels: pa.Table) -> int:
    """Append what labels, as LABELS of `data.ports`, add to those that are there; return how many changed."""
    if not labels.num_rows:
        return 0
    ordinals = labels["ordinal"].to_numpy()
    first = int(ordinals.min())
    touched = first + np.flatnonzero(np.bincount(ordinals - first))  # they lie close together
    before = _at(session, snapshot, touched)
    after = resolve(before.rows(touched) + _rows(session, snapshot, labels), touched)
    return _write(session, snapshot, arrival, touched, before, after)


def replace(
    session: Session[Any], snapshot: Snapshot, arrival: int, ordinals: NDArray[np.int32], labels: pa.Table
) -> int:
    """Append all that production has of some requests where it is not what is there; return how many changed."""
    touched = np.sort(ordinals).astype(np.int64)
    after = resolve(_rows(session, snapshot, labels), touched)
    return _write(session, snapshot, arrival, touched, _at(session, snapshot, touched), after)


def _at(session: Session[Any], snapshot: Snapshot, ordinals: NDArray[np.int64]) -> LabelStates:
    first = int(ordinals[0])
    return read(session, snapshot, first, int(ordinals[-1]) + 1).at(ordinals - first)


def _rows(session: Session[Any], snapshot: Snapshot, labels: pa.Table) -> LabelRows:
    """Return the rows of a source, which are early where they were known before their requests."""
    ordinal = labels["ordinal"].to_numpy().astype(np.int64)
    known_at = labels["known_at"].to_numpy().astype(np.int64) - YEAR_2000
    first, end = (int(ordinal.min()), int(ordinal.max()) + 1) if len(ordinal) else (0, 0)
    requested_at = request_times(session, snapshot.day, snapshot.id, first, end)
    return LabelRows(
        ordinal=ordinal,
        value=labels["value"].to_numpy(),
        known_at=known_at,
        invalid=labels["invalid"].to_numpy(zero_copy_only=False),
        early=known_at < requested_at[ordinal - first],
    )


def _write(
    session: Session[Any],
    snapshot: Snapshot,
    arrival: int,
    ordinals: NDArray[np.int64],
    before: LabelStates,
    after: LabelStates,
) -> int:
    """Append the states that changed, BATCH_ROWS requests to a row."""
    changed = np.flatnonzero(before.differ(after))
    batches = (changed[begin : begin + BATCH_ROWS] for begin in range(0, len(changed), BATCH_ROWS))
    keys = {"day": pa.array([snapshot.day]), "snapshot_id": _int(snapshot.id), "arrival": _int(arrival)}
    copy(session, "label_arrival", (_row(keys, ordinals[places], after.at(places)) for places in batches))
    return len(changed)


def _row(keys: dict[str, pa.Array], ordinal: NDArray[np.int64], states: LabelStates) -> pa.Table:
    """Return one row of `shadow.label_arrival`; what no request has is null."""
    contradicted, invalid, early = (at.min() < NEVER for at in (states.conflict_at, states.invalid_at, states.early_at))
    floats, texts, times = pa.list_(pa.float64()), pa.list_(pa.string()), pa.list_(pa.timestamp("us", "UTC"))
    columns = {
        "ordinal": _list(ordinal.astype(np.int32), pa.list_(pa.int32())),
        "value": _list(states.value, floats),
        "known_at": _list(states.known_at + YEAR_2000, times),
        "conflict": _list(states.conflict if contradicted else None, floats),
        "conflict_at": _list(states.conflict_at + YEAR_2000 if contradicted else None, times),
        "invalid": _list(states.invalid if invalid else None, texts),
        "invalid_at": _list(states.invalid_at + YEAR_2000 if invalid else None, times),
        "early_at": _list(states.early_at + YEAR_2000 if early else None, times),
    }
    ends = {"first_ordinal": _int(ordinal[0]), "last_ordinal": _int(ordinal[-1]), "rows": _int(len(ordinal))}
    return pa.table(keys | ends | columns)


def _list(values: NDArray[Any] | None, type_: pa.ListType) -> pa.Array:
    """Return an array of one list, or of one null."""
    if values is None:
        return pa.nulls(1, type_)
    return pa.ListArray.from_arrays(pa.array([0, len(values)], pa.int32()), pa.array(values, type_.value_type))


def _int(value: int) -> pa.Array:
    return pa.array([int(value)], pa.int32())


def _states(columns: list[Any], count: int) -> LabelStates:
    """Return the states of one row, with nothing where a column is null."""
    nothing = LabelStates.nothing(count)
    names = ("value", "known_at", "conflict", "conflict_at", "invalid", "invalid_at", "early_at")
    there = {name: column for name, column in zip(names, columns, strict=True) if column is not None}
    whole = {name: np.array(there[name], object) if name == "invalid" else there[name] for name in there}
    return LabelStates(**{**vars(nothing), **whole})
