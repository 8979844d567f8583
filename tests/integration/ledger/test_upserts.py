"""Rows that are computed again are written only where they differ."""

from typing import Any

import psycopg

from shadow_deployment.ledger.upserts import upsert
from tests.production import SHADOW, World

KEY = ("snapshot_id", "challenger_id")
ROWS = (
    "SELECT snapshot_id, challenger_id, success, suite, evaluated, failures::text AS failures FROM shadow.validation "
    "ORDER BY challenger_id NULLS FIRST, snapshot_id LIMIT 3"
)
STAMPS = "SELECT snapshot_id, challenger_id, validated_at FROM shadow.validation"


def test_only_rows_that_differ_are_written_and_stamped(copied: World) -> None:
    with psycopg.connect(copied.postgres.uri(copied.ledger, SHADOW)) as session:
        cursor = session.cursor(row_factory=psycopg.rows.dict_row)
        rows: list[dict[str, Any]] = cursor.execute(ROWS).fetchall()
        assert rows[0]["challenger_id"] is None
        before = set(session.execute(STAMPS))
        assert upsert(session, "validation", KEY, rows, stamp="validated_at") == 0
        assert set(session.execute(STAMPS)) == before
        rows[0]["evaluated"] += 1
        assert upsert(session, "validation", KEY, rows, stamp="validated_at") == 1
        ((snapshot, challenger, _),) = before - set(session.execute(STAMPS))
        assert (snapshot, challenger) == (rows[0]["snapshot_id"], None)
        assert cursor.execute(ROWS).fetchall() == rows
        assert upsert(session, "validation", KEY, []) == 0


def test_a_new_row_is_inserted(copied: World) -> None:
    with psycopg.connect(copied.postgres.uri(copied.ledger, SHADOW)) as session:
        ((challenger, snapshot, ranks),) = session.execute(
            "SELECT challenger_id, snapshot_id, count(*) FROM shadow.disagreement GROUP BY 1, 2 ORDER BY 1, 2 LIMIT 1"
        ).fetchall()
        row = {"challenger_id": challenger, "snapshot_id": snapshot, "rank": ranks + 1, "ordinal": 1, "distance": 0.5}
        key = ("challenger_id", "snapshot_id", "rank")
        assert [upsert(session, "disagreement", key, [row]) for _ in range(2)] == [1, 0]
