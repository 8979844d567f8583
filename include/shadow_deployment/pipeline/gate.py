"""The step `gate`: the one task that fails where a challenger fails or the day cannot be compared."""

import datetime as dt
import logging
from collections.abc import Collection, Iterator
from typing import Any

from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.db import Session
from shadow_deployment.errors import GateFailed
from shadow_deployment.ledger import snapshots, verdicts
from shadow_deployment.ledger.checks import validations
from shadow_deployment.pipeline.challengers.identities import challenger_keys

logger = logging.getLogger(__name__)


def gate(context: DeploymentContext, day: dt.date, only: Collection[str] | None = None) -> dict[str, str]:
    """Return each challenger's outcome.

    Args:
        context: the deployment as it is on that day.
        day: the judged day.
        only: names of the challengers that the run is about; None means all.

    Raises:
        GateFailed: a challenger fails, or the day's evidence cannot be compared.
    """
    deployment = context.deployment
    challengers = [challenger for challenger in deployment.challengers if only is None or challenger.name in only]
    with context.ledger() as session:
        stored = verdicts.latest(session, deployment, day)
        problems = list(_incomparable(context, session, day, [challenger.name for challenger in challengers]))
    outcomes: dict[str, str] = {}
    for challenger in challengers:
        verdict = stored.get(challenger.name)
        if verdict is None or verdict.day != day:
            problems.append(f"{challenger.name} was not judged on {day}: see its tasks before the gate")
            continue
        outcomes[challenger.name] = verdict.outcome
        logger.info("%s: %s. %s", challenger.name, verdict.outcome, "; ".join(verdict.reasons))
        problems += _alarm(deployment, challenger, verdict)
    if problems:
        raise GateFailed("\n".join([f"{deployment.name} on {day}: the gate is closed", *problems]))
    return outcomes


def _alarm(deployment: Deployment, challenger: Challenger, verdict: verdicts.StoredVerdict) -> Iterator[str]:
    """Yield why a verdict closes the gate: a challenger fails, or a former champion passes."""
    if challenger.is_watched and verdict.outcome == "PASS":
        yield (
            f"{challenger.name} {verdict.version} is better than its successor, {verdict.champion}, by every "
            f"rule: roll back with the DAG shadow_{deployment.name}_rollback or shadow rollback {deployment.name}"
        )
    elif not challenger.is_watched and verdict.outcome == "FAIL":
        yield f"{challenger.name} FAILS: {verdict.reasons[0]}"


def _incomparable(
    context: DeploymentContext, session: Session[Any], day: dt.date, names: Collection[str]
) -> Iterator[str]:
    """Yield why the day cannot be compared: not sampled, not validated, or expectations not met."""
    snapshot = snapshots.find(session, context.deployment, day)
    if snapshot is None:
        yield f"{day} was not sampled: see the task sample"
        return
    if not snapshot.rows:
        return
    recorded = {validation.challenger_id: validation for validation in validations.recorded(session, [snapshot])}
    keys = challenger_keys(context, session)
    subjects: list[tuple[str, int | None]] = [("inputs", None)]
    subjects += [(f"predictions of {name}", keys.get(name, -1)) for name in names]
    for subject, key in subjects:
        validation = recorded.get(key)
        if validation is None:
            yield f"{subject} were not validated: see the tasks before the gate"
        elif not validation.success:
            yield f"{subject} do not meet their expectations: {validation.summary}"
