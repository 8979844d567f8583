"""Two days, run once."""

from collections.abc import Callable

import pytest

from tests.conftest import KEPT
from tests.integration.report.states.acting import run
from tests.production import World


@pytest.fixture(scope="session")
def ran(worlds: Callable[..., World]) -> World:
    """Two days of the usual deployment. Tests copy it."""
    world = worlds()
    KEPT.add(world.ledger)
    assert run(world, 0, 1) == []
    return world
