"""Verdicts in the ledger: history, one revision more where a day is judged again on something else."""

import datetime as dt
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg.rows import class_row

from shadow_deployment.base.sql_templates import load_statement
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.db import Session
from shadow_deployment.data.sampling import design, digest
from shadow_deployment.decision.finding import Verdict
from shadow_deployment.ledger.snapshots import deployment_id

_SQL = Path(__file__).parent / "sql"
CODE_VERSION = "0.1.0"


@dataclass(frozen=True)
class Stored:
    """A verdict as it was kept; `decided_on` is the first day of the same outcome on the same terms, None if open."""

    name: str
    version: str
    day: dt.date
    champion_version: str
    outcome: str
    reasons: list[str]
    warnings: list[str]
    findings: list[dict[str, Any]]
    explanation: str
    decided_on: dt.date | None


def store(
    session: Session[Any],
    deployment: Deployment,
    *,
    day: dt.date,
    challenger: int,
    champion_version: str,
    verdict: Verdict,
    warnings: Sequence[str],
    explanation: str,
    judged_on: Mapping[str, Any],
) -> None:
    """Keep a verdict, unless the newest one of the day was judged on the same input. Commits.

    `judged_on` is all that the verdict rests on; its digest tells whether it is the same.
    """
    session.execute(
        load_statement(_SQL / "add_verdict.sql"),
        {
            "deployment": deployment_id(session, deployment),
            "day": day,
            "challenger": challenger,
            "champion_version": champion_version,
            "design": digest(design(deployment)),
            "outcome": verdict.outcome,
            "reasons": json.dumps(list(verdict.reasons)),
            "warnings": json.dumps(list(warnings)),
            "explanation": explanation,
            "findings": json.dumps([finding.to_json() for finding in verdict.findings], allow_nan=False),
            "policy": deployment.policy.model_dump_json(by_alias=True),
            "input_digest": digest(judged_on),
            "code_version": CODE_VERSION,
        },
    )
    session.commit()


def latest(session: Session[Any], deployment: Deployment, as_of: dt.date | None = None) -> dict[str, Stored]:
    """Return each challenger's newest verdict of a day up to `as_of`, by name."""
    with session.cursor(row_factory=class_row(Stored)) as cursor:
        rows = cursor.execute(
            load_statement(_SQL / "latest_verdicts.sql"), {"deployment": deployment.name, "as_of": as_of}
        ).fetchall()
    return {row.name: row for row in rows}


def judged_days(session: Session[Any], challengers: Collection[int]) -> set[dt.date]:
    """Return the days on which all of these challengers were judged, as the models that they are now."""
    rows = session.execute(
        "SELECT day FROM shadow.verdict WHERE challenger_id = ANY(%s) GROUP BY day "
        "HAVING count(DISTINCT challenger_id) = %s",
        [list(challengers), len(challengers)],
    )
    return {day for (day,) in rows}
