"""Alpha that is spent for good holds for a whole family of challengers, simulated with a fixed seed."""

import numpy as np
import pytest

from tests.families import FAMILIES, simulate
from tests.simulation import ALPHA

RUNS = 300
ERROR = np.sqrt(ALPHA * (1 - ALPHA) / RUNS)


@pytest.mark.parametrize("name", ["five at once", "12 retrained, all kept", "one stream, begun 12 times"])
def test_a_family_of_equal_challengers_is_promoted_in_alpha_of_the_years_at_most(name: str) -> None:
    family = simulate(name, 0.0, runs=RUNS)
    assert family.spent <= ALPHA + 3 * ERROR
    if "12" in name:
        assert family.fresh > ALPHA + 2 * ERROR, "what dividing alpha anew each time costs"


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_holds_alpha_on_independent_days(name: str) -> None:
    assert simulate(name, 0.0, runs=4_000).spent <= ALPHA
