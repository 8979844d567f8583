"""Arrow tables into Postgres by COPY: all of them in the caller's transaction, or nothing.

Rows go in Postgres's own format, put together column by column: nothing is made of a single value, and the server
parses no text. A column's type must be the one of its column there: int32 for int, string for text, and so on.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from psycopg import sql

from shadow_deployment.data.db import Session
from shadow_deployment.data.postgres_arrays import (
    YEAR_2000,
    Bytes,
    array_of,
    array_of_numbers,
    array_of_texts,
    binary,
    fixed,
    repeated,
    side_by_side,
)

_HEAD: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END: Final = b"\xff\xff"
_ROWS: Final = 65_536
_DAYS: Final = 10_957  # from 1970 to 2000, where Postgres begins to count
_FIXED: Final[dict[pa.DataType, tuple[str, int]]] = {  # the type as numpy calls it, and what is taken off first
    pa.int32(): (">i4", 0),
    pa.int64(): (">i8", 0),
    pa.float64(): (">f8", 0),
    pa.date32(): (">i4", _DAYS),
    pa.timestamp("us", "UTC"): (">i8", YEAR_2000),
}
_ELEMENTS: Final = {pa.int32(): "int4", pa.timestamp("us", "UTC"): "timestamptz"}
_PLAIN: Final = {pa.date32(): pa.int32(), pa.timestamp("us", "UTC"): pa.int64()}


def copy(session: Session[Any], name: str, tables: Iterable[pa.Table], *, schema: str = "shadow") -> None:
    """Append the rows of tables to `<schema>.<name>`, column by column name; null is null and an empty text is a text.

    The tables have the same columns, and each is sent while the server still works on the one before. Types are int32,
    int64, float64, date32, timestamp of microseconds in UTC, string, and lists of int32, float64, timestamp, string,
    and of lists of float64 that all are as long; ValueError for any other, and for a null in a list of int32 or
    timestamp.
    """
    coming = iter(tables)
    first = next(coming, None)
    if first is None:
        return
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(
        sql.Identifier(schema, name), sql.SQL(", ").join(map(sql.Identifier, first.column_names))
    )
    with session.cursor() as cursor, cursor.copy(statement) as stream:
        waiting = _HEAD
        batches = (batch for table in chain([first], coming) for batch in table.to_batches(max_chunksize=_ROWS))
        for number, batch in enumerate(batches):
            if number:
                stream.write(waiting)
                waiting = b""
            waiting += _rows(batch)
        stream.write(waiting + _END)


def _rows(batch: pa.RecordBatch) -> memoryview:
    """Return rows as they are sent: the number of columns, and for each its length and its bytes."""
    rows = batch.num_rows
    pieces: list[Bytes | pa.Array] = [repeated(len(batch.columns), ">i2", rows)]
    for column in batch.columns:
        for piece in _column(column):
            if isinstance(piece, np.ndarray) and isinstance(pieces[-1], np.ndarray):
                pieces[-1] = np.hstack([pieces[-1], piece])
            else:
                pieces.append(piece)
    return side_by_side(pieces)


def _column(column: pa.Array) -> Iterator[Bytes | pa.Array]:
    """Yield the lengths of a column's values and then the values."""
    rows = len(column)
    if column.null_count == rows:
        yield repeated(-1, ">i4", rows)
    elif pa.types.is_string(column.type) or pa.types.is_list(column.type):
        content = column.cast(pa.binary()) if pa.types.is_string(column.type) else _arrays(column)
        yield fixed(pc.fill_null(pc.binary_length(content), -1), ">i4")
        yield pc.fill_null(content, b"")
    else:
        numbers = _numbers(column)
        if not column.null_count:
            yield np.hstack([repeated(numbers.shape[1], ">i4", rows), numbers])
            return
        there = column.is_valid()
        yield fixed(pc.if_else(there, pa.scalar(numbers.shape[1], pa.int32()), pa.scalar(-1, pa.int32())), ">i4")
        yield pc.if_else(there, binary(numbers), pa.scalar(b"", pa.binary()))


def _numbers(column: pa.Array) -> Bytes:
    """Return the bytes of numbers, days or times; anything where one is null."""
    if column.type not in _FIXED:
        raise ValueError(f"a column of {column.type} cannot be copied")
    number, begin = _FIXED[column.type]
    plain = column.cast(_PLAIN[column.type]) if column.type in _PLAIN else column
    return fixed(pc.subtract(plain, begin) if begin else plain, number)


def _arrays(column: pa.Array) -> pa.Array:
    """Return lists of numbers, lists of such lists that are all as long, and lists of texts as arrays of Postgres."""
    inner = column.type.value_type
    if pa.types.is_string(inner):
        arrays = (array_of_texts(one.values) if one.is_valid else None for one in column)
    elif inner == pa.float64():
        arrays = (array_of_numbers(_vector(one.values)) if one.is_valid else None for one in column)
    elif inner in _ELEMENTS and not column.flatten().null_count:
        arrays = (array_of(_numbers(one.values), _ELEMENTS[inner]) if one.is_valid else None for one in column)
    elif inner == pa.list_(pa.float64()):
        arrays = (array_of_numbers(_matrix(one.values)) if one.is_valid else None for one in column)
    else:
        raise ValueError(f"a column of {column.type} cannot be copied")
    return pa.array(arrays, pa.binary())


def _vector(values: pa.Array) -> NDArray[np.float64]:
    vector: NDArray[np.float64] = values.to_numpy(zero_copy_only=False)
    return vector


def _matrix(rows: pa.ListArray) -> NDArray[np.float64]:
    """Return lists of numbers that are all as long as a matrix; a row of NaN where there is none."""
    there = rows.is_valid().to_numpy(zero_copy_only=False)
    known = rows.drop_null()
    matrix = np.full((len(rows), pc.list_value_length(known)[0].as_py() if len(known) else 0), np.nan)
    matrix[there] = _vector(known.flatten()).reshape(len(known), -1)
    return matrix
