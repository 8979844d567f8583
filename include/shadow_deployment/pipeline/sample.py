"""The step `sample`: draw a day's requests into a snapshot and register it."""

import datetime as dt
import logging
from dataclasses import dataclass
from typing import Any

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.window import window_of
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data import snapshots as snapshots_on_disk
from shadow_deployment.data.db import Session, exclusively
from shadow_deployment.data.quality.drift import drift_from, first_days, read_features, reference_of
from shadow_deployment.errors import LedgerError, SnapshotError
from shadow_deployment.ledger import snapshots
from shadow_deployment.ledger.checks import drift
from shadow_deployment.ledger.retention import require_kept
from shadow_deployment.ledger.snapshots import Snapshot
from shadow_deployment.pipeline.challengers import trials
from shadow_deployment.pipeline.challengers.identities import challenger_keys
from shadow_deployment.pipeline.window_guard import require_runnable

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SampledDay:
    """Size of a day's snapshot: `rows` of `population` requests, in `shards` files."""

    day: dt.date
    rows: int
    population: int
    shards: int


def sample(context: DeploymentContext, day: dt.date) -> SampledDay:
    """Draw and register the day's sample, or return the one that is registered.

    Raises:
        DeploymentError, LedgerError, TransientError: the day cannot be run, see `require_runnable`, or its requests
            were removed.
    """
    deployment = context.deployment
    window = window_of(deployment, day)
    with context.ledger() as session, exclusively(session, f"sample/{deployment.name}/{day}"):
        require_runnable(session, deployment, [day])
        registered = snapshots.find(session, deployment, day)
        session.commit()
        if registered is None:
            manifest = snapshots_on_disk.take(deployment, window, context.request_source, context.store)
            folder = snapshots_on_disk.folder_of(deployment, day)
            snapshots.register(session, deployment, manifest, context.store, folder)
        else:
            require_kept(session, registered)
            manifest = read_manifest(context, registered)
        snapshot = registered or require_snapshot(session, deployment, day)
        trials.register(session, deployment, snapshot, challenger_keys(context, session))
        keep_drift(context, session, snapshot, manifest)
    if not manifest.rows:
        logger.warning(
            "%s: no requests in %s from %s, so the day adds no evidence; check that the prediction log is loaded",
            deployment.name,
            deployment.requests.table,
            window,
        )
    return SampledDay(day, manifest.rows, manifest.population, len(manifest.parts))


def keep_drift(
    context: DeploymentContext, session: Session[Any], snapshot: Snapshot, manifest: snapshots_on_disk.Manifest
) -> None:
    """Enter how far the day's features are from those of the first days, unless that was done.

    Nothing is judged on it: where files of the first days are gone, the day goes without.
    """
    if not manifest.rows or drift.is_kept(session, snapshot):
        return
    deployment, features = context.deployment, context.deployment.requests.features
    sampled = snapshots.snapshots(session, deployment, None, snapshot.day - dt.timedelta(days=1))
    days = first_days([each for each in sampled if each.rows])
    try:
        today = read_features(context.store, [(snapshot.location, manifest)], features)
        bins = drift.references(session, days)
        if days and not today.keys() <= bins.keys():
            read = [(each.location, read_manifest(context, each)) for each in days]
            bins = {
                name: reference_of(name, each) for name, each in read_features(context.store, read, features).items()
            }
    except SnapshotError as error:
        logger.warning("%s: the drift of %s is not known: %s", deployment.name, snapshot.day, error)
        return
    drift.keep(session, snapshot, days, [drift_from(bins.get(name), name, each) for name, each in today.items()])


def require_snapshot(session: Session[Any], deployment: Deployment, day: dt.date) -> Snapshot:
    """Return the day's registered snapshot; raise LedgerError where the day was not sampled."""
    snapshot = snapshots.find(session, deployment, day)
    if snapshot is None:
        raise LedgerError(f"deployment {deployment.name}: {day} was not sampled; run its sample step first")
    return snapshot


def read_manifest(context: DeploymentContext, snapshot: Snapshot) -> snapshots_on_disk.Manifest:
    """Return a snapshot's manifest; raise SnapshotError where it is not the registered one."""
    manifest = snapshots_on_disk.read_manifest(context.store, snapshot.location)
    snapshots.require_same(snapshot, manifest)
    return manifest
