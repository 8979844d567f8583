"""Columns of consecutive requests as rows of arrays."""

from typing import Any

import pyarrow as pa
import pytest

from shadow_deployment.ledger import batching
from shadow_deployment.ledger.batching import in_batches

KEYS = {"snapshot_id": pa.scalar(3, pa.int32())}


@pytest.fixture(autouse=True)
def two_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batching, "BATCH_ROWS", 2)


def rows(table: pa.Table, *names: str) -> list[tuple[Any, ...]]:
    return [tuple(row[name] for name in names) for row in table.to_pylist()]


def test_each_row_holds_so_many_requests_and_the_last_one_what_is_left() -> None:
    table = in_batches(10, KEYS, {"cell": pa.array([1, 2, 3, 4, 5], pa.int32())})
    assert table.schema.types == [pa.int32()] * 3 + [pa.list_(pa.int32())]
    assert rows(table, *table.column_names) == [(3, 10, 2, [1, 2]), (3, 12, 2, [3, 4]), (3, 14, 1, [5])]


def test_a_column_that_is_a_part_of_another_is_cut_as_it_is() -> None:
    table = in_batches(0, KEYS, {"cell": pa.array([9, 1, 2, 3], pa.int32())[1:]})
    assert rows(table, "cell") == [([1, 2],), ([3],)]


def test_an_array_with_nothing_in_it_is_null_where_it_may_be() -> None:
    texts = pa.array([None, "a", None, None])
    table = in_batches(0, KEYS, {"request_id": texts, "error": texts}, optional=["error", "not_there"])
    assert rows(table, "request_id", "error") == [([None, "a"], [None, "a"]), ([None, None], None)]


def test_of_no_request_there_is_no_row() -> None:
    assert in_batches(0, KEYS, {"cell": pa.array([], pa.int32())}).num_rows == 0
