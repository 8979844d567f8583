"""The list of all deployments as frozen values: a row each, and the ledgers that cannot be read."""

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from shadow_deployment.ledger.registry.promotions import CurrentChampion
from shadow_deployment.report.status import LABELS, ChallengerStatus
from shadow_deployment.report.views import ChallengerLine

UNKNOWN: Final = "Unknown"
_AFTER_ALL: Final = 9


@dataclass(frozen=True)
class ListedDeployment:
    """A deployment in one row: where the challenger stands that needs looking at first.

    `status` is None where the ledger cannot be read. `last_day` is the newest sampled one, `lines` are its challengers,
    that one first, `undelivered` the alerts of the last 30 days that reached not all of their channels. `gap` says of
    the newest day that is not complete which windows were not sampled.
    """

    name: str
    status: ChallengerStatus | None
    owner: str | None = None
    champion: CurrentChampion | None = None
    last_day: dt.date | None = None
    lines: tuple[ChallengerLine, ...] = ()
    undelivered: int = 0
    gap: str | None = None

    @property
    def state(self) -> str:
        """The stage in words, without what is known of its length: what rows are filtered by."""
        return LABELS[self.status.stage] if self.status else UNKNOWN

    @property
    def days(self) -> int | None:
        """The days of evidence of the challenger that `status` is about, None where that is not known."""
        return self.lines[0].days if self.lines else None

    @property
    def period(self) -> str:
        """What its days are: days, or with a weekly schedule weeks."""
        return self.lines[0].period if self.lines else "day"

    @property
    def urgency(self) -> int:
        """As of its status; those of which nothing is known come last."""
        return self.status.urgency if self.status else _AFTER_ALL

    @property
    def needs_somebody(self) -> bool:
        """Whether somebody is needed now, or a decision waits."""
        return self.status is not None and self.status.needs_somebody


@dataclass(frozen=True)
class UnreadableLedger:
    """A ledger that cannot be read: by which connection, why, and the names of the deployments that are kept in it."""

    connection: str
    error: str
    deployments: tuple[str, ...]


@dataclass(frozen=True)
class Overview:
    """All deployments, those that need somebody first, then by name; and the ledgers that cannot be read."""

    deployments: tuple[ListedDeployment, ...]
    unreadable: tuple[UnreadableLedger, ...] = ()

    @cached_property
    def needing(self) -> int:
        """How many deployments need somebody, or a decision."""
        return sum(each.needs_somebody for each in self.deployments)

    @cached_property
    def states(self) -> Mapping[str, int]:
        """How many deployments are in each state, the most urgent first."""
        return Counter(each.state for each in sorted(self.deployments, key=lambda each: (each.urgency, each.state)))

    @cached_property
    def owners(self) -> Mapping[str, int]:
        """How many deployments each owner has, by name; those without one count under an empty name."""
        return Counter(each.owner or "" for each in sorted(self.deployments, key=lambda each: each.owner or ""))

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Plain data: a row for each challenger, and before these one for each deployment that cannot be read."""
        errors = {name: ledger.error for ledger in self.unreadable for name in ledger.deployments}
        rows = [_unreadable(each, errors.get(each.name)) for each in self.deployments if not each.lines]
        return rows + [_row(each, line) for each in self.deployments for line in each.lines]


def _row(listed: ListedDeployment, line: ChallengerLine) -> dict[str, Any]:
    is_first, gap = line is listed.lines[0], ""
    if listed.gap and is_first:
        gap = f"{listed.gap}: shadow run {listed.name} --missing. "
    return {
        "deployment": listed.name,
        "owner": listed.owner,
        "needs_somebody": line.status.needs_somebody,
        "state": line.status.label,
        "what_to_do": f"{gap}{line.status.action}",
        "champion": listed.champion and f"{listed.champion.name} {listed.champion.version}",
        "challenger": line.name,
        "version": line.version,
        "stage": line.status.stage,
        "outcome": line.outcome,
        "since": str(line.decided_on or line.day) if line.day else None,
    }


def _unreadable(listed: ListedDeployment, error: str | None) -> dict[str, Any]:
    nothing = dict.fromkeys(("champion", "challenger", "version", "stage", "outcome", "since"))
    why = error or (listed.status and listed.status.sentence)
    known = {"deployment": listed.name, "owner": listed.owner, "needs_somebody": True, "state": "Cannot be read"}
    return known | {"what_to_do": why} | nothing
