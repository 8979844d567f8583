"""Rows read in parts: a snapshot's files as one run of rows, and a champion scored again on rows from all over it."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shadow_deployment.config.deployment import ChampionSettings
from shadow_deployment.data.predictor import Predictions
from shadow_deployment.data.rows import PART_COLUMNS, SnapshotRows, rows_per_part
from shadow_deployment.data.snapshots import SnapshotPart
from shadow_deployment.data.storage import FolderStore
from shadow_deployment.errors import SnapshotError
from shadow_deployment.pipeline.challengers.replay_check import check
from tests.rows import TableRows
from tests.unit.data.test_snapshot import Production, taken

FILES = (5, 1, 9, 4)  # rows of each


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


@pytest.fixture
def parts(store: FolderStore) -> list[SnapshotPart]:
    """Files with numbers that go on from one to the next, in row groups of two."""
    found: list[SnapshotPart] = []
    first = 0
    for number, rows in enumerate(FILES):
        path = store.folder / "day" / f"part-{number}.parquet"
        path.parent.mkdir(exist_ok=True)
        numbers = range(first, first + rows)
        table = pa.table({"request_id": [f"r{row}" for row in numbers], "x": pa.array(numbers, pa.int64())})
        pq.write_table(table, path, row_group_size=2)
        found.append(SnapshotPart(path.name, first, rows, hashlib.sha256(path.read_bytes()).hexdigest()))
        first += rows
    return found


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 10, 19, 20, 1000])
def test_parts_have_as_many_rows_as_are_asked_for_whatever_the_files_have(
    store: FolderStore, parts: list[SnapshotPart], rows: int
) -> None:
    tables = list(SnapshotRows(store, "day", parts).read(["x"], rows))
    assert pa.concat_tables(tables)["x"].to_pylist() == list(range(19))
    assert all(table.num_rows == rows for table in tables[:-1])
    assert 0 < tables[-1].num_rows <= rows
    assert {tuple(table.column_names) for table in tables} == {("x",)}


def test_a_file_that_was_changed_is_never_read(store: FolderStore, parts: list[SnapshotPart]) -> None:
    path = store.folder / "day" / parts[2].name
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(SnapshotError, match=r"part-2\.parquet has SHA-256"):
        list(SnapshotRows(store, "day", parts).read(["x"], 100))


def test_a_file_is_compared_with_the_manifest_once_and_read_as_often_as_is_needed(
    store: FolderStore, parts: list[SnapshotPart], monkeypatch: pytest.MonkeyPatch
) -> None:
    from shadow_deployment.data import rows as module

    compared: list[str] = []
    usual = module.read_part

    def read_part(store: FolderStore, folder: str, part: SnapshotPart) -> pq.ParquetFile:
        compared.append(part.name)
        return usual(store, folder, part)

    monkeypatch.setattr(module, "read_part", read_part)
    source = SnapshotRows(store, "day", parts)
    assert source.schema.names == ["request_id", "x"]
    for _ in range(3):
        assert sum(table.num_rows for table in source.read(["request_id"], 4)) == 19
    assert compared == [part.name for part in parts]


def test_a_snapshot_as_it_is_taken_is_read_whole(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "snapshots")
    manifest = taken(store, Production())
    (folder,) = {path.parent for path in store.folder.rglob("*.parquet")}
    source = SnapshotRows(store, str(folder.relative_to(store.folder)), manifest.parts)
    whole = pa.concat_tables(source.read(source.schema.names, 3))
    assert whole.equals(pa.concat_tables([pq.read_table(folder / part.name) for part in manifest.parts]))


def test_more_columns_make_parts_of_fewer_rows() -> None:
    assert rows_per_part(1, 1000) == rows_per_part(PART_COLUMNS // 2, 1000) == 2000
    assert rows_per_part(PART_COLUMNS, 1000) == 1000
    assert rows_per_part(2 * PART_COLUMNS, 1000) == 500
    assert rows_per_part(10**6, 1000) == 1


class Remembers:
    """Answers with half of what was logged, so that all differ; remembers what it was shown."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def predict(self, batch: pa.RecordBatch) -> Predictions:
        self.shown += batch["request_id"].to_pylist()
        return Predictions(batch["champion"].to_numpy(zero_copy_only=False) / 2, {})


@pytest.mark.parametrize("sample", [1, 4, 7, 50])
@pytest.mark.parametrize("version", [None, "7"])
def test_the_same_rows_are_scored_again_whatever_parts_they_are_read_in(sample: int, version: str | None) -> None:
    random = np.random.default_rng(sample)
    logged = [None if random.random() < 0.3 else float(number) for number in range(1, 60)]
    versions = [str(number) for number in random.choice([7, 8], 59)]
    log = pa.table(
        {"request_id": [f"r{number}" for number in range(59)], "champion": logged, "champion_version": versions}
    )
    usable = [
        number
        for number in range(59)
        if logged[number] is not None and (version is None or versions[number] == version)
    ]
    expected = [f"r{number}" for number in usable[:: max(len(usable) // sample, 1)][:sample]]
    champion = ChampionSettings(model="onnx:m.onnx", sample=sample, version=version)
    found = []
    for part_rows in (1, 3, 10, 100):
        model = Remembers()
        found.append(check(champion, model, TableRows(log), part_rows=part_rows))
        assert model.shown == expected
    assert all(one == found[0] for one in found)
    assert found[0].mismatched == len(expected)
