"""When a mean that was at or above 0 has fallen below it: an alarm that is rarely false however long one watches.

Sources, by the names used below:

- e-detector: Shin, Ramdas, Rinaldo, "E-detectors: a nonparametric framework for sequential change detection", New
  England Journal of Statistics in Data Science 2(2), 2024. The Shiryaev-Roberts form: where each factor has a mean of
  at most 1 as long as nothing has changed, an alarm at `threshold` comes on average no sooner than after so many
  observations.
- von Neumann: von Neumann, Annals of Mathematical Statistics 12(4), 1941. The variance from successive differences,
  which a change of the mean leaves as it is.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

TEN_YEARS: Final = 520.0  # in weeks
_BETS: Final = np.array([0.25, 0.5, 1.0])  # falls that are bet on, in standard deviations
_LARGEST: Final = 3.0  # fall that counts in full: one bad week of many is no change
_FIRST: Final = 8  # differences that the standard deviation needs


@dataclass(frozen=True)
class Change:
    """An alarm at the newest observation: `since` is the place of the first one after the likeliest change."""

    since: int


def fallen(observations: ArrayLike, *, threshold: float = TEN_YEARS) -> Change | None:
    """Return the change where the mean of the newest observations has fallen below 0, None where there is no alarm.

    With z the observation in standard deviations so far, at least -3, and i their number, each bet l on a fall by l has
    M ← (1 + M) exp(-l z - l²/2 (1 + 1/i)) (e-detector; the 1/i pays for the estimated standard deviation, von Neumann).
    The alarm is on while the mean of M over bets is above `threshold`; it goes out by itself where the mean recovers.

    Args:
        observations: Shape (n,), in order of time, alike in variance and independent but for a change of their mean.
        threshold: How many observations it takes on average to a false alarm where the mean stays at 0.
    """
    x = np.asarray(observations, np.float64)
    number = np.arange(1.0, len(x) + 1)
    squares = np.concatenate([[0.0], np.cumsum(np.diff(x) ** 2)])[: len(x)]
    known = (number > _FIRST) & (squares > 0)
    scale = np.sqrt(squares[known] / (2 * (number[known] - 1)))
    z, late = np.maximum(x[known] / scale, -_LARGEST), 1 + 1 / number[known]
    logs = -_BETS[:, None] * z - _BETS[:, None] ** 2 / 2 * late
    if not z.size or np.logaddexp.reduce(_evidence(logs)) - np.log(len(_BETS)) <= np.log(threshold):
        return None
    since = np.cumsum(logs[:, ::-1], axis=1)[:, ::-1]  # of a change just before each observation
    return Change(int(np.flatnonzero(known)[int(np.argmax(since.max(axis=0)))]))


def _evidence(logs: Array) -> Array:
    """Return the logarithm of each bet's M at the end: the sum over all changes of the product of the factors since."""
    return np.asarray(np.logaddexp.reduce(np.cumsum(logs[:, ::-1], axis=1), axis=1))
