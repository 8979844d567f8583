"""What a page shows, read from the ledger: all deployments, one deployment, one run.

`overview`, `deployment_page` and `run_page` open the ledger themselves, and what breaks becomes an error state that
says so; `read_line` and `read_page` take a session and raise.
"""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.db import Session
from shadow_deployment.errors import DeploymentError, ShadowError
from shadow_deployment.ledger import alerts as ledger_alerts
from shadow_deployment.ledger import approval_requests as ledger_questions
from shadow_deployment.ledger import page
from shadow_deployment.ledger import promotions as ledger_promotions
from shadow_deployment.pipeline.challengers.basis import champion_of
from shadow_deployment.report.description import describe
from shadow_deployment.report.queries import days, record, run, summary
from shadow_deployment.report.queries.challenger import about
from shadow_deployment.report.queries.missing import never_judged, why_missing
from shadow_deployment.report.queries.summary import ChallengerSummary
from shadow_deployment.report.views.facts import ChallengerLine, DeploymentFacts, DeploymentLine, Overview, RunFacts

MOST_PROMOTIONS = 50
MOST_QUESTIONS = 20
MOST_ALERTS = 30
TOLD_WITHIN = dt.timedelta(days=30)
TIMEOUT_SECONDS = 20


def overview(shadows: Iterable[DeploymentContext], broken: Mapping[str, str] | None = None) -> Overview:
    """Return all deployments in one list; `broken` maps the name of each whose file cannot be read to the error."""
    found = [_line(context) for context in shadows]
    found += [DeploymentLine(name, "broken", error=error) for name, error in (broken or {}).items()]
    return Overview(tuple(sorted(found, key=lambda one: one.name)))


def deployment_page(
    context: DeploymentContext, challenger: str | None = None, day: dt.date | None = None
) -> DeploymentFacts:
    """Return one deployment, by default the challenger that needs looking at on the newest day."""
    try:
        with _reading(context) as session:
            return read_page(session, context.deployment, challenger, day)
    except ShadowError as error:
        return _broken(context.deployment, error)


def run_page(context: DeploymentContext, day: dt.date, challenger: str | None = None) -> RunFacts:
    """Return the deployment as of a day, with what the day's run did."""
    try:
        with _reading(context) as session:
            facts = read_page(session, context.deployment, challenger, day, closed=True)
            return RunFacts(facts, run.read(session, context.deployment, day, facts.challengers))
    except ShadowError as error:
        return RunFacts(_broken(context.deployment, error), None)


def fingerprint(context: DeploymentContext) -> str:
    """Return what changes whenever a page of this deployment may; raise ShadowError as the ledger does."""
    with _reading(context) as session:
        return page.fingerprint(session, context.deployment)


@contextmanager
def _reading(context: DeploymentContext) -> Iterator[Session[Any]]:
    """Open the ledger as it is at one moment, to read only and not for ever."""
    with context.ledger() as session:
        session.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        session.execute(f"SET LOCAL statement_timeout = '{TIMEOUT_SECONDS}s'")
        yield session


def _line(context: DeploymentContext) -> DeploymentLine:
    try:
        with _reading(context) as session:
            return read_line(session, context.deployment)
    except ShadowError as error:
        return DeploymentLine(context.deployment.name, "broken", error=str(error))


def read_line(session: Session[Any], deployment: Deployment) -> DeploymentLine:
    """Return how a deployment stands, in one line."""
    found = summary.standing(session, deployment, None)
    last_run = page.last_run(session, deployment)
    told = ledger_alerts.history(session, deployment, None if last_run is None else last_run - TOLD_WITHIN)
    return DeploymentLine(
        name=deployment.name,
        state="ready" if found.taken else "empty",
        next_step=None if found.taken else _first_step(deployment, None),
        champion=record.champion(ledger_promotions.champion(session, deployment), champion_of(found.taken)),
        challengers=found.lines,
        last_day=found.until,
        last_run=last_run,
        alerts_undelivered=sum(bool(one.undelivered) for one in told),
        alerts=len(told),
    )


def read_page(
    session: Session[Any],
    deployment: Deployment,
    challenger: str | None = None,
    day: dt.date | None = None,
    *,
    closed: bool = False,
) -> DeploymentFacts:
    """Return one deployment; raise DeploymentError for an unknown challenger.

    Where none is named, it is the one that needs looking at, and with `closed` one that closes the gate.
    """
    found = summary.standing(session, deployment, day)
    shown_line = _chosen(deployment, found, challenger, closed=closed)
    facts = _whole(session, deployment, found, shown_line)
    if not found.taken:
        step = _first_step(deployment, day)
        return replace(facts, state="empty", next_step=step, missing=_explained(deployment, facts))
    facts = replace(facts, next_step=summary.next_step(deployment, shown_line))
    if shown_line.outcome is not None:
        facts = about(session, deployment, found, facts, {one.day: one.ripe for one in facts.labels})
    return replace(facts, missing=_explained(deployment, facts))


def _chosen(
    deployment: Deployment, found: ChallengerSummary, challenger: str | None, *, closed: bool
) -> ChallengerLine:
    if challenger is None:
        return summary.first_to_look_at(found.lines, closed=closed)
    for line in found.lines:
        if line.name == challenger:
            return line
    names = ", ".join(line.name for line in found.lines)
    raise DeploymentError(f"deployment {deployment.name}: challenger == {challenger!r}, must be one of {names}")


def _whole(
    session: Session[Any],
    deployment: Deployment,
    found: ChallengerSummary,
    line: ChallengerLine,
) -> DeploymentFacts:
    """Return what does not depend on who is shown."""
    last_run = page.last_run(session, deployment)
    told = ledger_alerts.history(session, deployment, None if last_run is None else last_run - TOLD_WITHIN)
    return DeploymentFacts(
        name=deployment.name,
        task=deployment.task,
        state="ready",
        champion=record.champion(ledger_promotions.champion(session, deployment), champion_of(found.taken)),
        challengers=found.lines,
        challenger=line,
        last_day=found.until,
        labels=() if found.until is None else days.labels(session, deployment, found.taken, found.until),
        promotions=record.promotions(ledger_promotions.history(session, deployment), MOST_PROMOTIONS),
        questions=record.questions(ledger_questions.asked(session, deployment), MOST_QUESTIONS),
        alerts=record.alerts(told, MOST_ALERTS),
        policy_words=describe(deployment),
        fingerprint=page.fingerprint(session, deployment),
    )


def _explained(deployment: Deployment, facts: DeploymentFacts) -> dict[str, str]:
    line = facts.challenger
    if line is not None and line.outcome is None:
        return never_judged(deployment, facts, line.waiting or line.sentence)
    return why_missing(deployment, facts)


def _first_step(deployment: Deployment, day: dt.date | None) -> str:
    name, first = deployment.name, day or deployment.start
    none = f"No day up to {day} was sampled" if day else "No day was sampled yet"
    return f"{none}. Unpause the DAG shadow_{name} in Airflow, or run a day by hand: shadow run {name} --from {first}"


def _broken(deployment: Deployment, error: ShadowError) -> DeploymentFacts:
    return DeploymentFacts(
        name=deployment.name,
        task=deployment.task,
        state="broken",
        error=str(error),
        policy_words=describe(deployment),
    )
