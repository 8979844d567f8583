"""Several days in a row on one machine, as the scheduler would do them one after the other."""

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
from shadow_deployment.pipeline.former_champion import with_former_champion


def run_days(context: DeploymentContext, days: Sequence[dt.date], console: Console) -> list[PermanentError]:
    """Run every step of every day, with a progress bar on `console`; return what went wrong on single days.

    What would fail on every day, such as a missing table or model, is raised before the first, with nothing written.
    A day whose inputs, or a challenger whose predictions, do not meet their expectations stops there, and only there.
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
    """Raise what would stop every day: ledger, tables, columns, suites, models."""
    deployment = context.deployment
    applied, head = migrations.revision(context.ledger_connection), migrations.head()
    if applied != head:
        raise LedgerError(
            f"connection {context.ledger_connection}: the ledger is at revision {applied or 'none'}, must be at "
            f"{head}; run shadow migrate"
        )
    context.source.check()
    steps.check_suites(deployment)
    for challenger in deployment.challengers:
        load(context, challenger, window_of(deployment, day))


def run_day(context: DeploymentContext, day: dt.date) -> list[PermanentError]:
    """Run one day; return the expectations that did not hold."""
    deployment = context.deployment
    names = [challenger.name for challenger in deployment.challengers]
    problems: list[PermanentError] = []
    sampled = steps.sample(context, day)
    try:
        steps.validate_inputs(context, day)
    except ValidationFailed as failed:
        problems.append(failed)
    else:
        for task in steps.scoring_plan(deployment, sampled.shards):
            steps.score(context, day, task["challenger"], task["shard"])
        for name in names:
            try:
                steps.validate_predictions(context, day, name)
            except ValidationFailed as failed:
                problems.append(failed)
    for changed in steps.collect_labels(context, day):
        steps.compare(context, changed)
    for name in names:
        steps.judge(context, day, name)
    return problems
