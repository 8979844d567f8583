"""Delivery of alerts: each is stored in the ledger, then sent to every channel that has not taken it yet.

Retries, cleared tasks and re-runs never resend an alert; they deliver only what is outstanding. An alert arrives at
least once: a process that is killed between sending and recording leaves it to be sent again, under the same id.
"""

import datetime as dt
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from shadow_deployment.alerting.formats import text
from shadow_deployment.alerting.messages import plain
from shadow_deployment.config.actions import Alerts, Channel, Email, Sns
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.db import Session, exclusively
from shadow_deployment.errors import ShadowError
from shadow_deployment.ledger import alerts as ledger
from shadow_deployment.ledger.alerts import Alert, StoredAlert

logger = logging.getLogger(__name__)
RETRIED_FOR = dt.timedelta(days=7)
_LOCK_TIMEOUT = "SET lock_timeout = '120s'"

Send = Callable[[Channel, Alert], None]
Compose = Callable[[Session[Any]], Alert | None]


@dataclass(frozen=True)
class Delivery:
    """One attempt; `error` is None where the channel took the alert."""

    alert: Alert
    channel: str
    error: str | None


@dataclass
class _Progress:
    """What is known when the ledger is lost; `outstanding` names channels, None before the ledger has named them."""

    alert: Alert | None = None
    outstanding: list[str] | None = None
    deliveries: list[Delivery] = field(default_factory=list)


def targets(alerts: Alerts) -> dict[str, Channel]:
    """Return the channels by names without secrets; each e-mail address is a channel of its own."""
    channels: dict[str, Channel] = {}
    for channel in alerts.channels:
        match channel:
            case Email():
                channels |= {f"email:{address}": channel.model_copy(update={"to": [address]}) for address in channel.to}
            case Sns():
                channels[f"sns:{channel.topic}"] = channel
            case _:
                channels[f"{channel.kind}:{channel.conn_id}"] = channel
    return channels


def send_alert(
    context: DeploymentContext, alert: Alert | Compose, send: Send, *, fallback: Alert | None = None
) -> list[Delivery]:
    """Send an alert to every channel of the deployment, then what is outstanding from the last seven days.

    Args:
        context: the deployment; without channels nothing is sent or stored.
        alert: the alert, or a function that composes it from the ledger and returns None for none.
        send: sends to one channel; what it raises is logged and recorded, never raised.
        fallback: sent where the ledger fails before `alert` is composed.

    Returns:
        Every attempt.

    Raises:
        Exception: the ledger fails and there is neither an alert nor a fallback. With one of them it is sent all the
            same, with a note that it may be repeated.
    """
    channels = targets(context.deployment.alerts)
    if not channels:
        logger.info("%s has no alerts.channels: no alert is sent", context.deployment.name)
        return []
    progress = _Progress(alert if isinstance(alert, Alert) else None)
    try:
        with _outbox(context) as session:
            progress.alert = alert if isinstance(alert, Alert) else alert(session)
            if progress.alert is not None:
                ledger.put(session, context.deployment, progress.alert, list(channels))
                _deliver(session, context, channels, send, progress)
    except Exception as error:
        known = progress.alert or fallback
        if known is None:
            raise
        _send_without_ledger(channels, known, send, progress, error)
    return progress.deliveries


def retry_undelivered(context: DeploymentContext, send: Send) -> list[Delivery]:
    """Retry what is undelivered from the last seven days, oldest first; return every attempt."""
    progress = _Progress()
    with _outbox(context) as session:
        _deliver(session, context, targets(context.deployment.alerts), send, progress)
    return progress.deliveries


@contextmanager
def _outbox(context: DeploymentContext) -> Iterator[Session[Any]]:
    """Open the ledger for one process at a time: two would both send what is outstanding."""
    with context.ledger() as session:
        session.execute(_LOCK_TIMEOUT)
        with exclusively(session, f"alerts/{context.deployment.name}"):
            yield session


def _deliver(
    session: Session[Any], context: DeploymentContext, channels: Mapping[str, Channel], send: Send, progress: _Progress
) -> None:
    """Send what is outstanding, the new alert first; a channel that fails is not tried again this time."""
    since = dt.datetime.now(dt.UTC) - RETRIED_FOR
    undelivered = [stored for stored in ledger.history(session, context.deployment, since) if stored.undelivered]
    session.commit()
    new = progress.alert.id if progress.alert else None
    undelivered.sort(key=lambda stored: stored.alert.id != new)
    progress.outstanding = [name for stored in undelivered if stored.alert.id == new for name in stored.undelivered]
    failing: set[str] = set()
    for stored in undelivered:
        alert = stored.alert if stored.alert.id == new else _delayed(stored)
        for name in _selected(channels, stored.undelivered, failing):
            delivery = _attempt(name, channels[name], alert, send)
            progress.deliveries.append(delivery)
            if delivery.error is not None:
                failing.add(name)
            ledger.record(session, stored, name, delivery.error)


def _selected(channels: Mapping[str, Channel], names: Collection[str], without: Collection[str]) -> list[str]:
    return [name for name in channels if name in names and name not in without]


def _attempt(name: str, channel: Channel, alert: Alert, send: Send) -> Delivery:
    try:
        send(channel, alert)
    except Exception as error:  # noqa: BLE001 (whatever a channel raises must not hide the alert)
        reason = _reason(error)
        logger.error("%s did not take the alert: %s\n%s", name, reason, text(alert))  # noqa: TRY400 (nor its secrets)
        return Delivery(alert, name, reason)
    logger.info("sent to %s: %s", name, alert.title)
    return Delivery(alert, name, None)


def _reason(error: Exception) -> str:
    """Return an error's text; of a foreign one only its type, since its text may hold a secret."""
    return plain(error) if isinstance(error, ShadowError) else type(error).__name__


def _delayed(stored: StoredAlert) -> Alert:
    note = f"Delayed: this alert of {stored.created_at:%Y-%m-%d %H:%M} UTC could not be delivered before."
    return replace(stored.alert, lines=(note, *stored.alert.lines))


def _send_without_ledger(
    channels: Mapping[str, Channel], alert: Alert, send: Send, progress: _Progress, error: Exception
) -> None:
    """Send to the channels that are outstanding as far as is known, with a note that the alert may be repeated."""
    logger.error("the ledger cannot be read, alerts may be repeated: %s", _reason(error))
    note = f"The ledger cannot be read ({_reason(error)}), so this alert may be repeated."
    alert = replace(alert, lines=(*alert.lines, note))
    outstanding = channels if progress.outstanding is None else progress.outstanding
    done = [delivery.channel for delivery in progress.deliveries if delivery.alert.id == alert.id]
    progress.deliveries += [
        _attempt(name, channels[name], alert, send) for name in _selected(channels, outstanding, done)
    ]
