"""Confidence sequences: intervals for a mean that hold at all looks at once.

Time is always the last axis and every leading axis is a series of its own, so a year of days for thousands of slices is
one call. A bound at time t never depends on what came after t.

Source, by the name used below: AsympCS: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit
theory and asymptotic confidence sequences", Annals of Statistics 52(6), 2024.
"""

from bisect import bisect_left
from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shadow_deployment.statistics.betting import empirical_bernstein
from shadow_deployment.statistics.cosine_variance import long_memory
from shadow_deployment.statistics.long_run_variance import running_sums, short_memory
from shadow_deployment.statistics.margin import Method, independent_margin, normal_margin, skewed_margin, student_margin

Array = NDArray[np.float64]
Side = Literal["both", "lower", "upper"]
Looks = Literal["all", "newest"]
Alpha = float | tuple[float, float]

_SIDES: Final = ("both", "lower", "upper")
_METHODS: Final = get_args(Method)
_ROUNDING: Final = 1e-12  # what varies by less than this share of its size varies by rounding only
_SEARCHED: Final = 100_000


@dataclass(frozen=True, eq=False)
class ConfidenceSequence:
    """Bounds for the mean after each observation, or the newest alone, in the unit of the observations.

    All have the shape of the observations, with an entry a look on the last axis. `lower` and `upper` are -inf and +inf
    where nothing may be concluded: before the burn-in, on a side not requested, and while all observations so far are
    equal. `estimate` is the running mean.
    """

    lower: Array
    upper: Array
    estimate: Array


def confidence_sequence(
    observations: ArrayLike,
    *,
    alpha: Alpha,
    burn_in: int,
    tuned_for: float,
    side: Side = "both",
    method: Method = "robust",
    bounds: tuple[float, float] = (-1.0, 1.0),
    looks: Looks = "all",
) -> ConfidenceSequence:
    """Bound the mean of `observations` at every time, with error probability `alpha` over all times together.

    Each bound errs by itself: the interval between two that have alphas of their own holds with 1 minus their sum.

    Observations that are all equal so far get no bounds: they say nothing about how much days vary.

    Args:
        observations: Shape (..., t), in order of time.
        alpha: One error probability, halved between the sides where `side` is "both"; or two, the first for the lower
            and the second for the upper bound, each of which then holds by itself.
        burn_in: Number of the observation that gets the first bound.
        tuned_for: Number of observations at which bounds are tightest; "betting" does not use it.
        side: Which bounds to give.
        method: "plain" is AsympCS: independent observations. "robust" allows for dependent and skewed days and for an
            estimated variance, "long_memory" also for days that depend on many days before. "betting" needs
            independent observations within `bounds`, holds at any number of them, and is much wider.
        bounds: Smallest and largest possible observation, for "betting".
        looks: "newest" computes the last look alone, which is the same as that of "all".

    Raises:
        ValueError: An observation is not finite, or is outside `bounds` when betting; or an argument is out of range.
    """
    _check(alpha=alpha, burn_in=burn_in, tuned_for=tuned_for, side=side, method=method)
    x = _finite("observations", observations)
    days = x.shape[-1]
    if method == "betting":
        _check_bounds(x, bounds)
    estimate = (np.cumsum(x, axis=-1) / np.arange(1.0, days + 1))[..., first_of(looks, days) :]
    if days < burn_in:
        return _padded(side, x[..., :0], x[..., :0], estimate)
    one_sided, first = _one_sided(alpha, side), max(burn_in, first_of(looks, days) + 1)
    if method == "betting":
        lower, upper = empirical_bernstein(x, one_sided, first, bounds)
    else:
        lower, upper = _asymptotic(x, one_sided, burn_in, np.arange(first, days + 1.0), tuned_for, method)
    blind = _constant(x, first) | ~np.isfinite(lower) | ~np.isfinite(upper)
    return _padded(side, np.where(blind, -np.inf, lower), np.where(blind, np.inf, upper), estimate)


