"""Requests and answers that are no good: each is an error of its own row, and every other row is answered."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from shadow_deployment.pipeline.run import run_day
from tests.conftest import Invoke
from tests.integration.corpus.cases import HERE
from tests.production import OWNER, World, day

LONGEST = 500  # characters of an error
TABLES = """
CREATE SCHEMA corpus;
CREATE TABLE corpus.log (id text, at timestamptz, x float8, n float8, b float8, s text, p float8, version text);
CREATE TABLE corpus.outcome (id text, label int, known_at timestamptz);
GRANT USAGE ON SCHEMA corpus TO production_reader;
GRANT SELECT ON ALL TABLES IN SCHEMA corpus TO production_reader;
"""
REQUEST = (
    "INSERT INTO corpus.log VALUES (%(id)s, timestamptz '2024-03-01 12:00Z' + %(number)s * interval '1 s', "
    "%(x)s, %(n)s, %(b)s, %(s)s, 0.5, '7')"
)
KEPT = "SELECT request_id, error FROM shadow.prediction JOIN shadow.request USING (day, snapshot_id, ordinal)"
ROWS: dict[str, dict[str, Any]] = yaml.safe_load((HERE / "rows.yaml").read_text(encoding="utf-8"))
ANSWERS: dict[str, dict[str, Any]] = yaml.safe_load((HERE / "answers.yaml").read_text(encoding="utf-8"))

Errors = dict[str, str | None]


def model(path: Path) -> Path:
    """Write a model that wants a number of each kind and a text."""
    from onnx import TensorProto, helper, save

    kinds = {"x": TensorProto.FLOAT, "n": TensorProto.INT32, "b": TensorProto.BOOL, "s": TensorProto.STRING}
    nodes = [
        helper.make_node("Cast", ["n"], ["n_float"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["b"], ["b_float"], to=TensorProto.FLOAT),
        helper.make_node("Sum", ["x", "n_float", "b_float"], ["total"]),
        helper.make_node("Sigmoid", ["total"], ["probability"]),
        helper.make_node("Identity", ["s"], ["said"]),
    ]
    outputs = {"probability": TensorProto.FLOAT, "said": TensorProto.STRING}
    graph = helper.make_graph(
        nodes,
        "kinds",
        *(
            [helper.make_tensor_value_info(name, kind, [None, 1]) for name, kind in some.items()]
            for some in (kinds, outputs)
        ),
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def fill(world: World, rows: dict[str, dict[str, Any]]) -> None:
    """Put these requests in place of those that are there."""
    with psycopg.connect(world.postgres.uri(world.production, OWNER)) as session:
        session.execute("TRUNCATE corpus.log")
        for number, (title, row) in enumerate(rows.items()):
            values = {"x": 0.5, "n": 1, "b": 1, "s": "EWR", **row}
            values["s"] = "x" * 10_000 if values["s"] == "long" else values["s"]
            session.execute(REQUEST, {"id": title, "number": number, **values})


def shadowed(world: World, rows: dict[str, dict[str, Any]], **challenger: Any) -> Errors:
    """Shadow a day of these requests; return what is kept of each by its title: an error, or None where answered."""
    fill(world, rows)
    columns = {"table": "corpus.log", "id": "id", "time": "at", "prediction": "p", "version": "version"}
    shadow = world.shadow(
        name="rows",
        requests=columns | {"features": ["x", "n", "b", "s"], "latency": None},
        labels={"table": "corpus.outcome", "id": "id", "value": "label", "time": "known_at"},
        slices=[],
        sample={"rate": 1.0, "shard_rows": 1000},
        challengers=[{"name": "odd", **challenger}],
        policy={"burn_in": 2, "rules": [{"metric": "brier_score", "is": "superior"}]},
    )
    assert run_day(shadow, day(0)) == []
    return dict(world.query(KEPT))


@pytest.fixture(scope="module")
def prepared(worlds: Callable[..., World]) -> Callable[[], World]:
    """Make worlds of these tests' own, with an empty table of requests."""

    def make() -> World:
        world = worlds(own=True)
        with psycopg.connect(world.postgres.uri(world.production, OWNER)) as session:
            session.execute(TABLES)
        return world

    return make


@pytest.fixture(scope="module")
def rows(prepared: Callable[[], World], tmp_path_factory: pytest.TempPathFactory) -> Errors:
    """What is kept of each request that is no good."""
    path = model(tmp_path_factory.mktemp("models") / "kinds.onnx")
    return shadowed(prepared(), ROWS, model=f"onnx:{path}")


@pytest.fixture(scope="module")
def answers(prepared: Callable[[], World]) -> Errors:
    """What is kept of each answer that is none."""
    limits = {"rows": 1, "seconds": 1.5, "memory_mb": 400}
    asked = {title: {"s": title} for title in ANSWERS}
    return shadowed(prepared(), asked, model="python:tests.integration.corpus.answers:answer", limits=limits)


def test_a_model_that_answers_no_request_is_one_line_and_an_exit_code(
    reading: World, invoke: Invoke, caplog: pytest.LogCaptureFixture
) -> None:
    windy = {"name": "windy", "model": "python:tests.integration.corpus.answers:asks_for_wind"}
    reading.deploy(challengers=[windy], sample={"shard_rows": 1000})
    code, out, err = invoke("run", "late", "--from", day(0))
    assert code == 1
    needed = "the model needs the column wind, which requests.features (dep_hour, distance) does not list"
    reason = f"all for one reason: ModelCallError: KeyError: {needed}"
    assert f"error challenger windy, {day(0)}: none of 60 requests has an answer, {reason}\n" in err
    assert sum(line.startswith("error ") for line in err.splitlines()) == 1
    assert out.startswith(f"late as of {day(0)}")
    assert not [each for each in caplog.records if each.levelname == "WARNING" and "scored" in each.getMessage()]
    assert reading.query("SELECT success FROM shadow.validation WHERE challenger_id IS NOT NULL") == [(False,)]


def assert_kept(error: str | None, says: str | None) -> None:
    if says is None:
        assert error is None
        return
    assert error is not None
    assert says in error
    assert len(error) <= LONGEST
    assert error.isprintable()
    assert "Traceback" not in error


@pytest.mark.parametrize("title", ROWS)
def test_a_request_that_a_model_cannot_take_is_an_error_of_its_row(title: str, rows: Errors) -> None:
    assert_kept(rows[title], ROWS[title].get("says"))


@pytest.mark.parametrize("title", ANSWERS)
def test_an_answer_that_is_none_is_an_error_of_its_row(title: str, answers: Errors) -> None:
    assert_kept(answers[title], ANSWERS[title].get("says"))
