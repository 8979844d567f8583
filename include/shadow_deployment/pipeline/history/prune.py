"""Retention: the days that are older than `store.keep_days` go, with their files; sums and verdicts stay."""

import datetime as dt
import logging
from dataclasses import dataclass, field
from typing import Any

from shadow_deployment.base.numbers import quantity
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.db import Session
from shadow_deployment.ledger import evidence, snapshots
from shadow_deployment.ledger.removal import removals, retention
from shadow_deployment.ledger.writing.locks import no_steps
from shadow_deployment.pipeline.challengers.identities import challenger_keys

logger = logging.getLogger(__name__)

DAILY_RUN = "the daily run"


@dataclass(frozen=True)
class Pruned:
    """The days that were removed, and those that are old enough and were kept, since something waits for them."""

    days: list[dt.date] = field(default_factory=list)
    kept: list[dt.date] = field(default_factory=list)
    period: str = "day"

    def __str__(self) -> str:
        span = f", {self.days[0]} to {self.days[-1]}" if self.days else ""
        waits = ", ".join(map(str, self.kept[:3])) + (" and later ones" if len(self.kept) > 3 else "")
        kept = f"; kept, because labels or a comparison are outstanding: {waits}" if self.kept else ""
        return f"{quantity(len(self.days), self.period)} removed{span}{kept}"


def prune(context: DeploymentContext, by: str = DAILY_RUN) -> Pruned:
    """Remove the days that are older than `store.keep_days` and not needed any more; repeatable, one day at a time.

    Nothing is removed where the ledger's owner has entered another number, or a step is working on requests.
    """
    deployment = context.deployment
    if deployment.store.keep_days is None:
        return Pruned()
    pruned = Pruned(period=deployment.policy.period)
    with context.ledger() as session:
        if deployment.store.owner == deployment.store.conn_id:
            retention.declare(session, deployment)
            session.commit()
        if not retention.is_declared(session, deployment):
            logger.warning(
                "%s: nothing is removed: store.keep_days == %d was not entered in the ledger, or labels have changed "
                "since; run shadow migrate",
                deployment.name,
                deployment.store.keep_days,
            )
        elif no_steps(session, deployment):
            keep = _outstanding(context, session)
            while (day := retention.prune(session, deployment, keep, by)) is not None:
                pruned.days.append(day)
            _finish(context, session, pruned)
    logger.info("%s: %s", deployment.name, pruned)
    return pruned


def prune_before(context: DeploymentContext, before: dt.date, by: str) -> Pruned:
    """Remove the days before one that are not needed any more, as the ledger's owner."""
    deployment = context.deployment
    with context.owned_ledger() as session:
        retention.declare(session, deployment)
        session.commit()
        days: list[dt.date] = []
        while more := retention.prune_before(session, deployment, _outstanding(context, session), by, before):
            days += more
        waiting = retention.waiting(session, deployment, before)
        pruned = Pruned(days, waiting, deployment.policy.period)
        _finish(context, session, pruned)
    return pruned


def remove_leftovers(context: DeploymentContext, session: Session[Any]) -> None:
    """Remove the files that the ledger needs no longer, of this and of earlier removals."""
    for location in removals.leftovers(session, context.deployment):
        if location.startswith(f"{context.deployment.name}/"):
            context.store.remove(location)
            removals.cleared(session, location)


def _finish(context: DeploymentContext, session: Session[Any], pruned: Pruned) -> None:
    remove_leftovers(context, session)
    if pruned.days:
        retention.drop_partitions(session)


def _outstanding(context: DeploymentContext, session: Session[Any]) -> list[dt.date]:
    """Return the days whose evidence is missing or stale, of challengers as they are declared."""
    taken = snapshots.snapshots(session, context.deployment, None, None)
    kept = retention.kept(session, taken)
    keys = list(challenger_keys(context, session).values())
    return [day for day, _ in evidence.stale(session, context.deployment, [s for s in taken if s.id in kept], keys)]
