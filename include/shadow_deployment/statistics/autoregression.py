"""Histories drawn from an autoregression of a series: what short histories are resampled by beside blocks.

Sources, by the names used below:

- Kilian: Kilian, "Small-sample confidence intervals for impulse response functions", Review of Economics and
  Statistics 80(2), 1998. Coefficients corrected for their bias, which is estimated by resampling.
- AIC: Akaike, IEEE Transactions on Automatic Control 19(6), 1974.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

MOST_LAGS: Final = 7  # a week
SETTLING: Final = 100  # days drawn before the first one kept
_REPLICATES: Final = 200
_LARGEST_ROOT: Final = 0.97
_UPPER: Final = 0.9
_TINY: Final = 1e-300


@dataclass(frozen=True, eq=False)
class Autoregression:
    """Coefficients of the days before, the day before first, and shocks of shape (days,), of which MOST_LAGS are 0."""

    coefficients: Array
    shocks: Array

    def drawn(self, index: Indices) -> Array:
        """Return series of these shocks: `index` has shape (runs, SETTLING + days), the result (runs, days)."""
        from scipy.signal import lfilter

        denominator = np.append(1.0, -self.coefficients)
        return np.asarray(lfilter([1.0], denominator, self.shocks[index], axis=1)[:, SETTLING:])


def shock_index(rng: np.random.Generator, runs: int, days: int, history: int) -> Indices:
    """Return which days' shocks to draw, shape (runs, SETTLING + days), from those that have one."""
    return rng.integers(MOST_LAGS, history, size=(runs, SETTLING + days))


def autoregressions(x: Array, rng: np.random.Generator) -> tuple[Autoregression, Autoregression]:
    """Return the likeliest autoregression of a series, and one at the upper 90 % limit of its dependence.

    The first has the order that AIC prefers, up to a week. The second has the order of a week, whose coefficients allow
    for more kinds of memory than a short history can show; of 200 histories drawn from it, it is the one whose long-run
    variance exceeds its plain variance by more than in nine tenths. Both are corrected for bias (Kilian) and kept
    stationary.

    Args:
        x: A series of mean 0 that varies, shape (days,), of at least four times MOST_LAGS days.
        rng: Source of randomness.
    """
    likeliest, _ = _corrected(x, _order(x), rng)
    week, replicates = _corrected(x, MOST_LAGS, rng)
    ratios = long_run_ratios(replicates)
    upper = np.argsort(ratios)[round(_UPPER * _REPLICATES) - 1]
    return likeliest, Autoregression(replicates[upper], week.shocks)


def long_run_ratios(coefficients: Array) -> Array:
    """Return long-run variance through plain variance of autoregressions, shape (many,) of (many, order)."""
    from scipy.signal import lfilter

    impulse = np.zeros(4 * SETTLING)
    impulse[0] = 1.0
    echoes = np.array([lfilter([1.0], np.append(1.0, -each), impulse) for each in coefficients])
    return np.asarray(echoes.sum(axis=1) ** 2 / (echoes**2).sum(axis=1))


def least_squares(x: Array, order: int) -> Array:
    """Return the coefficients of series around their means, shape (..., order) of (..., days)."""
    y = x - x.mean(axis=-1, keepdims=True)
    before, now = _before(y, order), y[..., order:]
    gram = np.einsum("...tp,...tq->...pq", before, before)
    moments = np.einsum("...tp,...t->...p", before, now)
    return np.asarray(np.einsum("...pq,...q->...p", np.linalg.pinv(gram, hermitian=True), moments))


def stationary(coefficients: Array) -> Array:
    """Return coefficients, shape (many, order), that are shrunk where the largest root is above 0.97."""
    many, order = coefficients.shape
    companion = np.zeros((many, order, order))
    companion[:, 0] = coefficients
    companion[:, range(1, order), range(order - 1)] = 1.0
    largest = np.abs(np.linalg.eigvals(companion)).max(axis=1)
    shrink = np.minimum(1.0, _LARGEST_ROOT / np.maximum(largest, _LARGEST_ROOT))
    return np.asarray(coefficients * shrink[:, np.newaxis] ** np.arange(1, order + 1))


def _corrected(x: Array, order: int, rng: np.random.Generator) -> tuple[Autoregression, Array]:
    """Return the autoregression of an order without its bias, and as good coefficients of resampled histories."""
    fitted = stationary(least_squares(x, order)[np.newaxis])[0]
    shocks = np.zeros(len(x))
    y = x - x.mean()
    residuals = (y[order:] - _before(y, order) @ fitted)[MOST_LAGS - order :]
    shocks[MOST_LAGS:] = residuals - residuals.mean()
    histories = Autoregression(fitted, shocks).drawn(shock_index(rng, _REPLICATES, len(x), len(x)))
    replicates = least_squares(histories, order)
    bias = replicates.mean(axis=0) - fitted
    corrected = stationary((fitted - bias)[np.newaxis])[0]
    return Autoregression(corrected, shocks), stationary(replicates - 2 * bias)


def _order(x: Array) -> int:
    """Return the order from 1 to a week with the least AIC, each fitted to the same days."""
    y, scores = x - x.mean(), []
    for order in range(1, MOST_LAGS + 1):
        residuals = (y[order:] - _before(y, order) @ least_squares(y, order))[MOST_LAGS - order :]
        scores.append(len(residuals) * np.log(max(residuals @ residuals, _TINY)) + 2 * order)
    return int(np.argmin(scores)) + 1


def _before(y: Array, order: int) -> Array:
    """Return the values of the days before each day from number `order` on: (..., days - order, order)."""
    days = y.shape[-1]
    return np.stack([y[..., order - lag : days - lag] for lag in range(1, order + 1)], axis=-1)
