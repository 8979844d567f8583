"""The challenger that a page shows, as of the day of its verdict: everything that is read from evidence."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.window import first_day_from, window_of
from shadow_deployment.data.db import Session
from shadow_deployment.decision.sequential import JudgingTerms
from shadow_deployment.ledger import page
from shadow_deployment.ledger.checks import validations
from shadow_deployment.ledger.trials import alpha_of_next
from shadow_deployment.metrics.slices import ALL
from shadow_deployment.report.queries import days, predictions, rules
from shadow_deployment.report.queries.drift import drift
from shadow_deployment.report.queries.scorecard.evidence import EvidenceReader, JudgedEvidence
from shadow_deployment.report.queries.scorecard.rows import scorecard
from shadow_deployment.report.queries.summary import DeploymentSummary
from shadow_deployment.report.views import ChallengerLine, DeploymentView, NoiseView


def add_challenger(
    session: Session[Any],
    deployment: Deployment,
    summary: DeploymentSummary,
    view: DeploymentView,
    line: ChallengerLine,
) -> DeploymentView:
    """Add to the view what is known of a challenger that was judged."""
    every = EvidenceReader(session, deployment, summary).every(line)
    shown = next(judged for judged in every if judged.line == line)
    verdict, compared = shown.verdict, shown.compared
    history = page.history(session, verdict.challenger_id)
    return replace(
        _with_evidence(view, deployment, shown),
        scorecard=scorecard(deployment, every, line),
        noise=_noise(deployment, every, shown),
        day=verdict.day,
        days=tuple(each.day for each in history),
        verdict=verdict,
        next_alpha=alpha_of_next(session, deployment),
        explanation=verdict.explanation,
        scores=predictions.scores(session, deployment, compared),
        quadrants=predictions.quadrants(session, deployment, compared),
        disagreements=predictions.disagreements(session, compared, window_of(deployment, verdict.day).end),
        classes=tuple(deployment.classes),
        threshold=deployment.threshold if deployment.task == "binary" else None,
        drift=drift(session, deployment.policy, summary.sampled, compared),
        validations=tuple(validations.recorded(session, summary.sampled, verdict.challenger_id)),
        history=tuple(each for each in history if each.day <= verdict.day),
        compared=tuple(compared.days),
        snapshot=next((snapshot for snapshot in summary.sampled if snapshot.day == verdict.day), None),
    )


def _with_evidence(view: DeploymentView, deployment: Deployment, shown: JudgedEvidence) -> DeploymentView:
    """Add what the series of all requests show, and those of every slice in the metric that is compared."""
    policy, verdict, findings, evidence = shown.policy, shown.verdict, shown.findings, shown.evidence
    terms = JudgingTerms(policy, rules.alphas_of(policy, findings, verdict.alpha or policy.alpha))
    live_from = first_day_from(deployment, verdict.opened_at) if verdict.opened_at else None
    return replace(
        view,
        rules=tuple(rules.rule_view(rule, finding) for rule, finding in findings),
        sequences=tuple(rules.sequences(findings, terms, evidence, live_from)),
        slices=rules.slices(rules.compared_rule(policy, deployment), policy, evidence),
        latency=None if shown.line.role == "a_a_check" else days.latency(evidence),
        distances=days.distances(deployment, evidence),
    )


def _noise(deployment: Deployment, every: Sequence[JudgedEvidence], shown: JudgedEvidence) -> NoiseView | None:
    """Return the daily differences of every challenger that was judged, in the metric that is compared."""
    metric = rules.compared_rule(shown.policy, deployment).definition
    return days.noise(metric, [(each.line, each.evidence.get((metric.name, ALL))) for each in every])
