"""Which days may be run: those within the deployment's dates whose window is over, and that were not withdrawn.

A day that is not over would be sampled half and stay so, and one in the far future would be the newest for ever.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.window import day_of, days_between, window_of
from shadow_deployment.data.db import Session, clock
from shadow_deployment.errors import DeploymentError, LedgerError, TransientError
from shadow_deployment.ledger import snapshots, trials

_CLOCKS_DIFFER = dt.timedelta(minutes=1)


def require_runnable(session: Session[Any], deployment: Deployment, days: Sequence[dt.date]) -> None:
    """Raise for the first day that cannot be run, by the ledger's clock.

    Raises:
        DeploymentError: it is before `start`, after `end`, or its window is not over.
        LedgerError: it was withdrawn.
        TransientError: its window ends within a minute, as where the scheduler's clock is ahead of the ledger's.
    """
    now = clock(session)
    withdrawn = trials.withdrawn(session, deployment)
    for day in days:
        _require_declared(deployment, day)
        window = window_of(deployment, day)
        if window.end > now:
            text = (
                f"deployment {deployment.name}: day == {day}, must be over: its window ends at "
                f"{window.end:%Y-%m-%d %H:%M} UTC, and by the ledger's clock it is {now:%Y-%m-%d %H:%M:%S} UTC"
            )
            raise (TransientError if window.end - now < _CLOCKS_DIFFER else DeploymentError)(text)
        if day in withdrawn:
            raise LedgerError(f"deployment {deployment.name}: {day} was withdrawn: {withdrawn[day]}")


def next_day(session: Session[Any], deployment: Deployment, moment: dt.datetime) -> dt.date:
    """Return the first day that was over at a moment and had not been sampled by then, else the newest that was over.

    Days that were withdrawn are passed over.

    Raises:
        DeploymentError: no day was over.
    """
    newest = day_of(deployment, moment) - dt.timedelta(days=1)
    if deployment.end is not None:
        newest = min(newest, deployment.end)
    if newest < deployment.start:
        ends = window_of(deployment, deployment.start).end
        raise DeploymentError(
            f"deployment {deployment.name}: no day is over yet: the first is {deployment.start} (start), and ends at "
            f"{ends:%Y-%m-%d %H:%M} UTC"
        )
    done = snapshots.sampled_before(session, deployment, moment) | set(trials.withdrawn(session, deployment))
    return next((day for day in days_between(deployment.start, newest) if day not in done), newest)


def _require_declared(deployment: Deployment, day: dt.date) -> None:
    first, last = deployment.start, deployment.end
    if day < first or (last is not None and day > last):
        allowed = f"at least {first} (start)" if last is None else f"from {first} (start) to {last} (end)"
        raise DeploymentError(f"deployment {deployment.name}: day == {day}, must be {allowed}")
