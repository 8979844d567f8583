"""What a model says of the requests it cannot answer is kept without their values, and stays of use."""

import io
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shadow_deployment.data.predictor import Predictions
from shadow_deployment.models.sandbox import predictor
from shadow_deployment.models.sandbox.predictor import ModelCallError
from shadow_deployment.models.sandbox.process import ModelDiedError
from shadow_deployment.pipeline.challengers.scoring import LONGEST_ERROR, score
from tests.integration.models.beside import loaded
from tests.security.planted import NUMBER, TEXT, VALUES

FEATURES = ["distance", "carrier", "feature_12"]
DIED = "the model's process ended itself with exit code 7"


@dataclass
class Says:
    """Raises an error, or has one for every row."""

    error: Exception | str
    asked: list[int] = field(default_factory=list)

    def predict(self, batch: pa.RecordBatch) -> Predictions:
        self.asked.append(batch.num_rows)
        if isinstance(self.error, Exception):
            raise self.error
        import numpy as np

        return Predictions(np.full(batch.num_rows, np.nan), dict.fromkeys(range(batch.num_rows), self.error))


def scored(model: Any, carrier: str = TEXT, rows: int = 1) -> str:
    """Return the error that scoring stores of requests that are alike."""
    row = {"distance": [NUMBER], "carrier": [carrier], "feature_12": [3.0], "request_id": ["f7"]}
    file = io.BytesIO()
    pq.write_table(pa.table({name: values * rows for name, values in row.items()}), file)
    table = pa.concat_tables(score(model, pq.ParquetFile(file), 0, FEATURES))
    (text,) = set(table["error"].to_pylist())
    return str(text)


def stored(error: Exception | str, carrier: str = TEXT) -> str:
    """Return the error that is stored of a request whose model says this in our own process."""
    return scored(Says(error), carrier)


class FakeProcess:
    """A sandbox process whose model says something of each request, and dies where it says so as its last output."""

    reply: dict[str, Any] | ModelDiedError
    folder = None

    def __init__(self, *_: object, **__: object) -> None:
        self.is_alive = True

    def memory(self) -> float:
        return 0.0

    def kill(self) -> None:
        pass

    def call(self, header: dict[str, Any], *_: object, **__: object) -> tuple[dict[str, Any], bytes]:
        if header["do"] == "load":
            return {"is": "ready"}, b""
        if isinstance(self.reply, ModelDiedError):
            raise self.reply
        return self.reply, b""


def sandboxed(
    reply: dict[str, Any] | ModelDiedError, monkeypatch: pytest.MonkeyPatch, carrier: str = TEXT, rows: int = 1
) -> str:
    """Return the error of requests whose model replies this from its sandbox."""
    monkeypatch.setattr(FakeProcess, "reply", reply, raising=False)
    monkeypatch.setattr(predictor, "SandboxProcess", FakeProcess)
    model = loaded({"model": "python:tests.security.repeating_models:raises"}, requests={"features": FEATURES})
    return scored(model, carrier, rows)


