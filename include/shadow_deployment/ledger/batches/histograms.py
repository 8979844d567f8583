"""Histograms, quadrants and disagreements in the ledger, stored in the comparison's transaction."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.data.db import Session
from shadow_deployment.decision.words.explanation import DisagreeingRequest
from shadow_deployment.ledger.reading import read_rows, statement
from shadow_deployment.ledger.snapshots import Snapshot, keys
from shadow_deployment.ledger.writing.rows import upsert
from shadow_deployment.metrics.histograms import (
    BIN_FIELDS,
    MODELS,
    PROBABILITY_GRID,
    QUADRANT_FIELDS,
    Grid,
    Histograms,
    LargestDisagreements,
)
from shadow_deployment.metrics.losses import MetricSettings

MOST_DISAGREEMENTS = 20  # of each day, and of all days together
_DAY = ("challenger_id", "snapshot_id")
_BIN = (*_DAY, "champion_version", "model", "width", "bin")
_QUADRANT = (*_DAY, "champion_version", "champion_yes", "challenger_yes")


def begin(session: Session[Any], keys: dict[str, Any], settings: MetricSettings, versions: int) -> Histograms | None:
    """Return empty bins for one challenger's day, None where there are none: with several classes, without an answer.

    `keys` are those of the comparison.
    """
    if settings.task == "binary":
        return Histograms(PROBABILITY_GRID, versions, settings.threshold)
    if settings.task == "multiclass":
        return None
    row = session.execute(statement("spread"), keys).fetchone()
    return None if row is None or row[0] is None else Histograms(Grid.of(row[0], row[1]), versions, None)


def add_bins(
    session: Session[Any], keys: dict[str, Any], versions: Sequence[str], bins: Histograms, threshold: float | None
) -> int:
    """Store histograms and quadrants; return how many rows changed. A day whose requests are gone keeps what it has."""
    day = {name: keys[name] for name in _DAY}
    histogram = [
        day
        | {"champion_version": versions[version], "model": model, "width": bins.grid.width, "bin": place}
        | dict(zip(BIN_FIELDS, sums, strict=True))
        for version, model, place, sums in bins.bins()
    ]
    if not histogram:
        return 0
    quadrants = [
        day
        | {"champion_version": versions[version], "champion_yes": champion, "challenger_yes": challenger}
        | {"threshold": threshold, **dict(zip(QUADRANT_FIELDS, sums, strict=True))}
        for version, champion, challenger, sums in bins.quadrants()
    ]
    present = {name: [row[name] for row in histogram] for name in _BIN[2:]}
    deleted = session.execute(statement("delete_score_bins"), keys | present).rowcount
    return deleted + upsert(session, "score_bin", _BIN, histogram) + upsert(session, "quadrant", _QUADRANT, quadrants)


def labelled_bins(
    session: Session[Any], challenger: int, snapshots: Sequence[int], champion_version: str
) -> dict[str, NDArray[np.float64]]:
    """Return by model the weights of labelled and of positive requests, shape (bins, 2), in order of the prediction."""
    values = {"challenger": challenger, "snapshots": list(snapshots), "champion_version": champion_version}
    rows = session.execute(statement("labelled_bins"), values).fetchall()
    return {
        model: np.array([sums for name, _, *sums in rows if name == model], np.float64).reshape(-1, 2)
        for model in MODELS
    }


def add_disagreements(session: Session[Any], keys: dict[str, Any], largest: LargestDisagreements) -> int:
    """Store the largest disagreements; return how many rows changed."""
    day = {name: keys[name] for name in _DAY}
    apart = zip(largest.ordinal.tolist(), largest.distance.tolist(), strict=True)
    rows = [
        day | {"rank": rank, "ordinal": ordinal, "distance": distance}
        for rank, (ordinal, distance) in enumerate(apart, start=1)
    ]
    return upsert(session, "disagreement", (*_DAY, "rank"), rows)


def largest_disagreements(
    session: Session[Any], challenger: int, snapshots: Sequence[Snapshot], known_by: dt.datetime
) -> list[DisagreeingRequest]:
    """Return the requests of these snapshots on which the two disagree most, largest difference first.

    Labels are those that were known at a moment.

    Only the rows of these few are read, never a whole day.
    """
    values = {
        "challenger": challenger,
        "snapshots": keys(snapshots),
        "days": [snapshot.day for snapshot in snapshots],
        "most": MOST_DISAGREEMENTS,
        "known_by": known_by,
    }
    return read_rows(session, DisagreeingRequest, statement("disagreements"), values)
