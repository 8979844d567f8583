"""Rows that are computed again: inserted, or updated where they differ; what is unchanged is not written."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from psycopg import sql

from shadow_deployment.data.db import Session

_UPSERT = sql.SQL(
    "INSERT INTO {table} AS stored ({columns}) VALUES ({values}) "
    "ON CONFLICT ({key}) DO UPDATE SET ({columns}) = ROW ({excluded}) "
    "WHERE to_jsonb(stored) - {stamp} IS DISTINCT FROM to_jsonb(excluded) - {stamp}"
)


def upsert(
    session: Session[Any], table: str, key: Sequence[str], rows: Sequence[Mapping[str, Any]], *, stamp: str = ""
) -> int:
    """Insert rows into `shadow.<table>`, or update those of the same key that differ.

    Args:
        session: A session of the ledger; the caller commits.
        table: Name of the table.
        key: Columns of a unique constraint.
        rows: Values by column; all rows have the same columns.
        stamp: A column with the time of writing, set to its default and not compared.

    Returns:
        How many rows were inserted or updated.
    """
    if not rows:
        return 0
    names = [*rows[0], *([stamp] if stamp else [])]
    statement = _UPSERT.format(
        table=sql.Identifier("shadow", table),
        columns=_list(map(sql.Identifier, names)),
        values=_list([*map(sql.Placeholder, rows[0]), *([sql.DEFAULT] if stamp else [])]),
        key=_list(map(sql.Identifier, key)),
        excluded=_list(sql.Identifier("excluded", name) for name in names),
        stamp=sql.Literal(stamp),
    )
    with session.cursor() as cursor:
        cursor.executemany(statement, rows)
        return cursor.rowcount


def _list(parts: Iterable[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(parts)
