"""What is sent to a server, and what its answers become."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.testing import assert_array_equal

from shadow_deployment.errors import ModelError
from shadow_deployment.models.onnx import OnnxPredictor
from shadow_deployment.models.remote import calls
from tests.integration.models.endpoint.asking import (
    FEATURES,
    _Renamed,
    answered,
    flights,
    predictor,
    refusal,
    scored_by,
)
from tests.integration.models.inference_server import Server, changed, status
from tests.unit.models.test_onnx import batch

BINARY = {"inputs": [{"name": "dep_hour", "datatype": "FP32", "shape": [-1, 1]}]}


@pytest.mark.parametrize("is_described", [True, False])
@pytest.mark.parametrize("rows", [None, 1, 4, 1000])
def test_answers_are_those_of_the_file_to_the_last_bit(
    server: Server, path: Path, is_described: bool, rows: int | None
) -> None:
    server.is_described = is_described
    sent = flights(300)
    answers = predictor(server, limits={"rows": rows}).predict(sent)
    assert_array_equal(answers.values, OnnxPredictor(path.read_bytes(), FEATURES).predict(sent).values)
    assert not answers.errors
    size = rows or 256
    assert server.sizes == [size] * (300 // size) + [300 % size] * (300 % size > 0)
    kinds = {one["datatype"] for one in server.asked[0]["inputs"]}
    assert kinds == ({"FP32"} if is_described else {"FP64"})
    assert len(server.connections) == 1


def test_numbers_arrive_as_the_same_doubles(server: Server) -> None:
    server.is_described = False
    server.always = status(400)
    numbers = [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0]
    predictor(server).predict(batch(dep_hour=numbers, distance=[2**53 + 1, -1, 0, 1, 2]))
    inputs = {one["name"]: one for one in server.asked[0]["inputs"]}
    assert [one.hex() for one in inputs["dep_hour"]["data"]] == [one.hex() for one in numbers]
    assert inputs["distance"]["data"][0] == 2**53 + 1
    assert (inputs["distance"]["datatype"], inputs["distance"]["shape"]) == ("INT64", [5, 1])


def test_a_single_is_read_as_the_single_that_was_written(server: Server) -> None:
    one = predictor(server)
    server.always = changed(lambda message: message | {"outputs": [tensor("p", "FP32", [1, 1], [0.1])]})
    assert one.predict(flights(1)).values.tolist() == [float(np.float32(0.1))]


def test_a_matrix_text_and_truth_are_sent_as_the_server_says(server: Server) -> None:
    server.always = changed(lambda message: {"outputs": [tensor("y", "FP64", [2], [0.25, 0.5])]})
    server.metadata = {"inputs": [tensor("all", "FP64", [-1, 2])]}
    one = predictor(server)
    server.inferred = lambda asked: {}  # type: ignore[method-assign]
    assert one.predict(batch(dep_hour=[1.0, 2.0], distance=[3, 4])).values.tolist() == [0.25, 0.5]
    assert server.asked[0]["inputs"] == [
        {"name": "all", "shape": [2, 2], "datatype": "FP64", "data": [1.0, 3.0, 2.0, 4.0]}
    ]
    server.metadata = {"inputs": [tensor("dep_hour", "BYTES", [-1, 1]), tensor("distance", "BOOL", [-1])]}
    predictor(server).predict(batch(dep_hour=["JFK", 'a "quoted" é\n'], distance=[True, False]))
    assert server.asked[1]["inputs"] == [
        {"name": "dep_hour", "shape": [2, 1], "datatype": "BYTES", "data": ["JFK", 'a "quoted" é\n']},
        {"name": "distance", "shape": [2], "datatype": "BOOL", "data": [True, False]},
    ]


def tensor(name: str, kind: str, shape: list[int], data: list[Any] | None = None) -> dict[str, Any]:
    return {"name": name, "datatype": kind, "shape": shape} | ({} if data is None else {"data": data})


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        (
            [tensor("speed", "FP32", [-1, 1])],
            "inputs speed are not features; requests.features has dep_hour",
        ),
        ([tensor("all", "FP32", [-1, 3])], "input all takes 3 columns, must take 2"),
        ([tensor("dep_hour", "FP32", [-1, 2])], "input dep_hour is FP32 of shape [None, 2], must be a tensor of shape"),
        ([tensor("dep_hour", "BF16", [-1, 1])], "input dep_hour is BF16 of shape [None, 1]"),
        (
            [tensor("dep_hour", "FP32", [8, 1])],
            "its inputs take exactly 8 rows per call, must take any number, -1, or 1",
        ),
        ([{"name": "dep_hour"}], "each input and output must have name, datatype and shape"),
        ({"a": 1}, "must be an object with lists of inputs, outputs, versions"),
    ],
)
def test_inputs_that_do_not_fit_the_features_are_refused(server: Server, inputs: Any, text: str) -> None:
    server.metadata = {"inputs": inputs}
    assert text in refusal(lambda: predictor(server), ModelError)


@pytest.mark.parametrize(("classes", "ok"), [(0, False), (3, True), (4, False)])
def test_outputs_that_hold_no_answer_are_refused_before_anything_is_scored(
    server: Server, classes: int, ok: bool
) -> None:
    server.metadata = BINARY | {"outputs": [tensor("probabilities", "FP32", [-1, 3])]}
    if ok:
        predictor(server, classes=classes)
    else:
        message = refusal(lambda: predictor(server, classes=classes), ModelError)
        assert f"must have probabilities of shape (n, {classes or 2})" in message


def test_a_server_that_takes_one_row_gets_one_at_a_time(server: Server, path: Path) -> None:
    server.metadata = {"inputs": [tensor(name, "FP32", [1, 1]) for name in FEATURES]}
    answers = predictor(server).predict(flights(3))
    assert (server.sizes, answered(answers)) == ([1, 1, 1], [0, 1, 2])


@pytest.mark.parametrize(
    ("outputs", "classes", "expected"),
    [
        ([tensor("label", "INT64", [2], [0, 1]), tensor("p", "FP32", [2, 2], [0.75, 0.25, 0.5, 0.5])], 0, [0.25, 0.5]),
        ([tensor("p", "FP64", [2, 2], [[0.75, 0.25], [0.5, 0.5]])], 0, [0.25, 0.5]),
        ([tensor("p", "FP64", [2, 1], [0.25, 0.5])], 0, [0.25, 0.5]),
        ([tensor("p", "FP64", [2], [1, 0])], 0, [1.0, 0.0]),
        ([tensor("p", "FP64", [2, 3], [0, 0, 1, 0.5, 0.5, 0])], 3, [[0, 0, 1], [0.5, 0.5, 0]]),
        ([tensor("label", "BYTES", [2], ["a", "b"]), tensor("p", "FP64", [2], [0.25, 0.5])], 0, [0.25, 0.5]),
    ],
)
def test_the_answer_is_the_one_output_that_can_be_it(
    server: Server, outputs: list[Any], classes: int, expected: list[Any]
) -> None:
    one = predictor(server, classes=classes) if not classes else None
    if one is None:
        server.metadata = {"inputs": [tensor(name, "FP32", [-1, 1]) for name in FEATURES]}
        one = predictor(server, classes=classes)
    server.always = changed(lambda message: message | {"outputs": outputs})
    assert one.predict(flights(2)).values.tolist() == expected


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (status(200, b"<html>Welcome</html>"), "is not JSON"),
        (status(200, b"[" * 100_000), "is not JSON"),
        (status(200, b"\xff\xfe"), "is not JSON"),
        (status(200, [1, 2]), "has no outputs"),
        (status(200, {"error": "x"}), "has no outputs"),
        (
            changed(lambda message: message | {"outputs": [tensor("p", "FP32", [4, 1], [1, 2, 3])]}),
            "not of their shape",
        ),
        (
            changed(lambda message: message | {"outputs": [tensor("p", "FP32", [2, 1], ["a", "b"])]}),
            "not of their shape",
        ),
        (
            changed(lambda message: message | {"outputs": [tensor("p", "FP32", [2, 1], ["0.1", "0.2"])]}),
            "not of their shape",
        ),
        (changed(lambda message: message | {"outputs": [{"name": "p", "datatype": "FP32"}]}), "not of their shape"),
        (changed(lambda message: message | {"outputs": [tensor("p", "FP32", [-1, 1], [1])]}), "not of their shape"),
        (changed(lambda message: message | {"outputs": ["p"]}), "not of their shape"),
        (changed(lambda message: message | {"outputs": []}), "has outputs none"),
        (changed(lambda message: message | {"outputs": [tensor("p", "FP32", [], [1])]}), "has 1 rows for"),
        (changed(lambda message: message | {"outputs": [tensor("p", "FP32", [7], [1] * 7)]}), "has 7 rows for"),
        (status(200, b"no gzip", Content_Encoding="gzip"), "a broken encoding"),
        (status(500, {"error": "out of memory"}), "HTTP 500 Internal Server Error: out of memory"),
    ],
)
def test_an_answer_that_is_none_makes_errors_of_its_rows_and_of_no_other(
    server: Server, fault: Any, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    server.faults = [None, fault, fault, fault]
    answers = predictor(server, limits={"rows": 2}).predict(flights(6))
    assert answered(answers) == [0, 1, 4, 5]
    assert all(text in one for one in answers.errors.values())
    assert text in caplog.text


def test_too_few_rows_are_never_taken_for_all(server: Server) -> None:
    def shortened(message: dict[str, Any]) -> None:
        (output,) = message["outputs"]
        if output["shape"][0] > 1:
            output["shape"][0] -= 1
            output["data"].pop()

    server.always = changed(shortened)
    assert answered(predictor(server).predict(flights(8))) == list(range(8))  # row by row it answers all
    assert server.sizes == [8, 4, 2, 1, 1, 2, 1, 1, 4, 2, 1, 1, 2, 1, 1]


def test_nan_and_null_are_no_answers(server: Server) -> None:
    bodies = [b"NaN", b"null", b"Infinity"]
    parts = [
        b'{"model_version": "1", "outputs": [{"name": "p", "datatype": "FP32", "shape": [1], "data": [%s]}]}' % one
        for one in bodies
    ]
    server.faults = [status(200, one) for one in parts]
    table = scored_by(_Renamed(predictor(server, limits={"rows": 1})), [1.0, 2.0, 3.0, 4.0])
    message = table["error"].to_pylist()
    assert message[:3] == ["the model predicted nan", "the model predicted nan", "the model predicted inf"]
    assert message[3] is None


def test_one_bad_row_is_found_and_the_others_are_answered_once(server: Server) -> None:
    numbers = [float(one) for one in range(64)]
    server.poison = {"dep_hour": 37.0}
    answers = predictor(server, limits={"rows": 16}).predict(batch(dep_hour=numbers, distance=numbers))
    assert list(answers.errors) == [37]
    message = answers.errors[37]
    assert "HTTP 400 Bad Request: input dep_hour cannot be … in […]" in message
    assert not re.search(r"37|36", message)
    assert server.sizes == [16, 16, 16, 8, 4, 4, 2, 1, 1, 2, 8, 16]


def test_texts_that_a_server_repeats_are_not_kept(server: Server) -> None:
    server.is_described = False
    server.always = status(422, b"cannot read Smith-Jones of O\xc3\xa9, aged 41: " + b"why " * 1000)
    names = pa.array(["Smith-Jones", "Oé"])
    answers = predictor(server).predict(batch(dep_hour=names, distance=[1.0, 2.0]))
    for message in answers.errors.values():
        assert message.startswith("HTTP 422 Unprocessable Entity: cannot read … of …, aged …: why why")
        assert len(message) < 300


def test_a_server_that_refuses_everything_is_not_called_for_ever(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "CALLS_TO_FIND_BAD_ROWS", 6)
    server.always = status(400, {"error": "no"})
    answers = predictor(server, limits={"rows": 8}).predict(flights(64))
    assert (len(answers.errors), len(server.asked)) == (64, 7 + 7)


@pytest.mark.parametrize("column", ["dep_hour", "distance"])
@pytest.mark.parametrize("is_matrix", [True, False])
def test_a_number_that_json_cannot_hold_is_an_error_of_its_row(server: Server, column: str, is_matrix: bool) -> None:
    if is_matrix:
        server.metadata = {"inputs": [tensor("all", "FP32", [-1, 2])]}
        server.always = changed(lambda message: None)
        server.inferred = lambda asked: {"outputs": [tensor("p", "FP32", [1], [0.5])]}  # type: ignore[method-assign]
    content = {"dep_hour": [1.0] * 4, "distance": [1.0] * 4} | {column: [None, 1e300, 2.0, float("inf")]}
    answers = predictor(server).predict(batch(**content))
    text = f"feature {column} is null or no number that FP32 and JSON can hold"
    assert answers.errors == dict.fromkeys([0, 1, 3], text)
    assert server.sizes == [1]
    assert answered(answers) == [2]


@pytest.mark.parametrize("nulls", ["null", "NaN"])
def test_a_missing_number_is_sent_as_the_server_takes_it(server: Server, nulls: str) -> None:
    server.takes_nan = nulls == "NaN"
    server.inferred = lambda asked: {"outputs": [tensor("p", "FP32", [3], [0.1, 0.2, 0.3])]}  # type: ignore[method-assign]
    content = {"dep_hour": [None, 2.0, 3.0, float("inf")], "distance": [1.0] * 4}
    answers = predictor(server, nulls=nulls).predict(batch(**content))
    sent = {one["name"]: one["data"] for one in server.asked[0]["inputs"]}["dep_hour"]
    assert sent[1:] == [2.0, 3.0]
    assert sent[0] is None if nulls == "null" else sent[0] != sent[0]
    assert answered(answers) == [0, 1, 2]
    assert answers.values[:3].tolist() == pytest.approx([0.1, 0.2, 0.3])


def test_rows_without_any_that_can_be_sent_make_no_call(server: Server) -> None:
    answers = predictor(server).predict(batch(dep_hour=[None, None], distance=pa.array([1.0, 2.0])).cast(
        pa.schema({"dep_hour": pa.float64(), "distance": pa.float64()})))  # fmt: skip
    assert (sorted(answers.errors), server.asked) == ([0, 1], [])


def test_a_call_that_is_too_large_is_halved_and_later_ones_stay_small(server: Server) -> None:
    server.faults = [status(413), status(413)]
    answers = predictor(server, limits={"rows": 16}).predict(flights(40))
    assert (len(answers.errors), server.sizes) == (0, [16, 8, *[4] * 10])
    server.always = status(413)
    answers = predictor(server, limits={"rows": 2}).predict(flights(2))
    assert list(answers.errors.values()) == ["HTTP 413 Request Entity Too Large"] * 2
