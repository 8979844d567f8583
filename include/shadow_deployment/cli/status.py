"""The command `status`: how each challenger stands, and the file that tells others."""

import json
import sys
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from shadow_deployment.cli.context import context_of
from shadow_deployment.errors import DeploymentError
from shadow_deployment.promotion import status
from shadow_deployment.promotion.status import ChallengerStatus

_COLOURS = {"promoted": "bold green", "passed": "green", "failed": "bold red", "rolled_back": "bold red"}


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("status")(show)


def show(
    name: Annotated[str, typer.Argument(help="A deployment's name.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Bring status.file up to date.")] = False,
) -> None:
    """Show how each challenger stands: in shadow, passed, failed, asked, rejected, promoted or rolled back."""
    context = context_of(name)
    declared = context.deployment.status
    if write and declared is None:
        raise DeploymentError(f"deployment {name}: status is not set: name a file in the deployment file first")
    changed = status.update(context) if write else False
    found = status.statuses(context)
    if as_json:
        for one in found:
            sys.stdout.write(json.dumps(one.content, ensure_ascii=False) + "\n")
        return
    output = Console(width=None if sys.stdout.isatty() else 140)
    output.print(_table(found))
    if write and declared is not None:
        output.print(f"{'wrote' if changed else 'nothing to change in'} {escape(declared.file)}", soft_wrap=True)


def _table(found: list[ChallengerStatus]) -> Table:
    shown = Table(box=box.SIMPLE, header_style="bold", pad_edge=False)
    for heading in ("challenger", "status", "since", "newest verdict", "reason"):
        shown.add_column(heading, no_wrap=heading in ("status", "since"))
    for one in found:
        colour = _COLOURS.get(one.status, "yellow")
        approver = f" ({one.approved_by})" if one.approved_by else ""
        shown.add_row(
            escape(f"{one.challenger} {one.version}"),
            f"[{colour}]{one.status}[/]",
            f"{one.since:%Y-%m-%d %H:%M}" if one.since else "-",
            f"{one.outcome} of {one.day}" if one.outcome else "-",
            escape(f"{one.reason or '-'}{approver}"),
        )
    return shown
