"""What the tests of the outbox send, and who receives it."""

import functools
from typing import Any

from shadow_deployment.alerting import deduplication, gate_alert, outbox
from shadow_deployment.alerting import messages as alerts
from shadow_deployment.config.actions import Channel
from shadow_deployment.context import DeploymentContext
from shadow_deployment.ledger.alerts import Alert
from tests.production import day

CHANNELS = [
    {"kind": "webhook", "conn_id": "hook"},
    {"kind": "email", "to": ["a@example.org", "b@example.org"]},
    {"kind": "slack"},
]

NAMES = ["webhook:hook", "email:a@example.org", "email:b@example.org", "slack:slack_default"]


class Recorder:
    """Stands for the channels: keeps what each takes, and lets those fail that are away."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, Alert]] = []
        self.away: dict[str, Exception] = {}
        self.calls = 0

    def __call__(self, channel: Channel, alert: Alert) -> None:
        self.calls += 1
        name = f"email:{channel.to[0]}" if channel.kind == "email" else f"{channel.kind}:{channel.conn_id}"  # type: ignore[union-attr]
        if name in self.away:
            raise self.away[name]
        self.taken.append((name, alert))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.taken]

    @property
    def titles(self) -> list[str]:
        return [alert.title for _, alert in self.taken]


def one(shadow: DeploymentContext, **changes: Any) -> Alert:
    values = {"name": "other", "version": "1", "approved_by": "ada", "reason": "better", **changes}
    return alerts.champion_changed(shadow.deployment, day(1), kind="promoted", **values)


def failed(shadow: DeploymentContext, number: int, send: Recorder, *message: str) -> list[outbox.Delivery]:
    """Tell that the gate of a day failed, as the callback does."""
    message = message or ("inputs do not meet their expectations: 3 of 60",)
    compose = functools.partial(
        deduplication.failure_alert, deployment=shadow.deployment, day=day(number), problems=message, link=None
    )
    fallback = gate_alert.gate_failed_alert(shadow.deployment, day(number), problems=message, verdicts={})
    return outbox.send_alert(shadow, compose, send, fallback=fallback)


def opened(shadow: DeploymentContext, number: int, send: Recorder) -> list[outbox.Delivery]:
    compose = functools.partial(deduplication.recovery_alert, deployment=shadow.deployment, day=day(number), link=None)
    return outbox.send_alert(shadow, compose, send)
