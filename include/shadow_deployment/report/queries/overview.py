"""Reading the list of all deployments: one session a ledger, and only what has changed since it was read last."""

import datetime as dt
import itertools
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, Final

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.db import Session, translated
from shadow_deployment.errors import ShadowError
from shadow_deployment.ledger import alerts, page
from shadow_deployment.ledger.registry import promotions
from shadow_deployment.ledger.registry.promotions import CurrentChampion
from shadow_deployment.models.aliases import last_versions
from shadow_deployment.pipeline.window_guard import gaps
from shadow_deployment.report.overview import ListedDeployment, Overview, UnreadableLedger
from shadow_deployment.report.queries.pages import ALERTS_WITHIN, LOGGED, reading
from shadow_deployment.report.queries.summary import lines_of
from shadow_deployment.report.status import ChallengerStatus

Remember = Callable[[Hashable, Callable[[], ListedDeployment]], ListedDeployment]
_MEND: Final = "Correct the file, and check it with shadow validate FILE."


def overview(
    contexts: Iterable[DeploymentContext],
    broken: Mapping[str, str] | None = None,
    remember: Remember = lambda _, read: read(),
) -> Overview:
    """Return all deployments, those that need somebody first.

    Args:
        contexts: The deployments, with their connections.
        broken: The error by the name of each deployment whose file cannot be read.
        remember: Returns what was read under a key before, else what its second argument reads. A key changes whenever
            the row may.
    """
    rows = [ListedDeployment(name, ChallengerStatus("broken", error, _MEND)) for name, error in (broken or {}).items()]
    unreadable = []

    def ledger_of(context: DeploymentContext) -> str:
        return context.deployment.store.conn_id

    for _, those in itertools.groupby(sorted(contexts, key=ledger_of), key=ledger_of):
        read, error = _read(tuple(those), remember)
        rows += read
        unreadable += [error] if error else []
    return Overview(tuple(sorted(rows, key=lambda row: (row.urgency, row.name))), tuple(unreadable))


def _read(
    contexts: Sequence[DeploymentContext], remember: Remember
) -> tuple[list[ListedDeployment], UnreadableLedger | None]:
    """Return the rows of deployments that share a ledger, and what is wrong with that where it cannot be read."""
    rows: list[ListedDeployment] = []
    try:
        with reading(contexts[0]) as session:
            known = page.fingerprints(session, [context.deployment for context in contexts])
            for context in contexts:
                rows.append(_remembered(session, context, known[context.deployment.name], remember))  # noqa: PERF401
    except ShadowError as error:
        rest = [context.deployment for context in contexts[len(rows) :]]
        rows += [ListedDeployment(deployment.name, None, deployment.owner) for deployment in rest]
        names = tuple(deployment.name for deployment in rest)
        return rows, UnreadableLedger(contexts[0].deployment.store.conn_id, str(error), names)
    return rows, None


def _remembered(session: Session[Any], context: DeploymentContext, known: str, remember: Remember) -> ListedDeployment:
    """Return a deployment's row; one that cannot be read is broken, as long as the session lives."""
    deployment = context.deployment
    try:
        return remember((deployment.name, known), lambda: _in_savepoint(session, context))
    except ShadowError as error:
        if session.broken:
            raise
        status = ChallengerStatus("broken", str(error), f"shadow doctor {deployment.name} says what is wrong.")
        return ListedDeployment(deployment.name, status, deployment.owner)


def _in_savepoint(session: Session[Any], context: DeploymentContext) -> ListedDeployment:
    with translated(context.ledger_connection), session.transaction():
        return read_row(session, last_versions(context, session).deployment)


def read_row(session: Session[Any], deployment: Deployment) -> ListedDeployment:
    """Return a deployment as the list shows it."""
    _, lines = lines_of(session, deployment, None)
    ordered = sorted(lines, key=lambda line: (line.status.urgency, line.role != "promotable"))
    newest = page.newest_sampled(session, deployment)
    history = promotions.history(session, deployment)
    return ListedDeployment(
        deployment.name,
        ordered[0].status,
        deployment.owner,
        champion=history[-1].champion if history else CurrentChampion(LOGGED, newest.version, None, None),
        last_day=newest.day,
        lines=tuple(ordered),
        undelivered=_undelivered(session, deployment),
        gap=next(reversed(gaps(session, deployment)), None),
    )


def _undelivered(session: Session[Any], deployment: Deployment) -> int:
    """Return how many of the alerts of the last 30 days did not reach all of their channels."""
    last_run = page.last_run(session, deployment)
    since: dt.datetime | None = None if last_run is None else last_run - ALERTS_WITHIN
    return sum(bool(alert.undelivered) for alert in alerts.history(session, deployment, since))
