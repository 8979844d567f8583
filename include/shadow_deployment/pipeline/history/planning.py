"""Planning on a deployment's own history: in how many days an effect would be decided."""

from collections.abc import Iterator
from typing import Any

from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.config.policy import PROVING
from shadow_deployment.data.db import Session
from shadow_deployment.decision.power import PowerAnalysis, power_analysis
from shadow_deployment.decision.series import Evidence
from shadow_deployment.errors import LedgerError
from shadow_deployment.ledger import predictions, snapshots
from shadow_deployment.metrics.slices import ALL
from shadow_deployment.models.loading import model_digest
from shadow_deployment.pipeline.challengers.basis import basis_of, evidence_of, evidence_rows


def plans(
    session: Session[Any], deployment: Deployment, effect: float, challenger: str | None = None
) -> dict[str, list[PowerAnalysis]]:
    """Return by challenger, for each rule that proves something over all requests, when an effect would be decided.

    `effect` is how far beyond its bound the truth lies, in each rule's unit. All that can be promoted are planned, or
    the one that is named; one that was never scored has no rule. Raises LedgerError where no day was run yet.
    """
    policy, rate = deployment.policy, deployment.sample.rate
    return {
        model.name: [
            power_analysis(evidence[rule.metric, ALL], rule, policy, alpha=alpha, effect=effect, present=rate)
            for rule in policy.rules
            if rule.is_ in PROVING and (rule.metric, ALL) in evidence
        ]
        for model, _, alpha, evidence in histories(session, deployment, challenger)
    }


def histories(
    session: Session[Any], deployment: Deployment, challenger: str | None
) -> Iterator[tuple[Challenger, int | None, float, Evidence]]:
    """Yield each challenger, its key, alpha toward PASS, and the evidence that a verdict of today would rest on.

    The key is None where it was never scored; then there is no evidence. Raises LedgerError where no day was run yet.
    """
    taken = snapshots.snapshots(session, deployment, None, None)
    if not taken:
        raise LedgerError(f"deployment {deployment.name} has no day yet: run some first")
    for model in [deployment.challenger(challenger)] if challenger else deployment.promotable:
        key = predictions.find_challenger(session, deployment, model, model_digest(model))
        if key is None:
            yield model, None, deployment.policy.alpha, {}
            continue
        basis = basis_of(session, deployment, model, key, taken[-1].day)
        rows = evidence_rows(session, key, basis, basis.shown)
        alpha = basis.trial.alpha if basis.trial else deployment.policy.alpha
        yield model, key, alpha, evidence_of(session, deployment.policy, rows, squares=True)
