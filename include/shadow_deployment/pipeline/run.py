"""Consecutive days on one machine, in the order of the scheduler."""

import datetime as dt
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from shadow_deployment.config.window import window_of
from shadow_deployment.context import DeploymentContext
from shadow_deployment.errors import LedgerError, PermanentError, ValidationFailed
from shadow_deployment.ledger import migrations
from shadow_deployment.models.loading import load
from shadow_deployment.pipeline import steps
from shadow_deployment.pipeline.challengers.former_champion import with_former_champion


def run_days(context: DeploymentContext, days: Sequence[dt.date], console: Console) -> list[PermanentError]:
    """Run every step of every day, with a progress bar on `console`; return the failed validations.

    What would stop every day, such as a missing table or model, is raised before the first, with nothing written. A
    failed validation of inputs stops that day; one of predictions stops that challenger on that day.
    """
    check(context, days[0])
    problems: list[PermanentError] = []
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(context.deployment.name, total=len(days))
        for day in days:
            progress.update(task, description=f"{context.deployment.name} {day}")
            problems += run_day(with_former_champion(context, day), day)
            progress.advance(task)
    return problems


def check(context: DeploymentContext, day: dt.date) -> None:
    """Raise what would stop every day: problems of the ledger, tables, columns, suites or models."""
    deployment = context.deployment
    applied, head = migrations.revision(context.ledger_connection), migrations.head()
    if applied != head:
        raise LedgerError(
            f"connection {context.ledger_connection}: the ledger is at revision {applied or 'none'}, must be at "
            f"{head}; run shadow migrate"
        )
    context.check_sources()
    steps.check_suites(deployment)
    for challenger in deployment.challengers:
        load(context, challenger, window_of(deployment, day))


def run_day(context: DeploymentContext, day: dt.date) -> list[PermanentError]:
    """Run one day without its gate; return the failed validations."""
    context.digests.clear()  # a model may be replaced between two days
    names = [challenger.name for challenger in context.deployment.challengers]
    problems: list[PermanentError] = []
    sampled = steps.sample(context, day)
    try:
        steps.validate_inputs(context, day)
    except ValidationFailed as error:
        problems.append(error)
    else:
        for task in steps.scoring_plan(context.deployment, sampled.shards):
            steps.score(context, day, task["challenger"], task["shard"])
        for name in names:
            try:
                steps.validate_predictions(context, day, name)
            except ValidationFailed as error:
                problems.append(error)
    for stale_day in steps.collect_labels(context, day):
        steps.compare(context, stale_day)
    for name in names:
        steps.judge(context, day, name)
    return problems
