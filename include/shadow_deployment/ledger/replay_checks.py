"""Parity checks in the ledger."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.rows import class_row

from shadow_deployment.config.deployment import ChampionSettings
from shadow_deployment.data.db import Session
from shadow_deployment.ledger.snapshots import Snapshot


@dataclass(frozen=True)
class Parity:
    """What a check found: how many requests were scored again, how many came out otherwise, by how much at most.

    `worst` names up to twenty of them with the logged answer and the new one, None where the model gave none.
    """

    checked: int
    mismatched: int
    largest: float
    worst: Sequence[dict[str, Any]]

    def worst_json(self) -> str:
        """Return the worst requests as they are stored."""
        return json.dumps(list(self.worst))


@dataclass(frozen=True)
class Mismatch:
    """A day on which the champion's own model did not say what the champion had logged."""

    snapshot_id: int
    checked: int
    mismatched: int
    largest: float
    worst: list[dict[str, Any]]


def record(session: Session[Any], snapshot: Snapshot, champion: ChampionSettings, digest: str, parity: Parity) -> None:
    """Keep a check, in place of an earlier one of the same snapshot. Commits."""
    session.execute(
        "INSERT INTO shadow.parity (snapshot_id, digest, tolerance, checked, mismatched, largest, worst) "
        "VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (snapshot_id) DO UPDATE SET digest = excluded.digest, "
        "tolerance = excluded.tolerance, checked = excluded.checked, mismatched = excluded.mismatched, "
        "largest = excluded.largest, worst = excluded.worst, checked_at = excluded.checked_at "
        "WHERE (parity.digest, parity.tolerance, parity.checked) "
        "IS DISTINCT FROM (excluded.digest, excluded.tolerance, excluded.checked)",
        [
            snapshot.id,
            digest,
            champion.tolerance,
            parity.checked,
            parity.mismatched,
            parity.largest,
            parity.worst_json(),
        ],
    )
    session.commit()


def mismatches(
    session: Session[Any], snapshots: Collection[Snapshot], champion: ChampionSettings, digest: str
) -> list[Mismatch]:
    """Return what the champion's model as it is now did not say again on these snapshots, in order of their days."""
    with session.cursor(row_factory=class_row(Mismatch)) as cursor:
        return cursor.execute(
            "SELECT snapshot_id, checked, mismatched, largest, worst FROM shadow.parity "
            "JOIN shadow.snapshot ON id = snapshot_id WHERE snapshot_id = ANY(%s) AND mismatched > 0 "
            "AND parity.digest = %s AND tolerance = %s ORDER BY day",
            [[one.id for one in snapshots], digest, champion.tolerance],
        ).fetchall()
