"""Worlds in which challengers have passed, and one in which two were promoted."""

from collections.abc import Callable

import pytest

from shadow_deployment.context import DeploymentContext
from shadow_deployment.promotion import registry
from tests.integration.promotion.promoting import CHANGED, by, judge, settings
from tests.production import World


@pytest.fixture(scope="module")
def passed(worlds: Callable[..., World]) -> World:
    """Both challengers pass on the first day, against the version 7 that the log says. Tests copy it."""
    world = worlds()
    shadow = world.shadow(**settings(world))
    for name in ("other", "linear", "a_a_check"):
        judge(shadow, 0, "PASS", name)
    return world


@pytest.fixture
def world(worlds: Callable[..., World], passed: World) -> World:
    return worlds(passed)


@pytest.fixture
def shadow(world: World) -> DeploymentContext:
    return world.shadow(**settings(world))


@pytest.fixture
def twice(worlds: Callable[..., World], passed: World) -> World:
    """`other` was promoted, the log followed, `linear` passed against it and was promoted too."""
    world = worlds(passed, own=True)
    shadow = world.shadow(**settings(world))
    registry.promote(shadow, "other", **by("ada"))
    world.change_production(CHANGED, ["1"])
    judge(shadow, 1, "PASS", "linear", against="1")
    registry.promote(shadow, "linear", **by("bob"))
    return world
