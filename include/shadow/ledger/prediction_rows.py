"""One challenger's answers to a day's requests, read in parts: what its expectations are checked on."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from psycopg import sql

from include.shadow.ledger.database import Session
from include.shadow.ledger.snapshots import Snapshot
from include.shadow.statements import parameterised

_SQL: Final = Path(__file__).parent / "sql"
_ARRAY_ROWS: Final = 32_768  # longer arrays take the server longer a row
_PROBABILITIES: Final = "array_agg((SELECT {}(p) FROM unnest(probabilities) AS p)) AS {}"
_REQUESTS: Final = {"request_id": (pa.string(), "array_agg(request_id) AS request_id")}
_ANSWERS: Final = {
    "value": (pa.float64(), "array_agg(value) AS value"),
    "error": (pa.string(), "array_agg(error) AS error"),
    "latency_ms": (pa.float64(), "array_agg(latency_ms) AS latency_ms"),
    "lowest": (pa.float64(), _PROBABILITIES.format("min", "lowest")),
    "total": (pa.float64(), _PROBABILITIES.format("sum", "total")),
}
_COLUMNS: Final = _REQUESTS | _ANSWERS


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
        return pa.schema([(name, kind) for name, (kind, _) in _COLUMNS.items()])

    def read(self, columns: Sequence[str], rows: int) -> Iterator[pa.Table]:
        """Yield some columns in tables of at most `rows` rows."""
        last = self._end()
        for first in range(0, last, rows):
            end = min(first + rows, last)
            starts = range(first, end, _ARRAY_ROWS)
            table = pa.concat_tables(self._span(columns, start, min(start + _ARRAY_ROWS, end)) for start in starts)
            if table.num_rows:
                yield table

    def _span(self, columns: Sequence[str], first: int, end: int) -> pa.Table:
        """Return some columns of the requests between two ordinals."""
        span = {"first": first, "end": end}
        requests = self._arrays("answered_requests.sql", _REQUESTS, columns, span)
        answers = self._arrays("answers.sql", _ANSWERS, columns, span)
        if not requests["ordinal"].equals(answers["ordinal"]):
            shared = np.intersect1d(requests["ordinal"], answers["ordinal"])
            requests, answers = (_chosen(one, shared) for one in (requests, answers))
        return pa.table({name: (requests if name in _REQUESTS else answers)[name] for name in columns})

    def _end(self) -> int:
        row = self._session.execute(
            "SELECT coalesce(max(ordinal), -1) + 1 FROM shadow.prediction "
            "WHERE day = %(day)s AND snapshot_id = %(snapshot)s AND challenger_id = %(challenger)s",
            self._key,
        ).fetchone()
        return int(row[0]) if row else 0

    def _arrays(
        self, name: str, known: Mapping[str, tuple[pa.DataType, str]], columns: Sequence[str], span: dict[str, int]
    ) -> pa.Table:
        """Return the ordinal and some of the known columns, by ordinal."""
        chosen = {"ordinal": (pa.int32(), "array_agg(ordinal) AS ordinal")}
        chosen |= {name: one for name, one in known.items() if name in columns}
        pieces = {"columns": sql.SQL(", ").join(sql.SQL(expression) for _, expression in chosen.values())}
        with self._session.cursor(binary=True) as cursor:
            found = cursor.execute(parameterised(_SQL / name, pieces), self._key | span).fetchone()
        arrays = zip(chosen.items(), found or [None] * len(chosen), strict=True)
        table = pa.table({column: pa.array(values or [], kind) for (column, (kind, _)), values in arrays})
        ordinals = table["ordinal"].to_numpy()
        return table if (ordinals[1:] > ordinals[:-1]).all() else table.take(np.argsort(ordinals))


def _chosen(table: pa.Table, ordinals: NDArray[np.int32]) -> pa.Table:
    return table.take(np.searchsorted(table["ordinal"].to_numpy(), ordinals))
