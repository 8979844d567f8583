"""Models behind the Open Inference Protocol: the answers of the file itself, and a clear word where there are none."""

import datetime as dt
import io
import json
import logging
import re
import time
from collections.abc import Callable, Iterator
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from shadow_deployment.config.deployment import Challenger
from shadow_deployment.config.model import Limits
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.connections import Connection
from shadow_deployment.data.predictor import Predictions
from shadow_deployment.errors import CredentialsError, ModelError, ShadowError, TransientError
from shadow_deployment.models.onnx import OnnxPredictor
from shadow_deployment.models.remote import calls, endpoint
from shadow_deployment.models.remote.calls import RetryLimits
from shadow_deployment.models.remote.endpoint import EndpointPredictor
from shadow_deployment.pipeline import run
from shadow_deployment.pipeline.challengers.scoring import score
from tests.integration.models.inference_server import Server, changed, drip, hang, reset, serving, status
from tests.production import World, day, linear_model
from tests.unit.models.test_onnx import batch

FEATURES = ["dep_hour", "distance"]
SECRET = "neverToBeSeenInAnyText"
QUICK = RetryLimits(attempts=3, seconds=1.0, first=0.01, longest=0.02)
BINARY = {"inputs": [{"name": "dep_hour", "datatype": "FP32", "shape": [-1, 1]}]}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    weights = {"dep_hour": 0.05, "distance": -0.0004}
    return linear_model(tmp_path_factory.mktemp("served") / "late.onnx", weights)


@pytest.fixture
def server(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(calls, "RETRY_LIMITS", QUICK)
    with serving(path) as found:
        yield found


def predictor(
    server: Server, connection: Connection | None = None, *, suffix: str = "", classes: int = 0, **changes: Any
) -> EndpointPredictor:
    limits = Limits(**changes.pop("limits", {}))
    model = Challenger(name="served", model=server.model + suffix, limits=limits, **changes)
    return EndpointPredictor(model, connection, changes.get("features", FEATURES), classes=classes)


def flights(rows: int = 10) -> pa.RecordBatch:
    random = np.random.default_rng(rows)
    return batch(dep_hour=random.integers(5, 23, rows).astype(float), distance=random.normal(900, 400, rows))


def refusal(call: Callable[[], object], kind: type[ShadowError]) -> str:
    with pytest.raises(kind) as caught:
        call()
    assert SECRET not in str(caught.value)
    return str(caught.value)


def scored_by(predictor: Any, xs: list[float]) -> pa.Table:
    """Return what scoring makes of a predictor's answers."""
    file = io.BytesIO()
    pq.write_table(pa.table({"x": xs}), file)
    return pa.concat_tables(score(predictor, pq.ParquetFile(file), 0, ["x"]))


def answered(answers: Predictions) -> list[int]:
    assert set(np.flatnonzero(np.isnan(answers.values))) == set(answers.errors)
    return sorted(set(range(len(answers.values))) - set(answers.errors))


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


class _Renamed:
    """Scores rows whose one number is x."""

    def __init__(self, one: EndpointPredictor) -> None:
        self._one = one

    def predict(self, rows: pa.RecordBatch) -> Predictions:
        return self._one.predict(pa.record_batch(dict.fromkeys(FEATURES, rows["x"])))


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


@pytest.mark.parametrize("code", [429, 503])
@pytest.mark.parametrize("retry_after", [None, "0", "0.2", "1", "soon", "date", "-1"])
def test_a_busy_server_is_waited_for(
    server: Server, code: int, retry_after: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(calls.time, "sleep", slept.append)
    monkeypatch.setattr(calls, "RETRY_LIMITS", RetryLimits(seconds=60, first=0.5, longest=2.0))
    when = format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=20), usegmt=True)
    headers = {"Retry_After": when if retry_after == "date" else retry_after} if retry_after else {}
    server.faults = [status(code, **headers)] * 2
    answers = predictor(server).predict(flights(3))
    assert (answered(answers), server.sizes, len(slept)) == ([0, 1, 2], [3, 3, 3], 2)
    low, high = {"1": (1.0, 1.0), "date": (15.0, 20.0)}.get(retry_after or "", (0.25, 0.5))
    assert low <= slept[0] <= high
    assert min(low, 1.0) <= slept[1] <= max(high, 1.0)


