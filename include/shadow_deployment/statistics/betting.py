"""Bounds for the mean of bounded observations by betting: valid at any number of observations, and wide.

The predictable plug-in empirical Bernstein sequence of Waudby-Smith and Ramdas, "Estimating means of bounded random
variables by betting", JRSS B 86(1), 2024, theorem 2.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_LARGEST_BET: Final = 0.75


def empirical_bernstein(
    x: Array, alpha: tuple[float, float], burn_in: int, bounds: tuple[float, float]
) -> tuple[Array, Array]:
    """Return lower and upper bounds for the mean from observation number `burn_in` on, with bets of at most 3/4.

    Args:
        x: Independent observations within `bounds`, shape (..., t), in order of time.
        alpha: Error probability of the lower and of the upper bound, over all times together.
        burn_in: Number of the first observation that gets a bound.
        bounds: Smallest and largest possible observation.

    Returns:
        Two arrays of shape (..., t - burn_in + 1), in the unit of the observations and within `bounds`.
    """
    low, high = bounds
    u = (x - low) / (high - low)
    n = np.arange(1.0, x.shape[-1] + 1)
    mean = (0.5 + np.cumsum(u, axis=-1)) / (n + 1)
    variance = (0.25 + np.cumsum((u - mean) ** 2, axis=-1)) / (n + 1)
    mean_before, variance_before = _before(mean, 0.5), _before(variance, 0.25)

    def centre_and_margin(level: float) -> tuple[Array, Array]:
        bet = np.minimum(np.sqrt(2 * np.log(1 / level) / (variance_before * n * np.log1p(n))), _LARGEST_BET)
        staked = np.cumsum(bet, axis=-1)
        lost = np.cumsum((u - mean_before) ** 2 * (-np.log1p(-bet) - bet), axis=-1)
        return np.cumsum(bet * u, axis=-1) / staked, (np.log(1 / level) + lost) / staked

    by_level = {level: centre_and_margin(level) for level in set(alpha)}
    (below, margin_below), (above, margin_above) = (by_level[level] for level in alpha)
    lower, upper = np.maximum(below - margin_below, 0.0), np.minimum(above + margin_above, 1.0)
    first = slice(burn_in - 1, None)
    return (low + (high - low) * lower)[..., first], (low + (high - low) * upper)[..., first]


def _before(running: Array, prior: float) -> Array:
    """Shift by one: the value before each observation."""
    return np.concatenate([np.full_like(running[..., :1], prior), running[..., :-1]], axis=-1)
