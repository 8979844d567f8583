"""The program that holds a model, spoken to frame by frame: in this process, and as the program it is."""

import io
import json
import os
import subprocess
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.base import BaseEstimator

from shadow_deployment.models.sandbox import worker

ONE_NUMBER: dict[str, Any] = {"task": "binary", "classes": []}
TWO_CLASSES: dict[str, Any] = {"task": "multiclass", "classes": ["late", "early"]}
FRAME = {"hour": [1.0, 2.0, 3.0]}


def frame(header: dict[str, Any], body: bytes = b"") -> bytes:
    head = json.dumps(header).encode()
    return worker.LENGTHS.pack(len(head), len(body)) + head + body


def stream(columns: dict[str, Sequence[Any]]) -> bytes:
    batch = pa.RecordBatch.from_pydict(dict(columns))
    with io.BytesIO() as file:
        with pa.ipc.new_stream(file, batch.schema) as writer:
            writer.write_batch(batch)
        return file.getvalue()


def frames_of(content: bytes) -> list[tuple[dict[str, Any], bytes]]:
    found, at = [], 0
    while at < len(content):
        head, body = worker.LENGTHS.unpack_from(content, at)
        at += worker.LENGTHS.size
        found.append((json.loads(content[at : at + head]), content[at + head : at + head + body]))
        at += head + body
    return found


def served(*requests: bytes) -> list[tuple[dict[str, Any], bytes]]:
    """Return what the program answers to these requests, one after the other."""
    answers = io.BytesIO()
    worker.serve(io.BufferedReader(io.BytesIO(b"".join(requests))), answers)  # type: ignore[arg-type]
    return frames_of(answers.getvalue())


def a_module(tmp_path: Path, name: str, source: str) -> dict[str, Any]:
    """Return the request that loads `answer` of a module that is written here."""
    (tmp_path / f"{name}.py").write_text(source)
    return {"do": "load", "kind": "python", "module": name, "function": "answer", "path": [str(tmp_path)], **ONE_NUMBER}


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program puts folders into the path of its own process, which here is this one."""
    monkeypatch.setattr(sys, "path", list(sys.path))


def test_a_function_is_loaded_and_answers_until_there_is_no_request(tmp_path: Path) -> None:
    load = a_module(tmp_path, "worker_halves", "def answer(frame):\n    return frame['hour'] / 2\n")
    ask = frame({"do": "predict", "number": 8}, stream(FRAME))
    first, second, third = served(frame({**load, "number": 7}), ask, frame({"do": "predict", "number": 9}, b"no batch"))
    assert first == ({"is": "ready", "number": 7}, b"")
    assert second[0] == {"is": "predictions", "errors": {}, "number": 8}
    assert np.frombuffer(second[1], np.float64).tolist() == [0.5, 1.0, 1.5]
    assert (third[0]["is"], third[0]["number"]) == ("error", 9)


@pytest.mark.parametrize("left", [1, worker.LENGTHS.size - 1])
def test_a_pipe_that_closes_in_the_middle_of_the_lengths_ends_it(left: int) -> None:
    assert served(frame({"do": "predict", "number": 1})[:left]) == []


def test_a_request_before_a_model_is_there_is_an_error_and_the_next_is_answered(tmp_path: Path) -> None:
    load = a_module(tmp_path, "worker_ones", "def answer(frame):\n    return [1.0] * len(frame)\n")
    ask = frame({"do": "predict", "number": 1}, stream(FRAME))
    early, ready, answer = served(ask, frame({**load, "number": 2}), ask)
    assert early[0]["kind"] == "TypeError"
    assert ready[0]["is"] == "ready"
    assert np.frombuffer(answer[1], np.float64).tolist() == [1.0, 1.0, 1.0]


RAISING = """
class Unreadable(Exception):
    def __str__(self):
        raise RuntimeError("no")

def answer(frame):
    raise {}