def test_patience_with_a_busy_server_ends(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(calls.time, "sleep", slept.append)
    monkeypatch.setattr(calls, "RETRY_LIMITS", RetryLimits(seconds=10, first=1.0, longest=2.0))
    one = predictor(server)
    server.always = status(503)
    message = refusal(lambda: one.predict(flights(3)), TransientError)
    assert re.search(r"HTTP 503 Service Unavailable, \d+ times$", message)
    assert 6 < sum(slept) <= 10
    slept.clear()
    server.always = status(429, Retry_After="3600")
    assert "HTTP 429 Too Many Requests, once, and asks for 3600 s more" in refusal(
        lambda: one.predict(flights(3)), TransientError
    )
    assert not slept


@pytest.mark.parametrize("fault", [reset, status(502), status(504)])
def test_what_breaks_is_tried_again_and_then_left_to_a_later_try(server: Server, fault: Any) -> None:
    one = predictor(server)
    server.faults = [fault, fault]
    assert answered(one.predict(flights(3))) == [0, 1, 2]
    server.asked.clear()
    server.always = fault
    message = refusal(lambda: one.predict(flights(3)), TransientError)
    assert message.startswith(f"challenger served: model == {server.model!r}: ")
    assert message.endswith("3 times")
    assert len(server.asked) == QUICK.attempts


def test_a_server_that_is_not_there_is_left_to_a_later_try(server: Server) -> None:
    server.port = 9  # nobody listens on it
    assert "the connection fails: ConnectError" in refusal(lambda: predictor(server), TransientError)


@pytest.mark.parametrize("fault", [hang, drip])
def test_a_row_that_takes_too_long_is_an_error_and_a_server_that_hangs_is_none(server: Server, fault: Any) -> None:
    one = predictor(server, limits={"rows": 4, "seconds": 0.15})
    server.faults = [None, fault, fault, fault]
    answers = one.predict(flights(8))
    assert answers.errors == {4: "no response within 0.15 s"}
    server.always = fault
    began = time.monotonic()
    assert "no response within 0.15 s, 3 times in a row" in refusal(lambda: one.predict(flights(2)), TransientError)
    assert "no response within 0.15 s, 8 times in a row" in refusal(lambda: one.predict(flights(64)), TransientError)
    assert time.monotonic() - began < 5
    server.when_described = [fault]
    assert "no response within" in refusal(lambda: predictor(server, limits={"seconds": 0.1}), TransientError)


def test_an_answer_without_end_is_not_read(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "LARGEST_RESPONSE", 1 << 20)
    one = predictor(server)
    server.always = status(200, b" " * (3 << 20))
    assert one.predict(flights(1)).errors == {0: "the response is larger than 1 MB"}


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        (401, CredentialsError, "put the credentials for this server into a connection, and name it as conn_id"),
        (403, CredentialsError, "put the credentials for this server into a connection, and name it as conn_id"),
        (301, ModelError, "it redirects, must be the address of the model itself"),
        (307, ModelError, "it redirects, must be the address of the model itself"),
        (404, ModelError, "load the model and this version there, or correct the address"),
        (415, ModelError, "is this a server of the Open Inference Protocol?"),
        (204, ModelError, "is this a server of the Open Inference Protocol?"),
    ],
)
def test_an_error_about_no_row_ends_the_task(server: Server, code: int, kind: type[ShadowError], text: str) -> None:
    one = predictor(server)
    server.faults = [None, status(code, b"", Location=f"http://127.0.0.1:{server.port}/v2/models/other")]
    message = refusal(lambda: one.predict(flights(600)), kind)
    assert f"HTTP {code}" in message
    assert text in message
    assert len(server.asked) == 2
    if code != 404:
        server.when_described = [status(code, b"")]
        assert text in refusal(lambda: predictor(server), kind)