def weighted_confidence_sequence(
    *,
    count: ArrayLike,
    weight: ArrayLike,
    weight_difference: ArrayLike,
    weight2: ArrayLike,
    weight2_difference: ArrayLike,
    weight2_difference2: ArrayLike,
    alpha: Alpha,
    burn_in: int,
    tuned_for: float,
    side: Side = "both",
) -> ConfidenceSequence:
    """Bound the weighted mean difference of requests at the end of each day, from sums of each day alone.

    The plain AsympCS with t = requests so far, around the Hájek mean Σw·d / Σw, with its linearised variance
    Σw²(d - mean)² / (Σw)² (Owen, Monte Carlo Theory, Methods and Examples, 2013, section 9.2) times n/(n - 1), n being
    Kish's effective number (Σw)² / Σw². With equal weights it is the plain sequence of the requests themselves.

    It assumes that requests are independent of each other, also within a day, and that weights and differences come
    from a distribution that hardly changes. Where the requests of a day depend on each other it promotes too often: use
    days.

    Args:
        count: Number of requests, shape (..., days) as all sums.
        weight, weight_difference: Σw over inverse inclusion probabilities w, and Σw·d over differences d.
        weight2, weight2_difference, weight2_difference2: Σw², Σw²·d and Σw²·d².
        alpha, side: As in `confidence_sequence`.
        burn_in: Number of the day that gets the first bound.
        tuned_for: Number of requests at which bounds are tightest.

    Returns:
        Bounds and running weighted mean, shape (..., days), in the unit of the differences.

    Raises:
        ValueError: A sum is not finite, a count or weight is negative, shapes differ, or an argument is out of range.
    """
    _check(alpha=alpha, burn_in=burn_in, tuned_for=tuned_for, side=side)
    sums = {
        "count": count,
        "weight": weight,
        "weight_difference": weight_difference,
        "weight2": weight2,
        "weight2_difference": weight2_difference,
        "weight2_difference2": weight2_difference2,
    }
    running = [np.cumsum(day, axis=-1) for day in _daily(sums)]
    lower, upper, mean = _weighted_bounds(running, _one_sided(alpha, side), tuned_for)
    return _padded(side, lower[..., burn_in - 1 :], upper[..., burn_in - 1 :], mean)


def observations_needed(
    effect: float, standard_deviation: float, *, alpha: float, tuned_for: float, burn_in: int, method: Method = "robust"
) -> int | None:
    """Return the number of observations at which the margin of independent observations falls below |effect|.

    The true effect is not known, so this is a forecast for a message, not a sample size that guarantees a decision.

    Args:
        effect: Distance of the mean from its bound, in the unit of `standard_deviation`.
        standard_deviation: Of one observation.
        alpha: Error probability of the one-sided bound.
        tuned_for: Number of observations at which the bound is tightest.
        burn_in: Least number to return.
        method: As in `confidence_sequence`; "betting" is forecast as "plain".

    Returns:
        None for no effect, for no spread (there are no bounds then) and above 100,000.

    Raises:
        ValueError: An argument is out of range.
    """
    _check(alpha=alpha, burn_in=burn_in, tuned_for=tuned_for, side="lower")
    if not np.isfinite(effect):
        raise ValueError(f"effect == {effect}, must be finite")
    if not (np.isfinite(standard_deviation) and standard_deviation >= 0):
        raise ValueError(f"standard_deviation == {standard_deviation}, must be finite and >= 0")
    if effect == 0 or standard_deviation == 0:
        return None

    def decides(t: int) -> bool:
        margin = independent_margin(np.float64(t), alpha, tuned_for, method)
        return bool(standard_deviation * margin < abs(effect))

    times = range(burn_in, _SEARCHED + 1)
    first = bisect_left(times, True, key=decides)  # the margin only falls
    return times[first] if first < len(times) else None


def first_of(looks: Looks, observations: int) -> int:
    """Return the index of the first look that is wanted."""
    return max(observations - 1, 0) if looks == "newest" else 0


def _one_sided(alpha: Alpha, side: Side) -> tuple[float, float]:
    """Return the error probability of the lower and of the upper bound."""
    if isinstance(alpha, tuple):
        return alpha
    return (alpha / 2, alpha / 2) if side == "both" else (alpha, alpha)


def _weighted_bounds(running: list[Array], alpha: tuple[float, float], tuned_for: float) -> tuple[Array, Array, Array]:
    """Lower and upper bounds and the weighted mean, from running sums; infinite where too little is known."""
    n, w, wd, w2, w2d, w2d2 = running
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = wd / w
        effective = w**2 / w2
        spread = w2d2 - 2 * mean * w2d + mean**2 * w2
        variance = spread / w**2 * effective / (effective - 1)
        below, above = (np.sqrt(variance * n) * normal_margin(n, level, tuned_for) for level in alpha)
        known = (effective > 1) & (spread > _ROUNDING * (w2d2 + mean**2 * w2))
        return np.where(known, mean - below, -np.inf), np.where(known, mean + above, np.inf), mean


def _asymptotic(
    x: Array, alpha: tuple[float, float], burn_in: int, t: Array, tuned_for: float, method: Method
) -> tuple[Array, Array]:
    """Lower and upper bounds at times t; NaN where the observations are constant so far."""
    y, centre, scale = _standardised(x, burn_in)
    mean, variance, skewness = _moments(y, t)
    deviation = np.sqrt(variance)
    below, above = (normal_margin(t, level, tuned_for) for level in alpha)
    if method != "plain":
        long_run = long_memory(y, t, burn_in) if method == "long_memory" else short_memory(y, t, mean, variance)
        with np.errstate(divide="ignore", invalid="ignore"):
            wider = np.sqrt(long_run.variance / variance)
            below, above = (wider * student_margin(margin, t, long_run.degrees) for margin in (below, above))
        below, above = skewed_margin(below, skewness, t), skewed_margin(above, -skewness, t)
    return centre + scale * (mean - deviation * below), centre + scale * (mean + deviation * above)


