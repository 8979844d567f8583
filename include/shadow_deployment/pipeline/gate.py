"""The step `gate`: the one task that fails where somebody has to look.

It fails where the day cannot be compared, on the first day on which a trial fails, on the first of consecutive days
whose predictions do not meet their expectations, and while a former champion is better than its successor, until that
is rolled back or acknowledged. All this is read from the ledger, so a day that is run again ends as before.
"""

import datetime as dt
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.config.window import Window, window_of
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.db import Session
from shadow_deployment.errors import GateFailed
from shadow_deployment.ledger import predictions, snapshots, verdicts
from shadow_deployment.ledger.checks import validations
from shadow_deployment.ledger.checks.acknowledgements import REGRESSION, acknowledgements
from shadow_deployment.ledger.registry import promotions
from shadow_deployment.ledger.snapshots import Snapshot
from shadow_deployment.pipeline.challengers.conclusion import concluded
from shadow_deployment.pipeline.challengers.former_champion import watched_promotion
from shadow_deployment.pipeline.challengers.identities import challenger_key, challenger_keys
from shadow_deployment.pipeline.window_guard import what_is_missing

logger = logging.getLogger(__name__)


def gate(
    context: DeploymentContext,
    day: dt.date,
    only: Collection[str] | None = None,
    windows: Sequence[Window] | None = None,
) -> dict[str, str]:
    """Return each challenger's outcome; none where the day has later windows, and those of the run are scored.

    Args:
        context: the deployment as it is on that day.
        day: the judged day.
        only: names of the challengers that the run is about; None means all.
        windows: the windows that the run is about; None means all.

    Raises:
        GateFailed: somebody has to look.
    """
    deployment = context.deployment
    challengers = [challenger for challenger in deployment.challengers if only is None or challenger.name in only]
    with context.ledger() as session:
        stored = verdicts.latest(session, deployment, day)
        keys = challenger_keys(context, session)
        ends = concluded(session, deployment, keys, day)
        scored = {each.name: keys.get(each.name, -1) for each in challengers if each.name not in ends}
        sampled = snapshots.so_far(session, deployment, day)
        if windows is not None and _goes_on(deployment, sampled, windows):
            problems = list(_unscored(session, sampled, windows, scored))
            return _outcomes(deployment, day, problems, {})
        problems = list(_incomparable(session, deployment, day, scored))
        acknowledged = _acknowledged(context, session, day)
    outcomes: dict[str, str] = {}
    for challenger in challengers:
        verdict = stored.get(challenger.name)
        if verdict is None or verdict.day != day:
            problems.append(f"{challenger.name} was not judged on {day}: see its tasks before the gate")
            continue
        outcomes[challenger.name] = verdict.outcome
        logger.info("%s: %s. %s", challenger.name, verdict.outcome, "; ".join(verdict.reasons))
        problems += _alarm(deployment, challenger, verdict, acknowledged=acknowledged)
    return _outcomes(deployment, day, problems, outcomes)


def _outcomes(
    deployment: Deployment, day: dt.date, problems: Sequence[str], outcomes: dict[str, str]
) -> dict[str, str]:
    if problems:
        raise GateFailed("\n".join([f"{deployment.name} on {day}: the gate is closed", *problems]))
    return outcomes


def _goes_on(deployment: Deployment, sampled: Snapshot | None, windows: Sequence[Window]) -> bool:
    """Whether a day waits for windows that come after those of a run."""
    if sampled is not None and sampled.is_complete:
        return False
    return max(window.end for window in windows) < window_of(deployment, windows[0].day).end


def _unscored(
    session: Session[Any], sampled: Snapshot | None, windows: Sequence[Window], keys: Mapping[str, int]
) -> Iterator[str]:
    """Yield which windows of a run were not sampled, or not scored."""
    there = {} if sampled is None else {window.start: window for window in sampled.windows}
    left = {name: predictions.unscored(session, sampled, key) if sampled else set() for name, key in keys.items()}
    for window in windows:
        mine = there.get(window.start)
        if mine is None:
            yield f"{window} was not sampled: see the task sample"
            continue
        shards = {mine.first_shard + number for number in range(mine.shards)}
        names = [name for name, unscored in left.items() if shards & unscored]
        if names:
            yield f"the requests of {window} are not all scored by {', '.join(names)}: see the task score"


def _alarm(
    deployment: Deployment, challenger: Challenger, verdict: verdicts.StoredVerdict, *, acknowledged: bool
) -> Iterator[str]:
    """Yield why a verdict closes the gate: a trial fails for the first time, or a former champion passes."""
    if challenger.is_watched and verdict.outcome == "PASS":
        better = f"{challenger.name} {verdict.version} is better than its successor, {verdict.champion}, by every rule"
        if acknowledged:
            logger.info("%s, which is acknowledged", better)
        else:
            yield (
                f"{better}: roll back with the DAG shadow_{deployment.name}_rollback or shadow rollback "
                f"{deployment.name}, or leave it with shadow acknowledge {deployment.name} --challenger "
                f"{challenger.name} --reason WHY"
            )
    elif not challenger.is_watched and verdict.outcome == "FAIL":
        if verdict.is_first_failure:
            yield f"{challenger.name} FAILS: {verdict.reasons[0]}"
        else:
            logger.info("%s fails since %s, which its gate has said", challenger.name, verdict.decided_on)


def _acknowledged(context: DeploymentContext, session: Session[Any], day: dt.date) -> bool:
    """Whether somebody has looked into the former champion's being better since the promotion that replaced it."""
    watched = next((challenger for challenger in context.deployment.challengers if challenger.is_watched), None)
    if watched is None:
        return False
    promotion = watched_promotion(context.deployment, promotions.history(session, context.deployment), day)
    if promotion is None:
        return False
    known = acknowledgements(session, challenger_key(context, session, watched)).get(REGRESSION)
    return known is not None and known.at >= promotion.created_at


def _incomparable(
    session: Session[Any], deployment: Deployment, day: dt.date, keys: Mapping[str, int]
) -> Iterator[str]:
    """Yield why the day cannot be compared: not sampled, not validated, or expectations not met."""
    snapshot = snapshots.so_far(session, deployment, day)
    if snapshot is None:
        yield f"{day} was not sampled: see the task sample"
        return
    if not snapshot.is_complete:
        missing = what_is_missing(deployment, snapshot)
        yield f"{day} is not complete: {missing}; shadow run {deployment.name} --missing runs them"
        return
    if not snapshot.rows:
        return
    recorded = {validation.challenger_id: validation for validation in validations.recorded(session, [snapshot])}
    subjects: list[tuple[str, int | None]] = [("inputs", None)]
    subjects += [(f"predictions of {name}", key) for name, key in keys.items()]
    for subject, key in subjects:
        validation = recorded.get(key)
        if validation is None:
            yield f"{subject} were not validated: see the tasks before the gate"
        elif not validation.success and (key is None or not _failed_before(session, deployment, day, key)):
            yield f"{subject} do not meet their expectations: {validation.summary}"


def _failed_before(session: Session[Any], deployment: Deployment, day: dt.date, challenger: int) -> bool:
    """Whether the predictions of the sampled day before did not meet their expectations either."""
    earlier = [each for each in snapshots.snapshots(session, deployment, None, day) if each.rows and each.day < day]
    return bool(earlier) and bool(validations.predictions_failed(session, earlier[-1:], challenger))
