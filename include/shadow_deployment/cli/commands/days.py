"""The commands of days: run them, replay them, and show their verdicts, evidence and labels."""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import RenderableType
from rich.markup import escape

from shadow_deployment.cli import console
from shadow_deployment.cli.console import AsJson, AsJsonLines, AsOf, Name
from shadow_deployment.cli.context import context_of
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.window import days_between
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.db import Session
from shadow_deployment.errors import PermanentError
from shadow_deployment.pipeline.run import InterruptedDayError, replay_days, run_days, run_missing
from shadow_deployment.report import text as report


def run(
    name: Name,
    first: Annotated[
        dt.date | None, typer.Option("--from", parser=console.parse_day, metavar="YYYY-MM-DD", help="First day.")
    ] = None,
    last: Annotated[
        dt.date | None,
        typer.Option("--to", parser=console.parse_day, metavar="YYYY-MM-DD", help="Last day, the first by default."),
    ] = None,
    missing: Annotated[
        bool, typer.Option("--missing", help="Run the days that were not run, or not completely, up to the newest one.")
    ] = False,
) -> None:
    """Shadow a deployment for some days, all their windows: sample, validate, score, collect labels, compare, judge."""
    if missing == (first is not None) or (missing and last):
        raise typer.BadParameter("give --from DAY, with --to or without, or --missing", param_hint="--from")
    context = context_of(name)
    if first is None:
        with _continued_by(lambda _: f"shadow run {name} --missing"):
            days, problems = run_missing(context, console=console.errors)
    else:
        days = list(days_between(context.deployment, first, last or first))
        if not days:
            raise typer.BadParameter(f"{last}, must not be before --from == {first}", param_hint="--to")
        with _continued_by(lambda day: f"shadow run {name} --from {day or days[0]} --to {days[-1]}"):
            problems = run_days(context, days, console=console.errors)
    _conclude(context, days[-1], problems)


def replay(
    name: Name,
    challenger: Annotated[str, typer.Option(help="Who answers the days that are kept.")],
    days: Annotated[
        int | None, typer.Option(help="Only so many of the newest days; policy.replay_days by default.")
    ] = None,
) -> None:
    """Let a new challenger answer the days that are kept, and judge it: a first verdict in minutes.

    Its trial is opened before that, so these days are replayed: they inform and may FAIL it, and count toward PASS only
    where its trained_until is declared and policy.replay is count.
    """
    context = context_of(name)
    most = "" if days is None else f" --days {days}"
    with _continued_by(lambda _: f"shadow replay {name} --challenger {challenger}{most}"):
        day, problems = replay_days(context, challenger, console.errors, days)
    _conclude(context, day, problems)


def verdict(name: Name, as_of: AsOf = None, as_json: AsJson = False) -> None:
    """Show each challenger's verdict, with its findings and reasons."""
    context = context_of(name)
    with context.ledger() as session:
        verdicts_of_day = report.verdicts(session, context.deployment, as_of)
    if as_json:
        console.print_json(verdicts_of_day)
    else:
        console.show(report.text(verdicts_of_day))


def explain(name: Name, challenger: Annotated[str, typer.Option(help="Whose verdict.")], as_of: AsOf = None) -> None:
    """Explain a verdict in plain words: rules, slices, the requests that differ most, what would change it."""
    context = context_of(name)
    with context.ledger() as session:
        stored = report.explained(session, context.deployment, challenger, as_of)
        requests = report.disagreements(session, context.deployment, stored)
    console.show(escape("\n".join([f"{stored.day}: {stored.explanation}", *([""] if requests else []), *requests])))


def evidence(name: Name, as_json: AsJsonLines = False) -> None:
    """Show the evidence: one line (with --json one object) per day, challenger, slice and metric."""
    _rows(name, report.evidence, report.evidence_table, as_json=as_json)


def labels(name: Name, as_json: AsJsonLines = False) -> None:
    """Show how many labels each day has, how many are expected, and whether the day counts."""
    _rows(name, report.maturity, report.maturity_table, as_json=as_json)


@contextmanager
def _continued_by(command: Callable[[dt.date | None], str]) -> Iterator[None]:
    """Where the user interrupts the block, say during which day and how to go on; exit with 130, as shells do."""
    try:
        yield
    except KeyboardInterrupt as stop:
        day = stop.day if isinstance(stop, InterruptedDayError) else None
        when = f"during {day}: what is complete is kept" if day else "between days"
        console.warning(f"interrupted {when}; go on with\n{command(day)}")
        raise typer.Exit(130) from None


def _conclude(context: DeploymentContext, day: dt.date, problems: Sequence[PermanentError]) -> None:
    """Show the verdicts of a day, and the failed validations; exit with 1 where there are some."""
    with context.ledger() as session:
        console.show(report.text(report.verdicts(session, context.deployment, day)))
    for problem in problems:
        console.error(problem)
    if problems:
        raise typer.Exit(1)


def _rows(
    name: str,
    read: Callable[[Session[Any], Deployment], Any],
    table: Callable[[Any], RenderableType],
    *,
    as_json: bool,
) -> None:
    context = context_of(name)
    with context.ledger() as session:
        rows = read(session, context.deployment)
        if as_json:
            console.print_json_lines(rows)
        else:
            console.show(table(rows))
