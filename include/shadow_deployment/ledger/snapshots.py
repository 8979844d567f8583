"""Snapshots in the ledger: which windows of which days were drawn, and which requests are in them."""

import datetime as dt
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shadow_deployment.base.prefetch import prefetch
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.window import Window, window_of, windows_of
from shadow_deployment.data.db import Session
from shadow_deployment.data.postgres_copy import copy
from shadow_deployment.data.sampling import design, digest
from shadow_deployment.data.snapshots import Manifest, folder_of, read_part, window_folder
from shadow_deployment.data.storage import Store
from shadow_deployment.decision.trial import SERVICE
from shadow_deployment.errors import SnapshotError
from shadow_deployment.ledger.batching import in_batches
from shadow_deployment.ledger.reading import read_column, read_rows, read_value
from shadow_deployment.ledger.writing.locks import share
from shadow_deployment.ledger.writing.rows import insert

_REQUEST_COLUMNS = (
    "request_id",
    "requested_at",
    "inclusion_probability",
    "cell",
    "champion",
    "champion_version",
    "champion_latency_ms",
    "champion_probabilities",
    "label_key",
)
_OPTIONAL = _REQUEST_COLUMNS[-2:]


@dataclass(frozen=True)
class SampledWindow:
    """A registered window of a day; its requests and shards are numbered on from those of the windows before it."""

    start: dt.datetime
    end: dt.datetime
    first_ordinal: int
    first_shard: int
    shards: int
    digest: str


@dataclass(frozen=True)
class Snapshot:
    """A registered snapshot: one day of one sampling design, with its labels as they were collected last.

    `windows` are in the order in which they were sampled, and all of the day's where `is_complete`. `champion_versions`
    are in the order of their last predictions, `numbered_versions` as the ledger's requests refer to them.
    `label_revision` is the newest arrival of labels, `complete_at` when the last request got its label. `by_service`
    says whether the deployment compares with the service and not with a version.
    """

    id: int
    day: dt.date
    window_end: dt.datetime
    population: int
    rows: int
    digest: str
    location: str
    champion_versions: list[str]
    labels_until: dt.datetime | None
    label_revision: int
    labelled: int
    contradicted: int
    invalid: int
    early: int
    complete_at: dt.datetime | None
    numbered_versions: list[str]
    windows_json: str
    is_complete: bool
    by_service: bool = False

    @cached_property
    def windows(self) -> list[SampledWindow]:
        """The sampled windows, read when they are asked for: of a year's hours there are thousands."""
        parse = dt.datetime.fromisoformat
        return [SampledWindow(parse(start), parse(end), *rest) for start, end, *rest in json.loads(self.windows_json)]

    @property
    def champions(self) -> list[str]:
        """The champions that the day's evidence is against: the versions that served it, or the service as one."""
        return [SERVICE] if self.by_service and self.champion_versions else self.champion_versions

    @property
    def numbered_champions(self) -> list[str]:
        """The same in the order in which the ledger's requests refer to them."""
        return self.champions if self.by_service else self.numbered_versions

    def window_of(self, shard: int) -> SampledWindow:
        """Return the window that a shard belongs to."""
        return next(each for each in self.windows if each.first_shard <= shard < each.first_shard + each.shards)


FIELDS = ", ".join(
    "windows::text AS windows_json" if field.name == "windows_json" else field.name
    for field in fields(Snapshot)
    if field.name != "by_service"
)


def deployment_id(session: Session[Any], deployment: Deployment) -> int:
    """Return the deployment's key, entering it at first."""
    key = read_value(session, "SELECT id FROM shadow.deployment WHERE name = %s", [deployment.name])
    if key is None:
        insert(session, "deployment", {"name": deployment.name, "task": deployment.task}, once=True)
    return deployment_id(session, deployment) if key is None else int(key)


def find(session: Session[Any], deployment: Deployment, day: dt.date) -> Snapshot | None:
    """Return the day's snapshot under the present sampling design, None where there is none or a window is missing."""
    return next(iter(snapshots(session, deployment, day, day)), None)


def so_far(session: Session[Any], deployment: Deployment, day: dt.date) -> Snapshot | None:
    """Return the day with the windows that were sampled, complete or not; None where none was."""
    return next(iter(sampled(session, deployment, day, day)), None)


def snapshots(
    session: Session[Any], deployment: Deployment, first: dt.date | None, last: dt.date | None
) -> list[Snapshot]:
    """Return the snapshots of the present sampling design from `first` to `last`, in order; None is no limit.

    A day of which a window is missing has none.
    """
    return [each for each in sampled(session, deployment, first, last) if each.is_complete]


