"""Trials as days are run: registered before a challenger's evidence is computed."""

import json
from collections.abc import Callable
from typing import Any, Final

from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.custom_metrics import custom_terms
from shadow_deployment.data.db import Session
from shadow_deployment.data.quality.expectations import read_suite
from shadow_deployment.data.sampling import design, digest
from shadow_deployment.decision.alpha import split_alpha
from shadow_deployment.decision.trial import Kind, Trial
from shadow_deployment.ledger import trials
from shadow_deployment.ledger.snapshots import Snapshot
from shadow_deployment.ledger.trials import NewTrial
from shadow_deployment.pipeline.challengers.identities import challenger_keys

_NOT_TERMS: Final[
    Any
] = {  # of the policy: which days before the registration are shown, and count; when a decision is wanted
    "replay": True,
    "replay_days": True,
    "horizon": True,
    "rules": {"__all__": {"custom"}},  # a part of their own
}
# Where the log lies and what challengers receive may change; the champion's identity is a term of its own.
_NOT_JUDGED_ON = {"conn_id", "features", "champion_identity"}


def register(context: DeploymentContext, session: Session[Any], snapshot: Snapshot) -> None:
    """Open a trial for each challenger against the champion that served a sampled day, where there is none. Commits."""
    if len(snapshot.champions) != 1:
        return
    for name, key in challenger_keys(context, session).items():
        challenger = context.deployment.challenger(name)
        trial_of(session, context.deployment, challenger, key, snapshot.champions[0])


def trial_of(
    session: Session[Any], deployment: Deployment, challenger: Challenger, key: int, champion_version: str
) -> Trial:
    """Return a challenger's trial against a champion on the deployment's present terms, opening it at first.

    `key` is the ledger's key of the challenger's model. Commits.
    """
    return trials.open_trial(session, deployment, _wanted(deployment, challenger, key, champion_version))


def known_trial(
    session: Session[Any], deployment: Deployment, challenger: Challenger, key: int, champion_version: str
) -> Trial | None:
    """Return the same trial where it was opened, and write nothing."""
    return trials.find(session, _wanted(deployment, challenger, key, champion_version))


FindTrial = Callable[[Session[Any], Deployment, Challenger, int, str], Trial | None]


def _wanted(deployment: Deployment, challenger: Challenger, key: int, champion_version: str) -> NewTrial:
    return NewTrial(
        kind=_kind(challenger),
        challenger=key,
        champion_version=champion_version,
        terms=terms_of(deployment),
        alpha=alpha_of(deployment, challenger),
        trained_until=challenger.trained_until,
    )


def alpha_of(deployment: Deployment, challenger: Challenger) -> float:
    """Return the error probability toward PASS that a challenger's trial is opened with."""
    sharing = 1 if challenger.is_watched else len(deployment.promotable)
    return split_alpha(deployment.policy, promotable=sharing).to_pass


def terms_of(deployment: Deployment) -> dict[str, Any]:
    """Return all that a trial is judged by; what else a deployment file says may change during a trial."""
    policy = json.loads(deployment.policy.model_dump_json(by_alias=True, exclude=_NOT_TERMS))
    blocking = [rule for rule in policy["rules"] if rule["role"] == "blocking"]
    return {
        "sampling": digest(design(deployment)),
        "champion": deployment.requests.champion_identity,
        "requests": deployment.requests.model_dump(mode="json", exclude=_NOT_JUDGED_ON),
        "labels": deployment.labels.model_dump(mode="json", exclude={"conn_id"})
        | deployment.model_dump(mode="json", include={"task", "threshold", "tolerance", "quantile", "classes"}),
        "inputs": digest(read_suite(deployment.expectations.inputs, "expectations.inputs")),
        "rules": policy | {"rules": sorted(blocking, key=json.dumps)},
        "metrics": custom_terms(deployment, {rule["metric"] for rule in blocking}),
    }


def _kind(challenger: Challenger) -> Kind:
    if challenger.is_a_a_check:
        return "a_a_check"
    return "former_champion" if challenger.is_watched else "challenger"
