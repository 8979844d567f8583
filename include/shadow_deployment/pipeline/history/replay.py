"""Replay: a new challenger answers the snapshots that are kept, so that it has a verdict in minutes.

Its trial is opened before anything is scored. Snapshots and the ledger are all that is read: production may be gone.
"""

import datetime as dt
from typing import Any

from shadow_deployment.config.actions import FORMER_CHAMPION
from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.db import Session
from shadow_deployment.decision.trial import Trial
from shadow_deployment.errors import DeploymentError, LedgerError, ValidationFailed
from shadow_deployment.ledger import evidence, predictions, snapshots, trials
from shadow_deployment.ledger.checks import validations
from shadow_deployment.ledger.labels import maturity_of
from shadow_deployment.ledger.removal import retention
from shadow_deployment.ledger.snapshots import Snapshot
from shadow_deployment.ledger.verdicts import NewVerdict
from shadow_deployment.pipeline import steps
from shadow_deployment.pipeline.challengers.basis import champion_of
from shadow_deployment.pipeline.challengers.identities import challenger_key, challenger_keys
from shadow_deployment.pipeline.challengers.trials import known_trial, opening
from shadow_deployment.pipeline.sample import files_of, require_snapshot


def replayable(deployment: Deployment, name: str) -> Challenger:
    """Return a challenger that has a registration to replay days before; raise DeploymentError for any other."""
    subject = f"deployment {deployment.name}: challenger == {name!r}"
    if name == FORMER_CHAMPION:
        raise DeploymentError(f"{subject}, must be a challenger: a former champion is judged from its promotion on")
    challenger = deployment.challenger(name)
    if challenger.is_a_a_check:
        raise DeploymentError(f"{subject}, must be no A/A check: it begins with the champion's first sampled day")
    return challenger


def days_to_replay(context: DeploymentContext, challenger_name: str, most: int | None = None) -> list[dt.date]:
    """Open a challenger's trial; return the days that it is to answer, in order.

    These are the newest days, as many as `policy.replay_days` or fewer where `most` says so, that the champion of its
    trial served alone, whose labels it cannot have learned from by its training date, that were not withdrawn, whose
    inputs met their expectations and whose requests are kept; without those that it has answered.

    Raises:
        DeploymentError: There is no such challenger, it is the A/A check or a former champion, or `most` is no number
            of days from 1 to `policy.replay_days`.
        LedgerError: The deployment has no day yet.
    """
    deployment = context.deployment
    challenger, limit = replayable(deployment, challenger_name), _limit(deployment, most)
    with context.ledger() as session:
        key, taken = challenger_key(context, session, challenger), _taken(session, deployment)
        session.commit()
        if not taken:
            raise LedgerError(f"deployment {deployment.name} has no day yet: run one with shadow run first")
        trial = opening(context)(session, deployment, challenger, key, champion_of(taken))
        return _unanswered(session, deployment, trial, key, taken, limit)


def replay_day(context: DeploymentContext, day: dt.date, challenger_name: str) -> ValidationFailed | None:
    """Let a challenger answer a sampled day, and compare it; return the failed validation of its predictions.

    A day that was replayed is left unchanged.
    """
    with context.ledger() as session:
        shards = len(files_of(context, require_snapshot(session, context.deployment, day)).parts)
    for shard in range(shards):
        steps.score(context, day, challenger_name, shard)
    problem = None
    try:
        steps.validate_predictions(context, day, challenger_name)
    except ValidationFailed as error:
        problem = error
    steps.compare(context, day)
    return problem


def judge_newest(context: DeploymentContext, challenger_name: str) -> NewVerdict:
    """Judge a challenger on the newest sampled day that was not withdrawn."""
    with context.ledger() as session:
        newest = _taken(session, context.deployment)[-1].day
    return steps.judge(context, newest, challenger_name)


def new_challengers(context: DeploymentContext, but: dt.date) -> list[str]:
    """Return the challengers that declare `trained_until`, have answered nothing yet, and have days to replay.

    Their trials must be open. The day `but` is about to be scored, and does not count. Commits.
    """
    deployment = context.deployment
    names: list[str] = []
    with context.ledger() as session:
        taken = [each for each in _taken(session, deployment) if each.day != but]
        keys = challenger_keys(context, session)
        for challenger in deployment.promotable:
            key = keys.get(challenger.name)
            if challenger.trained_until is None or key is None or predictions.has_answered(session, key):
                continue
            trial = known_trial(session, deployment, challenger, key, champion_of(taken))
            if trial and _unanswered(session, deployment, trial, key, taken, _limit(deployment, None)):
                names.append(challenger.name)
    return names


def new_versions(context: DeploymentContext) -> list[str]:
    """Return the challengers that follow MLflow's newest version, have answered nothing yet, and have past days."""
    followed = [each for each in context.deployment.promotable if each.newer_versions is not None]
    if not followed:
        return []
    with context.ledger() as session:
        if not _taken(session, context.deployment):
            return []
        keys = challenger_keys(context, session)
        names = [each.name for each in followed if each.name in keys]
        return [name for name in names if not predictions.has_answered(session, keys[name])]


def _limit(deployment: Deployment, most: int | None) -> int:
    """Return how many of the newest days, or weeks, may be replayed at most."""
    limit = deployment.policy.replay_days
    if most is not None and not 1 <= most <= limit:
        raise DeploymentError(
            f"deployment {deployment.name}: days == {most}, must be from 1 to {limit} (policy.replay_days)"
        )
    return -(-(most or limit) // deployment.policy.days_per_period)


def _taken(session: Session[Any], deployment: Deployment) -> list[Snapshot]:
    withdrawn = trials.withdrawn(session, deployment)
    return [each for each in snapshots.snapshots(session, deployment, None, None) if each.day not in withdrawn]


def _unanswered(
    session: Session[Any], deployment: Deployment, trial: Trial, key: int, taken: list[Snapshot], limit: int
) -> list[dt.date]:
    """Return the days of a trial that may be replayed and are not answered, or answered and not compared."""
    first, seen = trial.first_trained_day(maturity_of(deployment)), trials.seen_days(session, trial)
    champion = [trial.champion_version]
    served = [each for each in taken if each.day >= first and each.champions == champion and each.rows]
    possible = validations.inputs_met(session, served) & retention.kept(session, served)
    newest = [each for each in served if each.id in possible and each.day not in seen][-limit:]
    scored = validations.scored(session, newest, key)
    stale = {day for day, _ in evidence.stale(session, deployment, newest, [key])}
    return [each.day for each in newest if each.id not in scored or each.day in stale]
