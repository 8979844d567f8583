"""Telling of a promotion: that somebody is asked, and that the champion has changed.

This file is imported where DAGs are parsed, so the engine is imported inside the functions.
"""

import datetime as dt
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from shadow_deployment.orchestration import assets, engine
from shadow_deployment.orchestration.alerts import gate as notifications

if TYPE_CHECKING:
    from shadow_deployment.context import DeploymentContext
    from shadow_deployment.ledger.alerts import Alert
    from shadow_deployment.ledger.approval_requests import ApprovalRequest
    from shadow_deployment.ledger.promotions import PromotionRecord

logger = logging.getLogger(__name__)


def asked(context: Mapping[str, Any], found: "DeploymentContext", question: "ApprovalRequest") -> None:
    """Tell that somebody is asked, where somebody is: by alert and status file."""
    engine.status.update_quietly(found)
    if found.deployment.promotion.approval == "automatic":
        return

    def alert() -> "Alert":
        return engine.messages.approval_requested(
            found.deployment,
            question.day,
            challenger=question.challenger,
            version=question.version,
            request_digest=question.case_digest,
            link=notifications.link_to(context, "approve"),
        )

    notifications.announce(found, alert)


def changed(
    context: Mapping[str, Any], found: "DeploymentContext", made: "PromotionRecord", day: dt.date
) -> dict[str, Any]:
    """Tell who is champion now: by log, asset event, metric, status file and alert; return the event's facts."""
    name = found.deployment.name
    logger.info("deployment %s: the champion is %s", name, made.champion)
    facts = {key: getattr(made, key) for key in ("number", "kind", "name", "version", "digest", "approved_by")}
    context["outlet_events"][assets.alias(name)].add(assets.champion(name), extra=facts)
    engine.metrics.promotion(name, made)
    engine.status.update_quietly(found)
    notifications.announce(found, lambda: _alert(found, made, day, notifications.link_to(context)))
    return facts


def _alert(found: "DeploymentContext", made: "PromotionRecord", day: dt.date, link: str | None) -> "Alert":
    return engine.messages.champion_changed(
        found.deployment,
        day,
        kind="rolled_back" if made.kind == "rollback" else "promoted",
        name=made.name,
        version=made.version,
        approved_by=made.approved_by,
        reason=made.reason,
        request_digest=made.case_digest,
        number=made.number,
        link=link,
    )
