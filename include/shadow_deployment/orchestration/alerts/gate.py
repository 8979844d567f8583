"""The callbacks of the gate: tell that it failed, or that it is open again.

They are objects without templates that read everything when they are called: a rendered notifier would keep the text
of the day before. Airflow does not call them for a gate that never ran, or whose process was killed at its last try:
that is what the deadline is for.

This file is imported where DAGs are parsed, so the engine is imported inside the calls.
"""

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

from airflow.sdk import BaseNotifier, Context

from shadow_deployment.orchestration import engine
from shadow_deployment.orchestration.run_type import run_type
from shadow_deployment.orchestration.ui.links import address, verdict_tab

if TYPE_CHECKING:
    from shadow_deployment.context import DeploymentContext
    from shadow_deployment.ledger.alerts import Alert

logger = logging.getLogger(__name__)


class Callbacks(TypedDict):
    """What a task takes."""

    on_failure_callback: list[Any]
    on_success_callback: list[Any]


def gate_callbacks(name: str) -> Callbacks:
    """Return the callbacks of a deployment's gate, to give to its task."""
    return {"on_failure_callback": [GateFailedNotifier(name)], "on_success_callback": [GateOpenNotifier(name)]}


class GateNotifier(BaseNotifier):
    """Tells of one deployment's gate. Whatever goes wrong is logged, and never raised: it would hide the gate's error.

    A backfill tells nobody, nor does the gate of a day that is not the newest.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def notify(self, context: Context) -> None:
        """Tell what is news."""
        facts: Mapping[str, Any] = context
        try:
            if run_type(facts) == "backfill":
                logger.info("run %s is a backfill: nobody is told", facts.get("run_id"))
                return
            self.tell(facts)
        except Exception:
            logger.exception("nobody was told of the gate of %s, run %s", self.name, facts.get("run_id"))

    def tell(self, context: Mapping[str, Any]) -> None:
        """Tell what is news of a run that is no backfill."""
        raise NotImplementedError


class GateFailedNotifier(GateNotifier):
    """Tells that the gate failed: by what the ledger says, or, where it is not there, by the gate's own error."""

    def tell(self, context: Mapping[str, Any]) -> None:
        """Tell that the gate failed."""
        from airflow.sdk.log import redact  # type: ignore[attr-defined]

        found, day, link = (
            engine.run_context.context_of(self.name),
            engine.run_context.day_of_run(context, self.name),
            verdict_page(context),
        )
        error = context.get("exception")
        problems = [
            str(redact(line))
            for line in engine.gate_alert.problems_in(error if isinstance(error, BaseException) else None)
        ]
        engine.outbox.send_alert(
            found,
            lambda session: engine.deduplication.failure_alert(
                session, found.deployment, day, problems=problems, link=link
            ),
            engine.channels.send,
            fallback=engine.gate_alert.gate_failed_alert(
                found.deployment, day, problems=problems, verdicts={}, link=link
            ),
        )


class GateOpenNotifier(GateNotifier):
    """Tells that the gate is open again, once, where it was told closed or late before."""

    def tell(self, context: Mapping[str, Any]) -> None:
        """Tell that the gate is open again, unless the run is about some of the challengers only."""
        found, day, link = (
            engine.run_context.context_of(self.name),
            engine.run_context.day_of_run(context, self.name),
            verdict_page(context),
        )
        left_out = {one.name for one in found.deployment.challengers} - set(
            engine.run_context.chosen(context, found.deployment)
        )
        if left_out:
            logger.info("the run leaves out %s: no recovery is told", ", ".join(sorted(left_out)))
            return
        engine.outbox.send_alert(
            found,
            lambda session: engine.deduplication.recovery_alert(session, found.deployment, day, link=link),
            engine.channels.send,
        )


def announce(found: "DeploymentContext", compose: Callable[[], "Alert"]) -> None:
    """Tell an alert that `compose` makes, of a promotion for example; whatever goes wrong is logged, never raised."""
    try:
        engine.outbox.send_alert(found, compose(), engine.channels.send)
    except Exception:
        logger.exception("nobody was told of %s", found.deployment.name)


def verdict_page(context: Mapping[str, Any]) -> str | None:
    """Return the tab of a gate that shows its verdict; None where Airflow has no address."""
    return verdict_tab(link_to(context))


def link_to(context: Mapping[str, Any], task_id: str | None = None) -> str | None:
    """Return the page of a task instance, of the one that calls by default; None where Airflow has no address."""
    instance = context["ti"]
    return address(instance.dag_id, instance.run_id, task_id or instance.task_id)
