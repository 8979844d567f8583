"""A world with a status file."""

from collections.abc import Callable

import pytest

from shadow_deployment.context import DeploymentContext
from tests.integration.promotion.status.entries import deployed
from tests.production import World


@pytest.fixture
def world(worlds: Callable[..., World]) -> World:
    return worlds()


@pytest.fixture
def shadow(world: World) -> DeploymentContext:
    return deployed(world)
