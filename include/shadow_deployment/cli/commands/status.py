"""The command `status`: each challenger's status and the file that publishes it, or all deployments in one table."""

from typing import Annotated, Any

import typer
from rich.markup import escape

from shadow_deployment.cli import console
from shadow_deployment.cli.console import AsJsonLines
from shadow_deployment.cli.context import context_of
from shadow_deployment.config.deployment import load_deployment
from shadow_deployment.config.discovery import deployments_folder, files_by_name
from shadow_deployment.context import DeploymentContext
from shadow_deployment.errors import DeploymentError, ShadowError
from shadow_deployment.promotion import status as promotion_status
from shadow_deployment.promotion.status import RecordedStatus
from shadow_deployment.report.overview import ListedDeployment, Overview
from shadow_deployment.report.queries.overview import overview
from shadow_deployment.report.terminal import Listing
from shadow_deployment.report.views import ChallengerLine

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
    if write and target is not None:
        console.show(f"{'wrote' if changed else 'nothing to change in'} {escape(target.file)}")


def _show_all(*, as_json: bool) -> None:
    contexts: list[DeploymentContext] = []
    broken: dict[str, str] = {}
    for name, path in files_by_name().items():
        try:
            contexts.append(context_of(load_deployment(path)))
        except ShadowError as error:
            broken[name] = str(error)
    rows = _rows(overview(contexts, broken))
    if as_json:
        console.print_json_lines(rows)
    else:
        nothing = f"there is no deployment in {escape(str(deployments_folder()))}"
        console.show(_table_of_all(rows) if rows else nothing)
    if any(row["needs_somebody"] for row in rows):
        raise typer.Exit(1)


def _rows(found: Overview) -> list[dict[str, Any]]:
    """Return a row for each challenger, and one for each deployment that cannot be read: those first."""
    errors = {name: ledger.error for ledger in found.unreadable for name in ledger.deployments}
    rows = [_unreadable(each, errors.get(each.name)) for each in found.deployments if not each.lines]
    return rows + [_row(each, line) for each in found.deployments for line in each.lines]


def _row(listed: ListedDeployment, line: ChallengerLine) -> dict[str, Any]:
    return {
        "deployment": listed.name,
        "owner": listed.owner,
        "needs_somebody": line.status.needs_somebody,
        "state": line.status.label,
        "what_to_do": line.status.action,
        "champion": listed.champion and f"{listed.champion.name} {listed.champion.version}",
        "challenger": line.name,
        "version": line.version,
        "stage": line.status.stage,
        "outcome": line.outcome,
        "since": str(line.decided_on or line.day) if line.day else None,
    }


def _unreadable(listed: ListedDeployment, error: str | None) -> dict[str, Any]:
    nothing = dict.fromkeys(("champion", "challenger", "version", "stage", "outcome", "since"))
    why = error or (listed.status and listed.status.sentence)
    known = {"deployment": listed.name, "owner": listed.owner, "needs_somebody": True, "state": "Cannot be read"}
    return known | {"what_to_do": why} | nothing


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
