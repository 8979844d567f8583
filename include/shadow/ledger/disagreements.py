"""The requests that champion and challenger answered furthest apart, as they were noted when each day was compared."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg.rows import class_row

from include.shadow.ledger.database import Session
from include.shadow.ledger.snapshots import Snapshot
from include.shadow.statements import parameterised

MOST = 20  # of each day, and of all days together
_SQL = Path(__file__).parent / "sql"


@dataclass(frozen=True)
class Answered:
    """One request that the two answered differently; `label` is None where it is unknown."""

    day: dt.date
    request_id: str | None
    champion: float
    challenger: float
    label: float | None
    slices: dict[str, str]


def furthest(session: Session[Any], challenger: int, snapshots: Sequence[Snapshot]) -> list[Answered]:
    """Return the requests of these snapshots that the two answered furthest apart, furthest first.

    What the rows of a day say is looked up for these few alone: no day is read as a whole.
    """
    values = {
        "challenger": challenger,
        "snapshots": [one.id for one in snapshots],
        "days": [one.day for one in snapshots],
        "most": MOST,
    }
    with session.cursor(row_factory=class_row(Answered)) as cursor:
        return cursor.execute(parameterised(_SQL / "disagreements.sql"), values).fetchall()
