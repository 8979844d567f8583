"""The command `alerts`: what was told to whom, what could not be delivered, and another try of that."""

import importlib
import json
import sys
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from shadow_deployment.alerting import outbox
from shadow_deployment.cli.context import context_of
from shadow_deployment.errors import LedgerError
from shadow_deployment.ledger import alerts as ledger
from shadow_deployment.ledger.alerts import Told

CHANNELS = "shadow_deployment.integrations.channels"


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(alerts)


def alerts(
    name: Annotated[str, typer.Argument(help="A deployment's name.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
    send: Annotated[
        bool, typer.Option("--send", help="Try again what was undelivered in the last seven days.")
    ] = False,
) -> None:
    """Show what was told to whom, and what could not be delivered; exit code 1 where --send fails again."""
    context = context_of(name)
    failed = [one for one in outbox.retry_undelivered(context, _sender()) if one.error is not None] if send else []
    with context.ledger() as session:
        told = ledger.history(session, context.deployment)
    if as_json:
        for one in told:
            sys.stdout.write(json.dumps(plain(one)) + "\n")
    else:
        shown = table(told) if told else f"{escape(name)}: nothing was told yet"
        Console(width=None if sys.stdout.isatty() else 140).print(shown)
    if failed:
        raise typer.Exit(1)


def plain(told: Told) -> dict[str, Any]:
    """Return an alert and what became of it as plain data."""
    return {
        "day": str(told.day),
        "kind": told.kind,
        "at": told.created_at.isoformat(),
        "delivered": told.delivered,
        "undelivered": dict(told.undelivered),
        "alert": {key: value for key, value in told.content.items() if key != "channels"},
    }


def table(told: list[Told]) -> Table:
    """Return alerts as a table, oldest first."""
    shown = Table(box=box.SIMPLE, header_style="bold", pad_edge=False)
    for heading in ("day", "at", "alert", "told", "not told"):
        shown.add_column(heading, no_wrap=heading in ("day", "at"))
    for one in told:
        undelivered = "\n".join(f"{channel}: {error}" for channel, error in sorted(one.undelivered.items()))
        shown.add_row(
            str(one.day),
            f"{one.created_at:%Y-%m-%d %H:%M}",
            escape(one.alert.title),
            escape("\n".join(one.delivered) or "-"),
            f"[red]{escape(undelivered)}[/]" if undelivered else "-",
        )
    return shown


def _sender() -> outbox.Send:
    """Return what sends; it is Airflow's side of this package, so it is loaded by its name, and only here."""
    try:
        sender: outbox.Send = importlib.import_module(CHANNELS).send
    except ImportError as error:
        raise LedgerError(f"alerts are sent through Airflow's providers, and {error.name} is not installed") from None
    return sender