def _standardised(x: Array, burn_in: int) -> tuple[Array, Array, Array]:
    """Centre and scale so that sums of cubes neither cancel nor overflow; by the burn-in, the past of every bound."""
    centre = x[..., :burn_in].mean(axis=-1, keepdims=True)
    scale = np.abs(x[..., :burn_in] - centre).max(axis=-1, keepdims=True)
    scale = np.where(scale > 0, scale, 1.0)
    return (x - centre) / scale, centre, scale


def _moments(y: Array, t: Array) -> tuple[Array, Array, Array]:
    """Mean, variance (divisor t - 1) and adjusted Fisher-Pearson skewness (0 below three observations) at times t."""
    square = y * y
    power1, power2, power3 = (running_sums(power, int(t[0])) / t for power in (y, square, square * y))
    second = np.maximum(power2 - power1**2, 0.0)
    third = power3 - 3 * power1 * power2 + 2 * power1 * power1**2
    with np.errstate(divide="ignore", invalid="ignore"):
        skewness = np.sqrt(t * (t - 1)) / np.maximum(t - 2, 1) * third / (second * np.sqrt(second))
    return power1, second * t / (t - 1), np.where((second > 0) & (t > 2), skewness, 0.0)


def _constant(x: Array, first: int) -> Array:
    """Whether the observations so far are all equal, but for rounding, from number `first` on."""
    most, least = (extreme.accumulate(x, axis=-1)[..., first - 1 :] for extreme in (np.maximum, np.minimum))
    return np.asarray(most - least <= _ROUNDING * np.maximum(np.abs(most), np.abs(least)))


def _padded(side: Side, lower: Array, upper: Array, estimate: Array) -> ConfidenceSequence:
    """Infinite bounds before the burn-in and on the side not requested."""
    full_lower, full_upper = np.full(estimate.shape, -np.inf), np.full(estimate.shape, np.inf)
    start = estimate.shape[-1] - lower.shape[-1]
    if side != "upper":
        full_lower[..., start:] = lower
    if side != "lower":
        full_upper[..., start:] = upper
    return ConfidenceSequence(full_lower, full_upper, estimate)


def _check(*, alpha: Alpha, burn_in: object, tuned_for: float, side: str, method: str = "plain") -> None:
    for level in alpha if isinstance(alpha, tuple) else (alpha,):
        if not 0 < level < 1:
            raise ValueError(f"alpha == {alpha}, must be > 0 and < 1")
    if isinstance(burn_in, bool) or not isinstance(burn_in, int | np.integer) or burn_in < 2:
        raise ValueError(f"burn_in == {burn_in}, must be an integer >= 2")
    if not 0 < tuned_for < np.inf:
        raise ValueError(f"tuned_for == {tuned_for}, must be > 0 and finite")
    if side not in _SIDES:
        raise ValueError(f"side == {side!r}, must be one of {', '.join(_SIDES)}")
    if method not in _METHODS:
        raise ValueError(f"method == {method!r}, must be one of {', '.join(_METHODS)}")


def _finite(name: str, values: ArrayLike) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim == 0:
        raise ValueError(f"{name} == {array}, must be an array with time as its last axis")
    _require(name, array, np.isfinite(array), "must be finite")
    return array


def _require(name: str, array: Array, allowed: NDArray[np.bool_], condition: str) -> None:
    """Name the first value that is not allowed."""
    if not allowed.all():
        index = tuple(int(i) for i in np.argwhere(~allowed)[0])
        raise ValueError(f"{name}[{', '.join(map(str, index))}] == {array[index]}, {condition}")


def _check_bounds(x: Array, bounds: tuple[float, float]) -> None:
    low, high = bounds
    if not -np.inf < low < high < np.inf:
        raise ValueError(f"bounds == {bounds}, must be two finite numbers, the lower first")
    _require("observations", x, (x >= low) & (x <= high), f"must be within bounds ({low}, {high})")


def _daily(sums: dict[str, ArrayLike]) -> list[Array]:
    arrays = {name: _finite(name, values) for name, values in sums.items()}
    shape = arrays["count"].shape
    for name, array in arrays.items():
        if array.shape != shape:
            raise ValueError(f"{name}.shape == {array.shape}, must be {shape} as count.shape")
        if "difference" not in name:
            _require(name, array, array >= 0, "must be >= 0")
    return list(arrays.values())
