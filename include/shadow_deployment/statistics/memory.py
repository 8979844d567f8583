"""Whether a series depends on more than the observation before."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

LAGS = 7  # a week: what weekdays share adds up to nothing over it


def memory_beyond_the_day_before(x: Array) -> float:
    """Return how far a series of days depends on days before the last, in standard errors.

    The autocorrelations at lags 2 to 7 of the residuals of a first-order autoregression, added up; without such memory
    the sum is nearly standard normal after scaling, and smaller where the memory of the day before is long. Its
    coefficient is corrected for its bias, as in `short_memory`, and so is the sum.

    Args:
        x: Shape (days,), at least 28 of them, in order of time, not all equal.
    """
    y, days = x - x.mean(), len(x)
    r = np.clip((days * (y[1:] @ y[:-1]) / (y @ y) + 1) / (days - 4), 0.0, 0.95)
    residuals = y[1:] - r * y[:-1]
    residuals = residuals - residuals.mean()
    products = sum(residuals[lag:] @ residuals[:-lag] for lag in range(2, LAGS + 1))
    count = len(residuals)
    total = products / (residuals @ residuals) + (LAGS - 1) / count
    return float(total * np.sqrt(count / (LAGS - 1)))