def raised(text: str, kind: str = "ValueError", *, is_foreign: bool = True) -> dict[str, Any]:
    return {"is": "error", "text": text, "kind": kind, "is_foreign": is_foreign, "missing": None}


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (f"could not convert string to float: '{TEXT}'", "could not convert string to float: …"),
        (f'could not convert "{TEXT}"', "could not convert …"),
        (f"unknown category {TEXT} in column carrier", "unknown category … in column carrier"),
        (f"{TEXT}", "…"),
        (f"row [{NUMBER}, 'x'] at (3, 1)", "row […, …] at (…, …)"),
        (f"distance={NUMBER}", "distance=…"),
        (f"distance={NUMBER:.3e} -{NUMBER:,.2f} +{NUMBER:.0f}. Stop", "distance=… … …. Stop"),
        (f"v{NUMBER}, x7345129", "v…, x…"),
        ("12.5 is too far", "… is too far"),
        ("expected float32 or int64, feature_12 is INT8", "expected float32 or int64, feature_12 is INT8"),
        ("no column 'distance' or \"feature_12\"", "no column 'distance' or \"feature_12\""),
        ("'other'", "…"),
        ("'never closed 12", "'never closed …"),
        ("cannot", "cannot"),
    ],
)
def test_words_stay_and_values_go(said: str, kept: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert stored(ValueError(said)) == f"ValueError: {kept}"
    assert sandboxed(raised(said), monkeypatch) == f"ModelCallError: ValueError: {kept}"
    died = ModelDiedError(DIED, said)
    assert sandboxed(died, monkeypatch) == f"ModelDiedError: {DIED}; it had printed: {kept}"
    given_up = "; no more calls are made: it fails on each single request too"
    assert sandboxed(died, monkeypatch, rows=2) == f"ModelDiedError: {DIED}; it had printed: {kept}{given_up}"


@pytest.mark.parametrize(
    "error",
    [
        ModelDiedError("the model's process held 302 MiB, more than the 300 it is allowed (limits.memory_mb)"),
        ModelDiedError("the model's process did not reply within 0.5 seconds (limits.seconds) and was killed"),
        "log.other holds no prediction",
        "HTTP 400 Bad Request: input … cannot be …",
    ],
)
def test_our_own_words_keep_their_numbers(error: Exception | str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    assert stored(error) == expected
    if isinstance(error, ModelDiedError):
        assert sandboxed(error, monkeypatch) == expected


def test_what_our_worker_says_of_an_output_keeps_its_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "the model returned predictions of shape (1, 3) for 1 requests, must be (1,)"
    reply = raised(text, "ModelOutputError", is_foreign=False)
    assert sandboxed(reply, monkeypatch) == f"ModelCallError: {text}"
    assert stored(ModelCallError(text)) == f"ModelCallError: {text}"


def test_an_exception_that_is_named_like_ours_is_foreign_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("ModelError", "ModelOutputError", "ModelCallError"):
        assert sandboxed(raised(f"no {TEXT} {NUMBER}", kind), monkeypatch) == f"ModelCallError: {kind}: no … …"


def test_an_exit_code_stays_and_an_exit_with_a_text_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert sandboxed(raised("3", "SystemExit"), monkeypatch) == "ModelCallError: SystemExit: 3"
    assert sandboxed(raised(f"{TEXT} 3", "SystemExit"), monkeypatch) == "ModelCallError: SystemExit: … …"
    assert sandboxed(raised("7345129", "SystemExit"), monkeypatch) == "ModelCallError: SystemExit: …"


@pytest.mark.parametrize("carrier", ["a", "AA", " ", "", "c.*", "(x", "é"])
def test_a_short_text_is_hidden_where_it_stands_alone(carrier: str) -> None:
    text = stored(ValueError(f"cannot take {carrier} as a class"), carrier)
    assert text.startswith("ValueError: cannot take ")
    assert text.endswith(" class")
    assert carrier.strip() in ("", "a") or carrier not in text


def test_a_longer_text_is_hidden_whole_where_a_shorter_one_is_a_part_of_it() -> None:
    rows = {"distance": [1.0, 2.0], "carrier": ["Rare", "Rare Carrier"], "feature_12": [3.0, 3.0]}
    file = io.BytesIO()
    pq.write_table(pa.table(rows), file)

    class Whole(Says):
        def predict(self, batch: pa.RecordBatch) -> Predictions:
            return super().predict(batch)

    model: Any = Whole(ValueError("Rare Carrier, Rare"))
    tables = list(score(model, pq.ParquetFile(file), 0, FEATURES))
    assert tables[0]["error"].to_pylist() == ["ValueError: … Carrier, …", "ValueError: …, Rare"]


def test_what_is_long_is_cut_after_it_was_searched() -> None:
    text = stored(RuntimeError("x" * (LONGEST_ERROR - 20) + f" {TEXT} {NUMBER}"))
    assert len(text) <= LONGEST_ERROR
    assert not [value for value in VALUES if value[:4] in text]
