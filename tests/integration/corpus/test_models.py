"""Models that cannot be loaded: one message that says which and why, before anything is kept.

What a model does once it is loaded is in test_rows; each kind's own tests are in tests/models.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from shadow_deployment.models.remote import calls
from shadow_deployment.models.remote.calls import RetryLimits
from tests.conftest import Invoke, declare
from tests.integration.corpus import model_files
from tests.integration.corpus.cases import HERE
from tests.integration.models.inference_server import Server, hang, reset, serving, status
from tests.production import World, day

CASES: dict[str, dict[str, Any]] = yaml.safe_load((HERE / "unloadable_models.yaml").read_text(encoding="utf-8"))
QUICK = RetryLimits(attempts=2, seconds=1.0, first=0.01, longest=0.02)
FAULTS: dict[str, Any] = {
    "page": status(200, b"<html>Welcome</html>"),
    "list": status(200, [1, 2]),
    "login": status(401),
    "moved": status(301, b"", Location="http://127.0.0.1:9/"),
    "broken": status(500, {"error": "out of memory"}),
    "busy": status(503),
    "overloaded": status(429, b"", Retry_After="3600"),
    "gate": status(502),
    "silent": hang,
    "reset": reset,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all files that the table names."""
    path = tmp_path_factory.mktemp("models")
    model_files.write(path)
    return path


@pytest.fixture(scope="module")
def untouched(worlds: Callable[..., World]) -> World:
    """A world in whose ledger nothing is ever written: each test here ends before."""
    return worlds()


@contextmanager
def served(folder: Path, what: str) -> Iterator[Server]:
    """Serve a model, or what the table says in its place."""
    with serving(folder / ("windy.onnx" if what == "another" else "good.onnx")) as server:
        server.when_described = [FAULTS[what]] * 1000 if what in FAULTS else []
        if what == "gone":
            server.port = 9  # nobody listens on it
        if what == "newer":
            server.metadata = server.described() | {"versions": ["2"]}
        yield server


@contextmanager
def declared(case: dict[str, Any], folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the challenger of a case."""
    model = {key: value for key, value in case.items() if key not in ("says", "server")}
    if "server" in case:
        with served(folder, case["server"]) as server:
            yield model | {"model": server.model, "limits": {"seconds": 0.2 if case["server"] == "silent" else 5.0}}
        return
    if "runtime" in model:
        model["runtime"] = {key: value.replace("{folder}", str(folder)) for key, value in model["runtime"].items()}
    if str(model.get("digest", "")).startswith("of "):
        file = folder / model["digest"].removeprefix("of ")
        model["digest"] = hashlib.sha256(file.read_bytes()).hexdigest()
    yield model | {"model": model["model"].replace("{folder}", str(folder))}


@pytest.mark.parametrize("title", CASES)
def test_a_model_that_cannot_be_used_is_named_before_anything_is_kept(
    title: str, folder: Path, untouched: World, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "RETRY_LIMITS", QUICK)
    declare(untouched, monkeypatch)
    with declared(CASES[title], folder) as challenger:
        untouched.deploy(challengers=[{"name": "odd", **challenger}])
        code, out, err = invoke("run", "late", "--from", day(0))
    message = " ".join(err.split())
    assert (code, out) == (1, ""), message
    assert message.startswith("error ")
    assert "challenger odd: " in message or str(folder) in message
    assert CASES[title]["says"].replace("{folder}", str(folder)) in message
    assert "Traceback" not in err
    assert len(err) < 4_096
    assert not any(untouched.dump("alembic_version").values())
    assert not untouched.snapshots.exists()
