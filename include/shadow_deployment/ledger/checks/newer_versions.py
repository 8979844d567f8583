"""Newer versions of models that are followed in MLflow, which wait: as the newest run found them."""

from typing import Any

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.db import Session
from shadow_deployment.ledger.reading import read_value
from shadow_deployment.ledger.snapshots import deployment_id
from shadow_deployment.ledger.writing.rows import insert


def keep(session: Session[Any], deployment: Deployment) -> None:
    """Enter which versions wait, of each challenger of which something else was entered last. Commits."""
    for challenger in deployment.challengers:
        waiting = challenger.newer_versions
        if waiting is not None and waiting != (newest(session, deployment.name, challenger.name) or ""):
            key = deployment_id(session, deployment)
            row = {"deployment_id": key, "challenger": challenger.name, "waiting": waiting}
            insert(session, "newer_versions", row)
    session.commit()


def newest(session: Session[Any], deployment: str, challenger: str) -> str | None:
    """Return which versions of a challenger wait, and why; empty for none, None where that was never entered."""
    waiting: str | None = read_value(
        session,
        "SELECT n.waiting FROM shadow.newer_versions AS n JOIN shadow.deployment AS d ON d.id = n.deployment_id "
        "WHERE d.name = %s AND n.challenger = %s ORDER BY n.id DESC LIMIT 1",
        [deployment, challenger],
    )
    return waiting
