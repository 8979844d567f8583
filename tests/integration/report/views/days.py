"""Days of three challengers, and what the ledger has of them."""

from typing import Any

from shadow_deployment.context import DeploymentContext
from shadow_deployment.ledger import predictions
from shadow_deployment.models.loading import model_digest
from shadow_deployment.pipeline.challengers.basis import basis_of, evidence_of, evidence_rows
from tests.production import World, day

LAST = 6
CHANGES: dict[str, Any] = {
    "sample": {"rate": 0.7, "rates": {"JFK": 1.0}, "strata": ["origin"], "shard_rows": 25},
    "metrics": ["latency_p50", "latency_p95", "latency_p99", "population_stability_index", "kolmogorov_smirnov"],
    "challengers": [
        {"name": "a_a_check", "model": "champion"},
        {"name": "other", "model": "logged:flights.prediction_log.other_probability"},
        {"name": "worse", "version": "2", "model": "logged:flights.prediction_log.dep_hour"},
    ],
    "policy": {
        "burn_in": 3,
        "after_fail": "continue",
        "rules": [
            {"metric": "brier_score", "is": "superior"},
            {"metric": "log_loss", "is": "non_inferior", "relative_margin": 0.05, "slices": ["origin"]},
            {"metric": "accuracy", "is": "at_least", "value": -0.5, "of": "relative_change"},
            {"metric": "error_rate", "is": "at_most", "value": 0.5},
            {"metric": "calibration_error", "is": "at_most", "value": 0.5, "role": "advisory"},
        ],
    },
}


def key_of(session: Any, shadow: DeploymentContext, name: str) -> int:
    challenger = shadow.deployment.challenger(name)
    key = predictions.find_challenger(session, shadow.deployment, challenger, model_digest(challenger))
    assert key is not None
    return key


def stored(world: World, name: str, number: int) -> list[dict[str, Any]]:
    """Return the findings of the newest verdict of a day."""
    ((findings,),) = world.query(
        "SELECT v.findings FROM shadow.verdict AS v JOIN shadow.model_version AS m ON m.id = v.challenger_id "
        "WHERE m.name = %s AND v.day = %s ORDER BY v.id DESC LIMIT 1",
        [name, day(number)],
    )
    return findings


def counted_evidence(shadow: DeploymentContext) -> Any:
    """The series of `other` that its verdict rests on, by metric and slice."""
    with shadow.ledger() as session:
        key = key_of(session, shadow, "other")
        basis = basis_of(session, shadow.deployment, shadow.deployment.challenger("other"), key, day(LAST))
        return evidence_of(session, shadow.deployment.policy, evidence_rows(session, key, basis, basis.compared))
