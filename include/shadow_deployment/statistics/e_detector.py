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
    return falls(np.asarray(observations, np.float64)[np.newaxis], threshold=threshold)[0]


def falls(observations: Array, *, threshold: float = TEN_YEARS) -> list[Change | None]:
    """Return what `fallen` does for each of many series, shape (series, n)."""
    if not observations.shape[-1]:
        return [None] * len(observations)
    since = _evidence(observations)
    alarm = np.logaddexp.reduce(since, axis=(0, 2)) - np.log(len(_BETS)) > np.log(threshold)
    likeliest = since.max(axis=0).argmax(axis=-1)
    return [Change(int(place)) if on else None for place, on in zip(likeliest, alarm, strict=True)]


def _evidence(x: Array) -> Array:
    """Return the logarithm of each bet's evidence for a change just before each observation: (bets, series, n).

    It is the product of the factors since; M is the sum of all. There is none before the standard deviation is known.
    """
    number = np.arange(1.0, x.shape[-1] + 1)
    squares = np.zeros_like(x)
    squares[:, 1:] = np.cumsum(np.diff(x) ** 2, axis=-1)
    known = (number > _FIRST) & (squares > 0)
    scale = np.sqrt(np.where(known, squares, 1.0) / (2 * np.maximum(number - 1, 1)))
    z, bets = np.maximum(x / scale, -_LARGEST), _BETS[:, np.newaxis, np.newaxis]
    factors = -bets * z - bets**2 / 2 * (1 + 1 / number)
    return np.where(known, np.cumsum(factors[..., ::-1], axis=-1)[..., ::-1], -np.inf)
