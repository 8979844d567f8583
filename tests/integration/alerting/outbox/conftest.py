"""A world whose deployment alerts, and channels that record what they get."""

from collections.abc import Callable

import pytest

from shadow_deployment.context import DeploymentContext
from tests.conftest import declare
from tests.integration.alerting.outbox.sending import CHANNELS, Recorder
from tests.production import World


@pytest.fixture
def send() -> Recorder:
    return Recorder()


@pytest.fixture
def world(worlds: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> World:
    return declare(worlds(), monkeypatch)


@pytest.fixture
def shadow(world: World) -> DeploymentContext:
    return world.shadow(alerts={"channels": CHANNELS})
