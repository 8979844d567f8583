"""How often is any of many challengers promoted that are no better, when each of them is looked at every day?

Run it with `python -m tests.families [runs]`. A family is all that one deployment tries in a year of 365 days: each
member is judged from the day of its registration on. Alpha is spent as `decision/alpha.py` does, beside alpha that each
registration divides anew. Gains have mean zero: all challengers are as good as the champion, whose losses they share,
so that two of them correlate at 0.5.
"""

import sys
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.decision.alpha import alpha_of_trial
from shadow_deployment.statistics.confidence_sequence import confidence_sequence
from tests.simulation import ALPHA, BURN_IN, DAYS, EXPECTED, SETTLING

Array = NDArray[np.float64]

CHUNK = 1_000  # years in memory at once
MEMORIES = (0.0, 0.4)
EVERY = 30  # days between two registrations
TIMES = 12


@dataclass(frozen=True)
class Member:
    """One trial: which challenger's gains, its days in the year, its batch's place, and how many trials share alpha."""

    challenger: int
    first: int
    end: int
    place: int
    size: int


FAMILIES: dict[str, list[Member]] = {
    "one challenger": [Member(0, 0, DAYS, 1, 1)],
    "five at once": [Member(one, 0, DAYS, 1, 5) for one in range(5)],
    "12 retrained, all kept": [Member(one, one * EVERY, DAYS, one + 1, 1) for one in range(TIMES)],
    "12 retrained, each replaced": [Member(one, one * EVERY, (one + 1) * EVERY, one + 1, 1) for one in range(TIMES - 1)]
    + [Member(TIMES - 1, (TIMES - 1) * EVERY, DAYS, TIMES, 1)],
    "one stream, begun 12 times": [Member(0, one * EVERY, DAYS, one + 1, 1) for one in range(TIMES)],
}


@dataclass(frozen=True)
class Family:
    """Share of years with any promotion: alpha fresh at each registration, and spent for good."""

    name: str
    memory: float
    fresh: float
    spent: float
    runs: int

    def error(self, share: float) -> float:
        """Return the standard error of a share of these years."""
        return float(np.sqrt(share * (1 - share) / self.runs))


def gains(rng: np.random.Generator, runs: int, challengers: int, memory: float) -> Array:
    """Return daily gains of equal challengers, shape (challengers, runs, days), that remember the day before."""
    own = rng.standard_normal((challengers, runs, DAYS + SETTLING))
    series = (own + rng.standard_normal((1, runs, DAYS + SETTLING))) / np.sqrt(2)
    for day in range(1, series.shape[-1]):
        series[..., day] += memory * series[..., day - 1]
    return series[..., SETTLING:]


def simulate(name: str, memory: float, *, runs: int, seed: int = 20_240_601) -> Family:
    """Return how often any member of a family is promoted within the year."""
    rng, members = np.random.default_rng(seed), FAMILIES[name]
    challengers = 1 + max(member.challenger for member in members)
    fresh = spent = 0
    for start in range(0, runs, CHUNK):
        years = gains(rng, min(CHUNK, runs - start), challengers, memory)
        fresh += int(np.any([_promoted(years, one, ALPHA / one.size) for one in members], axis=0).sum())
        spent += int(
            np.any(
                [_promoted(years, one, alpha_of_trial(ALPHA, place=one.place, size=one.size)) for one in members],
                axis=0,
            ).sum()
        )
    return Family(name, memory, fresh / runs, spent / runs, runs)


def _promoted(years: Array, member: Member, alpha: float) -> NDArray[np.bool_]:
    """Return in which years a member is promoted."""
    days = years[member.challenger, :, member.first : member.end]
    bounds = confidence_sequence(days, alpha=alpha, burn_in=BURN_IN, tuned_for=EXPECTED, side="lower")
    return np.asarray((bounds.lower > 0).any(axis=-1))


def main(runs: int = 2_000) -> None:
    """Print the share of years with any promotion for every family."""
    print(f"\nAny promotion within {DAYS} daily looks at alpha {ALPHA:.0%}, in % of {runs} years (standard error)")
    print(f"{'family':<30}{'AR':>5}{'alpha anew each time':>24}{'alpha spent for good':>24}")
    for name in FAMILIES:
        for memory in MEMORIES:
            family = simulate(name, memory, runs=runs)
            cells = (f"{100 * share:.1f} ({100 * family.error(share):.1f})" for share in (family.fresh, family.spent))
            print(f"{name:<30}{memory:>5}" + "".join(f"{cell:>24}" for cell in cells))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
