"""Acknowledgements: a person has looked into an alarm of a model, and says why it is right."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.db import Session
from shadow_deployment.decision.safeguards.too_good import Acknowledgement, Kind
from shadow_deployment.ledger.reading import read_rows

REGRESSION: Final[Kind] = "regression"  # a former champion is better than its successor


@dataclass(frozen=True)
class GivenAcknowledgement:
    """An acknowledgement with the model that it is about, as reports list it."""

    name: str
    version: str
    alarm: str
    reason: str
    by: str
    at: dt.datetime


def acknowledge(session: Session[Any], challenger: int, alarms: Sequence[Kind], *, by: str, reason: str) -> None:
    """Keep an acknowledgement of a model's alarms, for good. Commits."""
    session.execute(
        "INSERT INTO shadow.acknowledgement (deployment_id, digest, version, alarm, reason, acknowledged_by) "
        "SELECT deployment_id, digest, version, unnest(%s::text[]), %s, %s FROM shadow.model_version WHERE id = %s",
        [list(alarms), reason, by, challenger],
    )
    session.commit()


def acknowledgements(session: Session[Any], challenger: int) -> dict[Kind, Acknowledgement]:
    """Return the newest acknowledgement of each kind of alarm; `challenger` is the model's key in the ledger."""
    rows = read_rows(
        session,
        Acknowledgement,
        "SELECT a.alarm AS kind, a.acknowledged_by AS by, a.reason, a.acknowledged_at AS at "
        "FROM shadow.acknowledgement AS a JOIN shadow.model_version AS m USING (deployment_id, digest, version) "
        "WHERE m.id = %s ORDER BY a.acknowledged_at",
        [challenger],
    )
    return {row.kind: row for row in rows}


def given(session: Session[Any], deployment: Deployment) -> list[GivenAcknowledgement]:
    """Return every acknowledgement of a deployment's models, in order."""
    return read_rows(
        session,
        GivenAcknowledgement,
        "SELECT DISTINCT m.name, m.version, a.alarm, a.reason, a.acknowledged_by AS by, a.acknowledged_at AS at "
        "FROM shadow.acknowledgement AS a JOIN shadow.model_version AS m USING (deployment_id, digest, version) "
        "JOIN shadow.deployment AS d ON d.id = a.deployment_id WHERE d.name = %s ORDER BY at, name, alarm",
        [deployment.name],
    )
