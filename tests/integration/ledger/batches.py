"""A day's requests in the ledger, put otherwise than they were written."""

from collections.abc import Sequence
from typing import Any

import psycopg

_COLUMNS = (
    "request_id",
    "requested_at",
    "inclusion_probability",
    "cell",
    "champion",
    "champion_version",
    "champion_latency_ms",
)


def lies_in_batches(
    session: "psycopg.Connection[Any]", key: Sequence[Any], rows: int, *, without: Sequence[int] = ()
) -> None:
    """Let the requests of a snapshot, named by day and id, lie in batches of at most `rows`, the last of them first.

    Those `without` are left out. There are no probabilities.
    """
    one_by_one = (
        "SELECT b.first_ordinal + u.place - 1 AS ordinal, u.* FROM shadow.request_batch AS b "
        f"CROSS JOIN LATERAL unnest({', '.join(f'b.{name}' for name in _COLUMNS)}) WITH ORDINALITY "
        f"AS u ({', '.join(_COLUMNS)}, place) WHERE day = %s AND snapshot_id = %s"
    )
    session.execute(f"CREATE TEMPORARY TABLE rearranged ON COMMIT DROP AS {one_by_one}", key)
    session.execute("DELETE FROM rearranged WHERE ordinal = ANY(%s)", [list(without)])
    session.execute("DELETE FROM shadow.request_batch WHERE day = %s AND snapshot_id = %s", key)
    arrays = ", ".join(f"array_agg({name} ORDER BY ordinal)" for name in _COLUMNS)
    session.execute(
        f"INSERT INTO shadow.request_batch (day, snapshot_id, first_ordinal, rows, {', '.join(_COLUMNS)}) "
        f"SELECT %s, %s, min(ordinal), count(*), {arrays} "
        "FROM (SELECT *, ordinal - row_number() OVER (ORDER BY ordinal) AS run FROM rearranged) AS r "
        "GROUP BY run, ordinal / %s ORDER BY min(ordinal) DESC",
        [*key, rows],
    )