"""


@pytest.mark.parametrize(
    ("raised", "text", "kind"),
    [
        ("ValueError('thirteen')", "thirteen", "ValueError"),
        ("SystemExit(3)", "3", "SystemExit"),
        ("KeyboardInterrupt", "", "KeyboardInterrupt"),
        ("Unreadable", "its text cannot be read", "Unreadable"),
        ("ValueError('x' * 9999)", "x" * worker.LONGEST_ERROR, "ValueError"),
        ("ValueError(chr(0xd800))", "?", "ValueError"),
    ],
)
def test_whatever_a_model_raises_is_reported_and_bounded(raised: str, text: str, kind: str, tmp_path: Path) -> None:
    name = f"worker_raises_{abs(hash(raised))}"
    load = a_module(tmp_path, name, RAISING.format(raised))
    _, (answer, body) = served(frame({**load, "number": 1}), frame({"do": "predict", "number": 2}, stream(FRAME)))
    said = {"is": "error", "text": text, "kind": kind, "is_foreign": True, "number": 2}
    assert answer == {**said, "missing": None, "columns": []}
    assert body == b""


@pytest.mark.parametrize(
    ("changes", "text", "missing"),
    [
        ({"module": "worker_absent"}, "No module named 'worker_absent'", "worker_absent"),
        ({"function": "other"}, "module 'worker_some' has no attribute 'other'", None),
        ({"function": "constant"}, "constant of worker_some is not a function that takes a DataFrame", None),
        ({"function": "Model"}, "Model of worker_some is not a function that takes a DataFrame", None),
        ({"function": "Model.answer"}, None, None),
    ],
)
def test_what_is_declared_is_a_function_or_is_refused_by_name(
    changes: dict[str, str], text: str | None, missing: str | None, tmp_path: Path
) -> None:
    source = (
        "constant = 3\nclass Model:\n    @staticmethod\n    def answer(frame):\n        return [0.5] * len(frame)\n"
    )
    load = a_module(tmp_path, "worker_some", source)
    ((answer, _),) = served(frame({**load, **changes, "number": 1}))
    assert (answer["is"], answer.get("text"), answer.get("missing")) == (
        "ready" if text is None else "error",
        text,
        missing,
    )


MASKED = np.ma.MaskedArray([1, 2, 3], [False, True, False])


@pytest.mark.parametrize(
    ("answer", "task", "expected"),
    [
        ([1, 2, 3], ONE_NUMBER, [1.0, 2.0, 3.0]),
        (np.array([True, False, True]), ONE_NUMBER, [1.0, 0.0, 1.0]),
        (pd.Series([0.5, None, pd.NA], dtype=object), ONE_NUMBER, [0.5, np.nan, np.nan]),
        (pd.Series([0.5, pd.NaT, 2], dtype=object), ONE_NUMBER, [0.5, np.nan, 2.0]),
        (MASKED, ONE_NUMBER, [1.0, np.nan, 3.0]),
        ([[1.0], [2.0], [3.0]], ONE_NUMBER, [1.0, 2.0, 3.0]),
        ([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]], ONE_NUMBER, [0.1, 0.2, 0.3]),
        ([[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]], TWO_CLASSES, [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]]),
        (
            pd.DataFrame({"early": [0.1, 0.2, 0.3], "late": [0.9, 0.8, 0.7]}),
            TWO_CLASSES,
            [[0.9, 0.1], [0.8, 0.2], [0.7, 0.3]],
        ),
        (pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [4.0, 5.0, 6.0]}), TWO_CLASSES, [[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]]),
    ],
)
def test_numbers_of_any_kind_become_one_float_for_each_row_and_class(
    answer: Any, task: dict[str, Any], expected: Any
) -> None:
    found = worker.to_float64(answer, 3, task)
    assert (found.dtype, found.flags.c_contiguous) == (np.float64, True)
    np.testing.assert_array_equal(found, np.array(expected))


@pytest.mark.parametrize(
    ("answer", "task", "problem"),
    [
        ([0.5, 0.5], ONE_NUMBER, "predictions of shape (2,) for 3 requests, must be (3,)"),
        (
            [[0.5, 0.5]] * 3,
            {"task": "regression", "classes": []},
            "predictions of shape (3, 2) for 3 requests, must be (3,)",
        ),
        ([[0.5] * 3] * 3, ONE_NUMBER, "predictions of shape (3, 3) for 3 requests, must be (3,)"),
        ([0.5] * 3, TWO_CLASSES, "predictions of shape (3,) for 3 requests, must be (3, 2)"),
        ([[0.5]] * 3, TWO_CLASSES, "predictions of shape (3, 1) for 3 requests, must be (3, 2)"),
        (["a", "b", "c"], ONE_NUMBER, "text, must be numbers"),
        (pd.Series(["a", 1, 2], dtype=object), ONE_NUMBER, "text, must be numbers"),
        (pd.Series([b"a", 1, 2], dtype=object), ONE_NUMBER, "text, must be numbers"),
        ([1j, 2j, 3j], ONE_NUMBER, "complex128, must be numbers"),
        ({"p": 1}, ONE_NUMBER, "dict, must be numbers"),
        (None, ONE_NUMBER, "NoneType, must be numbers"),
    ],
)
def test_what_is_no_prediction_is_reported_without_its_values(answer: Any, task: dict[str, Any], problem: str) -> None:
    with pytest.raises(worker.ModelOutputError) as caught:
        worker.to_float64(answer, 3, task)
    assert str(caught.value) == f"the model returned {problem}"


@pytest.mark.parametrize("kind", [pd.Series, pd.DataFrame])
def test_predictions_that_were_sorted_are_put_back_to_their_rows(kind: Any) -> None:
    answer = kind([0.3, 0.1, 0.2]).sort_values(**({} if kind is pd.Series else {"by": 0}))
    assert worker.to_float64(answer, 3, ONE_NUMBER).tolist() == [0.3, 0.1, 0.2]


@pytest.mark.parametrize("index", [[1, 2, 3], ["a", "b", "c"], [0, 0, 1], [0.5, 1, 2]])
def test_predictions_with_an_index_of_their_own_are_nobodys(index: list[Any]) -> None:
    with pytest.raises(worker.MisalignedOutputError, match="an index that is not that of its 3 requests"):
        worker.to_float64(pd.Series([0.3, 0.1, 0.2], index=index), 3, ONE_NUMBER)


class Guesser(BaseEstimator):  # type: ignore[misc]
    """An estimator that knows its classes, and answers the first of k columns with 1, the second with 2, ..."""

    def __init__(self, classes: Sequence[Any]) -> None:
        self.classes_ = np.array(classes)

    def predict(self, frame: pd.DataFrame) -> Any:
        return np.full(len(frame), 9.0)

    def predict_proba(self, frame: pd.DataFrame) -> Any:
        return np.tile(np.arange(1.0, len(self.classes_) + 1), (len(frame), 1))


class Certain(BaseEstimator):  # type: ignore[misc]
    """An estimator without probabilities."""

    def predict(self, frame: pd.DataFrame) -> Any:
        return np.full(len(frame), 4.0)


def pickled(model: Any) -> bytes:
    with io.BytesIO() as file:
        joblib.dump(model, file)
        return file.getvalue()


def estimated(model: Any, task: dict[str, Any]) -> list[Any]:
    predict = worker.load({"kind": "sklearn", **task}, pickled(model))
    values, errors = predict(pa.RecordBatch.from_pydict({"hour": [1.0]}))
    assert errors == {}
    return list(np.asarray(values)[0]) if task["classes"] else list(values)


@pytest.mark.parametrize(
    ("model", "task", "expected"),
    [
        (Guesser([False, True]), ONE_NUMBER, [2.0]),
        (Guesser([0, 1]), {"task": "regression", "classes": []}, [9.0]),
        (Certain(), ONE_NUMBER, [4.0]),
        (Guesser(["late", "early"]), TWO_CLASSES, [1.0, 2.0]),
        (Guesser(["early", "late"]), TWO_CLASSES, [2.0, 1.0]),
        (Guesser([0, 1]), TWO_CLASSES, [1.0, 2.0]),
    ],
)
def test_an_estimator_answers_with_probabilities_where_it_has_them(
    model: Any, task: dict[str, Any], expected: list[float]
) -> None:
    assert estimated(model, task) == expected


@pytest.mark.parametrize(
    ("classes", "task", "problem"),
    [
        (["a", "b", "c"], ONE_NUMBER, "its classes are a, b, c, must be two for a binary task"),
        (["on time", "late"], TWO_CLASSES, "its classes are on time, late, must be late, early"),
        ([1, 2], TWO_CLASSES, "its classes are 1, 2, must be late, early"),
    ],
)
def test_an_estimator_of_other_classes_is_refused(classes: list[Any], task: dict[str, Any], problem: str) -> None:
    with pytest.raises(worker.ModelOutputError) as caught:
        estimated(Guesser(classes), task)
    assert str(caught.value) == problem


def test_skops_loads_what_is_trusted_and_nothing_else() -> None:
    skops = pytest.importorskip("skops.io")
    body = skops.dumps(Guesser([False, True]))
    name = f"{__name__}.Guesser"
    with pytest.raises(worker.ModelOutputError) as caught:
        worker.load({"kind": "skops", "trusted": [], **ONE_NUMBER}, body)
    assert str(caught.value) == (
        f"it holds types that are not trusted: {name}; if you know them all, name them in trusted"
    )
    predict = worker.load({"kind": "skops", "trusted": [name], **ONE_NUMBER}, body)
    assert predict(pa.RecordBatch.from_pydict({"hour": [1.0, 2.0]}))[0].tolist() == [2.0, 2.0]


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A stand-in for MLflow's library; the list is what it was asked for."""
    asked: list[Any] = []

    of_alias = types.SimpleNamespace(version=12, status="READY", tags={"trained_until": "2024-02-10"})
    newest = types.SimpleNamespace(version=13, status="PENDING_REGISTRATION", tags={})

    class MlflowClient:
        def get_model_version_by_alias(self, name: str, alias: str) -> Any:
            asked.append((name, alias))
            return of_alias

        def search_model_versions(self, *search: Any) -> Any:
            asked.append(search)
            return [newest, of_alias]

    def load_model(uri: str) -> Any:
        asked.append(uri)
        return types.SimpleNamespace(predict=lambda frame: frame["hour"] * 10)

    top, pyfunc = types.ModuleType("mlflow"), types.ModuleType("mlflow.pyfunc")
    top.MlflowClient, pyfunc.load_model = MlflowClient, load_model  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "mlflow", top)
    monkeypatch.setitem(sys.modules, "mlflow.pyfunc", pyfunc)
    return asked


