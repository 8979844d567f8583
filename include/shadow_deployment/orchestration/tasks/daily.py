"""The tasks of a daily DAG: each finds out which day it is about and calls the step of that name.

This file is imported where DAGs are parsed, so the engine is imported inside the tasks.
"""

import datetime as dt
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

import structlog
from airflow.sdk import Context, get_current_context
from airflow.sdk.exceptions import AirflowSkipException

from shadow_deployment.base.extras import MissingExtraError
from shadow_deployment.orchestration import assets, engine
from shadow_deployment.orchestration.alerts import promotion as announcements
from shadow_deployment.orchestration.run_origin import run_type

if TYPE_CHECKING:
    from shadow_deployment.ledger.verdicts import StoredVerdict


def select_challengers(name: str) -> list[str]:
    """Return the challengers of the day: those that the form names, and a former champion that is watched."""
    run = get_current_context()
    return engine.run_context.chosen(
        run, engine.run_context.context_of(name, engine.run_context.day_of_run(run, name)).deployment
    )


def sample(name: str) -> dict[str, Any]:
    """Draw the requests of the run's windows; return the day so far. A new challenger has its replay started."""
    run = get_current_context()
    context = engine.run_context.context_of(name)
    windows = engine.run_context.windows_to_sample(run, context)
    day = windows[0].day
    sampled = engine.steps.sample(context, day, windows)
    if run_type(run) != "backfill":  # which scores the past days itself
        for challenger in engine.replay.new_challengers(context, day):
            run["outlet_events"][assets.alias(name)].add(assets.replay(name), extra={"challenger": challenger})
    return asdict(sampled) | {"day": str(day), "own": list(sampled.own)}


def validate_inputs(name: str, sampled: dict[str, Any]) -> None:
    """Check the day's inputs against their expectations, once all its windows are there."""
    if not sampled["is_complete"]:
        return
    day = dt.date.fromisoformat(sampled["day"])
    engine.steps.validate_inputs(engine.run_context.context_of(name, day), day)


def plan_scoring(name: str, sampled: dict[str, Any], challengers: list[str]) -> list[dict[str, Any]]:
    """Return one entry for each mapped score task: every challenger whose trial goes on, on every shard."""
    day = dt.date.fromisoformat(sampled["day"])
    plan = engine.steps.scoring_plan(engine.run_context.context_of(name, day), day, sampled["own"], challengers)
    return [{"day": sampled["day"], **entry} for entry in plan]


def score(name: str, day: str, challenger: str, shard: int) -> dict[str, int]:
    """Let one challenger answer one shard; return how many rows, and how many errors."""
    _label(challenger=challenger, shard=shard)
    date = dt.date.fromisoformat(day)
    rows, errors = engine.steps.score(engine.run_context.context_of(name, date), date, challenger, shard)
    _record("scored", deployment=name, day=day, challenger=challenger, shard=shard, rows=rows, errors=errors)
    return {"rows": rows, "errors": errors}


def validate_predictions(
    name: str, sampled: dict[str, Any] | None, plan: list[dict[str, Any]] | None, challenger: str
) -> None:
    """Check one challenger's predictions of the day, once all its windows are there."""
    run = _label(challenger=challenger)
    _require_complete(sampled)
    if plan is None:
        raise AirflowSkipException("the day stopped at its inputs: nothing was scored")
    if challenger not in {entry["challenger"] for entry in plan}:
        raise AirflowSkipException(f"{challenger} is not scored: its trial is concluded, or there are no requests")
    day = engine.run_context.day_of_run(run, name)
    engine.steps.validate_predictions(engine.run_context.context_of(name, day), day, challenger)


def collect_labels(name: str, sampled: dict[str, Any] | None) -> list[str]:
    """Collect labels that have become known; return the days whose evidence changes with them."""
    day = dt.date.fromisoformat(_require_complete(sampled)["day"])
    return [str(changed) for changed in engine.steps.collect_labels(engine.run_context.context_of(name, day), day)]


def compare(name: str, day: str) -> int:
    """Compute one day's evidence; return how many rows of it changed."""
    _label(day=day)
    date = dt.date.fromisoformat(day)
    return engine.steps.compare(engine.run_context.context_of(name, date), date)


