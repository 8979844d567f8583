"""Commands that must be refused."""

from collections.abc import Callable

import pytest

from tests.production import World


@pytest.fixture(scope="module")
def untouched(worlds: Callable[..., World]) -> World:
    """A world in whose ledger nothing is ever written: each test here ends before."""
    return worlds(own=True)
