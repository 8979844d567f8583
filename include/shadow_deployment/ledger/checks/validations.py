"""Validations in the ledger: the results of expectations on inputs and predictions."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, LiteralString

from shadow_deployment.data.db import Session
from shadow_deployment.data.quality.expectations import Validation
from shadow_deployment.data.sampling import digest
from shadow_deployment.ledger.reading import read_column, read_rows, statement
from shadow_deployment.ledger.snapshots import Snapshot, keys
from shadow_deployment.ledger.writing.rows import add_revision


@dataclass(frozen=True)
class ValidationRow:
    """A stored validation with its day.

    `challenger_id`, `name` and `version` are None for the inputs, `failures` where there is none.
    """

    day: dt.date
    snapshot_id: int
    challenger_id: int | None
    name: str | None
    version: str | None
    success: bool
    evaluated: int
    validated_at: dt.datetime
    failures: list[dict[str, Any]] | None

    @property
    def subject(self) -> str:
        """What was validated."""
        return "inputs" if self.challenger_id is None else "predictions"

    @property
    def summary(self) -> str:
        """The failures in one line."""
        parts = [f"{fail['expectation']} {fail['column'] or ''}: {fail['detail']}" for fail in self.failures or ()]
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
    add_revision(session, "validation", key, result, digest=digest(result))
    session.commit()


def recorded(
    session: Session[Any], snapshots: Collection[Snapshot], challenger: int | None = None
) -> list[ValidationRow]:
    """Return what the expectations said of inputs and of one challenger's predictions; None is every challenger's."""
    values = {"snapshots": keys(snapshots), "challenger": challenger}
    return read_rows(session, ValidationRow, statement("validations"), values)


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
    query = f"SELECT snapshot_id FROM shadow.newest_validation WHERE snapshot_id = ANY(%s::int[]) AND {condition}"  # noqa: S608
    return set(read_column(session, query, [keys(snapshots), *values]))
