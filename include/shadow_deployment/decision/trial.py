"""A trial: what evidence belongs to, and from which day on.

One challenger version against one champion version on fixed terms: sampling design, requests, labels, input suite,
the challenger's own features, blocking rules and the custom metrics that these name. Its registration time, alpha and
terms are fixed before any of its evidence is computed, so that nothing of them can be chosen to suit what was seen.
With `requests.champion_identity: service` the champion is whatever production serves, under any version.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from shadow_deployment.base.numbers import quantity, significant

Kind = Literal["challenger", "a_a_check", "former_champion"]

SERVICE: Final = "service"  # the champion version of trials, evidence and verdicts that are against the service
_IN: Final = {"day": "on", "week": "in"}
MOST_VERSIONS: Final = 5  # of the service, the newest: one that is trained each day has many
PARTS: Final = {  # of a trial's terms, as a verdict names what has changed
    "sampling": "the sampling design",
    "champion": "the champion's identity",
    "requests": "what is logged of a request",
    "labels": "the label definition",
    "inputs": "the suite of inputs",
    "features": "the challenger's features_from",
    "rules": "the blocking rules",
    "metrics": "a custom metric",
}


@dataclass(frozen=True)
class Trial:
    """A registered trial.

    `start` was the deployment's first day when it was opened. `batch` is what it was opened in, and `place` its place
    among those of the year before; None where it spends no alpha. `alpha` is its error probability toward PASS over all
    days. `trained_until` is the last day of the challenger's training data as first declared, `seen_undeclared` on how
    many days the challenger had evidence by then.
    """

    id: int
    number: int
    kind: Kind
    champion_version: str
    terms: Mapping[str, Any]
    rules_digest: str
    start: dt.date
    batch: int | None
    place: int | None
    alpha: float
    opened_because: str
    opened_at: dt.datetime
    trained_until: dt.date | None
    seen_undeclared: int

    def __str__(self) -> str:
        if self.batch is None:
            return f"trial {self.number}, which spends no alpha"
        return f"trial {self.number}, in batch {self.batch}, with alpha {significant(self.alpha, 3)} toward PASS"

    @property
    def is_of_a_challenger(self) -> bool:
        """Whether it may end in a promotion; A/A checks and former champions are trials of their own kind."""
        return self.kind == "challenger"

    def first_trained_day(self, maturity: dt.timedelta) -> dt.date:
        """Return the first day whose labels the challenger cannot have learned from, by its declared training date."""
        if self.trained_until is None:
            return self.start
        return max(self.start, self.trained_until + max(maturity, dt.timedelta(days=1)))


def champion_in_words(version: str, served: Mapping[str, int] | None = None, period: str = "day") -> str:
    """Return the champion of a trial; `served` are the versions that production served, in order, with their days.

    With a weekly schedule the `period` of each is a week.
    """
    if version != SERVICE:
        return f"champion {version}"
    return f"whatever production serves{f' ({_versions(served, period)})' if served else ''}"


def _versions(served: Mapping[str, int], period: str) -> str:
    newest = [f"{version} {_IN[period]} {quantity(days, period)}" for version, days in served.items()][-MOST_VERSIONS:]
    earlier = len(served) - len(newest)
    before = f"{quantity(earlier, 'earlier version')}, then " if earlier else ""
    return f"{before}version{'' if len(newest) == 1 else 's'} {', '.join(newest)}"


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """Return in words which parts of a trial's terms differ."""
    changed = [words for part, words in PARTS.items() if before.get(part) != after.get(part)]
    return " and ".join(changed)
