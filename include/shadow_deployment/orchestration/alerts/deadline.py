"""The deadline of a day: Airflow's deadline alert on the run of its last window, and what it calls when that is late.

Airflow counts a deadline as a fixed time after a run's logical date, which is the window's start. Where clocks are put
forward and back a local time of day is not a fixed time after it, so there is one deadline alert for each length that
occurs, and the callback is silent for those that come too early on the day in question.

Airflow 3.3 gives the callback no connection of its own database: those of the ledger and of the channels must be in the
environment or in a secrets backend. Otherwise the alert is kept, and sent with the next one of the deployment.
A run that the scheduler never makes has no deadline.
"""

import datetime as dt
import logging
from collections.abc import Mapping
from typing import Any

from airflow.sdk import DeadlineAlert, DeadlineReference, SyncCallback  # type: ignore[attr-defined]

from shadow_deployment.alerting.deadlines import due, intervals
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.window import window_at, window_of
from shadow_deployment.orchestration import engine
from shadow_deployment.orchestration.ui.links import address

logger = logging.getLogger(__name__)


def deadline_of(deployment: Deployment) -> list[DeadlineAlert] | None:
    """Return what a DAG takes as its `deadline`; None without `alerts.deadline`.

    The callback runs in the executor, which must be one that runs callbacks, as LocalExecutor and CeleryExecutor do.
    """
    if deployment.alerts.deadline is None:
        return None
    return [
        DeadlineAlert(
            reference=DeadlineReference.DAGRUN_LOGICAL_DATE,
            interval=interval,
            callback=SyncCallback(
                "shadow_deployment.orchestration.alerts.deadline.send_late_alert", kwargs={"name": deployment.name}
            ),
        )
        for interval in intervals(deployment)
    ]


def send_late_alert(name: str, context: Mapping[str, Any]) -> None:
    """Alert that a scheduled run is not done by its time; called by Airflow, in a process of the executor.

    The context has the run as Airflow's REST API shows it, and the deadline. Raises what goes wrong, since here it
    hides nothing: Airflow then shows the callback as failed.
    """
    run = context["dag_run"]
    if run["run_type"] != "scheduled":
        logger.info("run %s is %s: no alert that it is late", run["dag_run_id"], run["run_type"])
        return
    deployed = engine.run_context.context_of(name)
    deployment = deployed.deployment
    window = window_at(deployment, _moment(run["data_interval_start"]))
    day = window.day
    if window.end < window_of(deployment, day).end:
        logger.info("%s has later windows: no alert before the last is late", day)
        return
    moment, counted = due(deployment, day), _moment(context["deadline"]["deadline_time"])
    if moment is None or counted < moment:
        logger.info("%s need not be done before %s: no alert", day, moment)
        return
    late = engine.messages.late
    state, link = str(run["state"]), address(run["dag_id"], run["dag_run_id"])
    engine.outbox.send_alert(
        deployed,
        lambda session: engine.deduplication.lateness_alert(
            session, deployment, day, due=moment, state=state, link=link
        ),
        engine.channels.send,
        fallback=late(deployment, day, due=moment, state=state, link=link) if counted == moment else None,
    )


def _moment(value: dt.datetime | str) -> dt.datetime:
    moment = dt.datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
