"""The command line: the same steps as the DAG, without a scheduler.

shadow migrate
shadow run flight_delay --from 2013-03-01 --to 2013-04-30
shadow verdict flight_delay
"""

import logging
import sys

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
for command in (
    *(days.run, days.replay, days.verdict, days.evidence, days.explain, days.labels, page.report),
    *(analysis.plan, analysis.calibrate),
    *(promotion.promote, promotion.rollback, promotion.champion, promotion.promotions),
    *(trials.trials, trials.withdraw, trials.acknowledge),
    *(status.status, alerts.alerts, doctor.validate, doctor.doctor, mcp.mcp),
    *(onboarding.init, preview.preview, onboarding.schema),
    *(ledger.verify, ledger.migrate, ledger.backup, ledger.restore, ledger.prune, ledger.erase),
):
    app.command()(with_deployments(command))


def main() -> None:
    """Run the command line; an error that was foreseen is one message on standard error and exit code 1."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s", stream=sys.stderr)
    try:
        app()
    except ShadowError as error:
        console.error(error)
        sys.exit(1)
