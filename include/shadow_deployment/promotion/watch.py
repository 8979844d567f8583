"""Watching a promotion: whether the former champion turns out better than its successor."""

import datetime as dt
from dataclasses import dataclass

from shadow_deployment.config.actions import FORMER_CHAMPION
from shadow_deployment.context import DeploymentContext
from shadow_deployment.ledger import verdicts
from shadow_deployment.ledger.registry import promotions
from shadow_deployment.ledger.registry.promotions import PromotionRecord
from shadow_deployment.pipeline.challengers.former_champion import watched_promotion


@dataclass(frozen=True)
class Regression:
    """A promotion whose former champion passes against the new one on a day."""

    promotion: PromotionRecord
    day: dt.date
    reason: str


def regression(context: DeploymentContext, day: dt.date) -> Regression | None:
    """Return the promotion that the former champion's newest verdict contradicts; None where there is none.

    `context` is the deployment as of `day`, which must be the day of that verdict.
    """
    deployment = context.deployment
    with context.ledger() as session:
        promotion = watched_promotion(deployment, promotions.history(session, deployment), day)
        verdict = verdicts.latest(session, deployment).get(FORMER_CHAMPION)
    if promotion is None or verdict is None or (verdict.day, verdict.outcome) != (day, "PASS"):
        return None
    is_against = bool(verdict.compared_with & set(promotion.champion.logged_as))
    if not (is_against and verdict.version == promotion.from_version):
        return None
    reason = (
        f"{promotion.from_name} {promotion.from_version}, champion before promotion {promotion.number}, is better than "
        f"{promotion.name} {promotion.version} by every blocking rule on {day}"
    )
    return Regression(promotion, day, reason)
