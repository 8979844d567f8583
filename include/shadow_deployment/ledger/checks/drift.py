"""Drift in the ledger: one row a day and feature, entered once, with the bins that the day was compared in."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shadow_deployment.data.db import Session
from shadow_deployment.data.quality.drift import FeatureDrift, Reference
from shadow_deployment.ledger.reading import read_rows
from shadow_deployment.ledger.snapshots import Snapshot

_COLUMNS = (
    "snapshot_id, feature, psi, missing, requests, reference, reference_missing, reference_requests, ends, categories, "
    "expected, actual"
)


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
        [ids := _ids(days), ids],
    )
    return {row.feature: row for row in rows}


def keep(session: Session[Any], snapshot: Snapshot, days: Sequence[Snapshot], drifts: Sequence[FeatureDrift]) -> None:
    """Enter a day's drift from the reference of `days`; what was entered before stays. Commits."""
    ids = _ids(days)
    rows = [
        [snapshot.id, each.feature, each.psi, each.missing, each.requests, ids, *_of(each.reference), each.actual]
        for each in drifts
    ]
    with session.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO shadow.drift ({_COLUMNS}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) "  # noqa: S608
            "ON CONFLICT DO NOTHING",
            rows,
        )
    session.commit()


def read(session: Session[Any], snapshots: Sequence[Snapshot]) -> list[DriftRow]:
    """Return the drift of these days, in their order and that of the features' names."""
    return read_rows(
        session,
        DriftRow,
        "SELECT s.day, d.feature, d.psi, d.missing, d.requests, d.reference, d.expected, d.actual, "
        "d.reference_missing, d.reference_requests "
        "FROM shadow.drift AS d JOIN shadow.snapshot AS s ON s.id = d.snapshot_id "
        "WHERE d.snapshot_id = ANY(%s) ORDER BY s.day, d.feature",
        [_ids(snapshots)],
    )


def _ids(snapshots: Sequence[Snapshot]) -> list[int]:
    return [snapshot.id for snapshot in snapshots]


def _of(reference: Reference | None) -> list[Any]:
    if reference is None:
        return [None] * 5
    return [reference.missing, reference.requests, reference.ends, reference.categories, reference.expected]
