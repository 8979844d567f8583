"""How far inputs and predictions have moved since the first sampled days."""

import datetime as dt
from dataclasses import dataclass
from typing import Final, Literal

from shadow_deployment.report.views import Values

MODERATE: Final = 0.1
LARGE: Final = 0.25
NEWEST: Final = 7  # days that are taken together to say how it is lately: a week, so that weekdays are no drift


@dataclass(frozen=True)
class DriftSeries:
    """The drift of one feature, or of one model's predictions: the population stability index by day, None without one.

    `missing` is the share of missing values by day and `reference_missing` the first days', of features only. `lately`
    is the index of the newest seven days taken together, None until as many were compared with one reference, and
    `chance` about what it would be if nothing had moved: small samples differ anyhow.
    """

    name: str
    kind: Literal["feature", "predictions"]
    values: Values
    missing: Values = ()
    reference_missing: float | None = None
    lately: float | None = None
    chance: float = 0.0

    @property
    def strength(self) -> Literal["none", "moderate", "large"]:
        """How strongly it drifts lately, by the usual marks; what samples of this size differ by is no drift."""
        if self.lately is None or self.lately < MODERATE or self.lately <= 2 * self.chance:
            return "none"
        return "large" if self.lately >= LARGE else "moderate"


@dataclass(frozen=True)
class DriftView:
    """The drift of features and predictions, those that drift most first.

    `days` are the sampled days with an index of any. The reference is `reference_days` days, from `first` to `last`,
    and `is_settled` once it stays the same. `unknown` sampled days have no index of their inputs: they were sampled
    before it was kept, or the files of the first days were gone. With a weekly schedule all of these are weeks.
    """

    days: tuple[dt.date, ...]
    series: tuple[DriftSeries, ...]
    reference_days: int
    first: dt.date
    last: dt.date
    is_settled: bool
    unknown: int = 0
    period: Literal["day", "week"] = "day"

    @property
    def newest(self) -> str:
        """What is taken together to say how it is lately, in words."""
        return f"newest {NEWEST}\N{NO-BREAK SPACE}days" if self.period == "day" else "newest week"

    @property
    def is_rated(self) -> bool:
        """Whether a week was compared with one reference, so that it can be said what drifts."""
        return any(each.lately is not None for each in self.series)

    @property
    def drifting(self) -> list[DriftSeries]:
        """What drifts lately, the most first."""
        return [each for each in self.series if each.strength != "none"]
