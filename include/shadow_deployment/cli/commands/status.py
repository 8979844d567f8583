"""The command `status`: each challenger's status and the file that publishes it, or all deployments in one table."""

from typing import Annotated, Any

import typer
from rich.markup import escape

from shadow_deployment.cli import console
from shadow_deployment.cli.console import AsJsonLines
from shadow_deployment.cli.context import context_of, every_context
from shadow_deployment.config.discovery import deployments_folder
from shadow_deployment.errors import DeploymentError
from shadow_deployment.pipeline.window_guard import gaps
from shadow_deployment.promotion import status as promotion_status
from shadow_deployment.promotion.status import RecordedStatus
from shadow_deployment.report.queries.overview import overview
from shadow_deployment.report.terminal import Listing

_COLOURS = {"promoted": "bold green", "passed": "green", "failed": "bold red", "rolled_back": "bold red"}
_OUTCOMES = {"PASS": "green", "FAIL": "red"}


def status(
    name: Annotated[str | None, typer.Argument(help="A deployment's name.", show_default=False)] = None,
    every: Annotated[
        bool, typer.Option("--all", help="All deployments in one table, those that need somebody first.")
    ] = False,
    as_json: AsJsonLines = False,
    write: Annotated[bool, typer.Option("--write", help="Bring status.file up to date.")] = False,
) -> None:
    """Show each challenger's status: in shadow, passed, failed, asked, rejected, promoted or rolled back.

    With --all, exit code 1 where a deployment needs somebody: an approval is open or due, a promoted model is not
    served, a former champion is better, the A/A check differs, something bars a verdict, or it cannot be read.
    """
    if every == (name is not None) or (every and write):
        raise typer.BadParameter("give a deployment's name, or --all without --write", param_hint="NAME or --all")
    if name is None:
        _show_all(as_json=as_json)
    else:
        _show(name, as_json=as_json, write=write)


def _show(name: str, *, as_json: bool, write: bool) -> None:
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
    for each in statuses:
        if each.newer_versions:
            console.show(f"[yellow]waiting[/] {escape(each.challenger)}: {escape(each.newer_versions)}")
    with context.ledger() as session:
        for gap in gaps(session, context.deployment):
            console.show(f"[yellow]missing[/] {escape(gap)}; shadow run {escape(name)} --missing runs them")
    if write and target is not None:
        console.show(f"{'wrote' if changed else 'nothing to change in'} {escape(target.file)}")


def _show_all(*, as_json: bool) -> None:
    rows = overview(*every_context()).rows
    if as_json:
        console.print_json_lines(rows)
    else:
        nothing = f"there is no deployment in {escape(str(deployments_folder()))}"
        console.show(_table_of_all(rows) if rows else nothing)
    if any(row["needs_somebody"] for row in rows):
        raise typer.Exit(1)


def _table(statuses: list[RecordedStatus]) -> Listing:
    shown = Listing(
        *("challenger", "status", "since (UTC)", "newest verdict", "reason"),
        prose=("challenger", "newest verdict", "reason"),
    )
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


def _table_of_all(rows: list[dict[str, Any]]) -> Listing:
    headings = ("deployment", "champion", "challenger", "state", "what to do")
    shown = Listing(*headings, prose=headings[1:])
    for row in rows:
        colour = "bold red" if row["needs_somebody"] else _OUTCOMES.get(row["outcome"], "yellow")
        is_decided = row["outcome"] in _OUTCOMES and row["since"] not in row["state"]
        shown.add_row(
            escape(row["deployment"]),
            escape(row["champion"] or "-"),
            escape(f"{row['challenger']} {row['version']}") if row["challenger"] else "-",
            f"[{colour}]{escape(row['state'])}[/]" + (f" since {row['since']}" if is_decided else ""),
            escape(row["what_to_do"]),
        )
    return shown
