"""How rows are written: entered once, as another revision of the same key, or replaced where they differ."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from psycopg import sql

from shadow_deployment.data.db import Session

Row = Mapping[str, Any]  # values by column

_INSERT = sql.SQL("INSERT INTO {table} AS stored ({columns}) VALUES ({values}) {conflict}")
_IGNORE = sql.SQL("ON CONFLICT DO NOTHING")
_REPLACE = sql.SQL(
    "ON CONFLICT ({key}) DO UPDATE SET ({columns}) = ROW ({excluded}) "
    "WHERE to_jsonb(stored) - {stamp} IS DISTINCT FROM to_jsonb(excluded) - {stamp}"
)
_ADD = sql.SQL(
    "INSERT INTO {table} ({columns}, revision) "
    "SELECT {values}, coalesce(max(revision), 0) + 1 FROM {table} WHERE {same_key} "
    "HAVING (array_agg({digest} ORDER BY revision DESC))[1] IS DISTINCT FROM {new} ON CONFLICT DO NOTHING"
)


def insert(session: Session[Any], table: str, *rows: Row, once: bool = False) -> int:
    """Insert rows into `shadow.<table>`, `once` those whose keys are not there; return how many. The caller commits.

    All rows have the same columns. Raises UniqueViolation without `once`.
    """
    return _insert(session, table, rows, [], _IGNORE if once else sql.SQL(""))


def upsert(session: Session[Any], table: str, key: Sequence[str], rows: Sequence[Row], *, stamp: str = "") -> int:
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
    stamps = [stamp] if stamp else []
    names = [*(rows[0] if rows else ()), *stamps]
    replaced = _REPLACE.format(
        key=_list(map(sql.Identifier, key)),
        columns=_list(map(sql.Identifier, names)),
        excluded=_list(sql.Identifier("excluded", name) for name in names),
        stamp=sql.Literal(stamp),
    )
    return _insert(session, table, rows, stamps, replaced)


def add_revision(
    session: Session[Any], table: str, key: Row, row: Row, *, digest: str, digest_column: str = "digest"
) -> int:
    """Insert a row into `shadow.<table>` as the next revision, unless the newest one has the same digest.

    Args:
        session: A session of the ledger; the caller commits.
        table: Name of the table.
        key: What the revisions are of: columns that are unique together with `revision`; None is compared as equal.
        row: Values of the other columns.
        digest: Digest of the values that count.
        digest_column: The column that it is entered into.

    Returns:
        How many rows were inserted, 0 or 1. Of two at once, the second is dropped.
    """
    whole = {**key, **row, digest_column: digest}
    same = [
        sql.SQL("{} IS NULL").format(sql.Identifier(name))
        if value is None
        else sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name))
        for name, value in key.items()
    ]
    statement = _ADD.format(
        table=sql.Identifier("shadow", table),
        columns=_list(map(sql.Identifier, whole)),
        values=_list(map(sql.Placeholder, whole)),
        same_key=sql.SQL(" AND ").join(same),
        digest=sql.Identifier(digest_column),
        new=sql.Placeholder(digest_column),
    )
    return session.execute(statement, whole).rowcount


def _insert(
    session: Session[Any], table: str, rows: Sequence[Row], defaults: Sequence[str], conflict: sql.Composable
) -> int:
    """Insert rows; columns of `defaults` get theirs."""
    if not rows:
        return 0
    statement = _INSERT.format(
        table=sql.Identifier("shadow", table),
        columns=_list(map(sql.Identifier, [*rows[0], *defaults])),
        values=_list([*map(sql.Placeholder, rows[0]), *[sql.DEFAULT] * len(defaults)]),
        conflict=conflict,
    )
    with session.cursor() as cursor:
        cursor.executemany(statement, rows)
        return cursor.rowcount


def _list(parts: Iterable[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(parts)
