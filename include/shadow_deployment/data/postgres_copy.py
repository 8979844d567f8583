"""Arrow tables into Postgres by binary COPY, in the caller's transaction: psycopg writes rows, `arrays` their arrays.

pgpq (0.12) cannot encode the arrays: it rejects lists of lists, and sends the elements of timestamptz[] as timestamp.
Nor can ADBC's ingestion (adbc-driver-postgresql 1.13): it rejects lists of lists too, and has a connection of its own,
so that it cannot join the transaction.
"""

from collections.abc import Iterable
from itertools import chain
from typing import Any

import pyarrow as pa
from psycopg import sql
from psycopg.types.numeric import Int4

from shadow_deployment.data.db import Session
from shadow_deployment.data.postgres_arrays import sending_arrays


def copy(session: Session[Any], name: str, tables: Iterable[pa.Table], *, schema: str = "shadow") -> None:
    """Append the rows of tables to `<schema>.<name>`, column by column name.

    Args:
        session: A session of the ledger; the caller commits.
        name: Name of the table.
        tables: Tables with the same columns, of int32 (int), date32 (date), and lists that `arrays.array_of` takes.
        schema: Schema of the table.

    Raises:
        ValueError: A column is of another type, or a list has a null where it must not.
    """
    coming = iter(tables)
    first = next(coming, None)
    if first is None:
        return
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(
        sql.Identifier(schema, name), sql.SQL(", ").join(map(sql.Identifier, first.column_names))
    )
    with sending_arrays(session) as cursor, cursor.copy(statement) as stream:
        for table in chain([first], coming):
            for row in zip(*map(_values, table.columns), strict=True):
                stream.write_row(row)


def _values(column: pa.ChunkedArray) -> Iterable[object]:
    if pa.types.is_list(column.type):
        return (value.values for value in column)
    if column.type == pa.int32():
        return (None if value is None else Int4(value) for value in column.to_pylist())
    if column.type == pa.date32():
        return column.to_pylist()  # type: ignore[no-any-return]
    raise ValueError(f"a column of {column.type} cannot be copied; it must be of int32, date32 or lists")
