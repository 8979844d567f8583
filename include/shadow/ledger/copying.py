"""Arrow tables into Postgres by COPY: the whole table in the caller's transaction, or nothing."""

import io
from collections.abc import Iterable
from typing import Any

import pyarrow as pa
import pyarrow.csv
from psycopg import sql

from include.shadow.ledger.database import Session


def copy(session: Session[Any], name: str, table: pa.Table, *, schema: str = "shadow") -> None:
    """Append a table's rows to `<schema>.<name>`, column by column name; null is null and an empty text is a text."""
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT csv)").format(
        sql.Identifier(schema, name), sql.SQL(", ").join(map(sql.Identifier, table.column_names))
    )
    options = pyarrow.csv.WriteOptions(include_header=False)
    with session.cursor() as cursor, cursor.copy(statement) as stream:
        for batch in table.to_batches(max_chunksize=65_536):
            buffer = io.BytesIO()
            pyarrow.csv.write_csv(batch, buffer, options)
            stream.write(buffer.getbuffer())


def array_text(rows: Iterable[Iterable[float] | None]) -> pa.Array:
    """Return arrays of numbers as Postgres reads them from text, {0.1,0.9}; None is null."""
    return pa.array([None if row is None else "{" + ",".join(map(repr, row)) + "}" for row in rows], pa.string())
