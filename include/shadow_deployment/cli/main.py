"""The command line: the same steps as the DAG, without a scheduler.

shadow migrate
shadow run flight_delay --from 2013-03-01 --to 2013-04-30
shadow verdict flight_delay
"""

import datetime as dt
import json
import logging
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from shadow_deployment.cli import alerts, analysis, doctor, page, promotion, status, trials
from shadow_deployment.cli import backup as cli_backup
from shadow_deployment.cli.console import parse_day
from shadow_deployment.cli.context import context_of
from shadow_deployment.config import discovery
from shadow_deployment.config.deployment import Deployment, load_deployment
from shadow_deployment.config.window import days_between
from shadow_deployment.data.connections import environment
from shadow_deployment.errors import LedgerError, ShadowError
from shadow_deployment.ledger import migrations, verdicts
from shadow_deployment.metrics.catalog import metrics_of
from shadow_deployment.pipeline.run import run_days, run_missing
from shadow_deployment.report import text as report

app = typer.Typer(
    help=__doc__.splitlines()[0] if __doc__ else None,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
app.add_typer(analysis.app)
promotion.register(app)
alerts.register(app)
status.register(app)
trials.register(app)
page.register(app)
cli_backup.register(app)
doctor.register(app)
errors = Console(stderr=True, soft_wrap=True)
output = Console(width=None if sys.stdout.isatty() else 140)

Name = Annotated[str, typer.Argument(help="A deployment's name.", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class Direction(StrEnum):
    """Which way to migrate."""

    UP = "up"
    DOWN = "down"


def main() -> None:
    """Run the command line; an error that was foreseen is one message on standard error and exit code 1."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s", stream=sys.stderr)
    try:
        app()
    except ShadowError as error:
        errors.print(f"[bold red]error[/] {_plain(error)}")
        sys.exit(1)


@app.command()
def run(
    name: Name,
    first: Annotated[str | None, typer.Option("--from", help="First day, YYYY-MM-DD.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last day, the first by default.")] = None,
    missing: Annotated[bool, typer.Option("--missing", help="The days that were not run, or not completely.")] = False,
) -> None:
    """Shadow a deployment for some days: sample, validate, score, collect labels, compare, judge."""
    deployment = discovery.find_deployment(name)
    if missing:
        days, problems = run_missing(context_of(deployment), console=errors)
    else:
        days = _days(first, last)
        problems = run_days(context_of(deployment), days, console=errors)
    with context_of(deployment).ledger() as session:
        output.print(report.text(report.verdicts(session, deployment, days[-1])))
    for problem in problems:
        errors.print(f"[bold red]error[/] {_plain(problem)}")
    if problems:
        raise typer.Exit(1)


@app.command()
def verdict(
    name: Name,
    as_of: Annotated[str | None, typer.Option("--as-of", help="The newest verdict up to this day.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show each challenger's verdict, with its findings and reasons."""
    deployment = discovery.find_deployment(name)
    with context_of(deployment).ledger() as session:
        found = report.verdicts(session, deployment, parse_day("--as-of", as_of) if as_of else None)
    if as_json:
        _print_json(found)
    else:
        output.print(report.text(found))


@app.command()
def evidence(name: Name, as_json: AsJson = False) -> None:
    """Show the evidence: one line (with --json one object) per day, challenger, slice and metric."""
    deployment = discovery.find_deployment(name)
    with context_of(deployment).ledger() as session:
        rows = report.evidence(session, deployment)
        if as_json:
            for row in rows:
                sys.stdout.write(json.dumps(row) + "\n")
        else:
            output.print(report.evidence_table(rows))


@app.command()
def explain(
    name: Name,
    challenger: Annotated[str, typer.Option(help="Whose verdict.")],
    as_of: Annotated[str | None, typer.Option("--as-of", help="The newest verdict up to this day.")] = None,
) -> None:
    """Explain a verdict in plain words: rules, slices, the requests that differ most, what would change it."""
    deployment = discovery.find_deployment(name)
    wanted = deployment.challenger(challenger)
    with context_of(deployment).ledger() as session:
        stored = verdicts.latest(session, deployment, parse_day("--as-of", as_of) if as_of else None).get(wanted.name)
    if stored is None:
        raise LedgerError(f"challenger {wanted.name} was never judged: run a day of {deployment.name} first")
    sys.stdout.write(f"{stored.day}: {stored.explanation}\n")


@app.command()
def labels(name: Name, as_json: AsJson = False) -> None:
    """Show how many labels each day has, how many are expected, and whether the day counts."""
    deployment = discovery.find_deployment(name)
    with context_of(deployment).ledger() as session:
        rows = report.maturity(session, deployment)
    if as_json:
        for row in rows:
            sys.stdout.write(json.dumps(row) + "\n")
    else:
        output.print(report.maturity_table(rows))


@app.command()
def migrate(
    direction: Annotated[
        Direction, typer.Argument(help="up to the newest revision, or down to nothing.")
    ] = Direction.UP,
    sql: Annotated[
        bool, typer.Option("--sql", help="Print the SQL, for psql -d nba_simulator -f, and do nothing.")
    ] = False,
    conn_id: Annotated[str | None, typer.Option(help="Whose database; by default that of every deployment.")] = None,
    drop_evidence: cli_backup.DropEvidence = False,
    backup: cli_backup.Backup = None,
    pg_bin: cli_backup.PgBin = None,
) -> None:
    """Bring the ledger's schema `shadow` to the newest revision, or take it away; with rows only after a backup."""
    cli_backup.require_both(direction.value, drop_evidence=drop_evidence, file=backup, sql=sql)
    if sql:
        sys.stdout.write(migrations.as_sql(direction.value))
        return
    for one in cli_backup.conn_ids(conn_id, only_one=backup is not None):
        kept = cli_backup.kept_in(environment(one), backup, pg_bin)
        before, after = migrations.migrate(environment(one), direction.value, kept=kept)
        output.print(
            f"{one}: ledger at revision {after or 'none'}"
            + (" already" if before == after else f", was at {before or 'none'}")
        )


@app.command()
def validate(file: Annotated[Path, typer.Argument(help="A deployment file.", show_default=False)]) -> None:
    """Check a deployment file without touching anything; every mistake is named with its line."""
    deployment = load_deployment(file)
    output.print(f"{file} is a valid deployment: {deployment.name}, {_challengers(deployment)}")
    output.print(f"metrics of a {deployment.task} task: {', '.join(metrics_of(deployment.task))}")


def _challengers(deployment: Deployment) -> str:
    return f"challengers {', '.join(one.name for one in deployment.challengers)}"


def _plain(error: Exception) -> str:
    from rich.markup import escape

    return escape(str(error))


def _days(first: str | None, last: str | None) -> list[dt.date]:
    if first is None:
        raise typer.BadParameter("it is missing, must be the first day, or --missing", param_hint="--from")
    begin = parse_day("--from", first)
    end = parse_day("--to", last) if last else begin
    if end < begin:
        raise typer.BadParameter(f"{end}, must not be before --from == {begin}", param_hint="--to")
    return list(days_between(begin, end))


def _print_json(content: Any) -> None:
    sys.stdout.write(json.dumps(content, indent=2) + "\n")
