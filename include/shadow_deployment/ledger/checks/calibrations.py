"""Calibrations in the ledger: how often a policy would err on a deployment's own history."""

import json
from collections.abc import Mapping
from typing import Any

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.db import Session
from shadow_deployment.ledger.reading import read_value
from shadow_deployment.ledger.snapshots import deployment_id
from shadow_deployment.ledger.writing.rows import insert


def store(
    session: Session[Any], deployment: Deployment, challenger: int, warning: str | None, result: Mapping[str, Any]
) -> None:
    """Keep a calibration of the present policy. Commits."""
    row = {
        "deployment_id": deployment_id(session, deployment),
        "challenger_id": challenger,
        "policy": deployment.policy.model_dump_json(by_alias=True),
        "warning": warning,
        "result": json.dumps(result, allow_nan=False),
    }
    insert(session, "calibration", row)
    session.commit()


def warnings(session: Session[Any], deployment: Deployment, challenger: int) -> list[str]:
    """Return the warning of the newest calibration of the present policy, if it gave one."""
    warning = read_value(
        session,
        "SELECT warning FROM shadow.calibration WHERE challenger_id = %s AND policy = %s ORDER BY id DESC LIMIT 1",
        [challenger, deployment.policy.model_dump_json(by_alias=True)],
    )
    return [warning] if warning else []
