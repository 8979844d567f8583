"""How often would each way of deciding promote a challenger that is no better, when it is looked at every day?

Run it with `python -m tests.simulation [runs]`. Each scenario draws days of paired differences, positive when the
challenger is better, whose mean is zero (or below); each method says on which day it would first have promoted. The
runs of a scenario are one array of shape (runs, days), and the same draws meet every method at every alpha.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.signal import lfilter

from shadow_deployment.statistics.confidence_sequence import confidence_sequence
from shadow_deployment.statistics.margin import Method

Array = NDArray[np.float64]
Scenario = Callable[[np.random.Generator, int, int], Array]
Decide = Callable[[Array, float], Array]

ALPHA, BURN_IN, EXPECTED, DAYS = 0.05, 28, 60, 365
ALPHAS = (ALPHA, 0.01, 0.005)  # of one challenger, of five, of ten
EFFECTS = (0.2, 0.3, 0.5)
POWER = 0.9
WEEKS_BURN_IN, WEEKS_EXPECTED = 8, 9
SETTLING = 100  # days drawn before the first one kept, for a series that remembers
CHUNK = 2_000  # runs in memory at once


@dataclass(frozen=True)
class Outcome:
    """Share of simulated years in which `method` ever promoted, with its standard error over the runs."""

    scenario: str
    alpha: float
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


def _remembering(shocks: Array, memory: tuple[float, ...], echo: float = 0.0) -> Array:
    """ARMA: each day keeps shares of the days before it, and `echo` of the shock of the day before."""
    return np.asarray(lfilter((1.0, echo), (1.0, *(-share for share in memory)), shocks, axis=1)[:, SETTLING:])


def _dependent(*memory: float, echo: float = 0.0) -> Scenario:
    return lambda rng, runs, days: _remembering(_normal(rng, runs, days + SETTLING), memory, echo)


def _dependent_and_skewed(rng: np.random.Generator, runs: int, days: int) -> Array:
    return _remembering(_rare_losses(rng, runs, days + SETTLING), (0.4,))


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
    "AR 0.7": _dependent(0.7),
    "dependent and skewed": _dependent_and_skewed,
    "weekly pattern": _weekly_pattern,
    "slightly worse": _slightly_worse,
    "growing traffic": _growing_traffic,
    "AR(2) 0.2, 0.2": _dependent(0.2, 0.2),
    "ARMA 0.8, -0.5": _dependent(0.8, echo=-0.5),
}


def _first(promoted: NDArray[np.bool_]) -> Array:
    """Number of the first true entry of each row, inf for none."""
    return np.where(promoted.any(axis=-1), promoted.argmax(axis=-1) + 1.0, np.inf)


def threshold(differences: Array, alpha: float) -> Array:
    """Promote on the first day after the burn-in on which the running mean is above zero, whatever alpha."""
    means = np.cumsum(differences, axis=-1) / np.arange(1.0, differences.shape[-1] + 1)
    return _first((means > 0) & (np.arange(differences.shape[-1]) >= BURN_IN - 1))


def t_test(differences: Array, alpha: float) -> Array:
    """Promote on the first day after the burn-in on which a one-sided t-test of all days so far is significant."""
    t = np.arange(BURN_IN, differences.shape[-1] + 1.0)
    means = np.cumsum(differences, axis=-1)[:, BURN_IN - 1 :] / t
    squares = np.cumsum(differences**2, axis=-1)[:, BURN_IN - 1 :] / t
    errors = np.sqrt((squares - means**2) / (t - 1))
    return _first(means > stats.t.ppf(1 - alpha, t - 1) * errors) + BURN_IN - 1


def sequence(method: Method) -> Decide:
    """Promote on the first day on which the lower bound of a confidence sequence is above zero."""

    def first_day(differences: Array, alpha: float) -> Array:
        bounds = confidence_sequence(
            differences, alpha=alpha, burn_in=BURN_IN, tuned_for=EXPECTED, side="lower", method=method
        )
        return _first(bounds.lower > 0)

    return first_day


def weekly_blocks(differences: Array, alpha: float) -> Array:
    """Promote at the end of the first week at which the default sequence of weekly means is above zero."""
    weeks = differences.shape[-1] // 7
    means = differences[:, : weeks * 7].reshape(-1, weeks, 7).mean(axis=-1)
    bounds = confidence_sequence(means, alpha=alpha, burn_in=WEEKS_BURN_IN, tuned_for=WEEKS_EXPECTED, side="lower")
    return 7 * _first(bounds.lower > 0)


METHODS: dict[str, Decide] = {
    "threshold": threshold,
    "t-test": t_test,
    "plain": sequence("plain"),
    "robust": sequence("robust"),
    "long_memory": sequence("long_memory"),
    "robust, weeks": weekly_blocks,
}


def decisions(
    scenario: Scenario,
    *,
    runs: int,
    seed: int,
    days: int = DAYS,
    alphas: tuple[float, ...] = (ALPHA,),
    methods: tuple[str, ...] = tuple(METHODS),
) -> dict[tuple[float, str], Array]:
    """Day of promotion (inf for never) of each run, by alpha and method."""
    rng = np.random.default_rng(seed)
    found: dict[tuple[float, str], list[Array]] = {(alpha, name): [] for alpha in alphas for name in methods}
    for start in range(0, runs, CHUNK):
        differences = scenario(rng, min(CHUNK, runs - start), days)
        for (alpha, name), parts in found.items():
            parts.append(METHODS[name](differences, alpha))
    return {key: np.concatenate(days_found) for key, days_found in found.items()}


def table(
    *,
    runs: int = 4_000,
    seed: int = 20_240_601,
    alphas: tuple[float, ...] = (ALPHA,),
    methods: tuple[str, ...] = tuple(METHODS),
) -> list[Outcome]:
    """Share of years with a promotion for every scenario, alpha and method."""
    outcomes = []
    for name, scenario in SCENARIOS.items():
        by_method = decisions(scenario, runs=runs, seed=seed, alphas=alphas, methods=methods)
        for (alpha, method), promoted_on in by_method.items():
            share = float(np.isfinite(promoted_on).mean())
            outcomes.append(Outcome(name, alpha, method, share, float(np.sqrt(share * (1 - share) / runs))))
    return outcomes


def days_to_promotion(
    effect: float, *, runs: int, seed: int, days: int = DAYS, alpha: float = ALPHA, method: str = "robust"
) -> tuple[float, float]:
    """Median and 90 % quantile of the day of promotion of a challenger better by `effect` standard deviations."""

    def better(rng: np.random.Generator, runs: int, days: int) -> Array:
        return _normal(rng, runs, days) + effect

    (found,) = decisions(better, runs=runs, seed=seed, days=days, alphas=(alpha,), methods=(method,)).values()
    median, most = np.quantile(found, (0.5, 0.9), method="higher")
    return float(median), float(most)


def fixed_sample(effect: float, alpha: float) -> float:
    """Days that one look at a one-sided test needs for a power of 90 %."""
    return float((stats.norm.isf(alpha) + stats.norm.ppf(POWER)) ** 2 / effect**2)


def main(runs: int = 4_000) -> None:
    """Print both tables at each alpha."""
    outcomes = table(runs=runs, alphas=ALPHAS)
    shares = {(outcome.scenario, outcome.alpha, outcome.method): outcome for outcome in outcomes}
    for alpha in ALPHAS:
        print(f"Promoted within {DAYS} daily looks at alpha {alpha:.1%}, in % of {runs} runs (standard error)")
        print(f"{'scenario':<26}" + "".join(f"{method:>16}" for method in METHODS))
        for scenario in SCENARIOS:
            cells = (shares[scenario, alpha, method] for method in METHODS)
            row = "".join(f"{100 * cell.promoted:>9.2f} ({100 * cell.standard_error:.2f})" for cell in cells)
            print(f"{scenario:<26}{row}")
        print("\nMedian day of promotion of a better challenger (90 %); one look with 90 % power in brackets")
        for effect in EFFECTS:
            name = f"{effect} sd a day ({fixed_sample(effect, alpha):.0f})"
            found = (
                days_to_promotion(effect, runs=runs, seed=7, days=2 * DAYS, alpha=alpha, method=method)
                for method in METHODS
            )
            print(f"{name:<26}" + "".join(f"{f'{median:.0f} ({most:.0f})':>16}" for median, most in found))
        print()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