@pytest.mark.parametrize(
    ("fault", "text"),
    [(status(200, b"<html>"), "not JSON"), (status(400, {"error": "unknown model"}), "HTTP 400 Bad Request: unknown")],
)
def test_metadata_that_are_none_are_refused(server: Server, fault: Any, text: str) -> None:
    server.when_described = [fault]
    message = refusal(lambda: predictor(server), ModelError)
    assert text in message
    assert "is this a server of the Open Inference Protocol?" in message


def test_another_version_is_refused(server: Server) -> None:
    assert not predictor(server).predict(flights(1)).errors
    assert not predictor(server, suffix="/versions/1", version="of spring").predict(flights(1)).errors
    for changes in ({"version": "2"}, {"suffix": "/versions/2"}):
        message = refusal(lambda changes=changes: predictor(server, **changes), ModelError)  # type: ignore[misc]
        assert "the server has version 1, must have 2" in message
    server.is_described = False
    message = refusal(lambda: predictor(server, version="2").predict(flights(1)), ModelError)
    assert "the server has version 1, must have 2, the challenger's version: evidence is of one version" in message


def test_a_version_that_changes_in_the_middle_of_a_day_ends_the_task(server: Server) -> None:
    server.faults = [None, changed(lambda message: message | {"model_version": "2"})]
    message = refusal(lambda: predictor(server, limits={"rows": 2}).predict(flights(8)), ModelError)
    assert "the server has version 2, must have 1" in message
    assert len(server.asked) == 2


def test_a_server_that_does_not_tell_its_version_is_believed_once_it_has_only_one(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.version = None
    one = predictor(server, version="of spring", limits={"rows": 2})
    assert answered(one.predict(flights(6))) == list(range(6))
    assert caplog.text.count("the server does not say which version predicts") == 1
    server.metadata = server.described() | {"versions": ["1", "2"]}
    message = refusal(lambda: predictor(server).predict(flights(1)), ModelError)
    assert "the server has versions 1, 2 and does not say which of them predicts; put /versions/VERSION into" in message
    assert not predictor(server, suffix="/versions/2").predict(flights(1)).errors


def test_calls_keep_to_the_rate_that_is_allowed(server: Server) -> None:
    one = predictor(server, limits={"rows": 1, "calls_per_second": 2})
    server.faults = [None, status(503)]
    answers = one.predict(flights(5))
    gaps = np.diff(server.moments)
    assert len(gaps) == 5
    assert gaps.min() > 0.4
    assert answers.latency_ms is not None
    assert answers.latency_ms.max() < 400  # the time of the answer, not of the wait before it


def test_latency_is_that_of_the_answer_and_goes_to_the_ledger(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = changed(lambda message: time.sleep(0.1))
    server.faults = [slow, None]
    monkeypatch.setattr(calls, "RETRY_LIMITS", RetryLimits(first=1.0, longest=1.0))
    monkeypatch.setattr(calls.random, "uniform", lambda *_: 0.3)
    one = predictor(server, limits={"rows": 2})
    server.faults = [slow, status(503), None]
    latency = scored_by(_Renamed(one), [1.0, 2.0, 3.0, 4.0])["latency_ms"].to_pylist()
    assert 50 <= latency[0] == latency[1] < 100
    assert latency[2] == latency[3] < 50


def declared(server: Server, **changes: Any) -> Connection:
    fields = {"host": "127.0.0.1", "port": server.port, "database": "http", "password": SECRET, **changes}
    return Connection("inference", **fields)


@pytest.mark.parametrize(
    ("changes", "header", "expected"),
    [
        ({}, "Authorization", f"Bearer {SECRET}"),
        ({"login": "ada"}, "Authorization", "Basic YWRhOm5ldmVyVG9CZVNlZW5JbkFueVRleHQ="),
        ({"password": None, "extra": {"headers": {"X-Key": SECRET}}}, "X-Key", SECRET),
        ({"host": "http://127.0.0.1", "port": None, "database": None}, "Authorization", f"Bearer {SECRET}"),
    ],
)
def test_credentials_of_the_connection_are_sent(
    server: Server, changes: dict[str, Any], header: str, expected: str
) -> None:
    predictor(server, declared(server, **changes), conn_id="inference").predict(flights(1))
    assert server.headers[0][header] == expected
    assert "application/json" in server.headers[0]["Content-Type"]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"host": "other.example.org"}, "host other.example.org, must be 127.0.0.1"),
        ({"host": None}, "names no host, must name 127.0.0.1"),
        ({"port": 1}, "port 1, must be"),
        ({"database": "https"}, "schema https, must be http"),
        ({"host": "https://127.0.0.1"}, "schema https, must be http"),
        ({"password": f"{SECRET}\n"}, "the password holds characters that no header can hold"),
        ({"extra": {"headers": {"X": f"{SECRET}\r\nY: 1"}}}, "header X holds characters"),
        ({"extra": {"headers": SECRET}}, "headers in its extra must be an object"),
        ({"extra": {"verify": "/no/such/file"}}, "verify in its extra must be true, false or the path of a file"),
    ],
)
def test_credentials_go_to_the_host_that_their_connection_names_and_to_no_other(
    server: Server, changes: dict[str, Any], text: str
) -> None:
    server.headers.clear()
    assert text in refusal(lambda: predictor(server, declared(server, **changes)), CredentialsError)
    assert server.headers == []


