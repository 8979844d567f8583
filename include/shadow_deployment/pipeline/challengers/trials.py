"""Trials as days are run: registered before a challenger's evidence is computed."""

import datetime as dt
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.custom_metrics import custom_terms
from shadow_deployment.data.db import Session
from shadow_deployment.data.quality.expectations import read_suite
from shadow_deployment.data.sampling import design, digest
from shadow_deployment.decision.trial import Kind, Trial
from shadow_deployment.ledger import trials
from shadow_deployment.ledger.snapshots import Snapshot
from shadow_deployment.ledger.trials import NewTrial
from shadow_deployment.pipeline.challengers.identities import challenger_keys

# Of the policy: which days before the registration are shown, and count; when a trial ends, or is wanted to end.
_NOT_TERMS: Final[Any] = {
    "replay": True,
    "replay_days": True,
    "horizon": True,
    "after_fail": True,
    "rules": {"__all__": {"custom"}},  # a part of their own
}
# Where the log lies and what challengers receive may change; the champion's identity is a term of its own.
_NOT_JUDGED_ON = ("conn_id", "features", "champion_identity", "flushed_within")


FindTrial = Callable[[Session[Any], Deployment, Challenger, int, str], Trial | None]
OpenTrial = Callable[[Session[Any], Deployment, Challenger, int, str], Trial]


def register(session: Session[Any], deployment: Deployment, snapshot: Snapshot, keys: Mapping[str, int]) -> None:
    """Open challengers' trials against the champion that served a sampled day, as `open_trials` does. Commits."""
    if len(snapshot.champions) == 1:
        open_trials(session, deployment, keys, snapshot.champions[0])


def open_trials(
    session: Session[Any], deployment: Deployment, keys: Mapping[str, int], champion_version: str
) -> dict[str, Trial]:
    """Return challengers' trials against a champion on the deployment's present terms, opened where they are not there.

    What is opened at once is a batch, so `keys` must have every challenger whose model is there: its key in the ledger
    by name. Commits.
    """
    wanted = [_wanted(deployment, deployment.challenger(name), key, champion_version) for name, key in keys.items()]
    return dict(zip(keys, trials.open_trials(session, deployment, wanted), strict=True))


def opening(context: DeploymentContext) -> OpenTrial:
    """Return how to find a challenger's trial that opens those of all challengers where it is not there. Commits."""

    def find(
        session: Session[Any], deployment: Deployment, challenger: Challenger, key: int, champion_version: str
    ) -> Trial:
        known = known_trial(session, deployment, challenger, key, champion_version)
        if known is not None and known.trained_until == challenger.trained_until:
            return known
        keys = challenger_keys(context, session) | {challenger.name: key}
        return open_trials(session, deployment, keys, champion_version)[challenger.name]

    return find


def known_trial(
    session: Session[Any], deployment: Deployment, challenger: Challenger, key: int, champion_version: str
) -> Trial | None:
    """Return a challenger's trial where it was opened, and write nothing."""
    return trials.find(session, _wanted(deployment, challenger, key, champion_version))


def conclusion_of(
    session: Session[Any],
    deployment: Deployment,
    trial: Trial,
    key: int,
    before: dt.date,
    *,
    but: dt.date | None = None,
) -> dt.date | None:
    """Return the day on which a challenger's trial was concluded by a FAIL before a day; None where it goes on.

    It goes on where it fails no more on a later day, since production has corrected labels. The verdict of the day
    `but` does not count: it is about to be given.
    """
    if deployment.policy.after_fail == "continue" or not trial.is_of_a_challenger:
        return None
    return trials.failing_since(session, trial, key, before, but)


def _wanted(deployment: Deployment, challenger: Challenger, key: int, champion_version: str) -> NewTrial:
    return NewTrial(
        kind=_kind(challenger),
        challenger=key,
        champion_version=champion_version,
        terms=terms_of(deployment, challenger),
        trained_until=challenger.trained_until,
    )


def terms_of(deployment: Deployment, challenger: Challenger) -> dict[str, Any]:
    """Return all that a challenger's trial is judged by; what else a deployment file says may change during a trial."""
    policy = json.loads(deployment.policy.model_dump_json(by_alias=True, exclude=_NOT_TERMS))
    blocking = [rule for rule in policy["rules"] if rule["role"] == "blocking"]
    elsewhere = dict.fromkeys(_NOT_JUDGED_ON, True) | {"columns": set(deployment.requests.features)}
    return {
        "sampling": digest(design(deployment)),
        "champion": deployment.requests.champion_identity,
        "requests": deployment.requests.model_dump(mode="json", exclude=elsewhere),
        "labels": deployment.labels.model_dump(mode="json", exclude={"conn_id", "flushed_within"})
        | deployment.model_dump(mode="json", include={"task", "threshold", "tolerance", "quantile", "classes"}),
        "inputs": digest(read_suite(deployment.expectations.inputs, "expectations.inputs")),
        "features": challenger.features_from and challenger.features_from.terms,
        "rules": policy | {"rules": sorted(blocking, key=json.dumps)},
        "metrics": custom_terms(deployment, {rule["metric"] for rule in blocking}),
    }


def _kind(challenger: Challenger) -> Kind:
    if challenger.is_a_a_check:
        return "a_a_check"
    return "former_champion" if challenger.is_watched else "challenger"
