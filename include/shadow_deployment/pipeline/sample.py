"""The step `sample`: draw the requests of a day's windows into a snapshot and register them."""

import datetime as dt
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.window import Window, windows_of
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data import snapshots as snapshots_on_disk
from shadow_deployment.data.db import Session, exclusively
from shadow_deployment.data.quality.drift import drift_from, first_days, read_features, reference_of
from shadow_deployment.errors import LedgerError, SnapshotError
from shadow_deployment.ledger import snapshots
from shadow_deployment.ledger.checks import drift, newer_versions
from shadow_deployment.ledger.removal.retention import require_kept
from shadow_deployment.ledger.snapshots import SampledWindow, Snapshot
from shadow_deployment.ledger.writing.locks import share_steps
from shadow_deployment.pipeline.challengers import own_features, trials
from shadow_deployment.pipeline.challengers.identities import challenger_keys
from shadow_deployment.pipeline.window_guard import require_runnable, what_is_missing

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SampledDay:
    """A day so far: `rows` of `population` requests in `shards` files, `own` being those of the windows asked for.

    `is_complete` says whether all windows of the day are there, so that it can be compared.
    """

    day: dt.date
    rows: int
    population: int
    shards: int
    own: tuple[int, ...]
    is_complete: bool


def sample(context: DeploymentContext, day: dt.date, windows: Sequence[Window] | None = None) -> SampledDay:
    """Draw and register windows of a day, by default all, but for those that are registered.

    Raises:
        DeploymentError, LedgerError, TransientError: a window cannot be run, see `require_runnable`, or the day's
            requests were removed.
    """
    deployment = context.deployment
    wanted = windows_of(deployment, day) if windows is None else windows
    with context.ledger() as session, exclusively(session, f"sample/{deployment.name}/{day}"):
        require_runnable(session, deployment, [day], windows)
        for window in wanted:
            _sample_window(context, session, window)
        snapshot = require_sampled(session, deployment, day)
        files = files_of(context, snapshot)
        trials.register(session, deployment, snapshot, challenger_keys(context, session))
        newer_versions.keep(session, deployment)
        for sampled in snapshot.windows:
            own_features.fetch(context, session, snapshot, sampled)
        if snapshot.is_complete:
            keep_drift(context, session, snapshot, files)
    starts = {window.start for window in wanted}
    own = [shard for shard in range(len(files.parts)) if snapshot.window_of(shard).start in starts]
    return SampledDay(day, snapshot.rows, snapshot.population, len(files.parts), tuple(own), snapshot.is_complete)


def _sample_window(context: DeploymentContext, session: Session[Any], window: Window) -> None:
    deployment = context.deployment
    known = snapshots.so_far(session, deployment, window.day)
    session.commit()
    if known is not None:
        require_kept(session, known)
        session.commit()
    if known is not None and any(each.start == window.start for each in known.windows):
        return
    manifest = snapshots_on_disk.take(deployment, window, context.request_source, context.store)
    snapshots.register(session, deployment, manifest, context.store)
    if not manifest.rows:
        logger.warning(
            "%s: no requests in %s from %s, so it adds no evidence; check that the prediction log is loaded",
            deployment.name,
            deployment.requests.table,
            window,
        )


def keep_drift(
    context: DeploymentContext, session: Session[Any], snapshot: Snapshot, files: snapshots_on_disk.DayFiles
) -> None:
    """Enter how far the day's features are from those of the first days, unless that was done.

    Nothing is judged on it: where files of the first days are gone, the day goes without.
    """
    if not files.rows or drift.is_kept(session, snapshot):
        return
    deployment, features = context.deployment, context.deployment.requests.features
    sampled = snapshots.snapshots(session, deployment, None, snapshot.day - dt.timedelta(days=1))
    days = first_days([each for each in sampled if each.rows], deployment.policy.days_per_period)
    try:
        today = read_features(context.store, [(snapshot.location, files)], features)
        bins = drift.references(session, days)
        if days and not today.keys() <= bins.keys():
            read = [(each.location, files_of(context, each)) for each in days]
            bins = {
                name: reference_of(name, each) for name, each in read_features(context.store, read, features).items()
            }
    except SnapshotError as error:
        logger.warning("%s: the drift of %s is not known: %s", deployment.name, snapshot.day, error)
        return
    drift.keep(session, snapshot, days, [drift_from(bins.get(name), name, each) for name, each in today.items()])


def require_snapshot(session: Session[Any], deployment: Deployment, day: dt.date) -> Snapshot:
    """Return the day's snapshot; raise LedgerError where the day was not sampled, or not all of its windows."""
    snapshot = require_sampled(session, deployment, day)
    if not snapshot.is_complete:
        raise LedgerError(
            f"deployment {deployment.name}: {day} is not complete: {what_is_missing(deployment, snapshot)}"
        )
    return snapshot


def require_sampled(session: Session[Any], deployment: Deployment, day: dt.date) -> Snapshot:
    """Return the day with the windows that were sampled; raise LedgerError where none was.

    None of its requests is erased while the session lasts.
    """
    share_steps(session, deployment)
    snapshot = snapshots.so_far(session, deployment, day)
    if snapshot is None:
        raise LedgerError(f"deployment {deployment.name}: {day} was not sampled; run its sample step first")
    return snapshot


def files_of(
    context: DeploymentContext, snapshot: Snapshot, windows: Sequence[SampledWindow] | None = None
) -> snapshots_on_disk.DayFiles:
    """Return the files of windows of a day, by default of all; raise SnapshotError where one is not as registered."""
    manifests = []
    for window in snapshot.windows if windows is None else windows:
        folder = f"{snapshot.location}/{snapshots_on_disk.window_folder(window.start)}"
        manifest = snapshots_on_disk.read_manifest(context.store, folder)
        snapshots.require_same(snapshot, manifest)
        manifests.append((window.first_ordinal, manifest))
    return snapshots_on_disk.DayFiles.of(manifests)
