"""The production of these tests."""

from collections.abc import Callable

import pytest

from tests.conftest import declare
from tests.production import World


@pytest.fixture
def world(worlds: Callable[..., World], empty_production: str, monkeypatch: pytest.MonkeyPatch) -> World:
    return declare(worlds(own=True, production=empty_production), monkeypatch)
