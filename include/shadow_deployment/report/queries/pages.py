"""What a page shows, read from the ledger: one deployment, or one run.

`deployment_page` and `run_page` open the ledger themselves, and what breaks becomes an error state that says so;
`read_page` takes a session and raises. Of what there is not, all of them raise NotFoundError.
"""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from shadow_deployment.base.numbers import quantity
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.window import windows_of
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.db import Session
from shadow_deployment.errors import NotFoundError, ShadowError
from shadow_deployment.ledger import alerts, page
from shadow_deployment.ledger.registry import approval_requests, promotions
from shadow_deployment.ledger.registry.promotions import CurrentChampion
from shadow_deployment.ledger.snapshots import Snapshot, snapshots
from shadow_deployment.pipeline.challengers.basis import logged_version
from shadow_deployment.report.description import describe
from shadow_deployment.report.queries import days, summary
from shadow_deployment.report.queries.challenger import add_challenger
from shadow_deployment.report.queries.drift import drift
from shadow_deployment.report.queries.missing import why_missing
from shadow_deployment.report.queries.scorecard.health import health
from shadow_deployment.report.queries.summary import DeploymentSummary
from shadow_deployment.report.views import DeploymentView

MOST_PROMOTIONS: Final = 50
MOST_APPROVALS: Final = 20
MOST_ALERTS: Final = 30
ALERTS_WITHIN: Final = dt.timedelta(days=30)
TIMEOUT_SECONDS: Final = 20
LOGGED: Final = "champion"  # the name of a champion that no promotion has made


def deployment_page(
    context: DeploymentContext, challenger: str | None = None, day: dt.date | None = None
) -> DeploymentView:
    """Return one deployment, by default the challenger that needs looking at on the newest day."""
    return _read(context, lambda session, deployment: read_page(session, deployment, challenger, day))


def run_page(context: DeploymentContext, day: dt.date, challenger: str | None = None) -> DeploymentView:
    """Return the deployment as of a day, with what the day's run did."""

    def read(session: Session[Any], deployment: Deployment) -> DeploymentView:
        view = read_page(session, deployment, challenger, day, closed=True)
        return replace(view, run=days.run_of_day(session, deployment, day, view.challengers))

    return _read(context, read)


def _read(context: DeploymentContext, read: Callable[[Session[Any], Deployment], DeploymentView]) -> DeploymentView:
    deployment = context.deployment
    try:
        with reading(context) as session:
            return read(session, deployment)
    except NotFoundError:
        raise
    except ShadowError as error:
        return DeploymentView(
            deployment.name, "broken", deployment.policy.period, error=str(error), policy_words=describe(deployment)
        )


def fingerprint(context: DeploymentContext) -> str:
    """Return what changes whenever a page of this deployment may; raise ShadowError as the ledger does."""
    with reading(context) as session:
        return page.fingerprint(session, context.deployment)


def require_day(context: DeploymentContext, day: dt.date) -> None:
    """Raise NotFoundError, with the days there are, where a day was not sampled by the present design."""
    with reading(context) as session:
        sampled = [snapshot.day for snapshot in snapshots(session, context.deployment, None, None)]
    if day in sampled:
        return
    nearest = sorted(sorted(sampled, key=lambda each: abs(each - day))[:2])
    there_are = (
        f"must be one of the {quantity(len(sampled), 'sampled day')} from {sampled[0]} to {sampled[-1]}; nearest: "
        f"{' and '.join(map(str, nearest))}"
        if sampled
        else "and no day was sampled yet"
    )
    raise NotFoundError(f"deployment {context.deployment.name}: day == {day}, {there_are}")


@contextmanager
def reading(context: DeploymentContext) -> Iterator[Session[Any]]:
    """Open the ledger as it is at one moment, read only and with a timeout."""
    with context.ledger() as session:
        session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        session.execute(f"SET LOCAL statement_timeout = '{TIMEOUT_SECONDS}s'")
        yield session


def read_page(
    session: Session[Any],
    deployment: Deployment,
    challenger: str | None = None,
    day: dt.date | None = None,
    *,
    closed: bool = False,
) -> DeploymentView:
    """Return one deployment; raise NotFoundError for an unknown challenger.

    Where none is named, it is the one that needs looking at, and with `closed` one that closes the gate.
    """
    known = summary.summarise(session, deployment, day)
    if challenger is None:
        line = summary.first_to_look_at(known.lines, closed=closed)
    else:
        line = summary.line_of(deployment, known.lines, challenger)
    view = _of_deployment(session, deployment, known)
    view = replace(
        view,
        challenger=line,
        labels=() if known.last_day is None else days.labels(session, deployment, known.sampled, known.last_day),
        promotions=tuple(promotions.history(session, deployment)[-MOST_PROMOTIONS:][::-1]),
        approvals=tuple(approval_requests.asked(session, deployment)[-MOST_APPROVALS:][::-1]),
        alerts=view.alerts[:MOST_ALERTS],
        policy_words=describe(deployment),
    )
    step = line.status.action if known.sampled else _first_step(deployment, day, known.begun)
    view = replace(view, next_step=step)
    if known.sampled and line.outcome is not None:
        view = add_challenger(session, deployment, known, view, line)
    else:
        view = replace(view, drift=drift(session, deployment.policy, known.sampled))
    view = replace(view, health=health(session, deployment, known, view))
    return replace(view, missing=why_missing(deployment, view, line))


def _of_deployment(session: Session[Any], deployment: Deployment, known: DeploymentSummary) -> DeploymentView:
    """Return what does not depend on a challenger; before the first promotion the champion is what the log says."""
    last_run = page.last_run(session, deployment)
    recent = alerts.history(session, deployment, None if last_run is None else last_run - ALERTS_WITHIN)
    champion = promotions.champion(session, deployment)
    return DeploymentView(
        name=deployment.name,
        state="ready" if known.sampled else "empty",
        period=deployment.policy.period,
        next_step=None if known.sampled else _first_step(deployment, None, known.begun),
        champion=champion or CurrentChampion(LOGGED, logged_version(known.sampled), None, None),
        challengers=known.lines,
        last_day=known.last_day,
        last_run=last_run,
        alerts=tuple(recent[::-1]),
    )


def _first_step(deployment: Deployment, day: dt.date | None, begun: Snapshot | None) -> str:
    name, first = deployment.name, day or deployment.start
    if begun is not None:
        windows = f"{len(begun.windows)} of {len(windows_of(deployment, begun.day))} windows"
        return f"{begun.day} has {windows} so far: it is compared once all are sampled"
    period = deployment.policy.period
    none = f"No {period} up to {day} was sampled" if day else f"No {period} was sampled yet"
    return (
        f"{none}. Unpause the DAG shadow_{name} in Airflow, or run a {period} by hand: shadow run {name} --from {first}"
    )
