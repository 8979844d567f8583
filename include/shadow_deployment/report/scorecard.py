"""The scorecard: every kept metric of every model side by side, with what each rule says of it; and the health line.

Numbers are as in `views`: Python floats, None where nothing is known. A change is a share of the champion's value on
the same requests.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from shadow_deployment.config.policy import COMPARING
from shadow_deployment.decision.words.finding import Finding
from shadow_deployment.decision.words.wording import difference_shown
from shadow_deployment.report.views import ChallengerLine, RuleView, Unit
from shadow_deployment.report.wording import Measure, measure_of

Group = Literal["blocking", "advisory", "other"]
Health = Literal["good", "attention", "alarm"]
GROUPS: Final[dict[Group, str]] = {
    "blocking": "Blocking rules",
    "advisory": "Advisory rules",
    "other": "Other kept metrics, of no rule",
}


@dataclass(frozen=True)
class ModelScore:
    """What one challenger has in one row.

    `value` and `champion` are both models' values on the same requests, which `compares` where they mean the same;
    `finding` is what its verdict says of the row's rule, None in a row without one.
    """

    value: float | None
    champion: float | None
    finding: Finding | None = None
    compares: bool = True

    @property
    def change(self) -> float | None:
        """The challenger's value minus the champion's, as a share of the champion's."""
        if self.value is None or not self.champion or not self.compares:
            return None
        return (self.value - self.champion) / abs(self.champion)

    @property
    def shown(self) -> str:
        """Return "better" or "worse" where the interval of a difference shows it, else nothing."""
        if self.finding is None or self.finding.is_ not in COMPARING:
            return ""
        return difference_shown(self.finding.lower, self.finding.upper)

    @property
    def level(self) -> float | None:
        """With which probability the interval holds on all days at once; None without an interval."""
        finding = self.finding
        if finding is None or not finding.has_interval or finding.alpha_pass is None or finding.alpha_fail is None:
            return None
        return 1.0 - finding.alpha_pass - finding.alpha_fail


@dataclass(frozen=True)
class ScoreRow:
    """One metric, or one rule about it, with a score for each column (None where nothing is known).

    `what` says of which requests or days the values are, where that is not all of them; `note` is what has to be known
    to compare them. `unit` and `unit_words` are of the interval. Rows of slices are in `slices`.
    """

    metric: str
    title: str
    group: Group
    scores: tuple[ModelScore | None, ...]
    champion: float | None
    rule: RuleView | None = None
    slice: str = "all"
    what: str = ""
    note: str = ""
    slices: tuple["ScoreRow", ...] = ()

    @property
    def measure(self) -> Measure:
        """How its values are written."""
        return measure_of(self.metric)

    @property
    def places(self) -> int | None:
        """With how many decimals its values are written."""
        values = [self.champion, *(score.value for score in self.scores if score)]
        return self.measure.places([*values, 0.0], 4) if any(values) else None

    @property
    def unit(self) -> Unit:
        """What its intervals and bounds are."""
        return self.rule.unit if self.rule else "value"

    @property
    def interval_measure(self) -> Measure:
        """How its intervals and bounds are written."""
        return measure_of(self.metric, self.unit)

    @property
    def findings(self) -> list[Finding]:
        """What the verdicts say of its rule, where that is an interval."""
        return [score.finding for score in self.scores if score and score.finding and score.finding.has_interval]

    @property
    def interval_places(self) -> int:
        """With how many decimals its intervals are written: as many as the narrowest needs."""
        sides = ([each.lower, each.estimate, each.upper] for each in self.findings)
        return max((self.interval_measure.places(each, 3) for each in sides), default=0)

    @property
    def reach(self) -> tuple[float, float] | None:
        """The lowest and highest of all that its intervals are drawn with, the bounds and 0 too; None without one.

        0 is left out where values are bounded, which may lie far from it.
        """
        sides = [side for each in self.findings for side in (each.lower, each.estimate, each.upper, *each.bounds)]
        known = [side for side in sides if side is not None] + ([] if self.unit == "value" else [0.0])
        return (min(known), max(known)) if self.findings else None


@dataclass(frozen=True)
class Scorecard:
    """The rows, and the challengers that are their columns: promotable ones, then the watched one and the A/A check.

    `first` and `last` are the days of the challenger that the page is about; `other_days` names the challengers whose
    own days are others, so that the champion's values in their changes are others too.
    """

    columns: tuple[ChallengerLine, ...]
    rows: tuple[ScoreRow, ...]
    first: dt.date | None = None
    last: dt.date | None = None
    other_days: tuple[str, ...] = ()

    def groups(self) -> Iterator[tuple[str, list[ScoreRow]]]:
        """Yield each group that has a row, with its rows."""
        for group, words in GROUPS.items():
            rows = [row for row in self.rows if row.group == group]
            if rows:
                yield words, rows


@dataclass(frozen=True)
class HealthItem:
    """One thing that a verdict relies on: how it is in a word and in full, and the section that shows it."""

    name: str
    level: Health
    word: str
    detail: str
    section: str
