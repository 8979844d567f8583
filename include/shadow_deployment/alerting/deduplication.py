"""Whether to send an alert, given those already sent: one per failure, recovery and missed deadline.

Only the newest day raises alerts. Each function returns the alert, or None and logs why not.
"""

import datetime as dt
import logging
from collections.abc import Sequence
from typing import Any

from shadow_deployment.alerting.gate_alert import gate_failed_alert
from shadow_deployment.alerting.messages import late, not_served, recovered
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.db import Session
from shadow_deployment.ledger import alerts, snapshots, verdicts
from shadow_deployment.ledger.alerts import Alert
from shadow_deployment.ledger.registry.serving import served_day

logger = logging.getLogger(__name__)


def failure_alert(
    session: Session[Any], deployment: Deployment, day: dt.date, *, problems: Sequence[str], link: str | None
) -> Alert | None:
    """Return the alert of a failed gate.

    With `repeat: change` only where it fails otherwise than in the previous alert.
    """
    if not is_newest_day(session, deployment, day):
        return None
    previous = alerts.newest(session, deployment, ["failed", "recovered"])
    recovery = alerts.newest(session, deployment, ["recovered"], day)
    stored = verdicts.latest(session, deployment, day)
    reopened = recovery.signature if recovery else None
    alert = gate_failed_alert(deployment, day, problems=problems, verdicts=stored, link=link, reopened=reopened)
    repeated = previous is not None and (previous.kind, previous.case) == ("failed", alert.case) and previous.day < day
    if repeated and deployment.alerts.repeat == "change":
        logger.info("the gate of %s fails like the previous one: no alert", day)
        return None
    return alert


def recovery_alert(session: Session[Any], deployment: Deployment, day: dt.date, *, link: str | None) -> Alert | None:
    """Return a recovery alert, at most once per failure or missed deadline."""
    if not is_newest_day(session, deployment, day):
        return None
    sampled = snapshots.so_far(session, deployment, day)
    if sampled is not None and not sampled.is_complete:
        logger.info("%s has windows to come: no recovery before it is judged", day)
        return None
    previous = alerts.newest(session, deployment, ["failed", "late", "recovered"])
    if previous is None or previous.kind == "recovered":
        return None
    if previous.kind == "failed" and not previous.details.get("problems"):
        logger.info("the alert of %s was about challengers that fail, which is decided: no recovery", previous.day)
        return None
    stored = verdicts.latest(session, deployment, day)
    return recovered(deployment, day, previous=previous, verdicts=stored, link=link)


def lateness_alert(
    session: Session[Any], deployment: Deployment, day: dt.date, *, due: dt.datetime, state: str, link: str | None
) -> Alert | None:
    """Return the alert of a run that missed its deadline; `state` is the run's.

    A run that has ended meanwhile is late only if it failed, without an alert of its gate and without every verdict.
    """
    if not is_newest_day(session, deployment, day):
        return None
    stored = verdicts.latest(session, deployment, day)
    names = {challenger.name for challenger in deployment.challengers}
    judged = sum(verdict.day == day for name, verdict in stored.items() if name in names)
    if state in ("failed", "success"):
        previous = alerts.newest(session, deployment, ["failed", "recovered"])
        if state == "success" or judged == len(names) or _has_failure_alert(deployment, day, previous):
            logger.info("the run of %s has ended meanwhile (%s): no lateness alert", day, state)
            return None
    snapshot = snapshots.find(session, deployment, day)
    progress = [
        "the day is not sampled yet" if snapshot is None else f"{snapshot.rows} requests sampled",
        f"{judged} of {len(names)} challengers judged",
    ]
    return late(deployment, day, due=due, state=state, progress=progress, link=link)


def not_served_alert(session: Session[Any], deployment: Deployment, day: dt.date, *, link: str | None) -> Alert | None:
    """Return the alert that production does not serve the champion, once for each promotion or rollback."""
    served = served_day(session, deployment)
    if served is None or served.day != day or not served.others:
        return None
    alert = not_served(deployment, served, link=link)
    previous = alerts.newest(session, deployment, ["not_served"])
    if previous is not None and previous.signature == alert.signature:
        logger.info("%s: no alert, it was said on %s", served, previous.day)
        return None
    return alert


def is_newest_day(session: Session[Any], deployment: Deployment, day: dt.date) -> bool:
    """Whether no later day was sampled or judged, or had an alert of its run; the log says where one was."""
    newest = alerts.newest_day(session, deployment)
    if newest is not None and newest > day:
        logger.info("%s is past, the newest day is %s: no alert or event", day, newest)
        return False
    return True


def _has_failure_alert(deployment: Deployment, day: dt.date, previous: Alert | None) -> bool:
    if previous is None or previous.kind != "failed":
        return False
    return previous.day == day or (deployment.alerts.repeat == "change" and bool(previous.details.get("problems")))
