"""The commands that check: `validate` a deployment file, and `doctor` everything that the deployments need."""

import sys
from collections.abc import Iterable
from contextlib import redirect_stdout
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.markup import escape

from shadow_deployment.cli import console
from shadow_deployment.cli.console import AsJson
from shadow_deployment.cli.context import context_of
from shadow_deployment.config import discovery
from shadow_deployment.config.deployment import load_deployment
from shadow_deployment.doctor.checks import Check
from shadow_deployment.doctor.policy import policy_warnings
from shadow_deployment.report.terminal import Listing, Prose

_STATES = {
    "ok": "[green]ok[/]",
    "warning": "[bold yellow]warning[/]",
    "failed": "[bold red]failed[/]",
    "skipped": "[yellow]skipped[/]",
}


def validate(
    file: Annotated[Path, typer.Argument(help="A deployment file.", show_default=False)],
    strict: Annotated[bool, typer.Option("--strict", help="Exit with code 1 where the policy is doubtful.")] = False,
) -> None:
    """Check a deployment file without touching anything; every mistake and doubtful rule is named with its line."""
    deployment = load_deployment(file)
    challengers = ", ".join(challenger.name for challenger in deployment.challengers)
    console.show(
        f"{escape(str(file))} is a valid deployment: {deployment.name}, challengers {challengers}\n"
        f"metrics of a {deployment.task} task: {', '.join(deployment.metric_names)}"
    )
    doubts = policy_warnings(deployment, file)
    for doubt in doubts:
        console.warning(f"deployment {deployment.name}: {doubt}")
    if strict and doubts:
        raise typer.Exit(1)


def doctor(
    names: Annotated[list[str] | None, typer.Argument(help="Deployments; all by default.", show_default=False)] = None,
    as_json: AsJson = False,
    send_test: Annotated[
        bool, typer.Option("--send-test", help="Send a test alert to every channel, instead of checking it.")
    ] = False,
) -> None:
    """Check what each deployment needs; exit code 1 where something is missing."""
    checks = checks_of(names or discovery.files_by_name(), with_installation=True, send_test=send_test)
    if as_json:
        console.print_json([check.content() for check in checks])
    else:
        console.show(table(checks))
    if any(check.state == "failed" for check in checks):
        raise typer.Exit(1)


def checks_of(names: Iterable[str], *, with_installation: bool, send_test: bool = False) -> list[Check]:
    """Return what the doctor finds in deployments, after what it finds in the installation."""
    from shadow_deployment.doctor import examination  # imports Airflow, which no other command needs

    with redirect_stdout(sys.stderr):  # Airflow logs to standard output, which is for the result
        checks: list[Check] = examination.installation() if with_installation else []
        for name in names:
            checks += examination.of_deployment(name, context_of, send_test=send_test)
    return checks


def table(checks: Iterable[Check]) -> Group:
    """Return checks as tables, one a deployment, each failed one with its remedy."""
    parts: list[RenderableType] = []
    for about, of_one in groupby(checks, lambda check: check.about):
        listing = Listing("check", "state", "result", prose=("check", "result"))
        for check in of_one:
            remedy = f"\n[bold]remedy[/] {escape(check.remedy)}" if check.remedy else ""
            listing.add_row(escape(check.what), _STATES[check.state], f"{escape(check.result)}{remedy}")
        parts += [Prose(f"[bold]{escape(about)}[/]"), listing]
    return Group(*parts)
