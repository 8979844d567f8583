"""Tables by binary COPY: every value is there as it was, and what cannot be sent is refused."""

import datetime as dt
import math
from collections.abc import Iterator
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from shadow_deployment.data.postgres_copy import copy
from tests.production import SHADOW, World

MOMENT = dt.datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=dt.UTC)
COLUMNS: dict[str, tuple[str, pa.DataType, list[Any]]] = {
    "a": ("int", pa.int32(), [1, None, -(2**31)]),
    "b": ("int", pa.int32(), [2**31 - 1, 0, 70_000]),
    "e": ("date", pa.date32(), [dt.date(1, 1, 1), None, dt.date(9999, 12, 31)]),
    "h": ("float8[]", pa.list_(pa.float64()), [[0.1, -math.inf, 5e-324], [], []]),
    "i": ("float8[]", pa.list_(pa.float64()), [[0.5], None, [0.25, -1.0, 2.0]]),
    "j": ("text[]", pa.list_(pa.string()), [["", None], ["{é}", "é\\N\t\"',\n"], None]),
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


def test_every_value_is_there_as_it_was(session: "psycopg.Connection[Any]") -> None:
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

    def sent(stream: psycopg.Copy, row: Any, write: Any = psycopg.Copy.write_row) -> None:
        happened.append("sent")
        write(stream, row)

    monkeypatch.setattr(psycopg.Copy, "write_row", sent)
    copy(session, "target", coming(), schema="pg_temp")
    copy(session, "target", [], schema="pg_temp")
    assert happened == ["made 0", "sent", "made 1", "sent", "made 2", "sent"]
    assert rows(session) == EXPECTED


def test_what_is_not_a_number_is_sent_as_such_and_so_is_what_is_missing(session: "psycopg.Connection[Any]") -> None:
    numbers = pa.array([[math.nan, 1.0, None]], pa.list_(pa.float64()))
    pairs = pa.array([[[1.0, 2.0], None]], pa.list_(pa.list_(pa.float64())))
    copy(session, "target", [pa.table({"i": numbers, "k": pairs})], schema="pg_temp")
    assert session.execute("SELECT i::text, k::text FROM target").fetchall() == [("{NaN,1,NaN}", "{{1,2},{NaN,NaN}}")]


def test_a_copy_is_part_of_the_transaction(session: "psycopg.Connection[Any]") -> None:
    session.execute("SAVEPOINT before")
    copy(session, "target", [table()], schema="pg_temp")
    session.execute("ROLLBACK TO before")
    assert rows(session) == []


@pytest.mark.parametrize("kind", [pa.int16(), pa.int64(), pa.float64(), pa.string(), pa.timestamp("us", "UTC")])
def test_another_type_is_refused(session: "psycopg.Connection[Any]", kind: pa.DataType) -> None:
    with pytest.raises(ValueError, match=r"a column of .* cannot be copied; it must be of int32, date32 or lists"):
        copy(session, "target", [pa.table({"a": pa.array([None], kind)})], schema="pg_temp")


@pytest.mark.parametrize(
    ("kind", "values"),
    [(pa.int64(), [1]), (pa.float32(), [1.0]), (pa.timestamp("us"), [0]), (pa.int32(), [1, None])],
)
def test_a_list_of_another_type_and_one_with_a_gap_is_refused(
    session: "psycopg.Connection[Any]", kind: pa.DataType, values: list[Any]
) -> None:
    with pytest.raises(ValueError, match=r"a list of .* with [01] nulls cannot be sent"):
        copy(session, "target", [pa.table({"m": pa.array([values], pa.list_(kind))})], schema="pg_temp")


def test_a_column_of_another_type_than_there_is_refused_by_the_server(session: "psycopg.Connection[Any]") -> None:
    with pytest.raises(psycopg.errors.DatatypeMismatch):
        copy(session, "target", [pa.table({"m": pa.array([[1.0]], pa.list_(pa.float64()))})], schema="pg_temp")
