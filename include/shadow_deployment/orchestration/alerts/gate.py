"""The callbacks of the gate: alerts that it failed, or that it is open again.

They are objects without templates that read everything when they are called: a rendered notifier would keep the text
of the day before. Airflow does not call them for a gate that never ran, or whose process was killed at its last try:
that is what the deadline is for.

This file is imported where DAGs are parsed, so the engine is imported inside the calls.
"""

import datetime as dt
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

from airflow.sdk import BaseNotifier, Context
from airflow.sdk.exceptions import AirflowFailException

from shadow_deployment.config.discovery import deployments_folder, looking_in
from shadow_deployment.orchestration import engine
from shadow_deployment.orchestration.run_origin import run_type
from shadow_deployment.orchestration.ui.links import verdict_page

if TYPE_CHECKING:
    from shadow_deployment.context import DeploymentContext

logger = logging.getLogger(__name__)


class Callbacks(TypedDict):
    """What a task takes."""

    on_failure_callback: list[Any]
    on_success_callback: list[Any]


def gate_callbacks(name: str) -> Callbacks:
    """Return the callbacks of a deployment's gate, to give to its task."""
    return {
        "on_failure_callback": [GateNotifier(name, _send_failure)],
        "on_success_callback": [GateNotifier(name, _send_recovery)],
    }


class GateNotifier(BaseNotifier):
    """Sends an alert about one deployment's gate. An error is logged, never raised: it would hide the gate's own.

    A backfill sends none, nor does the gate of a day that is not the newest.
    """

    def __init__(self, name: str, send: "Callable[[DeploymentContext, dt.date, Mapping[str, Any]], None]") -> None:
        super().__init__()
        self.name = name
        self.send = send
        self.folder = deployments_folder()  # where the DAG file looks

    def notify(self, context: Context) -> None:
        """Send the alert, if the run calls for one."""
        run: Mapping[str, Any] = context
        try:
            if run_type(run) == "backfill":
                logger.info("run %s is a backfill: no alert is sent", run.get("run_id"))
                return
            with looking_in(self.folder):
                day = engine.run_context.day_of_run(run, self.name)
                self.send(engine.run_context.context_of(self.name), day, run)
        except Exception:
            logger.exception("no alert was sent about the gate of %s, run %s", self.name, run.get("run_id"))


def _send_failure(context: "DeploymentContext", day: dt.date, run: Mapping[str, Any]) -> None:
    """Alert that the gate failed: by what the ledger says, or, where it cannot be read, by the gate's own error."""
    from airflow.sdk.log import redact  # type: ignore[attr-defined]

    error, link = run.get("exception"), verdict_page(run)
    error = error.__cause__ if isinstance(error, AirflowFailException) else error
    problems = [
        str(redact(line)) for line in engine.gate_alert.problems_in(error if isinstance(error, BaseException) else None)
    ]
    deployment = context.deployment
    engine.outbox.send_alert(
        context,
        lambda session: engine.deduplication.failure_alert(session, deployment, day, problems=problems, link=link),
        engine.channels.send,
        fallback=engine.gate_alert.gate_failed_alert(deployment, day, problems=problems, verdicts={}, link=link),
    )


def _send_recovery(context: "DeploymentContext", day: dt.date, run: Mapping[str, Any]) -> None:
    """Alert once that the gate is open again, unless the run is about some of the challengers only."""
    deployment, link = context.deployment, verdict_page(run)
    left_out = {challenger.name for challenger in deployment.challengers} - set(
        engine.run_context.chosen(run, deployment)
    )
    if left_out:
        logger.info("the run leaves out %s: no recovery is sent", ", ".join(sorted(left_out)))
        return
    engine.outbox.send_alert(
        context,
        lambda session: engine.deduplication.recovery_alert(session, deployment, day, link=link),
        engine.channels.send,
    )
