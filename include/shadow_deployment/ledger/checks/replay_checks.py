"""Replay checks in the ledger."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from shadow_deployment.config.deployment import ChampionSettings
from shadow_deployment.data.db import Session
from shadow_deployment.data.sampling import digest
from shadow_deployment.ledger.reading import read_row, read_rows
from shadow_deployment.ledger.snapshots import Snapshot, keys
from shadow_deployment.ledger.writing.rows import add_revision


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
class ReplayTotals:
    """The newest checks of some days, added up; `days` are those that were checked."""

    days: int
    checked: int
    mismatched: int
    largest: float | None


def totals(session: Session[Any], snapshots: Collection[Snapshot]) -> ReplayTotals:
    """Return on how many of these days the champion's file was checked, on how many requests, with which result."""
    row = read_row(
        session,
        ReplayTotals,
        "SELECT count(*) AS days, coalesce(sum(checked), 0) AS checked, "
        "coalesce(sum(mismatched), 0) AS mismatched, max(largest) AS largest "
        "FROM shadow.newest_replay_check WHERE snapshot_id = ANY(%s::int[])",
        [keys(snapshots)],
    )
    return row or ReplayTotals(0, 0, 0, None)


def record(
    session: Session[Any], snapshot: Snapshot, champion: ChampionSettings, model: str, check: ReplayCheck
) -> None:
    """Store a check, as another revision where an earlier one of the same snapshot came out otherwise. Commits."""
    key = {"snapshot_id": snapshot.id}
    result = {
        "model": model,
        "tolerance": champion.tolerance,
        "checked": check.checked,
        "mismatched": check.mismatched,
        "largest": check.largest,
        "worst": check.worst_json(),
    }
    add_revision(session, "replay_check", key, result, digest=digest(result))
    session.commit()


def mismatches(
    session: Session[Any], snapshots: Collection[Snapshot], champion: ChampionSettings, model: str
) -> list[ReplayCheck]:
    """Return the checks in which the champion's present model file did not repeat its log, in order of their days."""
    return read_rows(
        session,
        ReplayCheck,
        "SELECT checked, mismatched, largest, worst FROM shadow.newest_replay_check AS c "
        "JOIN shadow.snapshot ON id = snapshot_id WHERE snapshot_id = ANY(%s::int[]) AND mismatched > 0 "
        "AND c.model = %s AND tolerance = %s ORDER BY day",
        [keys(snapshots), model, champion.tolerance],
    )
