"""Rows that are never changed: what comes out otherwise is another revision of the same key."""

from collections.abc import Mapping
from typing import Any

from psycopg import sql

from shadow_deployment.data.db import Session

_ADD = sql.SQL(
    "INSERT INTO {table} ({columns}, digest, revision) "
    "SELECT {values}, %(digest)s, coalesce(max(revision), 0) + 1 FROM {table} WHERE {same_key} "
    "HAVING (array_agg(digest ORDER BY revision DESC))[1] IS DISTINCT FROM %(digest)s ON CONFLICT DO NOTHING"
)


def add_revision(
    session: Session[Any], table: str, key: Mapping[str, Any], row: Mapping[str, Any], *, digest: str
) -> int:
    """Insert a row into `shadow.<table>` as the next revision, unless the newest one has the same digest.

    Args:
        session: A session of the ledger; the caller commits.
        table: Name of the table.
        key: What the revisions are of: columns that are unique together with `revision`; None is compared as equal.
        row: Values by column, those of the key among them.
        digest: Digest of the values that count.

    Returns:
        How many rows were inserted, 0 or 1. Of two at once, the second is dropped.
    """
    same = [
        sql.SQL("{} IS NULL").format(sql.Identifier(name))
        if value is None
        else sql.SQL("{} = {}").format(sql.Identifier(name), sql.Placeholder(name))
        for name, value in key.items()
    ]
    statement = _ADD.format(
        table=sql.Identifier("shadow", table),
        columns=sql.SQL(", ").join(map(sql.Identifier, row)),
        values=sql.SQL(", ").join(map(sql.Placeholder, row)),
        same_key=sql.SQL(" AND ").join(same),
    )
    return session.execute(statement, {**row, "digest": digest}).rowcount
