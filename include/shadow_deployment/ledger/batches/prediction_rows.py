"""One challenger's answers to a day's requests, read in parts: what its expectations are checked on."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shadow_deployment.data.db import Session
from shadow_deployment.data.postgres_arrays import reading_arrays
from shadow_deployment.ledger.batches.request_ids import request_ids
from shadow_deployment.ledger.batching import cut
from shadow_deployment.ledger.reading import read_value
from shadow_deployment.ledger.snapshots import Snapshot

_COLUMNS: Final = {
    "request_id": pa.string(),
    "value": pa.float64(),
    "error": pa.string(),
    "latency_ms": pa.float64(),
    "lowest": pa.float64(),
    "total": pa.float64(),
}
_OF_PROBABILITIES: Final = ("lowest", "total")


class PredictionRows:
    """The requests that a challenger has a row for, in the order of the draw: request_id, value, error, latency_ms.

    Where there are classes, `lowest` and `total` are of their probabilities, else null. Only the columns that are asked
    for are read, as many rows at once as are asked for.
    """

    def __init__(self, session: Session[Any], snapshot: Snapshot, challenger: int) -> None:
        self._session = session
        self._key: dict[str, Any] = {"day": snapshot.day, "snapshot": snapshot.id, "challenger": challenger}

    @property
    def schema(self) -> pa.Schema:
        """All columns there are."""
        return pa.schema(list(_COLUMNS.items()))

    def read(self, columns: Sequence[str], rows: int) -> Iterator[pa.Table]:
        """Yield some columns in tables of at most `rows` rows."""
        last = self._end()
        for first in range(0, last, rows):
            end = min(first + rows, last)
            table = self._span(columns, first, end)
            if table.num_rows:
                yield table

    def _span(self, columns: Sequence[str], first: int, end: int) -> pa.Table:
        """Return some columns of the requests between two ordinals."""
        requests = request_ids(self._session, self._key["day"], self._key["snapshot"], first, end)
        answers = self._answers(columns, first, end)
        if not requests["ordinal"].equals(answers["ordinal"]):
            shared = np.intersect1d(requests["ordinal"], answers["ordinal"])
            requests, answers = (_chosen(table, shared) for table in (requests, answers))
        return pa.table({name: (requests if name == "request_id" else answers)[name] for name in columns})

    def _end(self) -> int:
        query = (
            "SELECT coalesce(max(first_ordinal + rows), 0) FROM shadow.prediction_batch "
            "WHERE day = %(day)s AND snapshot_id = %(snapshot)s AND challenger_id = %(challenger)s"
        )
        return int(read_value(self._session, query, self._key))

    def _answers(self, columns: Sequence[str], first: int, end: int) -> pa.Table:
        """Return the ordinals that have an answer, and some columns of the answers, by ordinal."""
        names = {"probabilities" if name in _OF_PROBABILITIES else name for name in columns} - {"request_id"}
        span = self._key | {"first": first, "end": end}
        with reading_arrays(self._session) as cursor:
            parts = [
                _part(np.arange(first + where.start, first + where.stop, dtype=np.int32), columns, part)
                for where, part in cut(cursor, "prediction_batch", sorted(names), span)
            ]
        return pa.concat_tables(parts) if parts else _part(np.zeros(0, np.int32), columns, {})


def _part(ordinals: NDArray[np.int32], columns: Sequence[str], part: Mapping[str, Any]) -> pa.Table:
    """Return answers as a table: what is NaN is null, and so is all of a column that is not there."""
    known, probabilities = dict(part), part.get("probabilities")
    if probabilities is not None:
        known |= {"lowest": probabilities.min(axis=1), "total": probabilities.sum(axis=1)}
    arrays = {"ordinal": pa.array(ordinals)}
    for name in columns:
        if name != "request_id":
            kind, values = _COLUMNS[name], known.get(name)
            arrays[name] = pa.nulls(len(ordinals), kind) if values is None else pa.array(values, kind, from_pandas=True)
    return pa.table(arrays)


def _chosen(table: pa.Table, ordinals: NDArray[np.int32]) -> pa.Table:
    return table.take(np.searchsorted(table["ordinal"].to_numpy(), ordinals))
