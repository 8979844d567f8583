"""Five days, run once; tests read them or continue a copy."""

from collections.abc import Callable

import pytest

from tests.conftest import KEPT
from tests.integration.pipeline.day.worked_out import RUN, run
from tests.production import World


@pytest.fixture(scope="session")
def whole(worlds: Callable[..., World]) -> World:
    """Five days run in order, with a sample by strata and four challengers. Tests only read it, or copy it."""
    world = worlds()
    KEPT.add(world.ledger)
    run(world, range(RUN))
    return world


@pytest.fixture
def continued(worlds: Callable[..., World], whole: World) -> World:
    """A copy of the ledger and the snapshots of the five days, which a test may continue."""
    return worlds(whole)


@pytest.fixture
def changed(worlds: Callable[..., World], whole: World) -> World:
    """The same with a copy of production, which a test may change."""
    return worlds(whole, own=True)
