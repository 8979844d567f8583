"""Telling alerts: each goes into the ledger first and from there to every channel that has not taken it yet.

So a retry, a clear and a re-run tell nothing twice, and one after a failure sends what is missing. An alert arrives at
least once: a process that is killed between sending and keeping that it was sent leaves it to be sent again, under the
same id.
"""

import datetime as dt
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
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
from shadow_deployment.ledger.alerts import Alert, Told

logger = logging.getLogger(__name__)
TRIED_AGAIN = dt.timedelta(days=7)
_WAIT = "SET lock_timeout = '120s'"

Send = Callable[[Channel, Alert], None]
Compose = Callable[[Session[Any]], Alert | None]


@dataclass(frozen=True)
class Delivery:
    """One attempt: `error` is None where the channel took the alert."""

    alert: Alert
    channel: str
    error: str | None


@dataclass
class _Progress:
    """How far telling has come when the ledger goes away; `waiting` is None before it was asked who waits."""

    alert: Alert | None = None
    waiting: list[str] | None = None
    deliveries: list[Delivery] = field(default_factory=list)


def targets(alerts: Alerts) -> dict[str, Channel]:
    """Return whom to tell, by names without secrets; each e-mail address is one for itself, taking or refusing."""
    found: dict[str, Channel] = {}
    for channel in alerts.channels:
        match channel:
            case Email():
                found |= {f"email:{one}": channel.model_copy(update={"to": [one]}) for one in channel.to}
            case Sns():
                found[f"sns:{channel.topic}"] = channel
            case _:
                found[f"{channel.kind}:{channel.conn_id}"] = channel
    return found


def send_alert(
    context: DeploymentContext, alert: Alert | Compose, send: Send, *, otherwise: Alert | None = None
) -> list[Delivery]:
    """Tell an alert to every channel of the deployment, and again what was undelivered in the last seven days.

    `alert` may be a function of the ledger that returns None where there is no news. `send` raises where a channel
    does not take it: that is logged and kept, and never raised. Where the ledger cannot be asked, the alert, or
    `otherwise` in place of one that needs the ledger, is sent all the same and says so; only without either is the
    ledger's error raised.
    """
    channels = targets(context.deployment.alerts)
    if not channels:
        logger.info("%s has no alerts.channels: nobody is told", context.deployment.name)
        return []
    progress = _Progress(alert if isinstance(alert, Alert) else None)
    try:
        with _outbox(context) as session:
            progress.alert = alert if isinstance(alert, Alert) else alert(session)
            if progress.alert is not None:
                ledger.put(session, context.deployment, progress.alert, list(channels))
                _deliver(session, context, channels, send, progress)
    except Exception as error:
        known = progress.alert or otherwise
        if known is None:
            raise
        _send_without_ledger(channels, known, send, progress, error)
    return progress.deliveries


def retry_undelivered(context: DeploymentContext, send: Send) -> list[Delivery]:
    """Try once more what was undelivered in the last seven days, oldest first; return every attempt."""
    progress = _Progress()
    with _outbox(context) as session:
        _deliver(session, context, targets(context.deployment.alerts), send, progress)
    return progress.deliveries


@contextmanager
def _outbox(context: DeploymentContext) -> Iterator[Session[Any]]:
    """Open the ledger for one process at a time: two that look for what was not sent would both send it."""
    with context.ledger() as session:
        session.execute(_WAIT)
        with exclusively(session, f"alerts/{context.deployment.name}"):
            yield session


def _deliver(
    session: Session[Any], context: DeploymentContext, channels: Mapping[str, Channel], send: Send, progress: _Progress
) -> None:
    """Send what waits, the news before what is older; a channel that fails is left alone for this time."""
    since = dt.datetime.now(dt.UTC) - TRIED_AGAIN
    waiting = [told for told in ledger.history(session, context.deployment, since) if told.undelivered]
    session.commit()
    news = progress.alert.id if progress.alert else None
    waiting.sort(key=lambda told: told.alert.id != news)
    progress.waiting = [name for told in waiting if told.alert.id == news for name in told.undelivered]
    failing: set[str] = set()
    for told in waiting:
        alert = told.alert if told.alert.id == news else _delayed(told)
        for name in _named(channels, told.undelivered, failing):
            delivery = _attempt(name, channels[name], alert, send)
            progress.deliveries.append(delivery)
            if delivery.error is not None:
                failing.add(name)
            ledger.record(session, told, name, delivery.error)


def _named(channels: Mapping[str, Channel], wanted: Iterable[str], but: Iterable[str]) -> list[str]:
    return [name for name in channels if name in set(wanted) - set(but)]


def _attempt(name: str, channel: Channel, alert: Alert, send: Send) -> Delivery:
    try:
        send(channel, alert)
    except Exception as error:  # noqa: BLE001 (whatever a channel raises must not hide what it was to tell)
        reason = _reason(error)
        logger.error("%s did not take the alert: %s\n%s", name, reason, text(alert))  # noqa: TRY400 (nor its secrets)
        return Delivery(alert, name, reason)
    logger.info("%s was told: %s", name, alert.title)
    return Delivery(alert, name, None)


def _reason(error: Exception) -> str:
    """Return what an error says; of one that is not ours only its type, since its text may hold a secret."""
    return plain(error) if isinstance(error, ShadowError) else type(error).__name__


def _delayed(told: Told) -> Alert:
    note = f"This was to be told on {told.created_at:%Y-%m-%d %H:%M} UTC and could not be delivered then."
    return replace(told.alert, lines=(note, *told.alert.lines))


def _send_without_ledger(
    channels: Mapping[str, Channel], alert: Alert, send: Send, progress: _Progress, error: Exception
) -> None:
    """Send to the channels that still wait, as far as is known, with a word about why it may come again."""
    logger.error("the ledger cannot say what was told before: %s", _reason(error))
    note = f"The ledger cannot be asked what was told before ({_reason(error)}): this may come again."
    alert = replace(alert, lines=(*alert.lines, note))
    waiting = channels if progress.waiting is None else progress.waiting
    done = [one.channel for one in progress.deliveries if one.alert.id == alert.id]
    progress.deliveries += [_attempt(name, channels[name], alert, send) for name in _named(channels, waiting, done)]
