"""The tasks of a replay: which days a new challenger is to answer, each of these days, and its verdict.

This file is imported where DAGs are parsed, so the engine is imported inside the tasks.
"""

import datetime as dt
import logging
from collections.abc import Mapping
from typing import Any, cast

from airflow.sdk import get_current_context

from shadow_deployment.errors import DeploymentError
from shadow_deployment.orchestration import engine
from shadow_deployment.orchestration.run_origin import asset_events

logger = logging.getLogger(__name__)


def days(name: str) -> list[dict[str, str]]:
    """Open the trial of each challenger of the run; return one entry for each mapped task: challenger and day."""
    run, context = get_current_context(), engine.run_context.context_of(name)
    most = (run.get("params") or {}).get("days")
    return [
        {"challenger": challenger, "day": str(day)}
        for challenger in _challengers(run)
        for day in engine.replay.days_to_replay(context, challenger, most)
    ]


def replay_day(name: str, challenger: str, day: str) -> None:
    """Let one challenger answer one day, and compare it; predictions that fail their expectations are a warning."""
    cast(dict[str, Any], get_current_context()).update(challenger=challenger, day=day)  # for map_index_template
    context, date = engine.run_context.context_of(name), dt.date.fromisoformat(day)
    problem = engine.replay.replay_day(context, date, challenger)
    if problem is not None:
        logger.warning("%s", problem)


def judge(name: str) -> dict[str, str]:
    """Judge each challenger of the run on the newest sampled day; return their outcomes."""
    outcomes: dict[str, str] = {}
    context = engine.run_context.context_of(name)
    for challenger in _challengers(get_current_context()):
        verdict = engine.replay.judge_newest(context, challenger).verdict
        logger.info("%s: %s. %s", challenger, verdict.outcome, "; ".join(verdict.reasons))
        outcomes[challenger] = verdict.outcome
    return outcomes


def _challengers(run: Mapping[str, Any]) -> list[str]:
    """Return the challengers that a run is about: the one that its form names, else those that have started it."""
    named = (run.get("params") or {}).get("challenger")
    names = [str(named)] if named else sorted({str(event.extra["challenger"]) for event in asset_events(run)})
    if not names:
        raise DeploymentError("challenger is empty: choose in the form who is to answer the days that are kept")
    return names
