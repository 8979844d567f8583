"""The command `status`: each challenger's status, and the file that publishes it."""

from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from shadow_deployment.cli import console
from shadow_deployment.cli.console import AsJsonLines, Name
from shadow_deployment.cli.context import context_of
from shadow_deployment.errors import DeploymentError
from shadow_deployment.promotion import status as promotion_status
from shadow_deployment.promotion.status import ChallengerStatus

_COLOURS = {"promoted": "bold green", "passed": "green", "failed": "bold red", "rolled_back": "bold red"}


def status(
    name: Name,
    as_json: AsJsonLines = False,
    write: Annotated[bool, typer.Option("--write", help="Bring status.file up to date.")] = False,
) -> None:
    """Show each challenger's status: in shadow, passed, failed, asked, rejected, promoted or rolled back."""
    context = context_of(name)
    target = context.deployment.status
    if write and target is None:
        raise DeploymentError(f"deployment {name}: status is not set: name a file in the deployment file first")
    changed = promotion_status.update(context) if write else False
    statuses = promotion_status.statuses(context)
    if as_json:
        console.print_json_lines(each.content for each in statuses)
        return
    console.show(_table(statuses))
    if write and target is not None:
        console.show(f"{'wrote' if changed else 'nothing to change in'} {escape(target.file)}")


def _table(statuses: list[ChallengerStatus]) -> Table:
    shown = console.table(("challenger", "status", "since", "newest verdict", "reason"), no_wrap=("status", "since"))
    for each in statuses:
        colour = _COLOURS.get(each.status, "yellow")
        approver = f" ({each.approved_by})" if each.approved_by else ""
        shown.add_row(
            escape(f"{each.challenger} {each.version}"),
            f"[{colour}]{each.status}[/]",
            f"{each.since:%Y-%m-%d %H:%M}" if each.since else "-",
            f"{each.outcome} of {each.day}" if each.outcome else "-",
            escape(f"{each.reason or '-'}{approver}"),
        )
    return shown
