"""The tasks of a daily DAG: each finds out which day it is about and calls the step of that name.

This file is imported where DAGs are parsed, so the engine is imported inside the tasks.
"""

import datetime as dt
from typing import Any, cast

from airflow.sdk import Context, get_current_context
from airflow.sdk.exceptions import AirflowSkipException


def sample(name: str) -> dict[str, Any]:
    """Draw the day's requests; return the snapshot in short."""
    from include.shadow import day as steps
    from include.shadow.edge.context import day_of_run, shadow

    sampled = steps.sample(shadow(name), day_of_run(get_current_context(), name))
    return {"day": str(sampled.day), "rows": sampled.rows, "population": sampled.population, "shards": sampled.shards}


def validate_inputs(name: str, sampled: dict[str, Any]) -> list[dict[str, Any]]:
    """Check the inputs; return what is to be scored, one entry for each mapped score task."""
    from include.shadow import day as steps
    from include.shadow.edge.context import chosen, shadow

    context = shadow(name)
    day = dt.date.fromisoformat(sampled["day"])
    steps.validate_inputs(context, day)
    plan = steps.plan(context.deployment, sampled["shards"], chosen(get_current_context()))
    return [{"day": sampled["day"], **one} for one in plan]


def score(name: str, day: str, challenger: str, shard: int) -> dict[str, int]:
    """Let one challenger answer one shard; return how many rows, and how many errors."""
    from include.shadow import day as steps
    from include.shadow.edge.context import shadow

    _label(challenger=challenger, shard=shard)
    rows, errors = steps.score(shadow(name), dt.date.fromisoformat(day), challenger, shard)
    return {"rows": rows, "errors": errors}


def validate_predictions(name: str, plan: list[dict[str, Any]] | None, challenger: str) -> None:
    """Check one challenger's predictions."""
    from include.shadow import day as steps
    from include.shadow.edge.context import day_of_run, shadow, skip_unless_chosen

    context = _label(challenger=challenger)
    if plan is None:
        raise AirflowSkipException("the day stopped at its inputs: nothing was scored")
    skip_unless_chosen(context, challenger)
    steps.validate_predictions(shadow(name), day_of_run(context, name), challenger)


def collect_labels(name: str, sampled: dict[str, Any] | None) -> list[str]:
    """Collect labels that have become known; return the days whose evidence changes with them."""
    from include.shadow import day as steps
    from include.shadow.edge.context import shadow

    if sampled is None:
        raise AirflowSkipException("the day was not sampled")
    return [str(day) for day in steps.collect_labels(shadow(name), dt.date.fromisoformat(sampled["day"]))]


def compare(name: str, day: str) -> int:
    """Compute one day's evidence; return how many rows of it changed."""
    from include.shadow import day as steps
    from include.shadow.edge.context import shadow

    _label(day=day)
    return steps.compare(shadow(name), dt.date.fromisoformat(day))


def judge(name: str, sampled: dict[str, Any], challenger: str) -> dict[str, Any]:
    """Judge one challenger; return its outcome and the reasons."""
    from include.shadow import day as steps
    from include.shadow.edge.context import shadow, skip_unless_chosen

    context = _label(challenger=challenger)
    skip_unless_chosen(context, challenger)
    verdict = steps.judge(shadow(name), dt.date.fromisoformat(sampled["day"]), challenger).verdict
    return {"challenger": challenger, "outcome": verdict.outcome, "reasons": list(verdict.reasons)}


def gate(name: str) -> dict[str, str]:
    """Fail where a challenger fails or the day is not comparable; return each challenger's outcome otherwise."""
    from include.shadow import day as steps
    from include.shadow.edge.context import chosen, day_of_run, shadow

    context = get_current_context()
    return steps.gate(shadow(name), day_of_run(context, name), chosen(context))


def _label(**values: Any) -> Context:
    """Give the mapped task's index a name: `map_index_template` is rendered from the context."""
    context = get_current_context()
    cast(dict[str, Any], context).update(values)
    return context
