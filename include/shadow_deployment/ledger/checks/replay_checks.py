"""Replay checks in the ledger."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg.rows import class_row

from shadow_deployment.config.deployment import ChampionSettings
from shadow_deployment.data.db import Session
from shadow_deployment.ledger.snapshots import Snapshot
from shadow_deployment.ledger.upserts import upsert


@dataclass(frozen=True)
class ReplayCheck:
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
    """A day on which the champion's own model file did not give the predictions that the champion had logged."""

    snapshot_id: int
    checked: int
    mismatched: int
    largest: float
    worst: list[dict[str, Any]]


def record(
    session: Session[Any], snapshot: Snapshot, champion: ChampionSettings, digest: str, parity: ReplayCheck
) -> None:
    """Store a check, in place of an earlier one of the same snapshot. Commits."""
    row = {
        "snapshot_id": snapshot.id,
        "digest": digest,
        "tolerance": champion.tolerance,
        "checked": parity.checked,
        "mismatched": parity.mismatched,
        "largest": parity.largest,
        "worst": parity.worst_json(),
    }
    upsert(session, "replay_check", ("snapshot_id",), [row], stamp="checked_at")
    session.commit()


def mismatches(
    session: Session[Any], snapshots: Collection[Snapshot], champion: ChampionSettings, digest: str
) -> list[Mismatch]:
    """Return the mismatches of the champion's present model file on these snapshots, in order of their days."""
    with session.cursor(row_factory=class_row(Mismatch)) as cursor:
        return cursor.execute(
            "SELECT snapshot_id, checked, mismatched, largest, worst FROM shadow.replay_check "
            "JOIN shadow.snapshot ON id = snapshot_id WHERE snapshot_id = ANY(%s) AND mismatched > 0 "
            "AND replay_check.digest = %s AND tolerance = %s ORDER BY day",
            [[snapshot.id for snapshot in snapshots], digest, champion.tolerance],
        ).fetchall()
