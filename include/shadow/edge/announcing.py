"""Telling of a promotion: that somebody is asked, and that the champion has changed.

This file is imported where DAGs are parsed, so the engine is imported inside the functions.
"""

import datetime as dt
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from include.shadow.edge import assets, notifier

if TYPE_CHECKING:
    from include.shadow.alerts import Alert
    from include.shadow.ledger.promotions import Promotion
    from include.shadow.ledger.questions import Question
    from include.shadow.surroundings import Shadow

logger = logging.getLogger(__name__)


def asked(context: Mapping[str, Any], found: "Shadow", question: "Question") -> None:
    """Tell that somebody is asked, where somebody is: by alert and status file."""
    from include.shadow import alerts, status

    status.update_quietly(found)
    if found.deployment.promotion.approval == "automatic":
        return

    def alert() -> "Alert":
        return alerts.asked(
            found.deployment,
            question.day,
            challenger=question.challenger,
            version=question.version,
            case_digest=question.case_digest,
            link=notifier.link_to(context, "approve"),
        )

    notifier.announce(found, alert)


def changed(context: Mapping[str, Any], found: "Shadow", made: "Promotion", day: dt.date) -> dict[str, Any]:
    """Tell who is champion now: by log, asset event, metric, status file and alert; return the event's facts."""
    from include.shadow import status
    from include.shadow.edge import metrics

    name = found.deployment.name
    logger.info("deployment %s: the champion is %s", name, made.champion)
    facts = {key: getattr(made, key) for key in ("number", "kind", "name", "version", "digest", "approved_by")}
    context["outlet_events"][assets.alias(name)].add(assets.champion(name), extra=facts)
    metrics.promotion(name, made)
    status.update_quietly(found)
    notifier.announce(found, lambda: _alert(found, made, day, notifier.link_to(context)))
    return facts


def _alert(found: "Shadow", made: "Promotion", day: dt.date, link: str | None) -> "Alert":
    from include.shadow import alerts

    tell = alerts.rolled_back if made.kind == "rollback" else alerts.promoted
    return tell(
        found.deployment,
        day,
        challenger=made.name,
        version=made.version,
        who=made.approved_by,
        reason=made.reason,
        case_digest=made.case_digest,
        number=made.number,
        link=link,
    )
