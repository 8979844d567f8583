"""When a confidence sequence would first decide an effect, looked at after every observation."""

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.statistics.margin import Method, independent_margin

Array = NDArray[np.float64]

_PATHS: Final = 4_000
_SEED: Final = 20_240_601
_LAST: Final = 100_000
_STEP: Final = 1.02  # looks are at most 2 % apart, and no closer than one observation


def decision_times(
    effect: float, standard_deviation: float, *, alpha: float, tuned_for: float, burn_in: int, method: Method
) -> tuple[int | None, int | None]:
    """Return the numbers of observations by which half, and nine tenths, of all series would be decided.

    4,000 normal random walks with the drift of the effect, always the same ones, are held against the margin of
    independent observations; so a larger effect is never later. For observations that depend on each other, give the
    standard deviation that independent ones with the same variance of the mean would have.

    Args:
        effect: Distance of the mean from its bound, in the unit of `standard_deviation`.
        standard_deviation: Of one observation.
        alpha, tuned_for, burn_in, method: As in `confidence_sequence`, one-sided; "betting" is forecast as "plain".

    Returns:
        None for no spread (there are no bounds then) and above 100,000 observations.

    Raises:
        ValueError: `effect` or `standard_deviation` is out of range.
    """
    if not 0 < effect < np.inf:
        raise ValueError(f"effect == {effect}, must be > 0 and finite")
    if not 0 <= standard_deviation < np.inf:
        raise ValueError(f"standard_deviation == {standard_deviation}, must be >= 0 and finite")
    if standard_deviation == 0:
        return None, None
    looks, walks = _walks(burn_in)
    needed = independent_margin(looks, alpha, tuned_for, method) - effect / standard_deviation
    decided = walks > needed
    first = np.where(decided.any(axis=1), looks[decided.argmax(axis=1)], np.inf)
    median, most = np.sort(first)[[_PATHS // 2 - 1, _PATHS * 9 // 10 - 1]]
    return _count(median), _count(most)


@lru_cache(maxsize=2)
def _walks(burn_in: int) -> tuple[Array, Array]:
    """Return the looks from the burn-in on, and means of standard normal observations at them: (paths, looks)."""
    last = max(_LAST, burn_in)
    spread = np.geomspace(burn_in, last, int(np.ceil(np.log(last / burn_in) / np.log(_STEP))) + 1)
    looks = np.unique(np.round(spread))
    steps = np.diff(looks, prepend=0.0)
    shocks = np.random.default_rng(_SEED).standard_normal((_PATHS, len(looks)))
    return looks, np.cumsum(shocks * np.sqrt(steps), axis=1) / looks


def _count(observations: float) -> int | None:
    return int(observations) if np.isfinite(observations) else None