def sampled(
    session: Session[Any], deployment: Deployment, first: dt.date | None, last: dt.date | None
) -> list[Snapshot]:
    """Return the days from `first` to `last` with the windows that were sampled, complete or not, in order."""
    return read_rows(
        session,
        Snapshot,
        f"SELECT {FIELDS}, %s AS by_service FROM shadow.labelled_snapshot "  # noqa: S608 (a constant)
        "WHERE deployment_id = (SELECT id FROM shadow.deployment WHERE name = %s) AND design = %s "
        "AND day BETWEEN coalesce(%s::date, '-infinity') AND coalesce(%s::date, 'infinity') ORDER BY day",
        [
            deployment.requests.champion_identity == "service",
            deployment.name,
            digest(design(deployment)),
            first,
            last,
        ],
    )


def missing_windows(deployment: Deployment, snapshot: Snapshot) -> list[Window]:
    """Return the windows of a day that were not sampled, in order."""
    there = {window.start for window in snapshot.windows}
    return [window for window in windows_of(deployment, snapshot.day) if window.start not in there]


def sampled_before(session: Session[Any], deployment: Deployment, moment: dt.datetime) -> set[dt.date]:
    """Return the days that were sampled by the present design before a moment of the ledger's clock."""
    query = (
        "SELECT s.day FROM shadow.snapshot AS s JOIN shadow.deployment AS d ON d.id = s.deployment_id "
        "WHERE d.name = %s AND s.design = %s AND s.created_at < %s"
    )
    return set(read_column(session, query, [deployment.name, digest(design(deployment)), moment]))


def keys(snapshots: Iterable[Snapshot]) -> str:
    """Return the keys of snapshots as Postgres reads an array from text, many times faster than from a list."""
    return "{" + ",".join(str(snapshot.id) for snapshot in snapshots) + "}"


def register(session: Session[Any], deployment: Deployment, manifest: Manifest, store: Store) -> None:
    """Enter a window with all its requests in one transaction; one that is there already is only checked.

    Raises SnapshotError where the window is registered with another digest, or a part is not what the manifest says.
    """
    key = deployment_id(session, deployment)
    session.execute("SELECT shadow.ensure_partitions(%s)", [manifest.day])
    session.commit()  # a new partition locks its parent, and a new deployment its name: days beside this one need both
    share(session, deployment)
    folder, before = folder_of(deployment, manifest.day), so_far(session, deployment, manifest.day)
    if before is not None and any(each.start == manifest.window_start for each in before.windows):
        require_same(before, manifest)
        return
    snapshot_id = _day(session, deployment, key, manifest, folder) if before is None else before.id
    first, versions = _enter(session, snapshot_id, manifest, before)
    cells = Cells(deployment.slices, _cells(session, snapshot_id))
    whose = {"day": pa.scalar(manifest.day), "snapshot_id": pa.scalar(snapshot_id, pa.int32())}
    files = f"{folder}/{window_folder(manifest.window_start)}"
    with closing(prefetch(_requests(manifest, store, files, cells, versions))) as parts:
        batches = (in_batches(first + place, whose, requests, optional=_OPTIONAL) for place, requests in parts)
        copy(session, "request_batch", batches)
    cells.enter(session, snapshot_id)
    session.commit()


def require_same(snapshot: Snapshot, manifest: Manifest) -> None:
    """Raise SnapshotError where a window is registered with other inputs than the store holds."""
    registered = next((each.digest for each in snapshot.windows if each.start == manifest.window_start), "nothing")
    if registered != manifest.digest:
        raise SnapshotError(
            f"snapshot of {manifest.day} has digest {manifest.digest}, must be {registered} as registered: "
            "the inputs were changed; restore them from a backup"
        )


def register_features(session: Session[Any], snapshot: Snapshot, folder: str, found: str) -> None:
    """Enter the digest of a challenger's own features of a window; those that are there already are only checked.

    Raises SnapshotError where the folder is registered with another digest.
    """
    insert(session, "own_features", {"folder": folder, "snapshot_id": snapshot.id, "digest": found}, once=True)
    require_same_features(folder, found, registered_features(session, snapshot)[folder])


def registered_features(session: Session[Any], snapshot: Snapshot) -> dict[str, str]:
    """Return the digests of challengers' own features of a day, by the folder of each."""
    query = "SELECT folder, digest FROM shadow.own_features WHERE snapshot_id = %s ORDER BY folder"
    return dict(session.execute(query, [snapshot.id]).fetchall())


def require_same_features(folder: str, found: str, registered: str) -> None:
    """Raise SnapshotError where features are registered with another digest."""
    if found != registered:
        raise SnapshotError(
            f"features in {folder} have digest {found}, must be {registered} as registered: they were changed; restore "
            "them from a backup"
        )


def _day(session: Session[Any], deployment: Deployment, key: int, manifest: Manifest, folder: str) -> int:
    """Enter a day, whose first window is about to be; return its key."""
    whole, source = window_of(deployment, manifest.day), deployment.requests.table
    return int(
        session.execute(
            "INSERT INTO shadow.sampled_day (deployment_id, day, design, window_start, window_end, location, source) "
            "VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING id",
            [key, manifest.day, manifest.design_digest, whole.start, whole.end, folder, source],
        ).fetchall()[0][0]
    )


