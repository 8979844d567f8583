"""The step `collect_labels`: fetch newly known labels for every day that still waits for some."""

import datetime as dt
from contextlib import closing
from typing import Any

from shadow_deployment.config.window import window_of
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.db import Session
from shadow_deployment.data.ports import all_labels
from shadow_deployment.ledger import evidence, labels, snapshots
from shadow_deployment.ledger.snapshots import Snapshot
from shadow_deployment.ledger.writing.locks import share_steps
from shadow_deployment.pipeline.challengers.identities import challenger_keys


def collect_labels(context: DeploymentContext, day: dt.date) -> list[dt.date]:
    """Store labels that have become known; return the days whose evidence is now missing or stale.

    Labels count as known up to the end of the newest window, never up to the clock: a backfill sees what the daily run
    saw, and days may run in any order. Labels that are contradicted, invalid or early are read again each time, on days
    that are mature too: what production has corrected is corrected.
    """
    deployment = context.deployment
    maturity = labels.maturity_of(deployment)
    with context.sessions.kept(), context.ledger() as session:
        share_steps(session, deployment)
        taken = snapshots.snapshots(session, deployment, None, None)
        cutoff = max([window_of(deployment, day).end, *(snapshot.window_end for snapshot in taken)])
        for snapshot in labels.due(taken, maturity, cutoff):
            _collect(context, session, snapshot, labels.until(snapshot, maturity, cutoff))
        keys = list(challenger_keys(context, session).values())
        taken = snapshots.snapshots(session, deployment, None, None)  # with their new labels
        stale = evidence.stale(session, deployment, taken, keys)
    return sorted({stale_day for stale_day, _ in stale})


def _collect(context: DeploymentContext, session: Session[Any], snapshot: Snapshot, until: dt.datetime) -> None:
    before = labels.lock(session, snapshot)
    since, source = before.labels_until, context.label_source
    end = until if since is None else max(since, until)

    after = before
    if since != end:
        asked = labels.requests(session, context.deployment, snapshot, in_order=source.seeks_ids)
        with closing(source.labels(asked, since, end)) as arrived:
            after = labels.add(session, before, arrived)
    if since is not None:
        doubtful = labels.doubtful(session, context.deployment, snapshot)
        if doubtful.num_rows:
            after = labels.correct(session, after, doubtful, all_labels(source, doubtful, None, end))
    labels.record(session, before, after, end)
