"""Whether days differ by more than their requests explain: requests of a day that depend on each other.

Sources, by the names used below:

- Brown-Forsythe: Brown and Forsythe, Technometrics 16(1), 1974. An analysis of variance of groups that differ in size
  and in variance.
- Mehrotra: Mehrotra, Communications in Statistics B 26(3), 1997. Its degrees of freedom, so that it keeps its level.
- Kish: Kish, Survey Sampling, 1965. The effective number of weighted requests, and the design effect.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class DesignEffect:
    """By how many times days vary more than independent requests would, and the most that chance explains."""

    ratio: float
    explained: float

    @property
    def is_significant(self) -> bool:
        """Whether days differ by more than their requests explain."""
        return self.ratio > self.explained


def design_effect(weight: Array, mean: Array, squares: Array, *, level: float) -> DesignEffect | None:
    """Compare the variance of daily means with that of independent requests, by Brown-Forsythe with Mehrotra.

    A day of weights w has n = (Σw)² / Σw² effective requests (Kish). Days with one or fewer tell nothing of the
    variance within a day and are left out.

    Args:
        weight: Σw of each day, shape (days,).
        mean: Σw·d / Σw of its differences d, shape (days,).
        squares: Columns Σw², Σw²·d and Σw²·d², shape (days, 3).
        level: Share of independent histories in which `explained` is not exceeded.

    Returns:
        None for fewer than two days, and where no day varies within.
    """
    weight2, weight2_difference, weight2_difference2 = squares.T
    number = weight**2 / weight2
    known = number > 1 + 1e-9
    number, mean = number[known], mean[known]
    if len(number) < 2:
        return None
    spread = weight2_difference2[known] - 2 * mean * weight2_difference[known] + mean**2 * weight2[known]
    variance = np.maximum(spread, 0.0) / weight2[known] * number / (number - 1)
    share = number / number.sum()
    expected = (1 - share) * variance
    if not expected.sum() > 0:
        return None
    between = float(number @ (mean - share @ mean) ** 2)
    return DesignEffect(between / float(expected.sum()), _quantile(number, variance, share, level))


def _quantile(number: Array, variance: Array, share: Array, level: float) -> float:
    """Return the quantile of the ratio under independence: of F, with degrees of freedom by Mehrotra."""
    from scipy.special import fdtri

    expected = (1 - share) * variance
    pooled = float(share @ variance)
    above = float(variance @ variance) + pooled**2 - 2 * float(share @ variance**2)
    return float(fdtri(expected.sum() ** 2 / above, expected.sum() ** 2 / (expected**2 / (number - 1)).sum(), level))
