"""Putting rows in order outside production: every type comes back as it was, and what goes wrong says so."""

import datetime as dt
import errno
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shadow_deployment.data.sampling import HASHES, Draw
from shadow_deployment.data.sources.ordering import sort_by_draw
from shadow_deployment.errors import TransientError

NOON = dt.datetime(2024, 1, 1, 12, tzinfo=dt.UTC)
KEYS = [("request_id", pa.string()), ("requested_at", pa.timestamp("us", "UTC"))]
KEYS += [("stratum", pa.string()), ("keyed hash", pa.int64())]
SCHEMA = pa.schema(
    [
        *KEYS,
        ("Name", pa.int64()),
        ("select", pa.float32()),
        ("a b", pa.list_(pa.float64())),
        ("naive", pa.timestamp("us")),
        ("day", pa.date32()),
        ("flag", pa.bool_()),
        ("small", pa.int16()),
        ("exact", pa.decimal128(20, 6)),
        ("bytes", pa.binary()),
        ("name", pa.string()),
    ]
)
DRAWS = [Draw("", 3, 3), Draw("Z", 5, 5), Draw("é", 2, 2)]
EVERYTHING = [HASHES] * 3


def row(number: int, stratum: str, hash_: int, name: str | None, at: dt.datetime = NOON) -> tuple[Any, ...]:
    value = None if number % 3 else f"{number}"
    more = (0.1, [0.5, None], NOON.replace(tzinfo=None), NOON.date(), True, 7, Decimal("1.5"), b"\0\xff", value)
    return name, at, stratum, hash_, number, *more


LATER = NOON + dt.timedelta(hours=1)
ROWS = [
    row(0, "é", 5, "e"),
    row(1, "Z", HASHES - 1, "last"),
    row(2, "Z", 7, "twice", LATER),
    row(3, "", 3, "b"),
    row(4, "Z", 7, "twice"),
    row(5, "Z", 7, "once"),
    row(6, "", -1, None),
    row(7, "é", 4, "d"),
    row(8, "", 2, "a"),
    row(9, "Z", 6, "first"),
]
ORDER = [6, 8, 3, 9, 5, 4, 2, 1, 7, 0]


def batches(rows: list[tuple[Any, ...]], size: int = 2) -> pa.RecordBatchReader:
    columns = [pa.array(column, field.type) for column, field in zip(zip(*rows, strict=True), SCHEMA, strict=True)]
    return pa.Table.from_arrays(columns, schema=SCHEMA).to_reader(max_chunksize=size)


@pytest.mark.parametrize("chunk_bytes", [1, 300, 1 << 20], ids=["each row apart", "in parts", "in memory"])
def test_rows_come_in_the_order_of_the_draw_and_are_what_they_were(
    chunk_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    found = sort_by_draw(batches(ROWS), DRAWS, EVERYTHING, chunk_bytes=chunk_bytes).read_all()
    assert found["Name"].to_pylist() == ORDER
    assert found.schema == SCHEMA.remove(3)
    assert found.to_pylist() == batches([ROWS[one] for one in ORDER], 10).read_all().remove_column(3).to_pylist()
    assert list(tmp_path.iterdir()) == []


def test_no_rows_are_no_rows() -> None:
    empty = pa.RecordBatchReader.from_batches(SCHEMA, iter(()))
    assert sort_by_draw(empty, [], []).read_all().num_rows == 0


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3), TransientError("lost"), OSError("cut")])
@pytest.mark.parametrize("chunk_bytes", [1, 1 << 20])
def test_what_reading_raises_is_raised_as_it_is_after_rows_too(error: BaseException, chunk_bytes: int) -> None:
    def some() -> Iterator[pa.RecordBatch]:
        yield from batches(ROWS)
        raise error

    ordered = sort_by_draw(
        pa.RecordBatchReader.from_batches(SCHEMA, some()), DRAWS, EVERYTHING, chunk_bytes=chunk_bytes
    )
    with pytest.raises(type(error)) as caught:
        ordered.read_all()
    assert caught.value is error


def drawn(count: int, highest: int) -> tuple[pa.RecordBatchReader, pa.Table]:
    """Some rows of two strata in no order, and the same as a table."""
    random = np.random.default_rng(5)
    table = pa.table(
        {
            "request_id": [f"r{number}" for number in range(count)],
            "requested_at": pa.repeat(pa.scalar(NOON, KEYS[1][1]), count),
            "stratum": ["b" if one else "a" for one in random.random(count) < 0.9],
            "keyed hash": random.integers(0, highest, count),
            "text": [f"{number * 7919 % count:07d}" * 20 for number in range(count)],
        }
    )
    return table.to_reader(max_chunksize=500), table


def test_many_parts_hold_equal_shares_and_follow_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    from shadow_deployment.data.sources import ordering

    sizes = list[int]()
    sort = ordering._sorted
    monkeypatch.setattr(ordering, "_sorted", lambda rows, strata: sizes.append(len(rows)) or sort(rows, strata))
    highest = HASHES // 4
    reader, table = drawn(20_000, highest)
    counted = table["stratum"].to_pylist().count("a") * 4
    draws = [Draw("a", counted, 10), Draw("b", 80_000 - counted, 10)]
    found = sort_by_draw(reader, draws, [highest, highest], chunk_bytes=table.nbytes // 10).read_all()
    expected = table.sort_by([("stratum", "ascending"), ("keyed hash", "ascending")]).remove_column(3)
    assert found.to_pylist() == expected.to_pylist()
    assert len(sizes) >= 10
    assert max(sizes) < 1.2 * 20_000 / len(sizes)


def test_a_folder_without_room_is_worth_another_try_and_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("pyarrow.ipc.new_file", full)
    with pytest.raises(TransientError, match=r"for which TMPDIR needs room: .*No space left"):
        sort_by_draw(batches(ROWS), DRAWS, EVERYTHING, chunk_bytes=1).read_all()


def test_nothing_is_read_any_more_once_putting_in_order_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is told closes the session that rows are read from, while what it was told of still stands."""
    before, failed, slowly = threading.active_count(), threading.Event(), batches(ROWS)

    def full(*_: Any) -> None:
        failed.set()
        raise OSError(errno.ENOSPC, "No space left on device")

    def read() -> Iterator[pa.RecordBatch]:
        for number, batch in enumerate(slowly):
            if number == 2:
                assert failed.wait(120)
                time.sleep(0.2)
            yield batch

    monkeypatch.setattr("pyarrow.ipc.new_file", full)
    reader = sort_by_draw(pa.RecordBatchReader.from_batches(SCHEMA, read()), DRAWS, EVERYTHING, chunk_bytes=1)
    with pytest.raises(TransientError) as told:
        reader.read_all()
    assert told.value.__traceback__ is not None
    assert threading.active_count() == before
