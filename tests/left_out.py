"""How often does a user who leaves out the worst days promote a challenger that is no better?

Run it with `python -m tests.left_out [runs]`. A year has 365 independent normal days of mean zero, and the user leaves
out those below the 2 % quantile. Every other day is judged, by the policy of the defaults: as if the days that are left
out had never been, and with each at its worst, as `decision/safeguards/left_out.py` enters them.
"""

import datetime as dt
import sys
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.config.policy import Policy
from shadow_deployment.decision.series import Series
from shadow_deployment.decision.verdict import judge
from shadow_deployment.statistics.confidence_sequence import confidence_sequence
from tests.simulation import ALPHA, BURN_IN, DAYS, EXPECTED

Array = NDArray[np.float64]

SHARE = 0.02
FIRST = dt.date(2024, 1, 1)
POLICY = Policy.model_validate(
    {
        "alpha": ALPHA,
        "burn_in": BURN_IN,
        "tuned_for": EXPECTED,
        "rules": [{"metric": "brier_score", "is": "superior"}],
    }
)


@dataclass(frozen=True)
class Promoted:
    """The share of years with a promotion, without and with the charge for left-out days."""

    uncharged: float
    charged: float
    runs: int

    def error(self, share: float) -> float:
        """Return the standard error of a share of these years."""
        return float(np.sqrt(share * (1 - share) / self.runs))


def simulate(*, runs: int, seed: int = 20_240_601) -> Promoted:
    """Return how often a user promotes an equal challenger who leaves out the worst days of a year."""
    rng, worst = np.random.default_rng(seed), NormalDist().inv_cdf(SHARE)
    uncharged = charged = 0
    for _ in range(runs):
        gains = rng.standard_normal(DAYS)
        kept = np.flatnonzero(gains > worst)
        passing = kept[_passes(gains[kept])]
        uncharged += len(passing) > 0
        charged += any(_passes_charged(gains, kept, look) for look in passing)
    return Promoted(uncharged / runs, charged / runs, runs)


def _passes(gains: Array) -> NDArray[np.int64]:
    """Return the looks at which the days that count pass, as if there were no others."""
    bounds = confidence_sequence(gains, alpha=ALPHA, burn_in=BURN_IN, tuned_for=EXPECTED, side="lower")
    return np.flatnonzero(bounds.lower > 0)


def _passes_charged(gains: Array, kept: NDArray[np.int64], look: int) -> bool:
    """Return whether the verdict of a day is PASS, given which days it leaves out."""
    counted = kept[kept <= look]
    left_out = [FIRST + dt.timedelta(days=day) for day in np.setdiff1d(np.arange(look), counted).tolist()]
    difference, pairs = gains[counted], np.full(len(counted), 1_000)
    days = tuple(FIRST + dt.timedelta(days=day) for day in counted.tolist())
    zeros = np.zeros(len(counted))
    series = Series("brier_score", "all", days, pairs, np.zeros_like(pairs), zeros, -difference, difference)
    verdict = judge(POLICY, {("brier_score", "all"): series}, day=days[-1], left_out=left_out)
    return verdict.outcome == "PASS"


def main(runs: int = 4_000) -> None:
    """Print both shares."""
    promoted = simulate(runs=runs)
    print(f"\nPromoted within {DAYS} daily looks by who leaves out the worst {SHARE:.0%} of days, in % of {runs} runs")
    for name, share in (("without the charge", promoted.uncharged), ("with the charge", promoted.charged)):
        print(f"{name:<26}{100 * share:>10.1f} ({100 * promoted.error(share):.1f})")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
