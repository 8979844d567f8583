"""Validations in the ledger: the results of expectations on inputs and predictions."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, LiteralString

from shadow_deployment.data.db import Session
from shadow_deployment.data.quality.expectations import Validation
from shadow_deployment.data.sampling import digest
from shadow_deployment.ledger.reading import read_rows
from shadow_deployment.ledger.snapshots import Snapshot
from shadow_deployment.ledger.writing.revisions import add_revision


@dataclass(frozen=True)
class Recorded:
    """A stored validation: of the inputs where `challenger_id` is None, else of one challenger's predictions."""

    snapshot_id: int
    challenger_id: int | None
    success: bool
    failures: list[dict[str, Any]]

    @property
    def summary(self) -> str:
        """Return the failures in one line."""
        parts = [f"{fail['expectation']} {fail['column'] or ''}: {fail['detail']}" for fail in self.failures]
        return "; ".join(" ".join(part.split()) for part in parts)


def record(session: Session[Any], snapshot: Snapshot, challenger: int | None, validation: Validation) -> None:
    """Store a validation, as another revision where an earlier one of the same rows has another result. Commits."""
    key = {"snapshot_id": snapshot.id, "challenger_id": challenger}
    result = {
        "success": validation.success,
        "suite": validation.suite,
        "evaluated": validation.evaluated,
        "failures": validation.failures_json(),
    }
    add_revision(session, "validation", key, key | result, digest=digest(result))
    session.commit()


def recorded(session: Session[Any], snapshots: Collection[Snapshot]) -> list[Recorded]:
    """Return the validations of these snapshots."""
    return read_rows(
        session,
        Recorded,
        "SELECT snapshot_id, challenger_id, success, failures FROM shadow.newest_validation "
        "WHERE snapshot_id = ANY(%s)",
        [[snapshot.id for snapshot in snapshots]],
    )


def inputs_failed(session: Session[Any], snapshots: Collection[Snapshot]) -> set[int]:
    """Return the keys of those snapshots whose inputs do not meet their expectations."""
    return _keys(session, snapshots, "challenger_id IS NULL AND NOT success")


def inputs_met(session: Session[Any], snapshots: Collection[Snapshot]) -> set[int]:
    """Return the keys of those snapshots whose inputs meet their expectations."""
    return _keys(session, snapshots, "challenger_id IS NULL AND success")


def scored(session: Session[Any], snapshots: Collection[Snapshot], challenger: int) -> set[int]:
    """Return the keys of those snapshots whose inputs and this challenger's predictions were validated.

    Predictions are validated once all requests are answered, so these days are complete, whatever the result.
    """
    both = "(challenger_id IS NULL OR challenger_id = %s) GROUP BY snapshot_id HAVING count(*) = 2"
    return _keys(session, snapshots, both, challenger)


def predictions_failed(session: Session[Any], snapshots: Collection[Snapshot], challenger: int) -> set[int]:
    """Return the keys of those snapshots on which this challenger's predictions do not meet their expectations."""
    return _keys(session, snapshots, "challenger_id = %s AND NOT success", challenger)


def _keys(session: Session[Any], snapshots: Collection[Snapshot], condition: LiteralString, *values: int) -> set[int]:
    statement = f"SELECT snapshot_id FROM shadow.newest_validation WHERE snapshot_id = ANY(%s) AND {condition}"  # noqa: S608
    rows = session.execute(statement, [[snapshot.id for snapshot in snapshots], *values])
    return {int(key) for (key,) in rows}