def judge(name: str, sampled: dict[str, Any], challenger: str) -> dict[str, Any]:
    """Judge one challenger, once all windows of the day are there; return its outcome and the reasons."""
    _label(challenger=challenger)
    day = dt.date.fromisoformat(_require_complete(sampled)["day"])
    judged = engine.steps.judge(engine.run_context.context_of(name, day), day, challenger)
    verdict = judged.verdict
    facts = {
        "outcome": verdict.outcome,
        "champion_version": judged.champion_version,
        "reasons": list(verdict.reasons),
    }
    _record("verdict", deployment=name, day=str(day), challenger=challenger, **facts)
    return {"challenger": challenger, "outcome": verdict.outcome, "reasons": list(verdict.reasons)}


def gate(name: str) -> dict[str, str]:
    """Fail where a challenger fails or the day is not comparable; return each challenger's outcome otherwise."""
    run = get_current_context()
    windows = engine.run_context.windows_of_run(run, name)
    day = windows[0].day
    context = engine.run_context.context_of(name, day)
    return engine.steps.gate(context, day, engine.run_context.chosen(run, context.deployment), windows)


def publish_report(name: str, challengers: list[str]) -> list[str]:
    """Write the day's page of each challenger as a file into the snapshot store; return the files' names.

    Skipped where the extra `report`, which draws the page, is not installed.
    """
    day = engine.run_context.day_of_run(get_current_context(), name)
    try:
        return engine.publishing.publish(engine.run_context.context_of(name, day), day, challengers)
    except MissingExtraError as error:
        raise AirflowSkipException(str(error)) from error


def prune(name: str) -> list[str]:
    """Remove the days that are kept no longer and that nothing waits for; return them."""
    return [str(day) for day in engine.prune.prune(engine.run_context.context_of(name)).days]


def publish_results(name: str, sampled: dict[str, Any] | None) -> list[str]:
    """Add the asset events of the day: its verdicts, a promotion request, a regression; return which.

    Metrics and the status file say the same. A backfill, a day that is not the newest, and one with windows to come is
    no news.
    """
    if sampled is not None:
        _require_complete(sampled)
    run = get_current_context()
    day = engine.run_context.day_of_run(run, name)
    context = engine.run_context.context_of(name, day)
    engine.status.update_quietly(engine.run_context.context_of(name))
    if not engine.run_context.is_newest_day(run, context, day):
        return []
    with context.ledger() as session:
        verdicts = [v for v in engine.verdicts.latest(session, context.deployment).values() if v.day == day]
    for verdict in verdicts:
        engine.metrics.verdict(context, verdict.name, day)
    engine.cloudwatch.publish(context, day, engine.run_context.chosen(run, context.deployment))
    announcements.announce_not_served(run, context, day)
    events = [(assets.verdict(name), _facts(verdict)) for verdict in verdicts]
    proposal, regression = engine.approval.proposal_of_day(context, day), engine.watch.regression(context, day)
    if proposal is not None:
        request = proposal.request
        facts = {"challenger": request.challenger.name, "day": str(day), "case": request.digest}
        events.append((assets.promotion_request(name), facts))
    if regression is not None:
        number, reason = regression.promotion.number, regression.reason
        events.append((assets.regression(name), {"promotion": number, "day": str(day), "reason": reason}))
    for asset, extra in events:
        run["outlet_events"][assets.alias(name)].add(asset, extra=extra)
    return [asset.uri for asset, _ in events]


def _require_complete(sampled: dict[str, Any] | None) -> dict[str, Any]:
    """Return the day so far; skip the task where nothing was sampled, or the day has windows to come."""
    if sampled is None:
        raise AirflowSkipException("the day was not sampled")
    if not sampled["is_complete"]:
        raise AirflowSkipException(f"{sampled['day']} is not complete: it is compared once all its windows are sampled")
    return sampled


def _facts(verdict: "StoredVerdict") -> dict[str, Any]:
    return {
        "challenger": verdict.name,
        "version": verdict.version,
        "day": str(verdict.day),
        "outcome": verdict.outcome,
        "champion_version": verdict.champion_version,
        "decided_on": str(verdict.decided_on) if verdict.decided_on else None,
    }


def _record(event: str, **facts: Any) -> None:
    """Write one line into the task's log whose facts are fields, for CloudWatch Logs Insights and its like to query."""
    structlog.get_logger("shadow").info(event, **facts)


def _label(**values: Any) -> Context:
    """Give the mapped task's index a name: `map_index_template` is rendered from the context."""
    run = get_current_context()
    cast(dict[str, Any], run).update(values)
    return run
