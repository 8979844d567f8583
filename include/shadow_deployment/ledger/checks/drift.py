"""Drift in the ledger: one row a day and feature, entered once, with the bins that the day was compared in."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shadow_deployment.data.db import Session
from shadow_deployment.data.quality.drift import FeatureDrift, Reference
from shadow_deployment.ledger.reading import read_rows
from shadow_deployment.ledger.snapshots import Snapshot, keys
from shadow_deployment.ledger.writing.rows import insert


@dataclass(frozen=True)
class DriftRow:
    """One feature on one day: its share in each bin, and that of its reference, which is the snapshots `reference`."""

    day: dt.date
    feature: str
    psi: float | None
    missing: float
    requests: int
    reference: list[int]
    expected: list[float] | None
    actual: list[float] | None
    reference_missing: float | None
    reference_requests: int | None


def is_kept(session: Session[Any], snapshot: Snapshot) -> bool:
    """Return whether a day's drift has been entered."""
    row = session.execute("SELECT FROM shadow.drift WHERE snapshot_id = %s LIMIT 1", [snapshot.id]).fetchone()
    return row is not None


def references(session: Session[Any], days: Sequence[Snapshot]) -> dict[str, Reference]:
    """Return the bins of the features as an earlier day was compared in, whose reference were these same days."""
    rows = read_rows(
        session,
        Reference,
        "SELECT feature, ends, categories, expected, reference_missing AS missing, reference_requests AS requests "
        "FROM shadow.drift WHERE reference = %s::int[] AND snapshot_id = "
        "(SELECT min(snapshot_id) FROM shadow.drift WHERE reference = %s::int[])",
        [ids := keys(days), ids],
    )
    return {row.feature: row for row in rows}


def keep(session: Session[Any], snapshot: Snapshot, days: Sequence[Snapshot], drifts: Sequence[FeatureDrift]) -> None:
    """Enter a day's drift from the reference of `days`; what was entered before stays. Commits."""
    whose = {"snapshot_id": snapshot.id, "reference": keys(days)}
    of_day = ("feature", "psi", "missing", "requests", "actual")
    rows = [whose | {name: getattr(each, name) for name in of_day} | _of(each.reference) for each in drifts]
    insert(session, "drift", *rows, once=True)
    session.commit()


def read(session: Session[Any], snapshots: Sequence[Snapshot]) -> list[DriftRow]:
    """Return the drift of these days, in their order and that of the features' names."""
    return read_rows(
        session,
        DriftRow,
        "SELECT s.day, d.feature, d.psi, d.missing, d.requests, d.reference, d.expected, d.actual, "
        "d.reference_missing, d.reference_requests "
        "FROM shadow.drift AS d JOIN shadow.snapshot AS s ON s.id = d.snapshot_id "
        "WHERE d.snapshot_id = ANY(%s::int[]) ORDER BY s.day, d.feature",
        [keys(snapshots)],
    )


def _of(reference: Reference | None) -> dict[str, Any]:
    return {
        "reference_missing": reference and reference.missing,
        "reference_requests": reference and reference.requests,
        "ends": reference and reference.ends,
        "categories": reference and reference.categories,
        "expected": reference and reference.expected,
    }
