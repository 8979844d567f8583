"""The variance of a mean of days that depend on each other, and how well it is known.

Sources, by the names used below:

- Newey-West: Newey and West, Econometrica 55(3), 1987. Long-run variance with Bartlett weights.
- Kiefer-Vogelsang: Kiefer and Vogelsang, Econometric Theory 21(6), 2005. Such estimates fall short by the share of the
  days that their weights span.
- Marriott-Pope: Marriott and Pope, Biometrika 41(3/4), 1954. Bias of the autocorrelation of a short series.
- Andrews-Monahan: Andrews and Monahan, Econometrica 60(4), 1992, and Sul, Phillips, Choi, Oxford Bulletin of Economics
  and Statistics 67(4), 2005. Long-run variance through a first-order autoregression, its coefficient kept off 1.
"""

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

FEWEST_DEGREES: Final = 3.0


class LongRunVariance(NamedTuple):
    """t times the variance of the mean at times t, and the degrees of freedom of its estimate.

    Both have shape (..., times) or one that broadcasts to it; the variance is in the unit of the observations squared.
    """

    variance: Array
    degrees: Array


def short_memory(y: Array, t: Array, mean: Array, variance: Array) -> LongRunVariance:
    """Estimate the long-run variance of days that resemble the few days before: the largest of three estimates.

    The three are the plain variance; Newey-West with bandwidth b = floor(1.3 t^(1/3)), divided by 1 - (b + 1) / t
    (Kiefer-Vogelsang); and Andrews-Monahan with a first-order autoregression, variance * (1 + r) / (1 - r), since
    Newey-West alone is too small for few and dependent days. The lag-1 autocorrelation is biased by -(1 + 4 r) / t
    (Marriott-Pope); corrected, r is kept in 0 to 1 - 1/sqrt(t).

    The degrees of freedom are t / (2 λ - 1) - 1, and at least 3, where λ is the ratio to the plain variance.
    Independent days have t - 1. By the delta method, the logarithm of σ² / (1 - r)² with both estimated from t days of
    a normal autoregression has the variance 2 (1 + 2 λ) / t, as if it had t / (2 λ + 1) degrees; r that is kept above 0
    adds less than that where λ is near 1.

    Args:
        y: Observations, shape (..., days), in order of time.
        t: Consecutive numbers of observations, shape (times,), the last of them `days`.
        mean: Running mean of `y` at times t, shape (..., times).
        variance: Running variance with divisor t - 1, shape (..., times), in the unit of `y` squared.

    Returns:
        Shapes (..., times); NaN where all observations are equal.
    """
    bandwidth = np.floor(1.3 * np.cbrt(t))
    sums = np.cumsum(y, axis=-1)
    second = variance * (t - 1) / t
    newey_west = second.copy()
    inflation = np.ones_like(second)
    with np.errstate(divide="ignore", invalid="ignore"):
        for lag in range(1, int(bandwidth[-1]) + 1):
            since = int(np.searchsorted(bandwidth, lag))
            autocovariance = _autocovariance(y, sums, t[since:], mean[..., since:], lag)
            newey_west[..., since:] += 2 * (1 - lag / (bandwidth[since:] + 1)) * autocovariance
            if lag == 1:
                r = (t * autocovariance / second + 1) / np.maximum(t - 4, 1)
                r = np.clip(r, 0.0, 1 - 1 / np.sqrt(t))
                inflation = (1 + r) / (1 - r)
        newey_west /= variance * (1 - np.minimum((bandwidth + 1) / t, 0.5))
        wider = np.maximum(newey_west, inflation)
        degrees = np.maximum(t / (2 * wider - 1) - 1, FEWEST_DEGREES)
    return LongRunVariance(variance * wider, degrees)


def long_run_ratio(x: Array) -> float:
    """Return the ratio of the long-run variance of one series, shape (days,), to its plain variance, at least 1."""
    y, t = x - x.mean(), np.array([float(len(x))])
    variance = np.array([y.var(ddof=1)])
    return float((short_memory(y, t, np.zeros(1), variance).variance / variance)[0])


def running_sums(x: Array, first: int) -> Array:
    """Return the sums of the observations so far from number `first` on: shape (..., days - first + 1)."""
    from_first = x[..., first - 1 :].copy()
    from_first[..., 0] = x[..., :first].sum(axis=-1)
    return np.cumsum(from_first, axis=-1)


def _autocovariance(y: Array, sums: Array, t: Array, mean: Array, lag: int) -> Array:
    """Autocovariance (divisor t) of y[..., :t] around its own mean, at consecutive times t > lag, from running sums."""
    first, last = int(t[0]), y.shape[-1]
    products = running_sums(y[..., lag:] * y[..., :-lag], first - lag)
    leading = sums[..., first - 1 :] - sums[..., lag - 1 : lag]
    lagging = sums[..., first - lag - 1 : last - lag]
    return np.asarray((products - mean * (leading + lagging) + (t - lag) * mean**2) / t)
