"""The stationary bootstrap: histories drawn from one series in blocks, so that neighbouring days stay neighbours.

Sources, by the names used below:

- Politis-Romano: Politis and Romano, "The stationary bootstrap", JASA 89(428), 1994.
- Politis-White: Politis and White, Econometric Reviews 23(1), 2004, with the correction of Patton, Politis and White,
  Econometric Reviews 28(4), 2009. The mean block length.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Indices = NDArray[np.int64]

WEEK: Final = 7


def block_length(values: ArrayLike) -> float:
    """Return the mean block length of the stationary bootstrap of `values`, in their steps, by Politis-White.

    As in its authors' code, the flat-top window reaches to twice the first lag from which five autocorrelations in a
    row are negligible, and the length is at most min(3 sqrt(n), n / 3); here it is at least 1.
    """
    x = np.asarray(values, np.float64)
    x, n = x - x.mean(), len(x)
    most = min(math.ceil(math.sqrt(n)) + 5, n - 1)
    covariance = np.array([x[lag:] @ x[: n - lag] for lag in range(most + 1)]) / n
    if covariance[0] <= 0:
        return 1.0
    small = np.abs(covariance) < 2 * math.sqrt(math.log10(n) / n) * covariance[0]
    quiet = (lag for lag in range(1, most - 3) if small[lag : lag + 5].all())
    lags = np.arange(1, min(2 * next(quiet, most), most) + 1)
    window = np.minimum(1, 2 * (1 - lags / lags[-1])) * covariance[lags]
    ratio = 2 * (lags @ window) / (covariance[0] + 2 * window.sum())
    return float(np.clip(np.cbrt(ratio**2 * n), 1, math.ceil(min(3 * math.sqrt(n), n / 3))))


def resampled_days(
    rng: np.random.Generator, runs: int, days: int, history: int, length: float, season: int = WEEK
) -> Indices:
    """Return day numbers of the history, shape (runs, days), drawn in blocks of whole weeks by Politis-Romano.

    A day is drawn for one on the same weekday, and a block begins on the same weekday throughout a run, so that what
    weekdays share is kept. Within a run every day of the history is as likely as the others of its weekday. Where the
    steps are weeks, a season of one of them is what a week is of days.

    Args:
        rng: Source of randomness.
        runs: Number of histories to draw.
        days: Length of each; its first day has the weekday of the history's first.
        history: Number of days to draw from, whole weeks; a block that reaches its end goes on at its start.
        length: Mean block length in days, at least a week; lengths in weeks are geometric.
        season: After how many days a pattern repeats.
    """
    day = np.arange(days)
    first = rng.integers(season, size=(runs, 1))
    begins = (day % season == first) & (rng.random((runs, days)) < season / max(length, season))
    block = np.maximum.accumulate(np.where(begins, day, 0), axis=1)
    start = season * rng.integers(history // season, size=(runs, days)) + day % season
    return np.asarray((np.take_along_axis(start, block, axis=1) + day - block) % history)
