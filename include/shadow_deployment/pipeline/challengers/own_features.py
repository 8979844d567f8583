"""Features of a challenger's own as the steps need them: fetched when a window is sampled, or when they are first used.

A day that was sampled before a challenger was declared is looked up as well: no row counts that became known after the
request. What is there is never fetched again.
"""

import logging
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from shadow_deployment.config.deployment import Challenger
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.db import Session, exclusively
from shadow_deployment.data.features import kept
from shadow_deployment.data.features.kept import WindowFeatures
from shadow_deployment.data.features.shown import PartWithFeatures, shown
from shadow_deployment.data.rows import SnapshotRows
from shadow_deployment.data.snapshots import Manifest, SnapshotPart, read_manifest, window_folder
from shadow_deployment.errors import CredentialsError, SourceError, TransientError
from shadow_deployment.ledger.snapshots import (
    SampledWindow,
    Snapshot,
    register_features,
    registered_features,
    require_same_features,
)

logger = logging.getLogger(__name__)


def fetch(context: DeploymentContext, session: Session[Any], snapshot: Snapshot, window: SampledWindow) -> None:
    """Fetch and keep the features of all challengers for a window; one that fails is left to its own scoring."""
    for challenger in context.deployment.challengers:
        try:
            features_of(context, session, snapshot, window, challenger)
        except (SourceError, CredentialsError, TransientError) as error:
            logger.warning("%s: its features_from are not there yet: %s", challenger.name, error)


def features_of(
    context: DeploymentContext, session: Session[Any], snapshot: Snapshot, window: SampledWindow, challenger: Challenger
) -> WindowFeatures | None:
    """Return a challenger's own features of a window, fetched unless they are kept; None where it has none.

    Raises SourceError, CredentialsError or TransientError from production, SnapshotError from the store. Commits.
    """
    wanted, source = challenger.features_from, context.feature_source(challenger)
    if wanted is None or source is None:
        return None
    folder, manifest = _window(context, snapshot, window)
    with exclusively(session, f"features/{folder}"):
        own = kept.take(context.deployment, wanted, source, context.store, folder, manifest)
        register_features(session, snapshot, own.folder, own.digest)
        session.commit()
        return own


def part_of(
    context: DeploymentContext,
    session: Session[Any],
    snapshot: Snapshot,
    challenger: Challenger,
    shard: int,
    sampled: pq.ParquetFile,
) -> "pq.ParquetFile | PartWithFeatures":
    """Return a shard as a challenger is shown it: as it was sampled, with features of its own where it has some."""
    window = snapshot.window_of(shard)
    own = features_of(context, session, snapshot, window, challenger)
    return sampled if own is None else PartWithFeatures(sampled, own.part(context.store, shard - window.first_shard))


def rows_of(context: DeploymentContext, snapshot: Snapshot, challenger: Challenger) -> SnapshotRows | None:
    """Return a challenger's own features of a day, in the order of its requests; None where some are not kept."""
    if (wanted := challenger.features_from) is None or not snapshot.rows:
        return None
    parts = list[SnapshotPart]()
    for window in snapshot.windows:
        folder, manifest = _window(context, snapshot, window)
        if not kept.is_taken(context.store, folder, wanted):
            return None
        own = kept.read(context.store, folder, wanted, manifest)
        inside = own.folder.removeprefix(f"{snapshot.location}/")
        parts += [replace(part, name=f"{inside}/{part.name}") for part in own.parts]
    return SnapshotRows(context.store, snapshot.location, parts)


def require_unchanged(context: DeploymentContext, session: Session[Any], snapshot: Snapshot) -> None:
    """Raise SnapshotError where features of a day, of whatever challenger, are not as they were registered."""
    registered = registered_features(session, snapshot)
    for window in snapshot.windows:
        folder, manifest = _window(context, snapshot, window)
        for target in (each for each in registered if each.startswith(f"{folder}/")):
            own = kept.read_from(context.store, target, manifest)
            require_same_features(target, own.digest, registered[target])
            for number in range(len(own.parts)):
                own.part(context.store, number)


def looked_up(context: DeploymentContext, challenger: Challenger, requests: pa.Table) -> pa.Table:
    """Return requests of production with a challenger's own features, without keeping these."""
    wanted, source = challenger.features_from, context.feature_source(challenger)
    if wanted is None or source is None:
        return requests
    return shown(requests, source.features(kept.lookup(context.deployment, wanted, requests, "this day")))


def _window(context: DeploymentContext, snapshot: Snapshot, window: SampledWindow) -> tuple[str, Manifest]:
    folder = f"{snapshot.location}/{window_folder(window.start)}"
    return folder, read_manifest(context.store, folder)
