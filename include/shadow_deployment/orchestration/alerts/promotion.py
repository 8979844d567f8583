"""Alerts of a promotion: that approval is requested, that the champion has changed, that it is not served.

This file is imported where DAGs are parsed, so the engine is imported inside the functions.
"""

import datetime as dt
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from shadow_deployment.orchestration import assets, engine
from shadow_deployment.orchestration.ui.links import link_to

if TYPE_CHECKING:
    from shadow_deployment.alerting.outbox import Compose
    from shadow_deployment.context import DeploymentContext
    from shadow_deployment.ledger.alerts import Alert
    from shadow_deployment.ledger.registry.approval_requests import ApprovalRequest
    from shadow_deployment.ledger.registry.promotions import PromotionRecord

logger = logging.getLogger(__name__)


def announce_request(run: Mapping[str, Any], context: "DeploymentContext", approval: "ApprovalRequest") -> None:
    """Announce an approval request by status file and alert; without an alert where the policy approves."""
    engine.status.update_quietly(context)
    if context.deployment.promotion.approval == "automatic":
        return

    def alert() -> "Alert":
        return engine.messages.approval_requested(
            context.deployment,
            approval.day,
            challenger=approval.challenger,
            version=approval.version,
            request_digest=approval.case_digest,
            link=link_to(run, "approve"),
        )

    send(context, alert)


def announce_change(
    run: Mapping[str, Any], context: "DeploymentContext", promotion: "PromotionRecord", day: dt.date
) -> dict[str, Any]:
    """Announce the new champion by log, asset event, metric, status file and alert; return the event's facts."""
    name = context.deployment.name
    logger.info("deployment %s: the champion is %s", name, promotion.champion)
    facts = {key: getattr(promotion, key) for key in ("number", "kind", "name", "version", "digest", "approved_by")}
    run["outlet_events"][assets.alias(name)].add(assets.champion(name), extra=facts)
    engine.metrics.promotion(name, promotion)
    engine.status.update_quietly(context)
    send(context, lambda: _alert(context, promotion, day, link_to(run)))
    return facts


def announce_not_served(run: Mapping[str, Any], context: "DeploymentContext", day: dt.date) -> None:
    """Alert once that production serves another model than was promoted; an error is logged, never raised."""

    def alert() -> "Compose":
        deployment, link = context.deployment, link_to(run)
        return lambda session: engine.deduplication.not_served_alert(session, deployment, day, link=link)

    send(context, alert)


def send(context: "DeploymentContext", compose: Callable[[], "Alert | Compose"]) -> None:
    """Send an alert that `compose` makes, or that is composed from the ledger; an error is logged, never raised."""
    try:
        engine.outbox.send_alert(context, compose(), engine.channels.send)
    except Exception:
        logger.exception("no alert was sent about %s", context.deployment.name)


def _alert(context: "DeploymentContext", promotion: "PromotionRecord", day: dt.date, link: str | None) -> "Alert":
    return engine.messages.champion_changed(
        context.deployment,
        day,
        kind="rolled_back" if promotion.kind == "rollback" else "promoted",
        name=promotion.name,
        version=promotion.version,
        approved_by=promotion.approved_by,
        reason=promotion.reason,
        request_digest=promotion.case_digest,
        number=promotion.number,
        link=link,
    )
