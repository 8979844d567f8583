"""The command `status`: each challenger's status, and the file that publishes it."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from shadow_deployment.cli import console
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
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Bring status.file up to date.")] = False,
) -> None:
    """Show each challenger's status: in shadow, passed, failed, asked, rejected, promoted or rolled back."""
    context = context_of(name)
    target = context.deployment.status
    if write and target is None:
        raise DeploymentError(f"deployment {name}: status is not set: name a file in the deployment file first")
    changed = status.update(context) if write else False
    standings = status.statuses(context)
    if as_json:
        console.print_json_lines(standing.content for standing in standings)
        return
    output = console.output()
    output.print(_table(standings))
    if write and target is not None:
        output.print(f"{'wrote' if changed else 'nothing to change in'} {escape(target.file)}", soft_wrap=True)


def _table(standings: list[ChallengerStatus]) -> Table:
    shown = console.table(("challenger", "status", "since", "newest verdict", "reason"), no_wrap=("status", "since"))
    for standing in standings:
        colour = _COLOURS.get(standing.status, "yellow")
        approver = f" ({standing.approved_by})" if standing.approved_by else ""
        shown.add_row(
            escape(f"{standing.challenger} {standing.version}"),
            f"[{colour}]{standing.status}[/]",
            f"{standing.since:%Y-%m-%d %H:%M}" if standing.since else "-",
            f"{standing.outcome} of {standing.day}" if standing.outcome else "-",
            escape(f"{standing.reason or '-'}{approver}"),
        )
    return shown
