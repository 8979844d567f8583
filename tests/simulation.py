"""How often would each way of deciding promote a challenger that is no better, when it is looked at every day?

Run it with `python -m tests.simulation [runs]`. Each scenario draws days of paired differences, positive when the
challenger is better, whose mean is zero (or below); each method says on which day it would first have promoted. The
runs of a scenario are one array of shape (runs, days), and the same draws meet every method.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.statistics.confidence_sequence import Method, confidence_sequence

Array = NDArray[np.float64]
Scenario = Callable[[np.random.Generator, int, int], Array]

ALPHA, BURN_IN, EXPECTED, DAYS = 0.05, 28, 60, 365
WEEKS_BURN_IN, WEEKS_EXPECTED = 8, 9
SETTLING = 60  # days drawn before the first one kept, for a series that remembers
CHUNK = 2_000  # runs in memory at once


@dataclass(frozen=True)
class Outcome:
    """Share of simulated years in which `method` ever promoted, with its standard error over the runs."""

    scenario: str
    method: str
    promoted: float
    standard_error: float


def _normal(rng: np.random.Generator, runs: int, days: int) -> Array:
    return rng.standard_normal((runs, days))


def _heavy_tails(rng: np.random.Generator, runs: int, days: int) -> Array:
    return rng.standard_t(3, (runs, days))


def _rare_losses(rng: np.random.Generator, runs: int, days: int) -> Array:
    return 1 - rng.exponential(size=(runs, days))


def _rare_gains(rng: np.random.Generator, runs: int, days: int) -> Array:
    return rng.exponential(size=(runs, days)) - 1


def _bad_days(rng: np.random.Generator, runs: int, days: int) -> Array:
    return rng.standard_normal((runs, days)) - 4 * ((rng.random((runs, days)) < 0.05) - 0.05)


def _remembering(shocks: Array, memory: float) -> Array:
    """AR(1): each day keeps `memory` of the day before."""
    series = np.empty_like(shocks)
    series[:, 0] = shocks[:, 0]
    for day in range(1, shocks.shape[1]):
        series[:, day] = memory * series[:, day - 1] + shocks[:, day]
    return series[:, SETTLING:]


def _dependent(memory: float) -> Scenario:
    return lambda rng, runs, days: _remembering(_normal(rng, runs, days + SETTLING), memory)


def _dependent_and_skewed(rng: np.random.Generator, runs: int, days: int) -> Array:
    return _remembering(_rare_losses(rng, runs, days + SETTLING), 0.4)


def _weekly_pattern(rng: np.random.Generator, runs: int, days: int) -> Array:
    pattern = np.array([0.5, 0.3, 0.0, 0.0, 0.0, -0.3, -0.5])
    weekday = (rng.integers(0, 7, (runs, 1)) + np.arange(days)) % 7
    return rng.standard_normal((runs, days)) + pattern[weekday]


def _slightly_worse(rng: np.random.Generator, runs: int, days: int) -> Array:
    return rng.standard_normal((runs, days)) - 0.05


def _growing_traffic(rng: np.random.Generator, runs: int, days: int) -> Array:
    traffic = 1 + 4 * np.arange(days) / days
    return rng.standard_normal((runs, days)) / np.sqrt(traffic)


SCENARIOS: dict[str, Scenario] = {
    "normal": _normal,
    "heavy tails (t, 3 df)": _heavy_tails,
    "exponential, rare losses": _rare_losses,
    "exponential, rare gains": _rare_gains,
    "5 % bad days": _bad_days,
    "AR 0.15": _dependent(0.15),
    "AR 0.4": _dependent(0.4),
    "dependent and skewed": _dependent_and_skewed,
    "weekly pattern": _weekly_pattern,
    "slightly worse": _slightly_worse,
    "growing traffic": _growing_traffic,
}


def _first(promoted: NDArray[np.bool_]) -> Array:
    """Number of the first true entry of each row, inf for none."""
    return np.where(promoted.any(axis=-1), promoted.argmax(axis=-1) + 1.0, np.inf)


def threshold(differences: Array) -> Array:
    """Promote on the first day after the burn-in on which the running mean is above zero."""
    means = np.cumsum(differences, axis=-1) / np.arange(1.0, differences.shape[-1] + 1)
    return _first((means > 0) & (np.arange(differences.shape[-1]) >= BURN_IN - 1))


def t_test(differences: Array) -> Array:
    """Promote on the first day after the burn-in on which a one-sided t-test of all days so far is significant."""
    from scipy import stats

    t = np.arange(BURN_IN, differences.shape[-1] + 1.0)
    means = np.cumsum(differences, axis=-1)[:, BURN_IN - 1 :] / t
    squares = np.cumsum(differences**2, axis=-1)[:, BURN_IN - 1 :] / t
    errors = np.sqrt((squares - means**2) / (t - 1))
    return _first(means > stats.t.ppf(1 - ALPHA, t - 1) * errors) + BURN_IN - 1


def sequence(method: Method) -> Callable[[Array], Array]:
    """Promote on the first day on which the lower bound of a confidence sequence is above zero."""

    def first_day(differences: Array) -> Array:
        bounds = confidence_sequence(
            differences, alpha=ALPHA, burn_in=BURN_IN, tuned_for=EXPECTED, side="lower", method=method
        )
        return _first(bounds.lower > 0)

    return first_day


def weekly_blocks(differences: Array) -> Array:
    """Promote at the end of the first week at which the default sequence of weekly means is above zero."""
    weeks = differences.shape[-1] // 7
    means = differences[:, : weeks * 7].reshape(-1, weeks, 7).mean(axis=-1)
    bounds = confidence_sequence(
        means, alpha=ALPHA, burn_in=WEEKS_BURN_IN, tuned_for=WEEKS_EXPECTED, side="lower", method="robust"
    )
    return 7 * _first(bounds.lower > 0)


METHODS: dict[str, Callable[[Array], Array]] = {
    "threshold": threshold,
    "t-test": t_test,
    "plain": sequence("plain"),
    "robust": sequence("robust"),
    "robust, weeks": weekly_blocks,
}


def decisions(
    scenario: Scenario, *, runs: int, seed: int, days: int = DAYS, methods: tuple[str, ...] = tuple(METHODS)
) -> dict[str, Array]:
    """Day of promotion (inf for never) of each run, by method."""
    rng = np.random.default_rng(seed)
    found: dict[str, list[Array]] = {name: [] for name in methods}
    for start in range(0, runs, CHUNK):
        differences = scenario(rng, min(CHUNK, runs - start), days)
        for name in methods:
            found[name].append(METHODS[name](differences))
    return {name: np.concatenate(days_found) for name, days_found in found.items()}


def table(*, runs: int = 4_000, seed: int = 20_240_601) -> list[Outcome]:
    """Share of years with a promotion for every scenario and method."""
    outcomes = []
    for name, scenario in SCENARIOS.items():
        for method, promoted_on in decisions(scenario, runs=runs, seed=seed).items():
            share = float(np.isfinite(promoted_on).mean())
            outcomes.append(Outcome(name, method, share, float(np.sqrt(share * (1 - share) / runs))))
    return outcomes


def median_day(effect: float, *, runs: int, seed: int, days: int = DAYS, method: str = "robust") -> float:
    """Median day of promotion of a challenger better by `effect` standard deviations of independent normal days."""

    def better(rng: np.random.Generator, runs: int, days: int) -> Array:
        return _normal(rng, runs, days) + effect

    return float(np.median(decisions(better, runs=runs, seed=seed, days=days, methods=(method,))[method]))


def main(runs: int = 4_000) -> None:
    """Print both tables."""
    outcomes = table(runs=runs)
    shares = {(outcome.scenario, outcome.method): outcome for outcome in outcomes}
    print(f"Promoted within {DAYS} daily looks at alpha {ALPHA:.0%}, in % of {runs} runs (standard error)")
    print(f"{'scenario':<26}" + "".join(f"{method:>16}" for method in METHODS))
    for scenario in SCENARIOS:
        cells = (shares[scenario, method] for method in METHODS)
        row = "".join(f"{100 * cell.promoted:>10.1f} ({100 * cell.standard_error:.1f})" for cell in cells)
        print(f"{scenario:<26}{row}")
    print("\nMedian day of promotion of a better challenger (fixed-sample one-sided test with 90 % power)")
    for effect in (0.2, 0.3, 0.5):
        days = {method: median_day(effect, runs=runs, seed=7, method=method) for method in METHODS}
        row = "".join(f"{day:>16.0f}" for day in days.values())
        print(f"{f'{effect} sd a day ({(1.6449 + 1.2816) ** 2 / effect**2:.0f})':<26}{row}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
