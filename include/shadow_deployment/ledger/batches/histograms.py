"""Bins, quadrants and the requests that differ most in the ledger, entered in the comparison's transaction."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shadow_deployment.base.sql_templates import columns_of, load_statement
from shadow_deployment.data.db import Session
from shadow_deployment.metrics.histograms import (
    BIN_FIELDS,
    PROBABILITY_GRID,
    QUADRANT_FIELDS,
    Grid,
    Histograms,
    LargestDisagreements,
)
from shadow_deployment.metrics.losses import MetricSettings

_SQL = Path(__file__).parents[1] / "sql"
SPREAD = _SQL / "spread.sql"


def begin(session: Session[Any], keys: dict[str, Any], settings: MetricSettings, versions: int) -> Histograms | None:
    """Return empty bins for one challenger's day, None where there are none: with several classes, without an answer.

    `keys` are those of the comparison.
    """
    if settings.task == "binary":
        return Histograms(PROBABILITY_GRID, versions, settings.threshold)
    if settings.task == "multiclass":
        return None
    row = session.execute(load_statement(SPREAD), keys).fetchone()
    return None if row is None or row[0] is None else Histograms(Grid.of(row[0], row[1]), versions, None)


def add_bins(session: Session[Any], keys: dict[str, Any], versions: Sequence[str], bins: Histograms) -> int:
    """Enter bins and quadrants; return how many rows changed. A day whose requests are gone keeps what it has."""
    rows = [(versions[version], model, bins.grid.width, place, *sums) for version, model, place, sums in bins.bins()]
    if not rows:
        return 0
    values = keys | columns_of(("champion_version", "model", "width", "bin", *BIN_FIELDS), rows)
    row = session.execute(load_statement(_SQL / "add_score_bins.sql"), values).fetchone()
    quadrants = [(versions[version], *said, *sums) for version, *said, sums in bins.quadrants()]
    values = keys | columns_of(("champion_version", "champion_yes", "challenger_yes", *QUADRANT_FIELDS), quadrants)
    changed = int(row[0]) if row else 0
    return changed + session.execute(load_statement(_SQL / "add_quadrants.sql"), values).rowcount


def add_furthest(session: Session[Any], keys: dict[str, Any], furthest: LargestDisagreements) -> int:
    """Enter the requests that the two answered furthest apart; return how many rows changed."""
    values = keys | {"ordinals": furthest.ordinal.tolist(), "distances": furthest.distance.tolist()}
    return session.execute(load_statement(_SQL / "add_disagreements.sql"), values).rowcount
