"""The ids of a day's requests as Arrow: as they are in the ledger, in the order of the draw, whatever they hold."""

from collections.abc import Iterator
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from shadow_deployment.data.postgres_arrays import YEAR_2000, array_of, reading_arrays
from shadow_deployment.ledger.batches.request_ids import SCHEMA, request_ids, request_times
from tests.integration.ledger.batches import lies_in_batches
from tests.production import SHADOW, World, day

STRANGE = ["", "é", "日本 🏀", 'a"b\\c{}', "\n", None]


@pytest.fixture
def session(copied: World) -> "Iterator[psycopg.Connection[Any]]":
    with psycopg.connect(copied.postgres.uri(copied.ledger, SHADOW)) as session:
        yield session
        session.rollback()


def a_snapshot(session: "psycopg.Connection[Any]") -> tuple[int, int]:
    found = session.execute("SELECT id, rows FROM shadow.snapshot WHERE day = %s", [day(1)]).fetchone()
    assert found is not None
    return found


def test_every_id_and_time_is_there_as_it_was(session: "psycopg.Connection[Any]") -> None:
    snapshot, rows = a_snapshot(session)
    lies_in_batches(session, [day(1), snapshot], 7)
    change = (
        "UPDATE shadow.request_batch SET request_id[%s - first_ordinal + 1] = %s WHERE day = %s AND snapshot_id = %s "
        "AND first_ordinal <= %s AND first_ordinal + rows > %s"
    )
    for place, text in enumerate(STRANGE):
        ordinal = 2 * place + 1
        session.execute(change, [ordinal, text, day(1), snapshot, ordinal, ordinal])
    select = (
        "SELECT ordinal, request_id, requested_at FROM shadow.request WHERE day = %s AND snapshot_id = %s "
        "ORDER BY ordinal"
    )
    expected = session.execute(select, [day(1), snapshot]).fetchall()
    assert [text for _, text, _ in expected[1 : 2 * len(STRANGE) : 2]] == STRANGE
    assert len(expected) == rows > 2 * len(STRANGE)
    found = request_ids(session, day(1), snapshot, 0, rows + 5)
    found.validate(full=True)
    assert found.schema == SCHEMA
    ids = [(ordinal, text) for ordinal, text, _ in expected]
    assert list(zip(*found.to_pydict().values(), strict=True)) == ids
    some = request_ids(session, day(1), snapshot, 3, 9)
    assert list(zip(*some.to_pydict().values(), strict=True)) == ids[3:9]
    times = pa.array(request_times(session, day(1), snapshot, 3, 9) + YEAR_2000, pa.timestamp("us", "UTC"))
    assert times.to_pylist() == [at for _, _, at in expected[3:9]]
    assert not request_ids(session, day(1), snapshot, rows, rows + 1).num_rows


@pytest.mark.parametrize("texts", [STRANGE, [None], [], ["one"] * 3])
def test_texts_are_sent_as_one_array(session: "psycopg.Connection[Any]", texts: list[str | None]) -> None:
    with reading_arrays(session) as cursor:
        sent = pa.array(texts, pa.string())
        (back,) = cursor.execute("SELECT %s::text[]", [sent]).fetchone()
        assert back == texts
        (of_some,) = cursor.execute("SELECT %s::text[]", [pa.array(["before", *texts, "behind"])[1:-1]]).fetchone()
        assert of_some == texts
    assert array_of(sent)[4:8] == int(None in texts).to_bytes(4, "big")