def test_a_model_of_mlflow_is_loaded_by_its_address_and_an_alias_is_read_as_a_version(mlflow: list[Any]) -> None:
    load = frame({"do": "load", "kind": "mlflow", "uri": "models:/delay/12", "number": 1, **ONE_NUMBER})
    of_alias = frame({"do": "versions", "alias": ["delay", "champion"], "search": ["name='delay'", 1], "number": 2})
    newest = frame({"do": "versions", "alias": None, "search": ["name='delay'", 1], "number": 3})
    ready, alias, search, answer = served(load, of_alias, newest, frame({"do": "predict", "number": 4}, stream(FRAME)))
    assert ready[0]["is"] == "ready"
    version = ["12", "READY", "2024-02-10"]
    assert alias[0] == {"is": "versions", "versions": [version], "number": 2}
    assert search[0] == {"is": "versions", "versions": [["13", "PENDING_REGISTRATION", None], version], "number": 3}
    assert np.frombuffer(answer[1], np.float64).tolist() == [10.0, 20.0, 30.0]
    assert mlflow == ["models:/delay/12", ("delay", "champion"), ("name='delay'", 1)]


def started(load: dict[str, Any], *, parent: int | None = None) -> "tuple[subprocess.Popen[bytes], int, int]":
    """Start the program as the engine does, with the pipes that it reads and writes."""
    reading, to = os.pipe()
    back, writing = os.pipe()
    process = subprocess.Popen(
        [sys.executable, worker.__file__, str(reading), str(writing), str(parent or os.getpid())],
        pass_fds=(reading, writing),
        stdout=subprocess.DEVNULL,
    )
    os.close(reading)
    os.close(writing)
    os.write(to, frame({**load, "number": 1}))
    return process, to, back


