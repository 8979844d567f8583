"""A day's snapshot: written once and whole, or not at all, and known again by its digest."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pytest

from shadow_deployment.base.paths import PROJECT
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.window import Window, window_of
from shadow_deployment.data import snapshots
from shadow_deployment.data.ports import RequestSource
from shadow_deployment.data.sampling import Draw
from shadow_deployment.data.snapshots import Manifest, read_manifest, read_part, take
from shadow_deployment.data.storage import FolderStore, open_store
from shadow_deployment.errors import DeploymentError, ShadowError, SnapshotError, SourceError, TransientError
from tests.builders import a_deployment

DAY = dt.date(2013, 3, 1)


@dataclass
class Production:
    """A window with some requests of each origin; the first ones of each are drawn."""

    counts: Mapping[str, int] = field(default_factory=lambda: {"EWR": 10, "JFK": 6, "LGA": 1})
    batch_rows: int = 4
    versions: Sequence[str] = ("7",)
    fails_after: int | None = None  # how many batches come before the connection is lost
    failure: Exception = field(default_factory=lambda: TransientError("connection lost"))
    ends_empty: bool = False  # whether a batch without a row comes last
    lacks: Sequence[int] = (0, 0)  # how many requests too few come, over candidates and over all
    readings: int = 0

    @contextmanager
    def reading(self, window: Window) -> Iterator["Production"]:
        self.readings += 1
        self.start = window.start
        yield self

    def population(self) -> Mapping[str, int]:
        return self.counts

    def sample(self, draws: Sequence[Draw], *, all_candidates: bool = False) -> Iterator[pa.RecordBatch]:
        drawn = [f"{draw.stratum}{number}" for draw in draws for number in range(draw.size)]
        drawn = drawn[: len(drawn) - self.lacks[all_candidates]]
        for number, first in enumerate(range(0, len(drawn), self.batch_rows)):
            if number == self.fails_after:
                raise self.failure
            yield self.batch(drawn[first : first + self.batch_rows], first)
        if self.ends_empty:
            yield self.batch([], len(drawn))

    def batch(self, requests: list[str], first: int) -> pa.RecordBatch:
        rows = range(first, first + len(requests))
        return pa.record_batch(
            {
                "request_id": pa.array(requests),
                "requested_at": pa.array([self.start] * len(rows), pa.timestamp("us", "UTC")),
                "stratum": pa.array([request[:3] for request in requests]),
                "champion": pa.array([row / 100 for row in rows]),
                "champion_version": pa.array([self.versions[row % len(self.versions)] for row in rows]),
                "champion_latency_ms": pa.array([1.0] * len(rows)),
                "dep_hour": pa.array([None if row == 2 else float(row) for row in rows], pa.float64()),
            }
        )


class Killed(BaseException):
    """The process ends here."""


class KilledStore(FolderStore):
    """A store whose process ends before a file of this name is there."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(folder)
        self._name = name

    @contextmanager
    def writing(self, name: str) -> Iterator[BinaryIO]:
        with super().writing(name) as file:
            yield file
            if name.endswith(self._name):
                raise Killed


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "snapshots")


def sampled(rate: float = 1.0, shard_rows: int = 5, **sample: Any) -> Deployment:
    return a_deployment(sample={"rate": rate, "shard_rows": shard_rows, "minimum_per_stratum": 0} | sample)


def taken(store: FolderStore, production: Production | None = None, deployment: Deployment | None = None) -> Manifest:
    deployment = deployment or sampled()
    return take(deployment, window_of(deployment, DAY), cast(RequestSource, production or Production()), store)


def folder_of(deployment: Deployment) -> str:
    return f"{snapshots.folder_of(deployment, DAY)}/20130301T0000Z"


def rows_of(store: FolderStore, manifest: Manifest, deployment: Deployment | None = None) -> pa.Table:
    folder = folder_of(deployment or sampled())
    return pa.concat_tables([read_part(store, folder, part).read() for part in manifest.parts])


