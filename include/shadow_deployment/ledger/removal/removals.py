"""What was removed: a line for each day and removal, and the folders whose files are to follow."""

import datetime as dt
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.db import Session
from shadow_deployment.ledger.reading import read_column, read_rows


@dataclass(frozen=True)
class Removal:
    """So many requests of a day were removed: by `retention` all of them, by `erasure` those of a subject."""

    snapshot_id: int
    day: dt.date
    kind: str
    requests: int
    removed_by: str
    removed_at: dt.datetime


def removals(session: Session[Any], deployment: Deployment) -> Mapping[int, Sequence[Removal]]:
    """Return the removals of a deployment by snapshot, the first one first."""
    by_snapshot: dict[int, list[Removal]] = defaultdict(list)
    rows = read_rows(
        session,
        Removal,
        "SELECT r.snapshot_id, s.day, r.kind, r.requests, r.removed_by, r.removed_at FROM shadow.removal AS r "
        "JOIN shadow.snapshot AS s ON s.id = r.snapshot_id JOIN shadow.deployment AS d ON d.id = r.deployment_id "
        "WHERE d.name = %s ORDER BY s.day, r.id",
        [deployment.name],
    )
    for row in rows:
        by_snapshot[row.snapshot_id].append(row)
    return by_snapshot


def leftovers(session: Session[Any], deployment: Deployment) -> list[str]:
    """Return the folders below the snapshots' store that no day of the ledger needs, and that may still hold files."""
    query = (
        "SELECT f.location FROM shadow.leftover AS f JOIN shadow.deployment AS d ON d.id = f.deployment_id "
        "WHERE d.name = %s ORDER BY f.location"
    )
    return read_column(session, query, [deployment.name])


def cleared(session: Session[Any], location: str) -> None:
    """Note that a folder's files were removed. Commits."""
    session.execute("DELETE FROM shadow.leftover WHERE location = %s", [location])
    session.commit()
