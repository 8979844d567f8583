"""Consecutive days on one machine, in the order of the scheduler."""

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from shadow_deployment.config.window import days_between, window_of
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.db import clock
from shadow_deployment.errors import LedgerError, PermanentError, ValidationFailed
from shadow_deployment.ledger import migrations, snapshots, trials
from shadow_deployment.ledger.checks import validations
from shadow_deployment.ledger.removal import retention
from shadow_deployment.models.loading import load
from shadow_deployment.models.sandbox.kept import KeptProcesses
from shadow_deployment.pipeline import steps
from shadow_deployment.pipeline.challengers.conclusion import concluded
from shadow_deployment.pipeline.challengers.former_champion import with_former_champion
from shadow_deployment.pipeline.challengers.identities import challenger_keys
from shadow_deployment.pipeline.custom_values import check_custom_metrics
from shadow_deployment.pipeline.history import replay
from shadow_deployment.pipeline.history.prune import prune
from shadow_deployment.pipeline.window_guard import require_runnable


class InterruptedDayError(KeyboardInterrupt):
    """The user has interrupted a day; what of it is complete stays, and is not done again."""

    def __init__(self, day: dt.date) -> None:
        super().__init__(f"interrupted during {day}")
        self.day = day


def run_days(context: DeploymentContext, days: Sequence[dt.date], console: Console) -> list[PermanentError]:
    """Run every step of every day, with a progress bar on `console`; return the failed validations.

    What would stop every day, such as a missing table or model, is raised before the first, with nothing written. A
    failed validation of inputs stops that day; one of predictions stops that challenger on that day. Models stay loaded
    from the first day to the last. A new version that is followed in MLflow first answers the days that are kept.
    """
    problems: list[PermanentError] = []
    with _kept(context) as kept:
        check(kept, days)
        for name in replay.new_versions(kept):
            problems += _replayed(kept, name, replay.days_to_replay(kept, name), console)
        for day in with_progress(days, context.deployment.name, console):
            with _interruptible(day):
                problems += run_day(with_former_champion(kept, day), day)
    prune(context)
    return problems


@contextmanager
def _kept(context: DeploymentContext) -> Iterator[DeploymentContext]:
    """Give the context with models that stay loaded, and sessions that stay open, to the end of the block."""
    with KeptProcesses() as processes, context.sessions.kept():
        yield replace(context, processes=processes)


@contextmanager
def _interruptible(day: dt.date) -> Iterator[None]:
    """Raise InterruptedDayError where the user interrupts the block."""
    try:
        yield
    except KeyboardInterrupt:
        raise InterruptedDayError(day) from None