def test_a_refusal_names_the_connection_and_neither_its_secret_nor_what_the_server_repeats(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.when_described = [status(401, b"no")]
    with caplog.at_level(logging.INFO):
        message = refusal(lambda: predictor(server, declared(server), conn_id="inference"), CredentialsError)
    assert "put the credentials for this server into connection inference" in message
    assert SECRET not in caplog.text


def test_the_evidence_is_that_of_the_file(
    server: Server, path: Path, worlds: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = worlds()
    server.poison = None
    shadow = world.shadow(
        challengers=[
            {"name": "filed", "model": f"onnx:{path}"},
            {"name": "served", "model": server.model, "limits": {"rows": 7}},
        ]
    )
    for number in range(2):
        assert not run.run_day(shadow, day(number))
    evidence = world.evidence()
    filed, served = (
        evidence[evidence["challenger"] == name].drop(columns=["challenger", "digest"]).reset_index(drop=True)
        for name in ("filed", "served")
    )
    assert len(filed) == len(served) > 20
    numbers = filed.select_dtypes("number").columns
    assert_allclose(served[numbers].to_numpy(float), filed[numbers].to_numpy(float), rtol=0, atol=1e-6)
    others = [name for name in filed.columns if name not in numbers]
    assert filed[others].equals(served[others])
    assert evidence["digest"].nunique() == 2
    assert max(server.sizes) == 7
    assert world.query("SELECT count(*) FROM shadow.prediction WHERE error IS NOT NULL")[0][0] == 0


def test_a_server_that_goes_away_leaves_nothing_half_written_and_the_next_try_ends_the_day(
    server: Server, worlds: Callable[..., World]
) -> None:
    world = worlds()
    shadow = world.shadow(challengers=[{"name": "served", "model": server.model, "limits": {"rows": 7}}])
    server.faults = [None] * 5 + [status(502)] * QUICK.attempts
    with pytest.raises(TransientError):
        run.run_day(shadow, day(0))
    stored = world.query("SELECT shard, rows, errors FROM shadow.scoring")
    assert stored == [(0, 25, 0)]
    assert world.query("SELECT count(*) FROM shadow.prediction") == [(25,)]
    assert not run.run_day(shadow, day(0))
    assert world.query("SELECT sum(rows)::int, sum(errors)::int FROM shadow.scoring") == [(60, 0)]


def test_the_connection_of_conn_id_is_the_one_that_is_used(server: Server, worlds: Callable[..., World]) -> None:
    from shadow_deployment.config.window import window_of
    from shadow_deployment.models.loading import load

    world = worlds()
    one = {"name": "served", "model": server.model, "conn_id": "inference"}
    deployment = world.deploy(challengers=[one])
    shadow = DeploymentContext(deployment, lambda conn_id: declared(server, password=f"{SECRET}{conn_id}"))
    found = load(shadow, deployment.challengers[0], window_of(deployment, day(0)))
    assert not found.predict(flights(2)).errors
    assert server.headers[0]["Authorization"] == f"Bearer {SECRET}inference"
    assert json.dumps(one).count(SECRET) == 0
