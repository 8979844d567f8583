"""A server with the model of a file."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import tenacity.nap

from shadow_deployment.models.remote import calls
from tests.clock import Clock
from tests.integration.models import inference_server
from tests.integration.models.endpoint.asking import QUICK
from tests.integration.models.inference_server import Server, serving
from tests.production import linear_model


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    weights = {"dep_hour": 0.05, "distance": -0.0004}
    return linear_model(tmp_path_factory.mktemp("served") / "late.onnx", weights)


@pytest.fixture
def server(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(calls, "RETRY_LIMITS", QUICK)
    with serving(path) as found:
        yield found


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time that calls, the pauses between them and the server go by."""
    clock = Clock()
    for module in (calls, tenacity.nap, inference_server):
        monkeypatch.setattr(module, "time", clock)
    return clock
