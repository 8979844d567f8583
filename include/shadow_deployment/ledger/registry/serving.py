"""What production serves since the newest promotion, as its log says."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.db import Session
from shadow_deployment.ledger.reading import statement
from shadow_deployment.ledger.registry import promotions
from shadow_deployment.ledger.registry.promotions import CurrentChampion, PromotionRecord


@dataclass(frozen=True)
class ServedDay:
    """The newest day that shows whether production serves the champion that a promotion or rollback has made.

    `versions` are the day's sampled requests by logged version, the most frequent first.
    """

    champion: CurrentChampion
    promoted_on: dt.date
    day: dt.date
    versions: Mapping[str, int]

    @property
    def requests(self) -> int:
        """How many requests were sampled."""
        return sum(self.versions.values())

    @property
    def others(self) -> dict[str, int]:
        """The requests that another version than the champion has answered."""
        return {version: count for version, count in self.versions.items() if version not in self.champion.logged_as}

    def __str__(self) -> str:
        others = ", ".join(self.others)
        return (
            f"promoted on {self.promoted_on}, production still serves {others}: {sum(self.others.values())} of "
            f"{self.requests} requests on {self.day}"
        )


def served_day(
    session: Session[Any], deployment: Deployment, history: Sequence[PromotionRecord] | None = None
) -> ServedDay | None:
    """Return what production serves since the newest promotion or rollback; `history` where it has been read.

    None before the first, and until a day was sampled that began after it. The day on which it was made is no such day:
    production may have followed at any time of it.
    """
    if history is None:
        history = promotions.history(session, deployment)
    if not history:
        return None
    newest = history[-1]
    values = {"deployment": deployment.name, "promoted_at": newest.created_at, "promoted_on": newest.day}
    rows = session.execute(statement("served_by_version"), values).fetchall()
    if not rows:
        return None
    promoted_on = newest.day or newest.created_at.astimezone(deployment.zone).date()
    return ServedDay(newest.champion, promoted_on, rows[0][0], {version: count for _, version, count in rows})
