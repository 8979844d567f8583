"""A rule as an estimand: daily gains whose mean is above 0 exactly where the rule holds.

Margins and relative changes become sums of champion, challenger and difference, day by day: nothing is divided by a
day's own value, and a small or negative champion inverts no verdict.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.base.numbers import quantity
from shadow_deployment.config.policy import BOUNDING, COMPARING, Rule
from shadow_deployment.decision.series import Series

ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class Estimand:
    """Gains and their weights, of shape (observations,); in the rule's unit a gain is scale * gain + offset.

    The mean gain that the rule is about is Σ weight * gain / Σ weight. `range` is where each request's gain must lie,
    for a metric with bounds.
    """

    gains: NDArray[np.float64]
    weight: NDArray[np.float64]
    scale: float
    offset: float
    range: tuple[float, float]

    @property
    def mean(self) -> float:
        """The weighted mean gain."""
        return float(np.average(self.gains, weights=self.weight))

    @property
    def linearised(self) -> NDArray[np.float64]:
        """Observations that count the same, and whose mean and its variance are those of the weighted mean gain.

        Σ W x / Σ W is a ratio; to first order it varies as the mean of W (x - mean) / W̄ does (Owen, Monte Carlo Theory,
        Methods and Examples, 2013, section 9.2).
        """
        mean = self.mean
        return np.asarray(mean + self.weight / self.weight.mean() * (self.gains - mean))

    def natural(self, gain: float) -> float:
        """Return a gain in the unit of the rule: a difference, value or change, or a share of the champion's value."""
        value = self.scale * gain + self.offset
        return 0.0 if abs(value) <= ROUNDING * abs(self.offset) else value

    def naturals(self, gains: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return gains of any shape in the unit of the rule."""
        values = self.scale * gains + self.offset
        return np.where(np.abs(values) <= ROUNDING * abs(self.offset), 0.0, values)


class NoEstimandError(ValueError):
    """The rule has no meaning on this evidence; the text says why."""


def estimand_of(rule: Rule, series: Series) -> Estimand:
    """Return a rule's estimand on a series.

    Raises NoEstimandError for a share of a champion's value that is 0.
    """
    level = _level(rule, series)
    if rule.is_ in COMPARING:
        return _compared(rule, series, series.difference, level)
    low, high = rule.definition.bounds or (0.0, 1.0)  # without bounds nobody asks for the range
    width, largest = high - low, max(abs(low), abs(high))
    value = float(rule.value or 0.0)
    if rule.of == "value":
        gains, offset, span = series.challenger - value, value, (low - value, high - value)
    else:
        change = series.challenger - series.champion
        allowed = value * np.abs(series.champion) if rule.of == "relative_change" else value
        span = (-width - value, width - value)
        if rule.of == "relative_change":
            span = (-width - max(value, 0.0) * largest, width - min(value, 0.0) * largest)
        gains, offset = change - allowed, value
    if rule.is_ == "at_most":
        return Estimand(-gains, series.weights, -1 / level, offset, (-span[1], -span[0]))
    return Estimand(gains, series.weights, 1 / level, offset, span)


def estimands_of(rule: Rule, series: Series) -> list[Estimand]:
    """Return the estimands that must all be above 0: one, or of `equivalent` that of each side.

    The second one's mean gain is above 0 where the challenger is not too much better; both read alike in the rule's
    unit. Raises NoEstimandError as `estimand_of`.
    """
    if rule.is_ != "equivalent":
        return [estimand_of(rule, series)]
    level = _level(rule, series)
    better = _compared(rule, series, -series.difference, level)
    return [estimand_of(rule, series), replace(better, scale=-better.scale, offset=-better.offset)]


def _compared(rule: Rule, series: Series, difference: NDArray[np.float64], level: float) -> Estimand:
    """Return the estimand of a difference to which the margin is added."""
    low, high = rule.definition.bounds or (0.0, 1.0)
    width, margin, weight = high - low, rule.margin or 0.0, series.weights
    if rule.relative_margin is None:
        span = (-width + margin, width + margin)
        return Estimand(difference + margin, weight, 1 / level, -margin / level, span)
    shift = rule.relative_margin * np.abs(series.champion)
    span = (-width, width + rule.relative_margin * max(abs(low), abs(high)))
    return Estimand(difference + shift, weight, 1 / level, -float(np.average(shift, weights=weight)) / level, span)


def _level(rule: Rule, series: Series) -> float:
    """Return what shares are of: the champion's value, of the newest day where days are judged singly; else 1."""
    if not rule.is_relative:
        return 1.0
    size = np.abs(series.champion)
    level = float(size[-1] if rule.is_daily else np.average(size, weights=series.weights))
    if level == 0:
        raise NoEstimandError(f"the champion's {rule.metric} is 0: a share of it has no meaning")
    return level


def holds(rule: Rule, gains: NDArray[np.float64], size: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return for each gain, or bound of gains, whether the rule holds there; `size` is that of `size_of`.

    at_most and at_least include their bound, the others do not; a gain within rounding of the bound is at it.
    """
    rounding = ROUNDING * np.maximum(size, abs(rule.bound) * (size if rule.is_relative else 1.0))
    return np.asarray(gains >= -rounding if rule.is_ in BOUNDING else gains > rounding)


def only_rounding(gains: NDArray[np.float64], size: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return for each time whether the gains so far differ by no more than rounding, so that nothing follows from them.

    Time is the last axis of both.
    """
    spread = np.maximum.accumulate(gains, axis=-1) - np.minimum.accumulate(gains, axis=-1)
    return np.asarray(spread <= ROUNDING * np.maximum.accumulate(size, axis=-1))


def size_of(series: Series) -> NDArray[np.float64]:
    """Return the size of the numbers that gains are computed from, which bounds their rounding errors."""
    return np.asarray(
        np.maximum.reduce([np.abs(series.champion), np.abs(series.challenger), np.abs(series.difference)]), np.float64
    )


def estimand_or_reason(rule: Rule, series: Series | None, needed: int, period: str = "day") -> Estimand | str:
    """Return the rule's estimand on a series of at least `needed` days, or why it has no sequence there."""
    if rule.is_daily:
        return "judged day by day, without a sequence"
    days = 0 if series is None else len(series.days)
    if series is None or days < needed:
        are = "is" if days == 1 else "are"
        return f"{quantity(days, period)} of evidence {are} too few, {needed} are needed"
    if not np.isfinite([series.champion, series.challenger, series.difference]).all():
        return "a value is not a number"
    try:
        estimand = estimand_of(rule, series)
    except NoEstimandError as error:
        return str(error)
    alike = only_rounding(estimand.gains, size_of(series))[-1]
    return "its days do not differ from each other" if alike else estimand
