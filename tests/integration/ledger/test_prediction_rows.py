"""A challenger's answers read from the ledger in parts: what one statement over all of them says."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from shadow_deployment.ledger import snapshots
from shadow_deployment.ledger.batches.prediction_rows import PredictionRows
from tests.integration.ledger.batches import lies_in_batches
from tests.production import SHADOW, World, day

WHOLE = """
SELECT request_id, value, error, latency_ms, (SELECT min(p) FROM unnest(probabilities) AS p),
    (SELECT sum(p) FROM unnest(probabilities) AS p)
FROM shadow.prediction JOIN shadow.request USING (day, snapshot_id, ordinal)
WHERE day = %s AND snapshot_id = %s AND challenger_id = %s ORDER BY ordinal
"""
NAMES = ["request_id", "value", "error", "latency_ms", "lowest", "total"]


@pytest.fixture
def session(copied: World) -> "Iterator[psycopg.Connection[Any]]":
    with psycopg.connect(copied.postgres.uri(copied.ledger, SHADOW)) as session:
        yield session
        session.rollback()


def rows_of(world: World, session: "psycopg.Connection[Any]") -> tuple[PredictionRows, list[Any]]:
    snapshot = snapshots.find(session, world.shadow().deployment, day(1))
    assert snapshot is not None
    key = session.execute("SELECT id FROM shadow.model_version WHERE name = 'other'").fetchone()[0]
    return PredictionRows(session, snapshot, key), [snapshot.day, snapshot.id, key]


def read(source: PredictionRows, rows: int, names: list[str] = NAMES) -> list[tuple[Any, ...]]:
    tables = list(source.read(names, rows))
    assert all(0 < table.num_rows <= rows for table in tables)
    assert all(table.schema.equals(pa.schema([source.schema.field(name) for name in names])) for table in tables)
    return [tuple(row[name] for name in names) for table in tables for row in table.to_pylist()]


LYING = "FROM shadow.prediction WHERE day = %s AND snapshot_id = %s AND challenger_id = %s"
CHANGED = f"""
SELECT ordinal, CASE WHEN ordinal %% 7 = 3 THEN 'cannot' ELSE error END AS error,
    CASE WHEN ordinal %% 7 <> 3 AND error IS NULL THEN value ELSE 'NaN' END AS value,
    CASE WHEN ordinal BETWEEN 4 AND 9 THEN 'NaN' ELSE coalesce(latency_ms, 'NaN') END AS latency_ms,
    CASE WHEN ordinal %% 7 <> 3 AND error IS NULL THEN ARRAY[0.25, value, 0.5] ELSE '{{NaN,NaN,NaN}}' END
    AS probabilities
{LYING}
"""
FEWER = f"""
SELECT ordinal, error, coalesce(value, 'NaN') AS value, coalesce(latency_ms, 'NaN') AS latency_ms,
    CASE WHEN error IS NULL THEN ARRAY[value] ELSE '{{NaN}}' END AS probabilities
{LYING} AND ordinal <> 5 AND NOT ordinal BETWEEN 20 AND 29
"""
REWRITTEN = """
INSERT INTO shadow.prediction_batch
SELECT %s, %s, %s, min(ordinal), count(*), array_agg(value ORDER BY ordinal), array_agg(latency_ms ORDER BY ordinal),
    CASE WHEN count(error) > 0 THEN array_agg(error ORDER BY ordinal) END, array_agg(probabilities ORDER BY ordinal)
FROM (SELECT *, ordinal - row_number() OVER (ORDER BY ordinal) AS run FROM changed) AS c
GROUP BY run, ordinal / 4
ORDER BY ordinal / 4 < 6, ordinal / 4
"""


def rewrite(session: "psycopg.Connection[Any]", key: list[Any], answers: str) -> None:
    """Put answers in place of those of a challenger, at most four in a batch, the first of them lying last."""
    session.execute(f"CREATE TEMPORARY TABLE changed ON COMMIT DROP AS {answers}", key)
    session.execute(f"DELETE {LYING.replace('prediction', 'prediction_batch')}", key)
    session.execute(REWRITTEN, key)


def change(session: "psycopg.Connection[Any]", key: list[Any]) -> None:
    """Give some answers errors and probabilities, and let them lie in batches of their own, in another order."""
    rewrite(session, key, CHANGED)
    lies_in_batches(session, key[:2], 5)
    nameless = "UPDATE shadow.request_batch SET request_id[3] = NULL WHERE day = %s AND snapshot_id = %s"
    session.execute(f"{nameless} AND first_ordinal = 0", key[:2])


@pytest.mark.parametrize("rows", [1, 7, 1000])
def test_parts_hold_what_one_statement_over_all_answers_says(
    copied: World, session: "psycopg.Connection[Any]", rows: int
) -> None:
    source, key = rows_of(copied, session)
    change(session, key)
    expected = session.execute(WHOLE, key).fetchall()
    assert len(expected) > 30
    assert {row[2] for row in expected} > {None, "cannot"}
    assert read(source, rows) == expected
    assert read(source, rows, ["total", "request_id"]) == [(row[5], row[0]) for row in expected]


def test_a_request_without_an_answer_and_an_answer_without_a_request_are_left_out(
    copied: World, session: "psycopg.Connection[Any]"
) -> None:
    source, key = rows_of(copied, session)
    lies_in_batches(session, key[:2], 10, without=[0, 11, 12])
    rewrite(session, key, FEWER)
    expected = session.execute(WHOLE, key).fetchall()
    for rows in (3, 10, 1000):
        assert read(source, rows) == expected
        assert read(source, rows, ["value"]) == [(row[1],) for row in expected]


def test_a_challenger_without_an_answer_has_no_rows(copied: World, session: "psycopg.Connection[Any]") -> None:
    _, (_, _, key) = rows_of(copied, session)
    snapshot = snapshots.find(session, copied.shadow().deployment, day(1))
    assert snapshot is not None
    assert read(PredictionRows(session, snapshot, key + 1000), 10) == []
