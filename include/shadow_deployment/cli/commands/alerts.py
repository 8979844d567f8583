"""The command `alerts`: which alerts were delivered, which were not, and another attempt."""

from typing import Annotated, Any

import typer
from rich.markup import escape

from shadow_deployment.alerting import outbox
from shadow_deployment.cli import console
from shadow_deployment.cli.console import AsJsonLines, Name
from shadow_deployment.cli.context import context_of
from shadow_deployment.errors import LedgerError
from shadow_deployment.ledger import alerts as ledger
from shadow_deployment.ledger.alerts import StoredAlert
from shadow_deployment.report.terminal import Listing


def alerts(
    name: Name,
    as_json: AsJsonLines = False,
    send: Annotated[bool, typer.Option("--send", help="Retry what was undelivered in the last seven days.")] = False,
) -> None:
    """Show alerts with their deliveries and failures; exit code 1 where --send fails again."""
    context = context_of(name)
    deliveries = outbox.retry_undelivered(context, _sender()) if send else []
    with context.ledger() as session:
        history = ledger.history(session, context.deployment)
    if as_json:
        console.print_json_lines(map(plain, history))
    else:
        console.show(table(history) if history else f"{escape(name)}: no alerts yet")
    if any(delivery.error is not None for delivery in deliveries):
        raise typer.Exit(1)


def plain(alert: StoredAlert) -> dict[str, Any]:
    """Return an alert and its deliveries as plain data."""
    return {
        "day": str(alert.day),
        "kind": alert.kind,
        "at": alert.created_at,
        "delivered": alert.delivered,
        "undelivered": dict(alert.undelivered),
        "alert": {key: value for key, value in alert.content.items() if key != "channels"},
    }


def table(history: list[StoredAlert]) -> Listing:
    """Return alerts as a table, oldest first."""
    shown = Listing("day", "at (UTC)", "alert", "delivered", "undelivered", prose=("alert", "undelivered"))
    for alert in history:
        undelivered = "\n".join(f"{channel}: {error}" for channel, error in sorted(alert.undelivered.items()))
        shown.add_row(
            str(alert.day),
            f"{alert.created_at:%Y-%m-%d %H:%M}",
            escape(alert.alert.title),
            escape("\n".join(alert.delivered) or "-"),
            f"[red]{escape(undelivered)}[/]" if undelivered else "-",
        )
    return shown


def _sender() -> outbox.Send:
    """Return the channels' sender, which imports Airflow: only this command needs it."""
    try:
        from shadow_deployment.integrations.channels import send
    except ImportError as error:
        raise LedgerError(f"alerts are sent through Airflow's providers, and {error.name} is not installed") from None
    return send
