"""What a task knows from Airflow: its deployment, its day and windows, and connections."""

import datetime as dt
import logging
from collections.abc import Mapping
from typing import Any

from shadow_deployment.alerting import deduplication
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.discovery import find_deployment
from shadow_deployment.config.window import Window, window_at, windows_of
from shadow_deployment.context import DeploymentContext
from shadow_deployment.errors import DeploymentError
from shadow_deployment.integrations.airflow_context import deployment_context
from shadow_deployment.models.aliases import resolve_aliases
from shadow_deployment.orchestration.run_origin import run_type
from shadow_deployment.pipeline.challengers.former_champion import with_former_champion
from shadow_deployment.pipeline.window_guard import next_day, with_missing_before

logger = logging.getLogger(__name__)


def context_of(name: str, day: dt.date | None = None) -> DeploymentContext:
    """Return a deployment with Airflow's connections and no alias; on a day, with a former champion that is watched."""
    context = resolve_aliases(deployment_context(find_deployment(name)))
    return context if day is None else with_former_champion(context, day)


def day_of_run(run: Mapping[str, Any], name: str) -> dt.date:
    """Return the day that a run is about, as `windows_of_run` finds it."""
    return windows_of_run(run, name)[0].day


def windows_of_run(run: Mapping[str, Any], name: str) -> list[Window]:
    """Return the windows that a run is about, all of one day, as `run_windows` finds them."""
    params = run.get("params") or {}
    return run_windows(
        deployment_context(find_deployment(name)),
        kind=run_type(run),
        named=params.get("day"),
        hour=params.get("hour"),
        interval_start=run.get("data_interval_start"),
        started_at=run["dag_run"].run_after,
    )


def windows_to_sample(run: Mapping[str, Any], context: DeploymentContext) -> list[Window]:
    """Return the windows of a run; of a scheduled one also those of the day that the scheduler has missed before it."""
    windows = windows_of_run(run, context.deployment.name)
    if run_type(run) == "manual":
        return windows
    with context.ledger() as session:
        return with_missing_before(session, context.deployment, windows)


def run_windows(
    context: DeploymentContext,
    *,
    kind: str,
    named: str | None,
    hour: str | None = None,
    interval_start: dt.datetime | None,
    started_at: dt.datetime,
) -> list[Window]:
    """Return the windows that a run of the daily DAG is about; the same however often a task asks.

    Args:
        context: The deployment.
        kind: The run's type.
        named: The day that its form names, which goes before all else.
        hour: The local time, as HH:MM, at which a window of that day begins; by default all are run.
        interval_start: The start of its data interval, whose window a scheduled run or a backfill is about.
        started_at: When a run was started by hand: it takes the first day that was over then and not run, else the
            newest.

    Raises:
        DeploymentError: An hour is named without a day, or no window begins then.
    """
    deployment = context.deployment
    if hour and not named:
        raise DeploymentError(f"deployment {deployment.name}: hour == {hour!r}, must come with a day")
    if named:
        return _named(deployment, dt.date.fromisoformat(str(named)[:10]), hour)
    if kind != "manual" and interval_start is not None:
        return [window_at(deployment, interval_start)]
    with context.ledger() as session:
        return windows_of(deployment, next_day(session, deployment, started_at))


def _named(deployment: Deployment, day: dt.date, hour: str | None) -> list[Window]:
    windows = windows_of(deployment, day)
    if not hour:
        return windows
    begins = [f"{window.start.astimezone(deployment.zone):%H:%M}" for window in windows]
    chosen = [window for window, begin in zip(windows, begins, strict=True) if begin == hour]
    if not chosen:
        allowed = ", ".join(dict.fromkeys(begins))
        raise DeploymentError(f"deployment {deployment.name}: hour == {hour!r} on {day}, must be one of {allowed}")
    return chosen


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
