"""How rows are written: entered once, replaced where they differ, or as another revision of the same key."""

from typing import Any

import psycopg
import pytest

from shadow_deployment.ledger.writing.rows import add_revision, insert, upsert
from tests.production import SHADOW, World

DAY = ("challenger_id", "snapshot_id")
ROWS = (
    "SELECT challenger_id, snapshot_id, rank, ordinal, distance FROM shadow.disagreement "
    "ORDER BY challenger_id, snapshot_id, rank LIMIT 3"
)
VALIDATIONS = (
    "SELECT revision, digest, evaluated FROM shadow.validation WHERE snapshot_id = %s AND challenger_id IS NULL "
    "ORDER BY revision"
)


def test_only_rows_that_differ_are_written(copied: World) -> None:
    with psycopg.connect(copied.postgres.uri(copied.ledger, SHADOW)) as session:
        cursor = session.cursor(row_factory=psycopg.rows.dict_row)
        rows: list[dict[str, Any]] = cursor.execute(ROWS).fetchall()
        key = (*DAY, "rank")
        assert upsert(session, "disagreement", key, rows) == 0
        rows[0]["ordinal"] += 1
        assert upsert(session, "disagreement", key, rows) == 1
        assert cursor.execute(ROWS).fetchall() == rows
        assert upsert(session, "disagreement", key, []) == 0


def test_a_row_that_is_there_is_left_out_or_an_error(copied: World) -> None:
    row, other = ({"name": name, "task": "binary"} for name in ("once", "twice"))
    with psycopg.connect(copied.postgres.uri(copied.ledger, SHADOW)) as session:
        assert insert(session, "deployment", row) == 1
        assert insert(session, "deployment", row, other, once=True) == 1
        with pytest.raises(psycopg.errors.UniqueViolation):
            insert(session, "deployment", row)


def test_a_new_row_is_inserted(copied: World) -> None:
    with psycopg.connect(copied.postgres.uri(copied.ledger, SHADOW)) as session:
        ((challenger, snapshot, ranks),) = session.execute(
            "SELECT challenger_id, snapshot_id, count(*) FROM shadow.disagreement GROUP BY 1, 2 ORDER BY 1, 2 LIMIT 1"
        ).fetchall()
        row = {"challenger_id": challenger, "snapshot_id": snapshot, "rank": ranks + 1, "ordinal": 1, "distance": 0.5}
        assert [upsert(session, "disagreement", (*DAY, "rank"), [row]) for _ in range(2)] == [1, 0]


def test_another_result_is_another_revision_and_the_first_one_stays(copied: World) -> None:
    with psycopg.connect(copied.postgres.uri(copied.ledger, SHADOW)) as session:
        ((snapshot,),) = session.execute("SELECT min(snapshot_id) FROM shadow.validation").fetchall()
        ((_, digest, evaluated),) = before = session.execute(VALIDATIONS, [snapshot]).fetchall()
        key = {"snapshot_id": snapshot, "challenger_id": None}
        row = key | {"success": False, "suite": "another", "evaluated": evaluated + 1, "failures": "[]"}
        assert add_revision(session, "validation", key, row, digest=digest) == 0
        assert session.execute(VALIDATIONS, [snapshot]).fetchall() == before
        assert [add_revision(session, "validation", key, row, digest=name) for name in ("a", "a", "b", "a")] == [
            1,
            0,
            1,
            1,
        ]
        after = session.execute(VALIDATIONS, [snapshot]).fetchall()
        assert [(revision, name) for revision, name, _ in after] == [(1, digest), (2, "a"), (3, "b"), (4, "a")]
