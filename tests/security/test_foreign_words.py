"""What others say about a value that they cannot use is repeated without the value, wherever it is repeated."""

import json
import logging
from collections.abc import Callable

import pytest

from shadow_deployment.config.window import window_of
from shadow_deployment.errors import ModelError
from shadow_deployment.models.loading import load
from shadow_deployment.models.sandbox import python
from tests.conftest import Invoke, declare
from tests.integration.models.beside import batch, scored, surrounded
from tests.integration.models.inference_server import serving
from tests.production import World, day, linear_model
from tests.receivers import HOST
from tests.security.planted import NUMBER, TOKEN, VALUES, plant

MODELS = "python:tests.security.repeating_models:"


def test_the_last_words_of_a_model_that_is_given_up_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shadow, challenger = surrounded({"model": f"{MODELS}prints_and_leaves"})
    predictor = load(shadow, challenger, window_of(shadow.deployment, day(0)))
    rows = batch([5.0, 6.0], distance=[NUMBER, NUMBER])
    answers = predictor.predict(rows)
    assert "no more calls are made" in answers.errors[0]
    assert "gets no more calls: it fails on each single request too" in caplog.text
    assert not [value for value in VALUES if value in caplog.text]


@pytest.fixture
def leaking(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Callable[..., str]:
    """Load and call a model that repeats its environment; return all that is said of it, logs included."""
    caplog.set_level(logging.DEBUG)
    real = python.SandboxProgram.of

    def say(function: str, **variables: str) -> str:
        held = {"MODEL_TOKEN": TOKEN, **variables}
        monkeypatch.setattr(python.SandboxProgram, "of", lambda *args, **fields: real(*args, **fields, variables=held))
        shadow, challenger = surrounded({"model": f"python:tests.security.leaking_models:{function}"})
        try:
            predictor = load(shadow, challenger, window_of(shadow.deployment, day(0)))
            answers = scored(predictor, [5.0])
        except ModelError as error:
            return f"{error} {caplog.text}"
        return f"{answers} {caplog.text}"

    return say


@pytest.mark.parametrize(
    ("function", "leaks"), [("raises", ""), ("leaves", ""), ("raises", "raises"), ("raises", "leaves")]
)
def test_a_model_that_repeats_its_environment_is_not_repeated(
    function: str, leaks: str, leaking: Callable[..., str]
) -> None:
    said = leaking(function, MODEL_LEAKS=leaks)
    assert "token … of postgresql://...@host/ledger, row" in said
    assert TOKEN not in said
    assert "shadow:pass" not in said
    if leaks != "raises":  # its text where it is loaded is shown with its numbers: no request was there yet
        assert not [value for value in VALUES if value in said]
    assert "\nand more" not in said


def test_a_server_that_repeats_its_token_is_not_repeated(
    monkeypatch: pytest.MonkeyPatch, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(linear_model(world.folder / "m.onnx", {"dep_hour": 1.0, "distance": 0.0})) as server:
        server.always = lambda handler, _: handler.say(400, {"error": f"no: {handler.headers['Authorization']}"})
        access = {"conn_type": "http", "host": HOST, "port": server.port, "schema": "http", "password": TOKEN}
        monkeypatch.setenv("AIRFLOW_CONN_MODEL_API", json.dumps(access))
        shadow, challenger = surrounded({"model": server.model, "conn_id": "model_api"})
        answers = load(shadow, challenger, window_of(shadow.deployment, day(0))).predict(batch([5.0]))
    assert "HTTP 400" in answers.errors[0]
    assert TOKEN[:8] not in answers.errors[0] + caplog.text


def test_the_largest_value_of_a_column_is_a_value(
    worlds: Callable[..., World], invoke: Invoke, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    world = declare(worlds(own=True), monkeypatch)
    plant(world)
    kinds = ("max", "min", "median", "mean")
    suite = {
        "name": "planted",
        "expectations": [
            {"type": f"expect_column_{kind}_to_be_between", "kwargs": {"column": "distance", "max_value": 1.0}}
            for kind in kinds
        ],
    }
    path = world.folder / "suite.json"
    path.write_text(json.dumps(suite))
    world.deploy(expectations={"inputs": str(path)})
    code, _, err = invoke("run", "late", "--from", day(0))
    said = " ".join(err.split())
    assert code == 1
    assert "expect_column_max_to_be_between(max_value=1.0) on distance: does not hold" in said
    assert "expect_column_mean_to_be_between(max_value=1.0) on distance: observed" in said
    kept = str(world.query("SELECT failures FROM shadow.validation"))
    assert not [value for value in VALUES if value in said + kept + caplog.text]
