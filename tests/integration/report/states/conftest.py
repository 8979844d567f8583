"""Worlds that a test may change."""

from collections.abc import Callable

import pytest

from tests.production import World


@pytest.fixture
def empty(worlds: Callable[..., World]) -> World:
    return worlds()


@pytest.fixture
def world(worlds: Callable[..., World], ran: World) -> World:
    return worlds(ran)