def _enter(
    session: Session[Any], snapshot_id: int, manifest: Manifest, before: Snapshot | None
) -> tuple[int, list[str]]:
    """Enter a window after those of its day; return its first ordinal, and the versions of the day by their numbers."""
    known, first = (before.numbered_versions, before.rows) if before else ([], 0)
    shard = sum(window.shards for window in before.windows) if before else 0
    same = ("window_start", "window_end", "population", "rows", "digest")
    row = {name: getattr(manifest, name) for name in same} | {
        "snapshot_id": snapshot_id,
        "number": len(before.windows) + 1 if before else 1,
        "first_ordinal": first,
        "first_shard": shard,
        "shards": len(manifest.parts),
        "champion_versions": list(manifest.champion_versions),
    }
    insert(session, "sampled_window", row)
    return first, list(dict.fromkeys([*known, *manifest.champion_versions]))


def _cells(session: Session[Any], snapshot_id: int) -> dict[int, dict[str, str]]:
    """Return the combinations of slice values that earlier windows have brought, by number."""
    rows = session.execute("SELECT cell, slices FROM shadow.cell WHERE snapshot_id = %s", [snapshot_id])
    return {int(cell): slices for cell, slices in rows}


def _requests(
    manifest: Manifest, store: Store, folder: str, cells: "Cells", numbered: Sequence[str]
) -> Iterator[tuple[int, dict[str, pa.Array]]]:
    """Yield some requests of a window: the place of the first, and the columns of `shadow.request_batch`."""
    versions = pa.array(numbered, pa.string())
    for part in manifest.parts:
        ordinal, file = part.first_ordinal, read_part(store, folder, part)
        names = [name for name in file.schema_arrow.names if name in (*_REQUEST_COLUMNS, *cells.columns)]
        for batch in file.iter_batches(columns=names):
            yield ordinal, _columns(batch, cells, versions)
            ordinal += batch.num_rows


def _columns(batch: pa.RecordBatch, cells: "Cells", versions: pa.StringArray) -> dict[str, pa.Array]:
    """Return the columns of `shadow.request_batch` for each request: what is no number is NaN."""
    champion = batch["champion"]
    finite = pc.fill_null(pc.is_finite(champion), False)
    columns = {name: batch[name] for name in batch.schema.names} | {
        "cell": cells.numbered(batch),
        "champion": pc.if_else(finite, champion, math.nan),
        "champion_version": pc.add(pc.index_in(batch["champion_version"], versions), pa.scalar(1, pa.int32())),
        "champion_latency_ms": pc.fill_null(batch["champion_latency_ms"], math.nan),
    }
    return {name: columns[name] for name in _REQUEST_COLUMNS if name in columns}


class Cells:
    """The combinations of slice values that occur in a snapshot, numbered as they come; `known` are there already."""

    def __init__(self, columns: list[str], known: Mapping[int, Mapping[str, str]]) -> None:
        self.columns = columns
        self._known = {
            tuple(slices[name] for name in columns): cell
            for cell, slices in known.items()
            if set(slices) == set(columns)
        }
        self._new: dict[tuple[str, ...], int] = {}
        self._next = max(known, default=-1) + 1

    def numbered(self, batch: pa.RecordBatch) -> pa.Array:
        """Return the number of each row's combination; a null value is the text (null)."""
        code = np.zeros(batch.num_rows, np.int64)
        dictionaries: list[list[str]] = []
        for column in self.columns:
            encoded = pc.fill_null(batch[column].cast(pa.string()), "(null)").dictionary_encode()
            dictionaries.append(encoded.dictionary.to_pylist())
            code = code * len(dictionaries[-1]) + encoded.indices.to_numpy()
        encoded = pa.array(code).dictionary_encode()
        numbers = [self._number(code, dictionaries) for code in encoded.dictionary.to_pylist()]
        return pa.array(np.asarray(numbers, np.int32)[encoded.indices.to_numpy()])

    def enter(self, session: Session[Any], snapshot_id: int) -> None:
        """Enter the combinations that are new."""
        slices = [json.dumps(dict(zip(self.columns, values, strict=True))) for values in self._new]
        session.execute(
            "INSERT INTO shadow.cell (snapshot_id, cell, slices) "
            "SELECT %s, c.cell, c.slices FROM unnest(%s::int[], %s::jsonb[]) AS c (cell, slices)",
            [snapshot_id, list(self._new.values()), slices],
        )

    def _number(self, code: int, dictionaries: list[list[str]]) -> int:
        values: list[str] = []
        for dictionary in reversed(dictionaries):
            code, index = divmod(code, len(dictionary))
            values.append(dictionary[index])
        combination = tuple(reversed(values))
        known = self._known.get(combination)
        return self._new.setdefault(combination, self._next + len(self._new)) if known is None else known
