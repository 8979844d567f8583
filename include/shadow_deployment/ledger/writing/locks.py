"""Locks of a deployment that need no right to change a row: promotions take all of it, what they rest on a share.

They belong to the transaction, so they end with it, whatever happens to the process.
"""

from typing import Any

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.db import Session

_WAIT = "SET LOCAL lock_timeout = '60s'"


def share(session: Session[Any], deployment: Deployment) -> None:
    """Let nobody promote this deployment until the transaction ends; for verdicts and snapshots."""
    _lock(session, deployment, "pg_advisory_xact_lock_shared")


def whole(session: Session[Any], deployment: Deployment) -> None:
    """Let nobody else promote, judge or sample this deployment until the transaction ends.

    Whoever holds it reads what stays true until the commit. Raises TransientError (of `translated`) after a minute of
    waiting.
    """
    session.execute(_WAIT)
    _lock(session, deployment, "pg_advisory_xact_lock")


def _lock(session: Session[Any], deployment: Deployment, function: str) -> None:
    name = f"shadow/deployment/{deployment.name}"
    session.execute(f"SELECT {function}(hashtextextended(%s, 0))", [name])
