"""The commands `trials`, `withdraw` and `acknowledge`: what was tried, a day taken back, what was looked into."""

import datetime as dt
import getpass
from typing import Annotated

import typer
from rich.markup import escape

from shadow_deployment.base.numbers import significant
from shadow_deployment.cli import console
from shadow_deployment.cli.console import AsJsonLines, Name
from shadow_deployment.cli.context import context_of
from shadow_deployment.config.window import window_of
from shadow_deployment.errors import DeploymentError
from shadow_deployment.ledger import snapshots
from shadow_deployment.ledger import trials as ledger_trials
from shadow_deployment.ledger.trials import TrialRecord
from shadow_deployment.pipeline.challengers import too_good
from shadow_deployment.report.terminal import Listing
from shadow_deployment.report.wording import KINDS

_LEGEND = (
    "[dim]batch: trials that were opened together and share alpha, the error rate toward PASS. days, weeks: how many "
    "were judged. trained until: the last day of its training data, as declared.[/]"
)


def trials(name: Name, as_json: AsJsonLines = False) -> None:
    """Show every trial that was ever opened: of which model, why, batch and alpha, and its newest verdict."""
    context = context_of(name)
    with context.ledger() as session:
        records = ledger_trials.trials(session, context.deployment)
    if as_json:
        console.print_json_lines(vars(record) for record in records)
    else:
        days = f"{context.deployment.policy.period}s"
        console.show(_table(records, days) if records else f"{name}: no trial was opened yet")
        console.show(_LEGEND)


def withdraw(
    name: Name,
    day: Annotated[
        dt.date, typer.Option(parser=console.parse_day, metavar="YYYY-MM-DD", help="A day that was sampled.")
    ],
    reason: Annotated[str, typer.Option(help="Why; every later verdict names the day.")],
    by: Annotated[str | None, typer.Option(help="Who; by default the user of this terminal.")] = None,
) -> None:
    """Take a sampled day back, for good: it leaves the evidence, and PASS must hold with it at its worst."""
    context = context_of(name)
    if not reason.strip():
        raise typer.BadParameter("it is empty, must say why the day is withdrawn", param_hint="--reason")
    with context.ledger() as session:
        if snapshots.so_far(session, context.deployment, day) is None:
            window_of(context.deployment, day)
            raise DeploymentError(f"deployment {name}: day == {day}, must be a day that was sampled")
        is_new = ledger_trials.withdraw(
            session, context.deployment, day, by=by or getpass.getuser(), reason=reason.strip()
        )
    console.show(f"{day} {'is' if is_new else 'was already'} withdrawn")


def acknowledge(
    name: Name,
    challenger: Annotated[
        str,
        typer.Option(help="Whose alarm it is: a challenger, or previous_champion."),
    ],
    reason: Annotated[str, typer.Option(help="Why it is right all the same; every later verdict says so.")],
    by: Annotated[str | None, typer.Option(help="Who; by default the user of this terminal.")] = None,
) -> None:
    """Acknowledge that you have looked into an alarm of a model, which is too good to be true or a regression."""
    if not reason.strip():
        raise typer.BadParameter("it is empty, must say why the model is right", param_hint="--reason")
    day, alarms = too_good.acknowledge(context_of(name), challenger, by=by or getpass.getuser(), reason=reason.strip())
    for alarm in alarms:
        console.show(f"acknowledged: {escape(alarm.text)}")
    console.show(f"the next verdict counts it; shadow run {name} --from {day} judges {day} again")


def _table(records: list[TrialRecord], days: str) -> Listing:
    headings = ("trial", "challenger", "champion", "opened (UTC)", "batch", "alpha", "trained until", days, "verdict")
    shown = Listing(*headings, "because", prose=("challenger", "verdict", "because"), right=(days,))
    for record in records:
        kind = f" ({KINDS[record.kind]})" if record.kind in KINDS else ""
        shown.add_row(
            str(record.number),
            escape(f"{record.name} {record.version}{kind}"),
            escape(record.champion_version),
            f"{record.opened_at:%Y-%m-%d %H:%M}",
            "-" if record.batch is None else f"{record.batch} (of {record.batch_size})",
            "-" if record.batch is None else significant(record.alpha, 3),
            str(record.trained_until or "-"),
            str(record.judged),
            f"{record.outcome} of {record.day}" if record.outcome else "-",
            escape(record.opened_because),
        )
    return shown
