"""Alerts in the ledger: what is to be delivered, to which channels, and every attempt to deliver it."""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.db import Session
from shadow_deployment.data.sampling import digest
from shadow_deployment.ledger.reading import read_rows, read_value, statement
from shadow_deployment.ledger.snapshots import deployment_id
from shadow_deployment.ledger.writing.rows import insert

Kind = Literal["failed", "recovered", "late", "asked", "promoted", "rolled_back", "not_served", "test"]


@dataclass(frozen=True)
class Alert:
    """One thing to tell, once for each deployment, day, kind and signature.

    `signature` is a digest of what it is about, `case` of the same without what only this day has; `window` says in
    UTC which requests it is about, `todo` what to do, `link` where to look. `details` is JSON for machines.
    """

    kind: Kind
    deployment: str
    day: dt.date
    signature: str
    title: str
    lines: tuple[str, ...] = ()
    todo: str = ""
    window: str | None = None
    link: str | None = None
    case: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """A short name that is the same each time it is sent, by which a receiver knows it again."""
        return digest([self.deployment, str(self.day), self.kind, self.signature])[:32]

    def content(self) -> dict[str, Any]:
        """Return it as plain data for JSON; `stored` reads that back."""
        return asdict(self) | {"id": self.id, "day": str(self.day), "lines": list(self.lines)}

    @classmethod
    def stored(cls, content: Mapping[str, Any]) -> "Alert":
        """Return the alert that `content` has made plain."""
        known = {each.name: content[each.name] for each in fields(cls)}
        return cls(**known | {"day": dt.date.fromisoformat(content["day"]), "lines": tuple(content["lines"])})


@dataclass(frozen=True)
class StoredAlert:
    """A stored alert; `undelivered` maps each channel that it was not delivered to, to the last attempt's error."""

    id: int
    day: dt.date
    kind: Kind
    signature: str
    content: dict[str, Any]
    created_at: dt.datetime
    delivered: list[str]
    undelivered: Mapping[str, str]

    @property
    def alert(self) -> Alert:
        """The alert, ready to be sent."""
        return Alert.stored(self.content)


def put(session: Session[Any], deployment: Deployment, alert: Alert, channels: Sequence[str]) -> bool:
    """Store an alert with the channels it is for; return whether it is new: the same one is stored once. Commits."""
    row = {
        "deployment_id": deployment_id(session, deployment),
        "day": alert.day,
        "kind": alert.kind,
        "signature": alert.signature,
        "content": json.dumps(alert.content() | {"channels": list(channels)}, allow_nan=False),
    }
    is_new = insert(session, "alert", row, once=True)
    session.commit()
    return bool(is_new)


def record(session: Session[Any], alert: StoredAlert, channel: str, error: str | None) -> None:
    """Record an attempt to deliver an alert to a channel; `error` is None where it succeeded. Commits."""
    insert(session, "delivery", {"alert_id": alert.id, "channel": channel, "error": error}, once=True)
    session.commit()


def history(session: Session[Any], deployment: Deployment, since: dt.datetime | None = None) -> list[StoredAlert]:
    """Return the alerts since a moment, oldest first; None is from the beginning."""
    return read_rows(session, StoredAlert, statement("alerts"), {"deployment": deployment.name, "since": since})


def newest(
    session: Session[Any], deployment: Deployment, kinds: Sequence[Kind], day: dt.date | None = None
) -> Alert | None:
    """Return the newest alert of these kinds, of one day where it is given; None where there is none."""
    values = {"deployment": deployment.name, "kinds": list(kinds), "day": day}
    content = read_value(session, statement("newest_alert"), values)
    return None if content is None else Alert.stored(content)


def newest_day(session: Session[Any], deployment: Deployment) -> dt.date | None:
    """Return the newest day that was sampled or judged, or has an alert; None before the first."""
    day: dt.date | None = read_value(session, statement("newest_day"), {"deployment": deployment.name})
    return day