def ended(process: "subprocess.Popen[bytes]", to: int, back: int) -> tuple[int, list[tuple[dict[str, Any], bytes]]]:
    """Close the pipe to the program; return its exit code and all that it had answered."""
    os.close(to)
    with open(back, "rb") as file:
        answers = frames_of(file.read())
    return process.wait(120), answers


LISTENING = """
import os, sys

def answer(frame):
    open_pipes = [int(one) for one in os.listdir("/proc/self/fd") if int(one) > 2]
    inherited = [one for one in open_pipes if os.path.exists(f"/proc/self/fd/{one}") and os.get_inheritable(one)]
    return [len(sys.argv), len(inherited), float(open("/proc/self/oom_score_adj").read())]
"""


def test_the_program_hides_its_pipes_goes_first_where_memory_runs_out_and_ends_with_its_pipe(tmp_path: Path) -> None:
    process, to, back = started(a_module(tmp_path, "listening", LISTENING))
    os.write(to, frame({"do": "predict", "number": 2}, stream(FRAME)))
    code, (ready, (answer, body)) = ended(process, to, back)
    assert (code, ready[0]["is"], answer["is"]) == (0, "ready", "predictions")
    assert np.frombuffer(body, np.float64).tolist() == [1.0, 0.0, 1000.0]


FORKING = """
import os

def answer(frame):
    child = os.fork()
    if child == 0:
        return [0.25] * len(frame)
    return [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])] * len(frame)
"""


def test_a_copy_that_the_model_forks_answers_nothing(tmp_path: Path) -> None:
    process, to, back = started(a_module(tmp_path, "forking", FORKING))
    os.write(to, frame({"do": "predict", "number": 2}, stream(FRAME)))
    code, (_, (answer, body)) = ended(process, to, back)
    assert (code, answer["is"]) == (0, "predictions")
    assert np.frombuffer(body, np.float64).tolist() == [1.0, 1.0, 1.0]


def test_a_program_whose_parent_is_another_one_ends_before_it_reads(tmp_path: Path) -> None:
    process, to, back = started(a_module(tmp_path, "orphan", FORKING), parent=1 << 30)
    assert ended(process, to, back) == (1, [])
