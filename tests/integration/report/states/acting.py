"""What happens to a deployment: days, verdicts, promotions, questions and alerts."""

import io
from typing import Any

import psycopg
from rich.console import Console

from shadow_deployment.context import DeploymentContext
from shadow_deployment.decision.words.finding import Finding, Outcome, Verdict
from shadow_deployment.ledger import alerts, predictions, verdicts
from shadow_deployment.ledger.alerts import Alert
from shadow_deployment.ledger.registry import approval_requests
from shadow_deployment.models.loading import model_digest
from shadow_deployment.pipeline import steps
from shadow_deployment.pipeline.challengers.trials import open_trials
from shadow_deployment.pipeline.run import run_days
from shadow_deployment.promotion import registry
from shadow_deployment.report.queries import pages
from shadow_deployment.report.views import DeploymentView
from tests.builders import a_verdict
from tests.production import SHADOW, World, day, unguarded

OTHER = {"name": "other", "model": "logged:flights.prediction_log.other_probability"}
SECOND = {"name": "second", "model": "logged:flights.prediction_log.dep_hour"}
CONTROL = {"name": "a_a_check", "model": "champion"}
CHANNELS = {"channels": [{"kind": "webhook", "conn_id": "ops"}]}


def run(world: World, *numbers: int, **changes: Any) -> list[Exception]:
    return list(run_days(world.shadow(**changes), [day(number) for number in numbers], Console(file=io.StringIO())))


def page_of(world: World, challenger: str | None = None, **changes: Any) -> DeploymentView:
    return pages.deployment_page(world.shadow(**changes), challenger)


def finding(outcome: Outcome, metric: str = "brier_score", **changes: Any) -> Finding:
    fields = {"reason": "as the test says", "observations": 40, "requests": 900} | changes
    return Finding(metric, "all", changes.pop("is_", "superior"), "blocking", outcome, 0.0, **fields)


def judge(
    shadow: DeploymentContext, number: int, outcome: Outcome, name: str, *findings: Finding, reasons: Any = ()
) -> None:
    """Keep a verdict of a day without evidence for it."""
    challenger = shadow.deployment.challenger(name)
    with shadow.ledger() as session:
        key = predictions.challenger_id(session, shadow.deployment, challenger, model_digest(challenger))
        new = a_verdict(
            day(number),
            key,
            Verdict(outcome, list(reasons), list(findings)),
            trial=open_trials(session, shadow.deployment, {challenger.name: key}, "7")[challenger.name],
            warnings=["a warning"],
            explanation="in plain words",
            judged_on={"number": number, "outcome": outcome, "name": name},
        )
        verdicts.store(session, shadow.deployment, new)


def line(shadow: DeploymentContext, name: str) -> Any:
    page = pages.deployment_page(shadow)
    assert (page.state, page.error) == ("ready", None) if page.last_day else ("empty", None)
    return next(line for line in page.challengers if line.name == name)


def promoted(world: World) -> DeploymentContext:
    """Promote `other` and take that back."""
    shadow = world.shadow(promotion={"allow_force": True})
    registry.promote(shadow, "other", approved_by="ada", reason="better on <all> days", force=True)
    registry.rollback(shadow, approved_by="bob", reason="worse")
    return shadow


def asked(world: World, answer: approval_requests.Answer | None) -> DeploymentContext:
    shadow = world.shadow()
    with shadow.ledger() as session:
        challenger = shadow.deployment.challenger("other")
        key = predictions.challenger_id(session, shadow.deployment, challenger, model_digest(challenger))
        approval_requests.ask(
            session, shadow.deployment, challenger=key, topic="t", day=day(1), case_digest="c", run_id="a run"
        )
        session.commit()
        if answer is not None:
            approval_requests.answer(
                session, approval_requests.asked(session, shadow.deployment)[0].id, answer, "ada", "not now"
            )
    return shadow


def told(world: World, *attempts: str | None) -> DeploymentContext:
    shadow = world.shadow(alerts=CHANNELS)
    with shadow.ledger() as session:
        alert = Alert("failed", "late", day(1), "signature", "late: gate closed", todo="look")
        alerts.put(session, shadow.deployment, alert, ["webhook:ops"])
        for error in attempts:
            alerts.record(session, alerts.history(session, shadow.deployment)[0], "webhook:ops", error)
    return shadow


def again(world: World) -> DeploymentContext:
    """Compare a day once more, by statements that have changed."""
    shadow = world.shadow()
    with psycopg.connect(world.postgres.uri(world.ledger, SHADOW)) as session, unguarded(session, "comparison"):
        session.execute("UPDATE shadow.comparison SET method_digest = 'older'")
    before = pages.fingerprint(shadow)
    assert steps.compare(shadow, day(0)) == 0
    assert pages.fingerprint(shadow) != before
    return shadow
