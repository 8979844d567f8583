"""What the expectations said, in the ledger."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from psycopg.rows import class_row

from shadow_deployment.data.db import Session
from shadow_deployment.data.quality.expectations import Validation
from shadow_deployment.ledger.snapshots import Snapshot


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
        parts = [f"{one['expectation']} {one['column'] or ''}: {one['detail']}" for one in self.failures]
        return "; ".join(" ".join(part.split()) for part in parts)


def record(session: Session[Any], snapshot: Snapshot, challenger: int | None, validation: Validation) -> None:
    """Keep a validation, in place of an earlier one of the same inputs or predictions. Commits."""
    session.execute(
        "INSERT INTO shadow.validation (snapshot_id, challenger_id, success, suite, evaluated, failures) "
        "VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (snapshot_id, challenger_id) DO UPDATE SET "
        "success = excluded.success, suite = excluded.suite, evaluated = excluded.evaluated, "
        "failures = excluded.failures, validated_at = excluded.validated_at "
        "WHERE (validation.success, validation.suite, validation.evaluated, validation.failures) "
        "IS DISTINCT FROM (excluded.success, excluded.suite, excluded.evaluated, excluded.failures)",
        [
            snapshot.id,
            challenger,
            validation.success,
            validation.suite,
            validation.evaluated,
            validation.failures_json(),
        ],
    )
    session.commit()


def recorded(session: Session[Any], snapshots: Collection[Snapshot]) -> list[Recorded]:
    """Return the validations of these snapshots."""
    with session.cursor(row_factory=class_row(Recorded)) as cursor:
        return cursor.execute(
            "SELECT snapshot_id, challenger_id, success, failures FROM shadow.validation WHERE snapshot_id = ANY(%s)",
            [[one.id for one in snapshots]],
        ).fetchall()


def passed(session: Session[Any], snapshots: Collection[Snapshot], challenger: int) -> set[int]:
    """Return the keys of those snapshots whose inputs and this challenger's predictions meet their expectations."""
    rows = session.execute(
        "SELECT snapshot_id FROM shadow.validation WHERE snapshot_id = ANY(%s) AND success "
        "AND (challenger_id IS NULL OR challenger_id = %s) GROUP BY snapshot_id HAVING count(*) = 2",
        [[one.id for one in snapshots], challenger],
    )
    return {int(key) for (key,) in rows}
