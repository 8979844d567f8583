"""The challenger that a page shows, as of the day of its verdict: everything that is read from evidence."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.policy import Policy
from shadow_deployment.data.db import Session
from shadow_deployment.decision.finding import findings_of
from shadow_deployment.decision.series import Evidence, gather
from shadow_deployment.ledger import page, series
from shadow_deployment.ledger.page import VerdictRow
from shadow_deployment.ledger.snapshots import Snapshot
from shadow_deployment.metrics.slices import ALL
from shadow_deployment.pipeline.challengers.basis import mature_labels
from shadow_deployment.report.queries import days, predictions, record
from shadow_deployment.report.queries.findings import policy_of, rule_facts, with_rules
from shadow_deployment.report.queries.predictions import ComparedPredictions
from shadow_deployment.report.queries.sequences import Findings, alphas_of, compared_metric, sequences, shown, slices
from shadow_deployment.report.queries.summary import ChallengerSummary
from shadow_deployment.report.views.facts import ChallengerLine, DeploymentFacts, NoiseFacts, VerdictFacts


@dataclass(frozen=True)
class _Subject:
    """Whose verdict, the days up to its own, and which of them are comparable for each challenger that was judged."""

    session: Session[Any]
    deployment: Deployment
    line: ChallengerLine
    judged: VerdictRow
    taken: Sequence[Snapshot]
    ripe: Mapping[dt.date, bool]
    comparable: Mapping[int, Sequence[Snapshot]]

    @cached_property
    def policy(self) -> Policy:
        return policy_of(self.judged, self.deployment.policy)

    @cached_property
    def findings(self) -> Findings:
        return list(with_rules(findings_of(self.judged.findings), self.policy))

    @cached_property
    def metric(self) -> str:
        """The metric that slices and noise are shown in."""
        return compared_metric(self.policy, self.deployment.tracked)

    @property
    def compared(self) -> ComparedPredictions:
        key = self.judged.challenger_id
        return ComparedPredictions(key, self.comparable[key], self.judged.champion_version, self.ripe)

    @property
    def promotable(self) -> int:
        """Among how many challengers the verdict's alpha was divided."""
        return 1 if self.line.role == "watched" else len(self.deployment.promotable)


def about(
    session: Session[Any],
    deployment: Deployment,
    standing: ChallengerSummary,
    facts: DeploymentFacts,
    ripe: Mapping[dt.date, bool],
) -> DeploymentFacts:
    """Add to a deployment's facts what is known of the challenger that is shown, which was judged.

    `ripe` says of the sampled days whether their labels count on the newest one.
    """
    line = facts.challenger
    assert line is not None  # noqa: S101 (it was chosen)
    judged = standing.judged[line.name]
    taken = [one for one in standing.taken if one.day <= judged.day]
    valid = page.valid(session, taken)
    keys = [standing.judged[one.name].challenger_id for one in standing.lines if one.outcome is not None]
    subject = _Subject(
        session=session,
        deployment=deployment,
        line=line,
        judged=judged,
        taken=taken,
        ripe=ripe if judged.day == standing.until else mature_labels(session, deployment, taken, judged.day),
        comparable={key: days.comparable_days(taken, valid, key, judged.champion_version) for key in keys},
    )
    evidence = _evidence(subject)
    facts = replace(_on_evidence(subject, facts, evidence), noise=_noise(subject, standing, evidence))
    return _of_verdict(subject, facts, standing)


def _evidence(subject: _Subject) -> Evidence:
    """Read the series of all requests, and those of every slice in the metric that is compared."""
    key = subject.judged.challenger_id
    wanted = {rule.metric for rule in subject.policy.rules} | {*days.LATENCIES.values(), *days.DRIFTS}
    overall = _series(subject, key, wanted - {subject.metric})
    return {**overall, **_series(subject, key, {subject.metric}, every_slice=True)}


def _series(subject: _Subject, key: int, metrics: set[str], *, every_slice: bool = False) -> Evidence:
    comparable = subject.comparable[key]
    found = series.read(
        subject.session,
        key,
        comparable,
        champion_version=subject.judged.champion_version,
        metrics=metrics,
        every_slice=every_slice,
        squares=subject.policy.unit == "request",
    )
    return gather(found, {one.day: subject.ripe.get(one.day, False) for one in comparable})


def _on_evidence(subject: _Subject, facts: DeploymentFacts, evidence: Evidence) -> DeploymentFacts:
    policy, findings = subject.policy, subject.findings
    alphas = alphas_of(policy, findings, subject.promotable)
    return replace(
        facts,
        rules=tuple(rule_facts(rule, finding) for rule, finding in findings),
        sequences=tuple(sequences(policy, shown(findings), alphas, evidence)),
        slices=slices(policy, subject.metric, alphas, evidence),
        latency=days.latency(evidence),
        drift=days.drift(subject.deployment, evidence),
    )


def _noise(subject: _Subject, standing: ChallengerSummary, evidence: Evidence) -> NoiseFacts | None:
    """Return the daily differences of every challenger that was judged, in the metric that is compared."""
    own = subject.judged.challenger_id
    others = [key for key in subject.comparable if key != own]
    by_key = {own: evidence, **{key: _series(subject, key, {subject.metric}) for key in others}}
    members = []
    for line in standing.lines:
        if line.outcome is not None:
            found = by_key[standing.judged[line.name].challenger_id]
            members.append((line.name, line.role, found.get((subject.metric, ALL))))
    return days.noise(subject.metric, members)


def _of_verdict(subject: _Subject, facts: DeploymentFacts, standing: ChallengerSummary) -> DeploymentFacts:
    session, deployment, judged = subject.session, subject.deployment, subject.judged
    history = page.history(session, judged.challenger_id)
    compared = subject.compared
    return replace(
        facts,
        day=judged.day,
        days=tuple(day for day, _, _ in history),
        verdict=_verdict(subject),
        scores=predictions.scores(session, deployment, compared),
        quadrants=predictions.quadrants(session, deployment, compared),
        disagreements=predictions.disagreements(session, deployment, compared),
        validations=days.validations(page.validations(session, standing.taken, judged.challenger_id)),
        history=days.outcomes(history, judged.day),
        provenance=record.provenance(
            deployment,
            judged,
            compared.days,
            next((one for one in subject.taken if one.day == judged.day), None),
        ),
    )


def _verdict(subject: _Subject) -> VerdictFacts:
    judged = subject.judged
    return VerdictFacts(
        outcome=judged.outcome,
        sentence=subject.line.sentence,
        day=judged.day,
        decided_on=judged.decided_on,
        champion_version=judged.champion_version,
        reasons=tuple(judged.reasons),
        warnings=tuple(judged.warnings),
        explanation=page.explanation(subject.session, judged),
        revision=judged.revision,
        judged_at=judged.judged_at,
    )
