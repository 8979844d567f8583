"""A rule as an estimand: daily gains whose mean is above 0 exactly where the rule holds.

Margins and relative changes become sums of champion, challenger and difference, day by day: nothing is divided by a
day's own value, and a small or negative champion inverts no verdict.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.config.policy import BOUNDING, COMPARING, Rule
from shadow_deployment.decision.series import Series

ROUNDING = 1e-12


@dataclass(frozen=True, eq=False)
class Estimand:
    """Gains of shape (observations,), and how a gain reads in the rule's own unit: scale * gain + offset.

    `range` is where each request's gain must lie, for a metric with bounds.
    """

    gains: NDArray[np.float64]
    scale: float
    offset: float
    range: tuple[float, float]

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
    level = _level(rule, series) if rule.is_relative else 1.0
    if level == 0:
        raise NoEstimandError(f"the champion's {rule.metric} is 0: a share of it has no meaning")
    low, high = rule.definition.bounds or (0.0, 1.0)  # without bounds nobody asks for the range
    width, largest = high - low, max(abs(low), abs(high))
    if rule.is_ in COMPARING:
        if rule.relative_margin is not None:
            shift = rule.relative_margin * np.abs(series.champion)
            span = -width, width + rule.relative_margin * largest
            return Estimand(series.difference + shift, 1 / level, -float(shift.mean()) / level, span)
        margin = rule.margin or 0.0
        return Estimand(series.difference + margin, 1 / level, -margin / level, (-width + margin, width + margin))
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
        return Estimand(-gains, -1 / level, offset, (-span[1], -span[0]))
    return Estimand(gains, 1 / level, offset, span)


def _level(rule: Rule, series: Series) -> float:
    """Return what shares are of: the champion's value, of the newest day where days are judged singly."""
    size = np.abs(series.champion)
    return float(size[-1] if rule.is_daily else size.mean())


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


def estimand_or_reason(rule: Rule, series: Series | None, needed: int) -> Estimand | str:
    """Return the rule's estimand on a series of at least `needed` days, or why it has no sequence there."""
    if rule.is_daily:
        return "judged day by day, without a sequence"
    days = 0 if series is None else len(series.days)
    if series is None or days < needed:
        return f"{days} days of evidence are too few, {needed} are needed"
    if not np.isfinite([series.champion, series.challenger, series.difference]).all():
        return "a value is not a number"
    try:
        estimand = estimand_of(rule, series)
    except NoEstimandError as error:
        return str(error)
    alike = only_rounding(estimand.gains, size_of(series))[-1]
    return "its days do not differ from each other" if alike else estimand
