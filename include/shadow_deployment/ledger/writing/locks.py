"""Locks that need no right to change a row, and end with the transaction, whatever happens to the process."""

from typing import Any

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.db import Session
from shadow_deployment.ledger.reading import read_value

_WAIT = "SET LOCAL lock_timeout = '60s'"


def until_commit(session: Session[Any], name: str, *, shared: bool = False) -> None:
    """Wait until nobody else holds the lock of this name, and hold it until the transaction ends.

    Those who share it exclude only those who do not.
    """
    function = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
    session.execute(f"SELECT {function}(hashtextextended(%s, 0))", [f"shadow/{name}"])


def share(session: Session[Any], deployment: Deployment) -> None:
    """Let nobody promote this deployment until the transaction ends; for verdicts and snapshots."""
    until_commit(session, f"deployment/{deployment.name}", shared=True)


def share_steps(session: Session[Any], deployment: Deployment) -> None:
    """Let nobody erase requests of this deployment until the session ends; for steps that work on requests."""
    session.execute("SELECT pg_advisory_lock_shared(hashtextextended(%s, 0))", [_steps_of(deployment)])


def no_steps(session: Session[Any], deployment: Deployment) -> bool:
    """Return whether no other session works on requests of this deployment; none begins to until this one ends."""
    return bool(read_value(session, "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [_steps_of(deployment)]))


def _steps_of(deployment: Deployment) -> str:
    return f"shadow/steps/{deployment.name}"


def whole(session: Session[Any], deployment: Deployment) -> None:
    """Let nobody else promote, judge or sample this deployment until the transaction ends.

    Whoever holds it reads what stays true until the commit. Raises TransientError (of `translated`) after a minute of
    waiting.
    """
    session.execute(_WAIT)
    until_commit(session, f"deployment/{deployment.name}")
