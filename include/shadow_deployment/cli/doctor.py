"""The command `doctor`: what the deployments need, and whether it is there."""

import importlib
import json
import sys
from collections.abc import Iterable
from contextlib import redirect_stdout
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from shadow_deployment.cli.context import context_of
from shadow_deployment.config import discovery
from shadow_deployment.doctor.checks import Check

_SHOWN = {"ok": "[green]ok[/]", "failed": "[bold red]failed[/]", "skipped": "[yellow]skipped[/]"}
_EXAMINATION = "shadow_deployment.doctor.examination"


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(doctor)


def doctor(
    names: Annotated[list[str] | None, typer.Argument(help="Deployments; all by default.", show_default=False)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    send_test: Annotated[
        bool, typer.Option("--send-test", help="Send a test alert to every channel, instead of looking at it.")
    ] = False,
) -> None:
    """Say what each deployment needs and whether it is there; exit code 1 where something is not."""
    examination = importlib.import_module(_EXAMINATION)  # Airflow's side of this package, loaded only here
    with redirect_stdout(sys.stderr):  # Airflow logs to standard output, which is the answer's
        checks: list[Check] = examination.installation()
        for name in names or discovery.files_by_name():
            checks += examination.of_deployment(name, context_of, send_test=send_test)
    if as_json:
        sys.stdout.write(json.dumps([one.content() for one in checks], indent=2) + "\n")
    else:
        Console(width=None if sys.stdout.isatty() else 160).print(table(checks))
    if any(one.state == "failed" for one in checks):
        raise typer.Exit(1)


def table(checks: Iterable[Check]) -> Table:
    """Return checks as a table; each that failed with what to do."""
    shown = Table(box=box.SIMPLE, header_style="bold", pad_edge=False)
    for heading in ("deployment", "what", "", "found"):
        shown.add_column(heading, no_wrap=heading == "")
    about = None
    for one in checks:
        remedy = f"\n[bold]to do[/] {escape(one.remedy)}" if one.remedy else ""
        first = escape(one.about) if one.about != about else ""
        shown.add_row(first, escape(one.what), _SHOWN[one.state], f"{escape(one.found)}{remedy}")
        about = one.about
    return shown
