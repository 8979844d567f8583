"""The long-run variance of days that depend on many days before them, from the slowest waves of the series.

Source, by the name used below: Lazarus-Lewis-Stock-Watson: Lazarus, Lewis, Stock and Watson, "HAR inference:
recommendations for practice", Journal of Business and Economic Statistics 36(4), 2018. The equal-weighted cosine
estimator and its degrees of freedom, after Müller, Econometric Theory 23(6), 2007.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.statistics.long_run_variance import LongRunVariance

Array = NDArray[np.float64]

_REFRESHED: Final = 100  # an estimate is kept until there are 1 % more days
_AT_ONCE: Final = 32  # times whose cosines are in memory together


def cosines(t: Array) -> Array:
    """Return the number B of cosines after t days, of the order of Lazarus-Lewis-Stock-Watson: 0.5 t^(2/3)."""
    return np.minimum(np.maximum(np.round(0.5 * np.cbrt(t) ** 2), 2.0), t - 1)


def cosine_degrees(t: Array) -> Array:
    """Return B - 2, at least 1: fewer than the B of one look, since the variance is small by chance on some of many."""
    return np.maximum(cosines(t) - 2.0, 1.0)


def long_memory(y: Array, t: Array, first: int) -> LongRunVariance:
    """Estimate the long-run variance from the slowest waves: the mean of B squared cosine transforms.

    A transform is √(2/t) Σ y_i cos(π j (i - ½) / t), j from 1 to B. Waves faster than these, such as a weekly pattern,
    leave no trace in it.

    From day 200 on, it is made anew every t // 100 days and kept between: a year of 2,500 series takes less than half a
    second, ten years do not take 400 times as long.

    Args:
        y: Observations, shape (..., days), in order of time.
        t: Consecutive numbers of observations, shape (times,), the last of them `days`.
        first: Number of observations of the first estimate that is made.

    Returns:
        The variance, shape (..., times), in the unit of `y` squared; the degrees of freedom, shape (times,).
    """
    made_at, newest = np.unique(np.maximum(t - t % np.maximum(t // _REFRESHED, 1), first), return_inverse=True)
    flat = y.reshape(-1, y.shape[-1])
    made = [_at_times(flat, made_at[start : start + _AT_ONCE]) for start in range(0, len(made_at), _AT_ONCE)]
    variance = np.concatenate(made, axis=1)[:, newest]
    return LongRunVariance(variance.reshape(*y.shape[:-1], len(t)), cosine_degrees(made_at)[newest])


def _at_times(y: Array, t: Array) -> Array:
    """Return the estimate of each series, shape (series, days), at each time: (series, times)."""
    count = cosines(t).astype(np.int64)
    length = np.repeat(t, count)
    wave = np.concatenate([np.arange(1, each + 1) for each in count])
    day = np.arange(int(t[-1]))[:, np.newaxis]
    basis = np.where(day < length, np.sqrt(2 / length) * np.cos(np.pi * wave * (day + 0.5) / length), 0.0)
    power = (y[:, : int(t[-1])] @ basis) ** 2
    return np.asarray(np.add.reduceat(power, np.cumsum(count) - count, axis=1) / count)
