"""Snapshots: sampled inputs as Parquet, a folder for each window of a day, with a manifest that says what they are.

Parts are written first and the manifest last, each atomically, so a window with a manifest is complete. It is written
once: where there is a manifest, production is not read again.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shadow_deployment.base.parts import tables_of_one_size
from shadow_deployment.base.prefetch import prefetch_map
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.window import Window
from shadow_deployment.data.ports import Reading, RequestSource
from shadow_deployment.data.sampling import Draw, allocate, design, digest
from shadow_deployment.data.storage import Store
from shadow_deployment.errors import SnapshotError, TransientError

_WRITERS: Final = 2
_NEARLY_UNIQUE: Final = ("request_id", "requested_at")  # as floats are: their dictionary would be as long


@dataclass(frozen=True)
class SnapshotPart:
    """One Parquet file: a shard, the unit in which scoring is spread over workers.

    In a manifest `name` and `first_ordinal` count from the window, in a day's files from the day.
    """

    name: str
    first_ordinal: int
    rows: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """What the sample of one window holds; `champion_versions` are in the order of their last predictions.

    `digest` is the SHA-256 of the manifest, and so, through its parts, of all rows.
    """

    deployment: str
    day: dt.date
    window_start: dt.datetime
    window_end: dt.datetime
    design: Mapping[str, Any]
    strata: Sequence[Draw]
    champion_versions: Sequence[str]
    parts: Sequence[SnapshotPart]

    @property
    def rows(self) -> int:
        """How many requests were drawn."""
        return sum(part.rows for part in self.parts)

    @property
    def population(self) -> int:
        """How many requests the window held."""
        return sum(draw.population for draw in self.strata)

    @property
    def design_digest(self) -> str:
        """The sampling design's digest: evidence of two designs is never mixed."""
        return digest(self.design)

    @property
    def digest(self) -> str:
        """The sample's identity."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """Return the manifest as it is stored."""
        return json.dumps(asdict(self), indent=1, sort_keys=True, default=lambda value: value.isoformat())

    @classmethod
    def from_json(cls, text: str) -> "Manifest":
        """Read a stored manifest."""
        fields = json.loads(text)
        return cls(
            deployment=fields["deployment"],
            day=dt.date.fromisoformat(fields["day"]),
            window_start=dt.datetime.fromisoformat(fields["window_start"]),
            window_end=dt.datetime.fromisoformat(fields["window_end"]),
            design=fields["design"],
            strata=[Draw(**draw) for draw in fields["strata"]],
            champion_versions=fields["champion_versions"],
            parts=[SnapshotPart(**part) for part in fields["parts"]],
        )


@dataclass(frozen=True)
class DayFiles:
    """What the sampled windows of a day hold together: what was drawn from each, and all parts by their numbers."""

    strata: Sequence[Draw]
    parts: Sequence[SnapshotPart]

    @classmethod
    def of(cls, windows: Sequence[tuple[int, Manifest]]) -> "DayFiles":
        """Join windows, each with the day's number of its first request."""
        return cls(
            [draw for _, manifest in windows for draw in manifest.strata],
            [
                replace(
                    part,
                    name=f"{window_folder(manifest.window_start)}/{part.name}",
                    first_ordinal=first + part.first_ordinal,
                )
                for first, manifest in windows
                for part in manifest.parts
            ],
        )

    @property
    def rows(self) -> int:
        """How many requests were drawn."""
        return sum(part.rows for part in self.parts)


def folder_of(deployment: Deployment, day: dt.date) -> str:
    """Return the folder of a day below the store, in which each window has one."""
    return f"{deployment.name}/{day}/{digest(design(deployment))[:12]}"


def window_folder(start: dt.datetime) -> str:
    """Return the folder of a window in that of its day."""
    return f"{start:%Y%m%dT%H%MZ}"


def take(deployment: Deployment, window: Window, source: RequestSource, store: Store) -> Manifest:
    """Draw the window's sample and write it, or return the manifest of an existing one.

    Raises SourceError, CredentialsError or TransientError from production, SnapshotError from the store.
    """
    folder = f"{folder_of(deployment, window.day)}/{window_folder(window.start)}"
    if store.exists(f"{folder}/manifest.json"):
        return read_manifest(store, folder)
    store.sweep(folder)
    with source.reading(window) as reading:
        draws = allocate(deployment.sample, reading.population())
        parts, versions = _write(deployment, reading, draws, store, folder)
    manifest = Manifest(
        deployment=deployment.name,
        day=window.day,
        window_start=window.start,
        window_end=window.end,
        design=design(deployment),
        strata=draws,
        champion_versions=versions,
        parts=parts,
    )
    with store.writing(f"{folder}/manifest.json") as file:
        file.write(manifest.to_json().encode())
    return manifest


def read_manifest(store: Store, folder: str) -> Manifest:
    """Return a stored manifest; raise SnapshotError where it is missing or unreadable."""
    path = store.path(f"{folder}/manifest.json")
    try:
        return Manifest.from_json(path.read_text(encoding="utf-8"))
    except (ValueError, KeyError, TypeError) as error:
        raise SnapshotError(f"{path} is no manifest: {error}; restore it from a backup") from error


