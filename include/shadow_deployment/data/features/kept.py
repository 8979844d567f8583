"""A challenger's own features of a window, kept beside its sample: a part for each part, row by row the same requests.

They are fetched once and written once, parts first and their manifest last, so that each scoring and each comparison
sees the values that were known to production when they were fetched, whatever it corrects later. The folder's name has
the digest of `features_from`, so that challengers with the same one share it.
"""

import json
from collections.abc import Collection
from dataclasses import asdict, dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.sources.tables import FeaturesFrom
from shadow_deployment.data.ports import FeatureSource
from shadow_deployment.data.sampling import digest
from shadow_deployment.data.snapshots import Manifest, SnapshotPart, read_part, rewrite_parts, write_part
from shadow_deployment.data.sources.identity import columns_of_key, key_column
from shadow_deployment.data.storage import Store
from shadow_deployment.errors import SnapshotError


@dataclass(frozen=True)
class WindowFeatures:
    """The parts of a window's features, in `folder`; `sample` is the digest of the window's own manifest."""

    folder: str
    sample: str
    parts: list[SnapshotPart]

    @property
    def digest(self) -> str:
        """SHA-256 of what the manifest says."""
        return digest(asdict(self))

    def part(self, store: Store, number: int) -> pq.ParquetFile:
        """Open the features of one part of the window; raise SnapshotError where it is not the one that was written."""
        return read_part(store, self.folder, self.parts[number])


def declared(deployment: Deployment) -> list[FeaturesFrom]:
    """Return the features that challengers have of their own, once where several have the same."""
    wanted = [each.features_from for each in deployment.challengers if each.features_from]
    return list({digest(each.terms): each for each in wanted}.values())


def take(
    deployment: Deployment, wanted: FeaturesFrom, source: FeatureSource, store: Store, folder: str, manifest: Manifest
) -> WindowFeatures:
    """Fetch and write the features of a window's sample in a folder, or return those that are there.

    Raises SourceError, CredentialsError or TransientError from production, SnapshotError from the store.
    """
    target = _folder(folder, wanted)
    if store.exists(f"{target}/manifest.json"):
        return read(store, folder, wanted, manifest)
    store.sweep(target)
    parts = [
        write_part(number, part.first_ordinal, _fetched(deployment, wanted, source, store, folder, part), store, target)
        for number, part in enumerate(manifest.parts)
    ]
    return _written(store, target, manifest, parts)


def read(store: Store, folder: str, wanted: FeaturesFrom, manifest: Manifest) -> WindowFeatures:
    """Return a window's features; raise SnapshotError where they are missing or belong to another sample."""
    return read_from(store, _folder(folder, wanted), manifest)


def read_from(store: Store, target: str, manifest: Manifest) -> WindowFeatures:
    """Return the features in a folder of their own, as `read` does."""
    path = store.path(f"{target}/manifest.json")
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        features = WindowFeatures(target, fields["sample"], [SnapshotPart(**part) for part in fields["parts"]])
    except (ValueError, KeyError, TypeError) as error:
        raise SnapshotError(f"{path} is no manifest: {error}; restore it from a backup") from error
    if features.sample != manifest.digest:
        raise SnapshotError(
            f"{path} belongs to the sample with digest {features.sample}, must belong to {manifest.digest}; "
            "restore it from a backup"
        )
    return features


def is_taken(store: Store, folder: str, wanted: FeaturesFrom) -> bool:
    """Return whether the features of a window were written."""
    return store.exists(f"{_folder(folder, wanted)}/manifest.json")


def rewrite(
    store: Store,
    wanted: FeaturesFrom,
    folders: tuple[str, str],
    manifests: tuple[Manifest, Manifest],
    ordinals: Collection[int],
) -> WindowFeatures | None:
    """Write a window's features into another folder without some requests, and return them, where there are some.

    `folders` and `manifests` are the window's, before and after.
    """
    (folder, target), (before, after) = folders, manifests
    if not is_taken(store, folder, wanted):
        return None
    features = read(store, folder, wanted, before)
    parts, _ = rewrite_parts(store, features.folder, _folder(target, wanted), features.parts, ordinals)
    return _written(store, _folder(target, wanted), after, parts)


def lookup(deployment: Deployment, wanted: FeaturesFrom, requests: pa.Table, where: str) -> pa.Table:
    """Return what features of requests are looked up by: columns key and requested_at.

    Of a sample that was drawn before the key was declared, the key is a feature or a slice by that name. Raises
    SnapshotError where there is none; `where` names the sample.
    """
    column = key_column(deployment, wanted)
    names = columns_of_key(wanted.key or ())
    column = names[0] if column not in requests.column_names and len(names) == 1 else column
    if column not in requests.column_names or pa.types.is_floating(requests.schema.field(column).type):
        raise SnapshotError(
            f"{where} was sampled before features_from.key named {' and '.join(names)}: the features of that day "
            "cannot be looked up; days that are sampled from now on have them"
        )
    return pa.table({"key": pc.cast(requests[column], pa.string()), "requested_at": requests["requested_at"]})


def _fetched(
    deployment: Deployment, wanted: FeaturesFrom, source: FeatureSource, store: Store, folder: str, part: SnapshotPart
) -> pa.Table:
    file = read_part(store, folder, part)
    needed = {key_column(deployment, wanted), "requested_at", *columns_of_key(wanted.key or ())}
    requests = file.read(columns=[name for name in file.schema_arrow.names if name in needed])
    return source.features(lookup(deployment, wanted, requests, folder))


def _written(store: Store, target: str, manifest: Manifest, parts: list[SnapshotPart]) -> WindowFeatures:
    features = WindowFeatures(target, manifest.digest, parts)
    with store.writing(f"{target}/manifest.json") as file:
        file.write(json.dumps(asdict(features), indent=1, sort_keys=True).encode())
    return features


def _folder(folder: str, wanted: FeaturesFrom) -> str:
    return f"{folder}/features-{digest(wanted.terms)[:12]}"