def with_progress(days: Sequence[dt.date], title: str, console: Console) -> Iterator[dt.date]:
    """Yield days, with a progress bar on `console`."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(title, total=len(days))
        for day in days:
            progress.update(task, description=f"{title} {day}")
            yield day
            progress.advance(task)


def run_missing(context: DeploymentContext, console: Console) -> tuple[list[dt.date], list[PermanentError]]:
    """Run the days that are missing, and judge the newest one again on all of them.

    Returns:
        The days that were run and the newest one, which is last; and the failed validations.
    """
    days, newest = missing_days(context)
    problems = run_days(context, days, console) if days else []
    judged = with_former_champion(context, newest)
    for challenger in judged.deployment.challengers:
        steps.judge(judged, newest, challenger.name)
    return [*days, newest], problems


def replay_days(
    context: DeploymentContext, challenger_name: str, console: Console, most: int | None = None
) -> tuple[dt.date, list[ValidationFailed]]:
    """Let a challenger answer the days of `days_to_replay` and judge it, with a progress bar on `console`.

    Returns:
        The judged day, which is the newest sampled one; and the failed validations of predictions, whose days count.

    Raises:
        DeploymentError, LedgerError: As `days_to_replay` does; or the ledger is not migrated.
        ModelError, MetricError: The model or a custom metric cannot be loaded; nothing is written then.
    """
    challenger = replay.replayable(context.deployment, challenger_name)
    require_migrated(context)
    steps.check_suites(context.deployment)
    check_custom_metrics(context)
    with _kept(context) as kept:
        load(kept, challenger, window_of(context.deployment, context.deployment.start))
        problems = _replayed(kept, challenger_name, replay.days_to_replay(kept, challenger_name, most), console)
    return replay.judge_newest(context, challenger_name).day, problems


def _replayed(
    context: DeploymentContext, challenger_name: str, days: Sequence[dt.date], console: Console
) -> list[ValidationFailed]:
    """Let a challenger answer past days, with a progress bar; return the failed validations of its predictions."""
    problems: list[ValidationFailed] = []
    for day in with_progress(days, f"{context.deployment.name} {challenger_name}", console):
        with _interruptible(day):
            problem = replay.replay_day(context, day, challenger_name)
        problems += [problem] if problem else []
    return problems


def missing_days(context: DeploymentContext) -> tuple[list[dt.date], dt.date]:
    """Return the days that were not run, or not completely, from the deployment's first to the newest one.

    The newest one is returned beside them: the last of which a window was sampled and that is over.

    A day whose inputs fail, that was withdrawn or whose requests were removed stays as it is, and is not among them. A
    challenger whose trial was concluded need not have answered the days since.
    """
    deployment = context.deployment
    with context.ledger() as session:
        withdrawn, now = trials.withdrawn(session, deployment), clock(session)
        taken = [day for day in snapshots.sampled(session, deployment, None, None) if day.day not in withdrawn]
        sampled = [snapshot for snapshot in taken if snapshot.is_complete]
        failed = validations.inputs_failed(session, sampled)
        keys = challenger_keys(context, session)
        ends = concluded(session, deployment, keys, dt.date.max)
        scored = {name: validations.scored(session, sampled, key) for name, key in keys.items()}
        kept = retention.kept(session, sampled)
    over = [each.day for each in taken if each.window_end <= now]
    if not over:
        raise LedgerError(f"deployment {deployment.name} has no day yet: run one with --from first")
    whole = {
        each.day
        for each in sampled
        if not each.rows
        or each.id in failed
        or each.id not in kept
        or all(each.id in ids or each.day > ends.get(name, dt.date.max) for name, ids in scored.items())
    }
    days = days_between(deployment, deployment.start, max(over))
    return [day for day in days if day not in whole and day not in withdrawn], max(over)


def check(context: DeploymentContext, days: Sequence[dt.date]) -> None:
    """Raise what would stop every day, or a day that cannot be run, before anything is written.

    Problems of the ledger, tables, columns, suites, custom metrics or models, and days that are not over or not the
    deployment's.
    """
    deployment = context.deployment
    require_migrated(context)
    with context.ledger() as session:
        require_runnable(session, deployment, days)
    context.check_sources()
    steps.check_suites(deployment)
    check_custom_metrics(context)
    for challenger in deployment.challengers:
        load(context, challenger, window_of(deployment, days[0]))


def require_migrated(context: DeploymentContext) -> None:
    """Raise LedgerError where the ledger is not at this package's revision."""
    applied, head = migrations.revision(context.ledger_connection), migrations.head()
    if applied != head:
        raise LedgerError(
            f"connection {context.ledger_connection}: the ledger is at revision {applied or 'none'}, must be at "
            f"{head}; run shadow migrate"
        )


def run_day(context: DeploymentContext, day: dt.date) -> list[PermanentError]:
    """Run all windows of one day without its gate; return the failed validations."""
    context.digests.clear()  # a model may be replaced between two days
    names = [challenger.name for challenger in context.deployment.challengers]
    problems: list[PermanentError] = []
    sampled = steps.sample(context, day)
    try:
        steps.validate_inputs(context, day)
    except ValidationFailed as error:
        problems.append(error)
    else:
        plan = steps.scoring_plan(context, day, sampled.own)
        for task in plan:
            steps.score(context, day, task["challenger"], task["shard"])
        for name in dict.fromkeys(task["challenger"] for task in plan):
            try:
                steps.validate_predictions(context, day, name)
            except ValidationFailed as error:
                problems.append(error)
    for stale_day in steps.collect_labels(context, day):
        steps.compare(context, stale_day)
    for name in names:
        steps.judge(context, day, name)
    return problems
