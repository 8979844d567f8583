"""The largest disagreements between champion and challenger, as recorded when each day was compared."""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from psycopg.rows import class_row

from shadow_deployment.base.sql_templates import load_statement
from shadow_deployment.data.db import Session
from shadow_deployment.decision.words.explanation import DisagreeingRequest
from shadow_deployment.ledger.snapshots import Snapshot

MOST = 20  # of each day, and of all days together
_SQL = Path(__file__).parent / "sql"


def largest(
    session: Session[Any], challenger: int, snapshots: Sequence[Snapshot], known_by: dt.datetime
) -> list[DisagreeingRequest]:
    """Return the requests of these snapshots on which the two disagree most, largest difference first.

    Labels are those that were known at a moment.

    Only the rows of these few are read, never a whole day.
    """
    values = {
        "challenger": challenger,
        "snapshots": [snapshot.id for snapshot in snapshots],
        "days": [snapshot.day for snapshot in snapshots],
        "most": MOST,
        "known_by": known_by,
    }
    with session.cursor(row_factory=class_row(DisagreeingRequest)) as cursor:
        return cursor.execute(load_statement(_SQL / "disagreements.sql"), values).fetchall()
