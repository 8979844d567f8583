"""What a task knows from Airflow: its deployment, its day, and connections."""

import datetime as dt
import logging
from collections.abc import Mapping
from typing import Any

from shadow_deployment.alerting import deduplication
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.discovery import find_deployment
from shadow_deployment.config.window import day_of
from shadow_deployment.context import DeploymentContext
from shadow_deployment.integrations.airflow_context import deployment_context
from shadow_deployment.models.aliases import resolve_aliases
from shadow_deployment.orchestration.run_type import run_type
from shadow_deployment.pipeline.challengers.former_champion import with_former_champion
from shadow_deployment.pipeline.window_guard import next_day

logger = logging.getLogger(__name__)


def context_of(name: str, day: dt.date | None = None) -> DeploymentContext:
    """Return a deployment with Airflow's connections and no alias; on a day, with a former champion that is watched."""
    context = resolve_aliases(deployment_context(find_deployment(name)))
    return context if day is None else with_former_champion(context, day)


def day_of_run(run: Mapping[str, Any], name: str) -> dt.date:
    """Return the day that a run is about, as `run_day` finds it."""
    return run_day(
        deployment_context(find_deployment(name)),
        kind=run_type(run),
        named=(run.get("params") or {}).get("day"),
        interval_start=run.get("data_interval_start"),
        started_at=run["dag_run"].run_after,
    )


def run_day(
    context: DeploymentContext,
    *,
    kind: str,
    named: str | None,
    interval_start: dt.datetime | None,
    started_at: dt.datetime,
) -> dt.date:
    """Return the day that a run of the daily DAG is about; the same however often a task asks.

    Args:
        context: The deployment.
        kind: The run's type.
        named: The day that its form names, which goes before all else.
        interval_start: The start of its data interval, whose day a scheduled run or a backfill is about.
        started_at: When a run was started by hand: it takes the first day that was over then and not run, else the
            newest.
    """
    if named:
        return dt.date.fromisoformat(str(named)[:10])
    if kind != "manual" and interval_start is not None:
        return day_of(context.deployment, interval_start)
    with context.ledger() as session:
        return next_day(session, context.deployment, started_at)


def is_newest_day(run: Mapping[str, Any], context: DeploymentContext, day: dt.date) -> bool:
    """Whether a run may send alerts and events: it is no backfill, and its day is the newest; the log says why not."""
    if run_type(run) == "backfill":
        logger.info("%s is a backfill: no alert or event", day)
        return False
    with context.ledger() as session:
        return deduplication.is_newest_day(session, context.deployment, day)


def chosen(run: Mapping[str, Any], deployment: Deployment) -> list[str]:
    """Return the challengers that a run is about: those that its form names, and a former champion that is watched."""
    names = set((run.get("params") or {}).get("challengers") or [])
    return [each.name for each in deployment.challengers if not names or each.name in names or each.is_watched]