def files(store: FolderStore) -> list[str]:
    return sorted(path.name for path in store.folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("batch_rows", [1, 3, 5, 8, 100])
@pytest.mark.parametrize(("shard_rows", "parts"), [(5, [5, 5, 5, 2]), (17, [17]), (100, [17]), (8, [8, 8, 1])])
def test_parts_have_the_rows_of_a_shard_however_production_sends_them(
    batch_rows: int, shard_rows: int, parts: list[int], store: FolderStore
) -> None:
    deployment = sampled(shard_rows=shard_rows)
    manifest = taken(store, Production(batch_rows=batch_rows), deployment)
    assert [part.rows for part in manifest.parts] == parts
    assert [part.first_ordinal for part in manifest.parts] == [sum(parts[:number]) for number in range(len(parts))]
    assert files(store) == ["manifest.json", *(f"part-{number:05d}.parquet" for number in range(len(parts)))]
    rows = rows_of(store, manifest, deployment)
    assert rows["request_id"].to_pylist() == [
        f"{name}{number}" for name, count in Production().counts.items() for number in range(count)
    ]
    assert rows["dep_hour"].to_pylist() == [None if row == 2 else float(row) for row in range(17)]


def test_a_snapshot_is_the_same_to_the_byte_however_production_sends_it(tmp_path: Path) -> None:
    digests = {
        taken(FolderStore(tmp_path / str(batch_rows)), Production(batch_rows=batch_rows)).digest
        for batch_rows in (1, 3, 5, 8, 100)
    }
    assert len(digests) == 1


@pytest.mark.parametrize(("count", "parts"), [(5, [5]), (6, [5, 1]), (4, [4])])
def test_an_empty_batch_at_the_end_makes_no_part(count: int, parts: list[int], store: FolderStore) -> None:
    manifest = taken(store, Production(counts={"EWR": count}, ends_empty=True))
    assert [part.rows for part in manifest.parts] == parts
    assert len(files(store)) == len(parts) + 1


def test_each_request_is_stored_with_its_inclusion_probability(store: FolderStore) -> None:
    deployment = sampled(rate=0.5, rates={"LGA": 1.0})
    manifest = taken(store, deployment=deployment)
    assert [(draw.stratum, draw.population, draw.size) for draw in manifest.strata] == [
        ("EWR", 10, 5),
        ("JFK", 6, 3),
        ("LGA", 1, 1),
    ]
    assert (manifest.rows, manifest.population) == (9, 17)
    rows = rows_of(store, manifest, deployment)
    probabilities = dict(zip(rows["stratum"].to_pylist(), rows["inclusion_probability"].to_pylist(), strict=True))
    assert probabilities == {"EWR": 0.5, "JFK": 0.5, "LGA": 1.0}


def test_the_champion_versions_of_a_day_are_kept(store: FolderStore) -> None:
    assert taken(store, Production(versions=("8", "7", "8"))).champion_versions == ["7", "8"]


def test_a_snapshot_that_is_there_is_not_read_from_production_again(store: FolderStore) -> None:
    first = taken(store)
    changed = Production(counts={"EWR": 1})
    assert taken(store, changed) == first
    assert changed.readings == 0


def test_a_manifest_can_be_stored_and_read_again(store: FolderStore) -> None:
    manifest = taken(store)
    again = Manifest.from_json(manifest.to_json())
    assert again == manifest == read_manifest(store, folder_of(sampled()))
    assert again.digest == manifest.digest
    assert (again.window_start, again.window_end) == (
        dt.datetime(2013, 3, 1, tzinfo=dt.UTC),
        dt.datetime(2013, 3, 2, tzinfo=dt.UTC),
    )


@pytest.mark.parametrize("last", ["part-00000.parquet", "part-00003.parquet", "manifest.json"])
def test_killed_before_the_manifest_a_second_take_gives_what_the_first_would_have(last: str, tmp_path: Path) -> None:
    whole = taken(FolderStore(tmp_path / "whole"))
    store = FolderStore(tmp_path / "killed")
    with pytest.raises(Killed):
        taken(KilledStore(store.folder, last))
    assert last not in files(store)
    assert "manifest.json" not in files(store)
    again = Production()
    assert taken(store, again).digest == whole.digest
    assert again.readings == 1
    assert files(store) == files(FolderStore(tmp_path / "whole"))


def test_what_a_killed_process_left_behind_is_written_over(tmp_path: Path) -> None:
    whole = taken(FolderStore(tmp_path / "whole"))
    store = FolderStore(tmp_path / "killed")
    folder = store.folder / folder_of(sampled())
    folder.mkdir(parents=True)
    for name in ("part-00000.parquet", "part-00001.parquet", ".manifest.json.x1y2"):
        (folder / name).write_bytes(b"half a file")
    manifest = taken(store)
    assert manifest.digest == whole.digest
    assert rows_of(store, manifest).num_rows == 17


def test_a_lost_connection_leaves_no_manifest_and_no_half_part(store: FolderStore) -> None:
    with pytest.raises(TransientError, match="connection lost"):
        taken(store, Production(fails_after=2))
    assert files(store) == ["part-00000.parquet"]
    assert taken(store).rows == 17


def test_an_error_of_the_network_is_not_blamed_on_the_store(store: FolderStore) -> None:
    with pytest.raises(ConnectionResetError, match="reset by peer"):
        taken(store, Production(fails_after=1, failure=ConnectionResetError("reset by peer")))
    assert files(store) == []


@pytest.mark.parametrize(
    ("production", "deployment"),
    [
        (Production(counts={"EWR": 10, "JFK": 6, "LGA": 2}), sampled()),
        (Production(versions=("8",)), sampled()),
        (Production(), sampled(rate=0.9)),
        (Production(), sampled(salt="other")),
        (Production(), sampled(shard_rows=6)),
    ],
)
def test_other_requests_another_design_or_other_shards_have_another_digest(
    production: Production, deployment: Deployment, tmp_path: Path
) -> None:
    usual = taken(FolderStore(tmp_path / "usual"))
    other = taken(FolderStore(tmp_path / "other"), production, deployment)
    assert other.digest != usual.digest


def test_another_design_of_the_same_day_has_a_folder_of_its_own(store: FolderStore) -> None:
    first, second = sampled(), sampled(rate=0.5)
    assert folder_of(first) != folder_of(second)
    assert (taken(store, deployment=first).rows, taken(store, deployment=second).rows) == (17, 9)
    assert taken(store, deployment=first).rows == 17


@pytest.mark.parametrize("change", [lambda content: content[:-1] + b"x", lambda content: content + b" ", lambda _: b""])
def test_a_part_that_was_changed_is_refused(change: Any, store: FolderStore) -> None:
    manifest = taken(store)
    path = store.folder / folder_of(sampled()) / "part-00001.parquet"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(SnapshotError, match=r"part-00001\.parquet has SHA-256 .*, must be .*: the inputs were changed"):
        read_part(store, folder_of(sampled()), manifest.parts[1])
    assert read_part(store, folder_of(sampled()), manifest.parts[0]).metadata.num_rows == 5


def test_a_part_that_is_gone_is_named(store: FolderStore) -> None:
    manifest = taken(store)
    (store.folder / folder_of(sampled()) / "part-00001.parquet").unlink()
    with pytest.raises(SnapshotError, match=r"part-00001\.parquet is missing"):
        read_part(store, folder_of(sampled()), manifest.parts[1])


def test_a_manifest_that_was_changed_has_another_digest(store: FolderStore) -> None:
    manifest = taken(store)
    assert replace(manifest, champion_versions=["9"]).digest != manifest.digest
    assert replace(manifest, parts=manifest.parts[:-1]).digest != manifest.digest


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"deployment": "x", "day": "soon"}', "\ud800"])
def test_what_is_no_manifest_is_refused(content: str, store: FolderStore) -> None:
    path = store.folder / "manifest.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(content.encode(errors="surrogatepass"))
    with pytest.raises(SnapshotError, match=r"manifest\.json is no manifest"):
        read_manifest(store, ".")


