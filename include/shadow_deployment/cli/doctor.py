"""The commands that check: `validate` a deployment file, and `doctor` everything that the deployments need."""

import sys
from collections.abc import Iterable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from shadow_deployment.cli import console
from shadow_deployment.cli.console import AsJson
from shadow_deployment.cli.context import context_of
from shadow_deployment.config import discovery
from shadow_deployment.config.deployment import load_deployment
from shadow_deployment.doctor.checks import Check

_STATES = {
    "ok": "[green]ok[/]",
    "warning": "[bold yellow]warning[/]",
    "failed": "[bold red]failed[/]",
    "skipped": "[yellow]skipped[/]",
}
_WIDTH = 160


def validate(file: Annotated[Path, typer.Argument(help="A deployment file.", show_default=False)]) -> None:
    """Check a deployment file without touching anything; every mistake is named with its line."""
    deployment = load_deployment(file)
    challengers = ", ".join(challenger.name for challenger in deployment.challengers)
    console.show(
        f"{escape(str(file))} is a valid deployment: {deployment.name}, challengers {challengers}\n"
        f"metrics of a {deployment.task} task: {', '.join(deployment.metric_names)}"
    )


def doctor(
    names: Annotated[list[str] | None, typer.Argument(help="Deployments; all by default.", show_default=False)] = None,
    as_json: AsJson = False,
    send_test: Annotated[
        bool, typer.Option("--send-test", help="Send a test alert to every channel, instead of checking it.")
    ] = False,
) -> None:
    """Check what each deployment needs; exit code 1 where something is missing."""
    from shadow_deployment.doctor import examination  # imports Airflow, which no other command needs

    with redirect_stdout(sys.stderr):  # Airflow logs to standard output, which is for the result
        checks: list[Check] = examination.installation()
        for name in names or discovery.files_by_name():
            checks += examination.of_deployment(name, context_of, send_test=send_test)
    if as_json:
        console.print_json([check.content() for check in checks])
    else:
        console.show(table(checks), _WIDTH)
    if any(check.state == "failed" for check in checks):
        raise typer.Exit(1)


def table(checks: Iterable[Check]) -> Table:
    """Return checks as a table, each failed one with its remedy."""
    shown = console.table(("deployment", "check", "", "result"), no_wrap=("",))
    about = None
    for check in checks:
        remedy = f"\n[bold]remedy[/] {escape(check.remedy)}" if check.remedy else ""
        first = escape(check.about) if check.about != about else ""
        shown.add_row(first, escape(check.what), _STATES[check.state], f"{escape(check.found)}{remedy}")
        about = check.about
    return shown
