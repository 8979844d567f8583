"""The variance of a mean of days that depend on each other.

Sources, by the names used below:

- Newey-West: Newey and West, Econometrica 55(3), 1987. Long-run variance with Bartlett weights.
- Marriott-Pope: Marriott and Pope, Biometrika 41(3/4), 1954. Bias of the autocorrelation of a short series.
- Andrews-Monahan: Andrews and Monahan, Econometrica 60(4), 1992, and Sul, Phillips, Choi, Oxford Bulletin of Economics
  and Statistics 67(4), 2005. Long-run variance through a first-order autoregression, its coefficient kept off 1.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def long_run_variance(y: Array, t: Array, mean: Array, variance: Array) -> Array:
    """Estimate t times the variance of the mean of dependent days, at times t: the largest of three estimates.

    The three are the plain variance; Newey-West with bandwidth floor(1.3 t^(1/3)); and Andrews-Monahan with a
    first-order autoregression, variance * (1 + r) / (1 - r), since Newey-West alone is too small for few and dependent
    days. The lag-1 autocorrelation is biased by -(1 + 4 r) / t (Marriott-Pope); corrected, r is kept in 0 to
    1 - 1/sqrt(t).

    Args:
        y: Observations, shape (..., days), in order of time.
        t: Consecutive numbers of observations, shape (times,), the last of them `days`.
        mean: Running mean of `y` at times t, shape (..., times).
        variance: Running variance with divisor t - 1, shape (..., times), in the unit of `y` squared.

    Returns:
        Long-run variance, shape (..., times), in the unit of `y` squared; NaN where all observations are equal.
    """
    bandwidth = np.floor(1.3 * np.cbrt(t))
    sums = np.cumsum(y, axis=-1)
    second = variance * (t - 1) / t
    newey_west = second.copy()
    inflation = np.ones_like(second)
    for lag in range(1, int(bandwidth[-1]) + 1):
        since = int(np.searchsorted(bandwidth, lag))
        autocovariance = _autocovariance(y, sums, t[since:], mean[..., since:], lag)
        newey_west[..., since:] += 2 * (1 - lag / (bandwidth[since:] + 1)) * autocovariance
        if lag == 1:
            r = (t * autocovariance / second + 1) / np.maximum(t - 4, 1)
            r = np.clip(r, 0.0, 1 - 1 / np.sqrt(t))
            inflation = (1 + r) / (1 - r)
    return np.maximum(newey_west, variance * inflation)


def _autocovariance(y: Array, sums: Array, t: Array, mean: Array, lag: int) -> Array:
    """Autocovariance (divisor t) of y[..., :t] around its own mean, at consecutive times t > lag, from running sums."""
    first, last = int(t[0]), y.shape[-1]
    products = np.cumsum(y[..., lag:] * y[..., :-lag], axis=-1)[..., first - lag - 1 :]
    leading = sums[..., first - 1 :] - sums[..., lag - 1 : lag]
    lagging = sums[..., first - lag - 1 : last - lag]
    return np.asarray((products - mean * (leading + lagging) + (t - lag) * mean**2) / t)