def test_a_manifest_that_is_gone_is_named(store: FolderStore) -> None:
    with pytest.raises(SnapshotError, match=r"manifest\.json is missing"):
        read_manifest(store, "nowhere")


@pytest.mark.parametrize("counts", [{}, {"EWR": 0}])
def test_a_day_without_requests_is_an_empty_snapshot(counts: dict[str, int], store: FolderStore) -> None:
    manifest = taken(store, Production(counts=counts))
    assert (manifest.rows, manifest.population, list(manifest.parts), list(manifest.champion_versions)) == (
        0,
        0,
        [],
        [],
    )
    assert files(store) == ["manifest.json"]


def test_where_the_candidates_fall_short_all_requests_are_sorted(tmp_path: Path) -> None:
    whole = taken(FolderStore(tmp_path / "whole"))
    assert taken(FolderStore(tmp_path / "short"), Production(lacks=(3, 0))).digest == whole.digest


def test_where_requests_vanish_between_counting_and_drawing_nothing_is_registered(store: FolderStore) -> None:
    with pytest.raises(TransientError, match="17 requests were to be drawn and others came; try again"):
        taken(store, Production(lacks=(1, 1)))
    assert "manifest.json" not in files(store)


def test_more_strata_than_rows_leave_nothing_behind(store: FolderStore) -> None:
    with pytest.raises(SourceError, match=r"sample\.max_rows == 2, must be at least 3"):
        taken(store, deployment=sampled(max_rows=2))
    assert files(store) == []


@pytest.mark.parametrize("error", [ValueError("no"), Killed()])
def test_a_file_is_there_whole_or_not_at_all(error: BaseException, store: FolderStore) -> None:
    with store.writing("folder/file") as file:
        file.write(b"first")
    with pytest.raises(type(error)), store.writing("folder/file") as file:  # noqa: PT012
        file.write(b"half")
        raise error
    assert store.path("folder/file").read_bytes() == b"first"
    assert files(store) == ["file"]


def test_a_store_that_cannot_be_written_says_which_key_to_look_at(tmp_path: Path) -> None:
    (tmp_path / "snapshots").write_text("a file where the folder should be")
    with pytest.raises(SnapshotError, match=r"cannot be written: .*; see store\.snapshots"):
        taken(FolderStore(tmp_path / "snapshots"))


@pytest.mark.parametrize(
    ("uri", "folder"),
    [
        ("file:///var/lib/shadow", Path("/var/lib/shadow")),
        ("/var/lib/shadow", Path("/var/lib/shadow")),
        ("file:///with%20space", Path("/with space")),
        (".shadow/snapshots", PROJECT / ".shadow/snapshots"),
    ],
)
def test_a_store_is_a_folder(uri: str, folder: Path) -> None:
    assert open_store(uri).folder == folder


@pytest.mark.parametrize("uri", ["ftp://host/folder", "file://host/folder", "C:\\folder"])
def test_another_kind_of_store_is_refused(uri: str) -> None:
    with pytest.raises(ShadowError, match=r"must be file:///an/absolute/folder or a path") as caught:
        open_store(uri)
    assert isinstance(caught.value, DeploymentError)
