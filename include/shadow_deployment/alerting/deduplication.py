"""Whether something is news: what of a gate, or of a late day, is to be told, given what was told before.

Only the newest day is news. Each function returns the alert, or None after a line in the log that says why not.
"""

import datetime as dt
import logging
from collections.abc import Sequence
from typing import Any

from shadow_deployment.alerting.gate_alert import gate_failed_alert
from shadow_deployment.alerting.messages import late, recovered
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.db import Session
from shadow_deployment.ledger import alerts as told
from shadow_deployment.ledger import snapshots, verdicts
from shadow_deployment.ledger.alerts import Alert

logger = logging.getLogger(__name__)


def failure_alert(
    session: Session[Any], deployment: Deployment, day: dt.date, *, said: Sequence[str], link: str | None
) -> Alert | None:
    """Return the alert of a gate that failed; with `repeat: change` only where it fails otherwise than was told."""
    if not _is_newest(session, deployment, day):
        return None
    before = told.newest(session, deployment, ["failed", "recovered"])
    again = told.newest(session, deployment, ["recovered"], day)
    stored = verdicts.latest(session, deployment, day)
    alert = gate_failed_alert(
        deployment, day, said=said, verdicts=stored, link=link, reopened=again.signature if again else None
    )
    same = before is not None and before.kind == "failed" and before.day < day and before.case == alert.case
    if before is not None and same and deployment.alerts.repeat == "change":
        logger.info("the gate of %s fails as that of %s, which was told: nobody is told", day, before.day)
        return None
    return alert


def recovery_alert(session: Session[Any], deployment: Deployment, day: dt.date, *, link: str | None) -> Alert | None:
    """Return the alert that the gate is open again, once after each one that was closed or late."""
    if not _is_newest(session, deployment, day):
        return None
    before = told.newest(session, deployment, ["failed", "late", "recovered"])
    if before is None or before.kind == "recovered":
        return None
    stored = verdicts.latest(session, deployment, day)
    return recovered(deployment, day, told=before, verdicts=stored, link=link)


def lateness_alert(
    session: Session[Any], deployment: Deployment, day: dt.date, *, due: dt.datetime, state: str, link: str | None
) -> Alert | None:
    """Return the alert of a day whose run was not done by its time; `state` is the run's.

    A run that has ended without success is late only where nobody knows: its gate was not told, and not every
    challenger was judged.
    """
    if not _is_newest(session, deployment, day):
        return None
    stored = verdicts.latest(session, deployment, day)
    judged = [one.name for one in deployment.challengers if (v := stored.get(one.name)) is not None and v.day == day]
    before = told.newest(session, deployment, ["failed", "recovered"])
    if state in ("failed", "success"):
        known = _is_told_closed(deployment, day, before)
        if known or state == "success" or len(judged) == len(deployment.challengers):
            logger.info("the run of %s has ended by now (%s): nobody is told that it is late", day, state)
            return None
    sampled = snapshots.find(session, deployment, day)
    progress = [
        "the day was not sampled yet" if sampled is None else f"{sampled.rows} requests were sampled",
        f"{len(judged)} of {len(deployment.challengers)} challengers were judged",
    ]
    return late(deployment, day, due=due, state=state, progress=progress, link=link)


def _is_told_closed(deployment: Deployment, day: dt.date, before: Alert | None) -> bool:
    if before is None or before.kind != "failed":
        return False
    return before.day == day or deployment.alerts.repeat == "change"


def _is_newest(session: Session[Any], deployment: Deployment, day: dt.date) -> bool:
    newest = told.newest_day(session, deployment)
    if newest is not None and newest > day:
        logger.info("%s is past, %s is known of: nobody is told", day, newest)
        return False
    return True
