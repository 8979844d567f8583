"""Tables in Postgres's own format: every value is there as it was, and what cannot be sent is refused."""

import datetime as dt
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pytest

from shadow_deployment.data import postgres_copy
from shadow_deployment.data.postgres_copy import copy
from tests.production import SHADOW, World

MOMENT = dt.datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=dt.UTC)
COLUMNS: dict[str, tuple[str, pa.DataType, list[Any]]] = {
    "a": ("int", pa.int32(), [1, None, -(2**31)]),
    "b": ("bigint", pa.int64(), [2**63 - 1, 0, None]),
    "c": ("float8", pa.float64(), [0.1, -math.inf, 5e-324]),
    "d": ("float8", pa.float64(), [None, None, None]),
    "e": ("date", pa.date32(), [dt.date(1, 1, 1), dt.date(2000, 1, 1), dt.date(9999, 12, 31)]),
    "f": ("timestamptz", pa.timestamp("us", "UTC"), [MOMENT, None, MOMENT.replace(year=2024)]),
    "g": ("text", pa.string(), ["", "é\\N\t\"',\n", None]),
    "h": ("text", pa.string(), ["one", "two", "three"]),
    "i": ("float8[]", pa.list_(pa.float64()), [[0.5], None, [0.25, -1.0, 2.0]]),
    "j": ("text[]", pa.list_(pa.string()), [["", None], ["{é}"], None]),
    "k": ("float8[]", pa.list_(pa.list_(pa.float64())), [[[1.0, 2.0], [3.0, 4.0]], None, [[5.0, 6.0]]]),
    "m": ("int[]", pa.list_(pa.int32()), [[1, -(2**31)], None, []]),
    "n": ("timestamptz[]", pa.list_(pa.timestamp("us", "UTC")), [[MOMENT], [], None]),
    "l": ("float8[]", pa.list_(pa.float64()), [[1.0, 2.0], None, [3.0, 4.0]]),
}


@pytest.fixture
def session(reading: World) -> "Iterator[psycopg.Connection[Any]]":
    with psycopg.connect(reading.postgres.uri(reading.ledger, SHADOW)) as session:
        session.execute("SET TimeZone = 'UTC'")
        definition = ", ".join(f"{name} {kind}" for name, (kind, _, _) in COLUMNS.items())
        session.execute(f"CREATE TEMPORARY TABLE target ({definition}, filled int DEFAULT 7)")
        yield session
        session.rollback()


def table(first: int = 0, last: int = 3) -> pa.Table:
    arrays = {name: pa.array(values[first:last], kind) for name, (_, kind, values) in COLUMNS.items()}
    return pa.table(arrays)


def rows(session: "psycopg.Connection[Any]") -> list[tuple[Any, ...]]:
    return session.execute(f"SELECT {', '.join(COLUMNS)} FROM target").fetchall()


EXPECTED = list(zip(*(values for _, _, values in COLUMNS.values()), strict=True))


@pytest.mark.parametrize("at_once", [1, 2, 65_536])
def test_every_value_is_there_as_it_was(
    session: "psycopg.Connection[Any]", monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(postgres_copy, "_ROWS", at_once)
    copy(session, "target", [table()], schema="pg_temp")
    assert rows(session) == EXPECTED
    assert session.execute("SELECT DISTINCT filled FROM target").fetchall() == [(7,)]


def test_slices_and_chunks_are_rows_too(session: "psycopg.Connection[Any]") -> None:
    copy(session, "target", [pa.concat_tables([table().slice(0, 2), table().slice(2)])], schema="pg_temp")
    copy(session, "target", [table().slice(1, 1)], schema="pg_temp")
    copy(session, "target", [table().slice(3)], schema="pg_temp")
    assert rows(session) == [*EXPECTED, EXPECTED[1]]


def test_tables_are_sent_as_they_come(session: "psycopg.Connection[Any]", monkeypatch: pytest.MonkeyPatch) -> None:
    happened = []

    def coming() -> Iterator[pa.Table]:
        for number in range(3):
            happened.append(f"made {number}")
            yield table(number, number + 1)

    def sent(stream: psycopg.Copy, piece: Any, write: Any = psycopg.Copy.write) -> None:
        happened.append("sent")
        write(stream, piece)

    monkeypatch.setattr(psycopg.Copy, "write", sent)
    copy(session, "target", coming(), schema="pg_temp")
    copy(session, "target", [], schema="pg_temp")
    assert happened == ["made 0", "made 1", "sent", "made 2", "sent", "sent"]
    assert rows(session) == EXPECTED


def test_a_value_that_is_not_a_number_is_one(session: "psycopg.Connection[Any]") -> None:
    copy(session, "target", [pa.table({"c": np.array([math.nan]), "i": [[math.nan, 1.0]]})], schema="pg_temp")
    assert session.execute("SELECT c::text, i::text FROM target").fetchall() == [("NaN", "{NaN,1}")]


@pytest.mark.parametrize("kind", [pa.int16(), pa.float32(), pa.bool_(), pa.timestamp("us"), pa.list_(pa.int64())])
def test_another_type_is_refused(session: "psycopg.Connection[Any]", kind: pa.DataType) -> None:
    value = {pa.bool_(): True, pa.timestamp("us"): MOMENT.replace(tzinfo=None), pa.list_(pa.int64()): [1]}.get(kind, 1)
    with pytest.raises(ValueError, match=r"a column of .* cannot be copied"):
        copy(session, "target", [pa.table({"a": pa.array([value], kind)})], schema="pg_temp")


def test_a_list_with_a_gap_is_refused_where_a_gap_would_be_a_number(session: "psycopg.Connection[Any]") -> None:
    with pytest.raises(ValueError, match=r"a column of list<.*int32> cannot be copied"):
        copy(session, "target", [pa.table({"m": pa.array([[1, None]], pa.list_(pa.int32()))})], schema="pg_temp")


def test_a_column_of_another_type_than_there_is_refused_by_the_server(session: "psycopg.Connection[Any]") -> None:
    with pytest.raises(psycopg.errors.DataError):
        copy(session, "target", [pa.table({"a": pa.array([1], pa.int64())})], schema="pg_temp")
