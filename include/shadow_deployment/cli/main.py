"""The command line: the same steps as the DAG, without a scheduler.

shadow migrate
shadow run flight_delay --from 2013-03-01 --to 2013-04-30
shadow verdict flight_delay
"""

import logging
import sys
from collections.abc import Callable

import typer

from shadow_deployment.cli import console
from shadow_deployment.cli.commands import (
    alerts,
    analysis,
    days,
    doctor,
    ledger,
    mcp,
    onboarding,
    page,
    preview,
    promotion,
    status,
    trials,
)
from shadow_deployment.cli.options import with_deployments
from shadow_deployment.errors import ShadowError

app = typer.Typer(
    help=__doc__.splitlines()[0] if __doc__ else None,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)
_COMMANDS: dict[str, tuple[Callable[..., None], ...]] = {
    "Begin": (onboarding.init, preview.preview, doctor.validate, doctor.doctor, onboarding.schema),
    "Days": (days.run, days.replay, days.labels, days.evidence, trials.withdraw),
    "Verdicts": (days.verdict, days.explain, status.status, trials.trials, trials.acknowledge, page.report),
    "Planning": (analysis.plan, analysis.calibrate),
    "Promotion": (promotion.promote, promotion.rollback, promotion.champion, promotion.promotions),
    "Ledger": (ledger.migrate, ledger.verify, ledger.backup, ledger.restore, ledger.prune, ledger.erase),
    "Telling others": (alerts.alerts, mcp.mcp),
}
for panel, commands in _COMMANDS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(with_deployments(command))


def main() -> None:
    """Run the command line; an error that was foreseen is one message on standard error and exit code 1."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s", stream=sys.stderr)
    try:
        app()
    except ShadowError as error:
        console.error(error)
        sys.exit(1)