def read_part(store: Store, folder: str, part: SnapshotPart) -> pq.ParquetFile:
    """Open one part; raise SnapshotError where its bytes are not those that were written."""
    path = store.path(f"{folder}/{part.name}")
    digest_ = _sha256(path)
    if digest_ != part.sha256:
        raise SnapshotError(
            f"{path} has SHA-256 {digest_}, must be {part.sha256}: the inputs were changed; restore them"
        )
    return pq.ParquetFile(path)


def rewrite_without(
    store: Store, folder: str, target: str, manifest: Manifest, ordinals: Collection[int]
) -> tuple[Manifest, list[int]]:
    """Write a window again into another folder, without some of its requests.

    Written again it is the same. A part that would have no rows is left out.

    Returns:
        The new manifest, and the places of the parts that are left out.

    Raises:
        SnapshotError: A file is not the one that was written, or the store cannot be written.
    """
    parts, dropped = rewrite_parts(store, folder, target, manifest.parts, ordinals)
    rewritten = replace(manifest, parts=parts)
    with store.writing(f"{target}/manifest.json") as file:
        file.write(rewritten.to_json().encode())
    return rewritten, dropped


def rewrite_parts(
    store: Store, folder: str, target: str, written: Sequence[SnapshotPart], ordinals: Collection[int]
) -> tuple[list[SnapshotPart], list[int]]:
    """Write parts again without some requests; return them and the places of those left out, as `rewrite_without`."""
    parts, dropped = list[SnapshotPart](), list[int]()
    for place, part in enumerate(written):
        table = read_part(store, folder, part).read()
        kept = [row not in ordinals for row in range(part.first_ordinal, part.first_ordinal + part.rows)]
        table = table.filter(pa.array(kept, pa.bool_()))
        if table.num_rows:
            first = sum(each.rows for each in parts)
            parts.append(write_part(len(parts), first, table, store, target))
        else:
            dropped.append(place)
    return parts, dropped


def folder_after(folder: str) -> str:
    """Return the folder that a day is written into again; the first is `folder_of`."""
    base, _, number = folder.partition(".")
    return f"{base}.{int(number or 0) + 1}"


def _write(
    deployment: Deployment, reading: Reading, draws: list[Draw], store: Store, folder: str
) -> tuple[list[SnapshotPart], list[str]]:
    expected = sum(draw.size for draw in draws)
    for all_candidates in (False, True):
        versions: dict[str, dt.datetime] = {}
        batches = (
            _weighted(reading.sample(draws, all_candidates=all_candidates), draws, versions) if expected else iter(())
        )
        parts = list(_write_parts(batches, deployment.sample.shard_rows, store, folder))
        if sum(part.rows for part in parts) == expected:
            return parts, sorted(versions, key=lambda version: (versions[version], version))
    raise TransientError(f"{deployment.name}: {expected} requests were to be drawn and others came; try again")


def _weighted(
    batches: pa.RecordBatchReader, draws: list[Draw], versions: dict[str, dt.datetime]
) -> Iterator[pa.RecordBatch]:
    """Add each request's inclusion probability, and note in `versions` when each champion version predicted last."""
    strata = pa.array([draw.stratum for draw in draws])
    probabilities = pa.array([draw.probability for draw in draws], pa.float64())
    for batch in batches:
        if not batch.num_rows:
            continue
        last = pa.table([batch["champion_version"], batch["requested_at"]], names=["version", "at"])
        for row in last.group_by("version").aggregate([("at", "max")]).to_pylist():
            versions[row["version"]] = max(row["at_max"], versions.get(row["version"], row["at_max"]))
        probability = probabilities.take(pc.index_in(batch["stratum"], strata))
        yield batch.add_column(3, "inclusion_probability", probability)


def _write_parts(batches: Iterator[pa.RecordBatch], rows: int, store: Store, folder: str) -> Iterator[SnapshotPart]:
    """Write parts of so many rows, two at a time; a part's bytes depend on its rows alone."""

    def write(numbered: tuple[int, pa.Table]) -> SnapshotPart:
        number, table = numbered
        return write_part(number, number * rows, table, store, folder)

    return prefetch_map(write, enumerate(tables_of_one_size(batches, rows)), threads=_WRITERS)


def write_part(number: int, first_ordinal: int, table: pa.Table, store: Store, folder: str) -> SnapshotPart:
    """Write one part; its bytes depend on its rows alone."""
    name = f"part-{number:05d}.parquet"
    dictionaries = [
        field.name
        for field in table.schema
        if not pa.types.is_floating(field.type) and field.name not in _NEARLY_UNIQUE
    ]
    with store.writing(f"{folder}/{name}") as file:
        pq.write_table(table, file, use_dictionary=dictionaries, row_group_size=max(table.num_rows, 1))
    return SnapshotPart(name, first_ordinal, table.num_rows, _sha256(store.path(f"{folder}/{name}")))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
