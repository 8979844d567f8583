"""The challenger that a page shows, as of the day of its verdict: everything that is read from evidence."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.policy import Policy
from shadow_deployment.config.window import first_day_from, window_of
from shadow_deployment.data.db import Session
from shadow_deployment.decision.sequential import JudgingTerms
from shadow_deployment.decision.series import Evidence, gather
from shadow_deployment.decision.words.finding import findings_of
from shadow_deployment.ledger import page, series
from shadow_deployment.ledger.page import VerdictRow
from shadow_deployment.ledger.snapshots import Snapshot
from shadow_deployment.ledger.trials import alpha_of_next
from shadow_deployment.metrics.slices import ALL
from shadow_deployment.pipeline.challengers.basis import basis_of, comparable_days, labels_on, mature_labels
from shadow_deployment.report.queries import days, predictions, rules
from shadow_deployment.report.queries.predictions import ComparedPredictions
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
    verdict = summary.verdicts[line.name]
    sampled = [snapshot for snapshot in summary.sampled if snapshot.day <= verdict.day]
    mature = {label.day: label.mature for label in view.labels}
    if verdict.day != summary.last_day:
        mature = mature_labels(deployment, labels_on(session, deployment, sampled, verdict.day))
    policy = rules.policy_of(verdict, deployment.policy)
    reader = _EvidenceReader(session, sampled, verdict.champion_version, policy, mature)
    compared = _of_trial(session, deployment, verdict, reader.compared(verdict.challenger_id))
    history = page.history(session, verdict.challenger_id)
    return replace(
        _with_evidence(view, deployment, reader, compared, verdict),
        noise=_noise(reader, deployment, summary),
        day=verdict.day,
        days=tuple(each.day for each in history),
        verdict=verdict,
        next_alpha=alpha_of_next(session, deployment),
        explanation=page.explanation(session, verdict),
        scores=predictions.scores(session, deployment, compared),
        quadrants=predictions.quadrants(session, deployment, compared),
        disagreements=predictions.disagreements(session, compared, window_of(deployment, verdict.day).end),
        classes=tuple(deployment.classes),
        validations=tuple(page.validations(session, summary.sampled, verdict.challenger_id)),
        history=tuple(each for each in history if each.day <= verdict.day),
        compared=tuple(compared.days),
        snapshot=next((snapshot for snapshot in sampled if snapshot.day == verdict.day), None),
    )


def _of_trial(
    session: Session[Any], deployment: Deployment, verdict: VerdictRow, compared: ComparedPredictions
) -> ComparedPredictions:
    """Return the days that the verdict's trial counts or shows: none that was withdrawn or learned from."""
    model = (verdict.name, verdict.version)
    declared = next((each for each in deployment.challengers if (each.name, each.version) == model), None)
    if declared is None:
        return compared
    basis = basis_of(session, deployment, declared, verdict.challenger_id, verdict.day)
    if basis.trial is None or basis.trial.number != verdict.trial:
        return compared
    days = {snapshot.day for snapshot in basis.shown}
    return replace(compared, days=[snapshot for snapshot in compared.days if snapshot.day in days])


@dataclass(frozen=True)
class _EvidenceReader:
    """Reads challengers' evidence on the days that are comparable with a verdict."""

    session: Session[Any]
    sampled: Sequence[Snapshot]
    champion_version: str
    policy: Policy
    mature: Mapping[dt.date, bool]

    def compared(self, challenger: int) -> ComparedPredictions:
        comparable = comparable_days(self.session, self.sampled, challenger, self.champion_version)
        return ComparedPredictions(challenger, comparable, self.champion_version, self.mature)

    def read(self, compared: ComparedPredictions, metrics: set[str], *, every_slice: bool = False) -> Evidence:
        rows = series.newest(
            self.session,
            compared.challenger,
            compared.days,
            self.mature,
            champion_version=compared.champion_version,
        )
        squares = self.policy.unit == "request"
        return gather(series.read(self.session, rows, metrics=metrics, every_slice=every_slice, squares=squares))


def _with_evidence(
    view: DeploymentView,
    deployment: Deployment,
    reader: _EvidenceReader,
    compared: ComparedPredictions,
    verdict: VerdictRow,
) -> DeploymentView:
    """Add what the series of all requests show, and those of every slice in the metric that is compared."""
    policy = reader.policy
    findings = list(rules.with_rules(findings_of(verdict.findings), policy))
    terms = JudgingTerms(policy, rules.alphas_of(policy, findings, verdict.alpha or policy.alpha))
    live_from = first_day_from(deployment, verdict.opened_at) if verdict.opened_at else None
    shown = rules.compared_rule(policy, deployment)
    metrics = {rule.metric for rule in policy.rules} | {*days.LATENCIES.values(), *days.DRIFTS}
    evidence = {
        **reader.read(compared, metrics - {shown.metric}),
        **reader.read(compared, {shown.metric}, every_slice=True),
    }
    return replace(
        view,
        rules=tuple(rules.rule_view(rule, finding) for rule, finding in findings),
        sequences=tuple(rules.sequences(findings, terms, evidence, live_from)),
        slices=rules.slices(shown, terms, evidence),
        latency=days.latency(evidence),
        drift=days.drift(deployment, evidence),
    )


def _noise(reader: _EvidenceReader, deployment: Deployment, summary: DeploymentSummary) -> NoiseView | None:
    """Return the daily differences of every challenger that was judged, in the metric that is compared."""
    metric = rules.compared_rule(reader.policy, deployment).definition
    judged = [line for line in summary.lines if line.outcome is not None]
    compared = [reader.compared(summary.verdicts[line.name].challenger_id) for line in judged]
    evidence = [reader.read(each, {metric.name}).get((metric.name, ALL)) for each in compared]
    return days.noise(metric, list(zip(judged, evidence, strict=True)))
