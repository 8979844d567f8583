"""The step `collect_labels`: fetch newly known labels for every day that still waits for some."""

import datetime as dt
import math
from contextlib import closing
from typing import Any

import numpy as np
import pyarrow as pa

from shadow_deployment.base.prefetch import prefetch_map
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.window import window_of
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.db import Session
from shadow_deployment.errors import SourceError
from shadow_deployment.ledger import evidence, labels, snapshots
from shadow_deployment.ledger.snapshots import Snapshot
from shadow_deployment.pipeline.challengers.identities import challenger_keys


def collect_labels(context: DeploymentContext, day: dt.date) -> list[dt.date]:
    """Store labels that have become known; return the days whose evidence is now missing or stale.

    Labels count as known up to the end of the newest window, never up to the clock: a backfill sees what the daily run
    saw, and days may run in any order.
    """
    deployment = context.deployment
    maturity = labels.maturity_of(deployment)
    with context.ledger() as session:
        taken = snapshots.snapshots(session, deployment, None, None)
        cutoff = max([window_of(deployment, day).end, *(snapshot.window_end for snapshot in taken)])
        for snapshot in labels.due(taken, maturity, cutoff):
            _collect(context, session, snapshot, labels.until(snapshot, maturity, cutoff))
        keys = list(challenger_keys(context, session).values())
        taken = snapshots.snapshots(session, deployment, None, None)  # with their new labels
        stale = evidence.stale(session, deployment, taken, keys)
    return sorted({stale_day for stale_day, _ in stale})


def _collect(context: DeploymentContext, session: Session[Any], snapshot: Snapshot, until: dt.datetime) -> None:
    since = labels.lock(session, snapshot)
    if since is not None and since >= until:
        session.commit()
        return

    def fetch(requests: pa.Table) -> pa.Table:
        arrived = context.label_source.labels(requests, since, until)
        _require_valid(context.deployment, requests, arrived)
        return arrived

    with closing(prefetch_map(fetch, labels.requests(session, snapshot))) as arrived:
        labels.add(session, snapshot, arrived, since, until)


def _require_valid(deployment: Deployment, requests: pa.Table, arrived: pa.Table) -> None:
    """Raise SourceError for the first label that is not finite, or not a class of the task."""
    where, values = deployment.labels.column, arrived["value"].to_numpy()
    wrong = ~np.isfinite(values)
    if deployment.task == "binary":
        wrong |= (values != 0) & (values != 1)
    elif deployment.task == "multiclass":
        wrong |= values < 0
    if not wrong.any():
        return
    row = int(np.argmax(wrong))
    position = requests["ordinal"].index(arrived["ordinal"][row]).as_py()
    value, request = float(values[row]), requests["request_id"][position]
    if deployment.task == "multiclass" and value < 0:
        classes = ", ".join(deployment.classes)
        raise SourceError(f"{where} of request {request} is not one of the classes, must be one of {classes}")
    allowed = "must be finite"
    if deployment.task == "binary" and math.isfinite(value):
        allowed = "must be 0 or 1 (or false or true) where task is binary"
    raise SourceError(f"{where} == {value} for request {request}, {allowed}")
