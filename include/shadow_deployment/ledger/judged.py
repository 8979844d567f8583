"""Verdicts in short: each model's newest outcome, and since when."""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg.rows import class_row

from shadow_deployment.base.sql_templates import load_statement
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.db import Session

_SQL = Path(__file__).parent / "sql"


@dataclass(frozen=True)
class VerdictOutcome:
    """A model's newest verdict; `since` is when that outcome was first given in the days that have had no other."""

    name: str
    version: str
    day: dt.date
    outcome: str
    reasons: list[str]
    since: dt.datetime


def judged(session: Session[Any], deployment: Deployment) -> dict[tuple[str, str], VerdictOutcome]:
    """Return the verdict of the newest day of every model that was ever judged, by name and version."""
    with session.cursor(row_factory=class_row(VerdictOutcome)) as cursor:
        rows = cursor.execute(load_statement(_SQL / "judged.sql"), {"deployment": deployment.name}).fetchall()
    return {(row.name, row.version): row for row in rows}
