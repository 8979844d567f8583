"""The commands `trials` and `withdraw`: what was ever tried, and a day that is taken back."""

import datetime as dt
import getpass
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from shadow_deployment.base.numbers import significant
from shadow_deployment.cli import console
from shadow_deployment.cli.console import parse_day
from shadow_deployment.cli.context import context_of
from shadow_deployment.errors import DeploymentError
from shadow_deployment.ledger import snapshots, trials
from shadow_deployment.ledger.trials import TrialRecord

Name = Annotated[str, typer.Argument(help="A deployment's name.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command("trials")(show)
    app.command("withdraw")(withdraw)


def show(
    name: Name, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False
) -> None:
    """Show every trial that was ever opened: of which model, why, at which alpha, and its newest verdict."""
    context = context_of(name)
    with context.ledger() as session:
        records = trials.trials(session, context.deployment)
    if as_json:
        console.print_json_lines(_plain(record) for record in records)
    else:
        console.output().print(_table(records))


def withdraw(
    name: Name,
    day: Annotated[str, typer.Option(help="The day, YYYY-MM-DD.")],
    reason: Annotated[str, typer.Option(help="Why; every later verdict names the day.")],
    by: Annotated[str | None, typer.Option(help="Who; by default the user of this terminal.")] = None,
) -> None:
    """Take a sampled day back, for good: it leaves the evidence, and PASS must hold with it at its worst."""
    context, wanted = context_of(name), parse_day("--day", day)
    if not reason.strip():
        raise typer.BadParameter("it is empty, must say why the day is withdrawn", param_hint="--reason")
    with context.ledger() as session:
        if snapshots.find(session, context.deployment, wanted) is None:
            raise DeploymentError(f"deployment {name}: day == {wanted}, must be a day that was sampled")
        new = trials.withdraw(session, context.deployment, wanted, by=by or getpass.getuser(), reason=reason.strip())
    console.output().print(f"{wanted} {'is' if new else 'was already'} withdrawn", markup=False)


def _plain(record: TrialRecord) -> dict[str, Any]:
    content = {name: getattr(record, name) for name in TrialRecord.__dataclass_fields__}
    return {name: value.isoformat() if isinstance(value, dt.date) else value for name, value in content.items()}


def _table(records: list[TrialRecord]) -> Table:
    headings = (
        "trial",
        "challenger",
        "champion",
        "opened (UTC)",
        "because",
        "alpha",
        "trained until",
        "days",
        "verdict",
    )
    shown = console.table(headings, no_wrap=("opened (UTC)", "trained until"))
    for record in records:
        kind = "" if record.kind == "challenger" else f" ({record.kind.replace('_', ' ')})"
        shown.add_row(
            str(record.number),
            escape(f"{record.name} {record.version}{kind}"),
            escape(record.champion_version),
            f"{record.opened_at:%Y-%m-%d %H:%M}",
            escape(record.opened_because),
            significant(record.alpha, 3),
            str(record.trained_until or "-"),
            str(record.judged),
            f"{record.outcome} of {record.day}" if record.outcome else "-",
        )
    return shown
