"""What a page reads of each challenger's evidence: the days that its newest verdict rests on, as they are now."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.policy import Policy, Rule
from shadow_deployment.data.db import Session
from shadow_deployment.decision.series import Evidence, gather
from shadow_deployment.decision.words.finding import Finding, findings_of, with_rules
from shadow_deployment.ledger import page, series
from shadow_deployment.ledger.page import ComparedPredictions
from shadow_deployment.ledger.verdicts import StoredVerdict
from shadow_deployment.metrics.slices import ALL
from shadow_deployment.pipeline.challengers.basis import comparable_days, labels_on, mature_labels
from shadow_deployment.report.queries import rules
from shadow_deployment.report.queries.summary import DeploymentSummary
from shadow_deployment.report.views import ChallengerLine


@dataclass(frozen=True)
class JudgedEvidence:
    """A challenger with its newest verdict, the policy that it was judged by, its findings and its evidence.

    `findings` are in the order of the policy's rules, each with its rule.
    """

    line: ChallengerLine
    verdict: StoredVerdict
    policy: Policy
    compared: ComparedPredictions
    findings: Sequence[tuple[Rule, Finding]]
    evidence: Evidence


@dataclass(frozen=True)
class EvidenceReader:
    """Reads the evidence of a deployment's challengers; labels are looked up once for each judged day."""

    session: Session[Any]
    deployment: Deployment
    summary: DeploymentSummary
    _mature: dict[dt.date, Mapping[dt.date, bool]] = field(default_factory=dict)

    def every(self, shown: ChallengerLine) -> list[JudgedEvidence]:
        """Return all challengers that were judged, the one that a page is about with every slice of its metric."""
        judged = [line for line in self.summary.lines if line.outcome is not None]
        return [self.read(line, every_slice=line == shown) for line in judged]

    def read(self, line: ChallengerLine, *, every_slice: bool) -> JudgedEvidence:
        """Return a challenger's evidence in all kept metrics; with `every_slice` that of the metric shown by slices."""
        verdict = self.summary.verdicts[line.name]
        policy = rules.policy_of(verdict, self.deployment.policy)
        compared = self.compared(verdict)
        findings = list(with_rules(findings_of(verdict.findings), policy))
        by_slice = {rule.metric for rule in policy.rules if set(rule.slices) - {ALL}}
        by_slice |= {rules.compared_rule(policy, self.deployment).metric} if every_slice else set()
        overall = {*self.deployment.tracked, *(rule.metric for rule in policy.rules)} - by_slice
        evidence = dict(self._series(compared, policy, overall, by_slice))
        return JudgedEvidence(line, verdict, policy, compared, findings, evidence)

    def compared(self, verdict: StoredVerdict) -> ComparedPredictions:
        """Return the days that the verdict rests on: none that was withdrawn, or that the challenger learned from."""
        known = page.evidence_days(self.session, verdict)
        sampled = [
            each for each in self.summary.sampled if each.day <= verdict.day and (not known or each.day in known)
        ]
        days = comparable_days(self.session, sampled, verdict.challenger_id, verdict.champion_version)
        return ComparedPredictions(verdict.challenger_id, days, verdict.champion_version, self.mature(verdict.day))

    def mature(self, day: dt.date) -> Mapping[dt.date, bool]:
        """Return which sampled days have all the labels that count, as known at the end of a day's window."""
        if day not in self._mature:
            sampled = [snapshot for snapshot in self.summary.sampled if snapshot.day <= day]
            known = labels_on(self.session, self.deployment, sampled, day)
            self._mature[day] = mature_labels(self.deployment, known)
        return self._mature[day]

    def _series(
        self, compared: ComparedPredictions, policy: Policy, overall: set[str], by_slice: set[str]
    ) -> Iterator[tuple[tuple[str, str], Any]]:
        rows = series.newest(
            self.session,
            compared.challenger,
            compared.days,
            compared.mature,
            champion_version=compared.champion_version,
        )
        squares = policy.unit == "request"
        for metrics, every_slice in ((overall, False), (by_slice, True)):
            if metrics:
                read = series.read(self.session, rows, metrics=metrics, every_slice=every_slice, squares=squares)
                yield from gather(read).items()
