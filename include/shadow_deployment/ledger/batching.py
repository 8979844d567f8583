"""Rows of the ledger that lie as arrays, BATCH_ROWS requests in one row: requests, and the answers to them."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from psycopg import Cursor, sql

from shadow_deployment.ledger.reading import statement

BATCH_ROWS: Final = 8_192


def in_batches(
    first_ordinal: int,
    keys: Mapping[str, pa.Scalar],
    columns: Mapping[str, pa.Array],
    *,
    optional: Collection[str] = (),
) -> pa.Table:
    """Return columns of consecutive requests as arrays, with keys, first_ordinal and rows before them.

    An array of an `optional` column is null where nothing is in it.
    """
    rows = len(next(iter(columns.values())))
    ends = np.array([*range(0, rows, BATCH_ROWS), rows], np.int32)
    counts = np.diff(ends)
    arrays = {name: pa.ListArray.from_arrays(pa.array(ends), column) for name, column in columns.items()}
    for name in arrays.keys() & set(optional):
        some = pa.array([array.values.null_count < len(array) for array in arrays[name]])
        arrays[name] = pc.if_else(some, arrays[name], None)
    return pa.table(
        {
            **{name: pa.repeat(value, len(counts)) for name, value in keys.items()},
            "first_ordinal": pa.array(ends[:-1] + np.int32(first_ordinal)),
            "rows": pa.array(counts),
            **arrays,
        }
    )


def cut(
    cursor: Cursor[Any], table: str, columns: Sequence[str], span: Mapping[str, Any]
) -> Iterator[tuple[slice, dict[str, Any]]]:
    """Yield which of a span's requests a row of `shadow.<table>` is about, and its columns for these; None where null.

    `span` names day, snapshot, of answers also challenger, the first ordinal and the end.
    """
    first, end = span["first"], span["end"]
    chosen = sql.SQL(", ").join(map(sql.Identifier, ("first_ordinal", "rows", *columns)))
    whose = sql.SQL(" AND challenger_id = {}").format(sql.Literal(span["challenger"])) if "challenger" in span else None
    pieces = {"table": sql.Identifier(table), "columns": chosen, "whose": whose or sql.SQL("")}
    for begin, rows, *arrays in cursor.execute(statement("batches", pieces), span).fetchall():
        start, stop = max(begin, first), min(begin + rows, end)
        parts = (None if values is None else values[start - begin : stop - begin] for values in arrays)
        yield slice(start - first, stop - first), dict(zip(columns, parts, strict=True))
