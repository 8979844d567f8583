"""Whether a margin can be decided within a year on what is sampled, by the evidence there is so far."""

from collections.abc import Iterator
from typing import Any

from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.db import Session
from shadow_deployment.decision.power import PowerAnalysis, power_analysis
from shadow_deployment.decision.series import Evidence
from shadow_deployment.doctor.checks import ConcernError
from shadow_deployment.doctor.policy import YEAR
from shadow_deployment.errors import LedgerError
from shadow_deployment.ledger import predictions, snapshots
from shadow_deployment.ledger.snapshots import Snapshot
from shadow_deployment.metrics.slices import ALL
from shadow_deployment.models.loading import model_digest
from shadow_deployment.pipeline.challengers.basis import basis_of, evidence_of, evidence_rows


def decides_within_a_year(context: DeploymentContext) -> str:
    """Return that each blocking margin is decided within a year where a challenger is as good as the champion.

    Raises ConcernError where one takes longer.
    """
    deployment, known, doubts = context.deployment, 0, []
    with context.ledger() as session:
        taken = snapshots.snapshots(session, deployment, None, None)
        for challenger in deployment.promotable if taken else ():
            for position, analysis in _analyses(session, deployment, challenger, taken):
                known += 1
                if analysis.days is None or analysis.days > YEAR:
                    doubts.append(_doubt(challenger, position, analysis, deployment))
    if doubts:
        raise ConcernError("\n".join(doubts))
    if not known:
        return "there is no margin with evidence to say by yet"
    return "every blocking margin is decided within a year where both models are as good"


def _analyses(
    session: Session[Any], deployment: Deployment, challenger: Challenger, taken: list[Snapshot]
) -> Iterator[tuple[int, PowerAnalysis]]:
    """Yield position and power analysis of each blocking margin that has evidence, at a difference of 0."""
    key = predictions.find_challenger(session, deployment, challenger, model_digest(challenger))
    basis = None if key is None else basis_of(session, deployment, challenger, key, taken[-1].day)
    if key is None or basis is None or basis.trial is None:
        return
    rows = evidence_rows(session, key, basis, basis.shown)
    evidence: Evidence = evidence_of(session, deployment.policy, rows, squares=True)
    for position, rule in enumerate(deployment.policy.rules):
        series = evidence.get((rule.metric, ALL))
        if rule.role != "blocking" or rule.is_ != "non_inferior" or series is None:
            continue
        try:
            alpha = basis.trial.alpha
            yield position, power_analysis(series, rule, deployment.policy, effect=-rule.bound, alpha=alpha)
        except LedgerError:
            continue


def _doubt(challenger: Challenger, position: int, analysis: PowerAnalysis, deployment: Deployment) -> str:
    days = f"in about {analysis.days} days" if analysis.days else "never"
    rates = [each.rate * deployment.sample.rate for each in analysis.rates if each.days and each.days <= YEAR]
    enough = [rate for rate in rates if rate <= 1]
    more = f", or raise sample.rate to {min(enough):.3g}" if enough else ""
    return (
        f"policy.rules[{position}]: {challenger.name}, if it is as good as the champion, would pass {days}, by "
        f"{analysis.seen} days of evidence; choose a larger margin{more}"
    )
