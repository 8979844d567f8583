"""What a model says of the requests it cannot answer is kept without their values, and stays of use."""

import io
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shadow_deployment.data.predictor import Predictions
from shadow_deployment.models.sandbox.predictor import ModelCallError
from shadow_deployment.models.sandbox.process import ModelDiedError
from shadow_deployment.pipeline.scoring import LONGEST_ERROR, score
from tests.security.planted import NUMBER, TEXT, VALUES

FEATURES = ["distance", "carrier", "feature_12"]
AGAIN = "; it is not asked again: its process has ended 4 times"


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


def told(error: Exception | str, carrier: str = TEXT) -> str:
    """Return the error of a request whose model says this."""
    row = {"distance": [NUMBER], "carrier": [carrier], "feature_12": [3.0], "request_id": ["f7"]}
    file = io.BytesIO()
    pq.write_table(pa.table(row), file)
    table = pa.concat_tables(score(Says(error), pq.ParquetFile(file), 0, FEATURES))
    (text,) = table["error"].to_pylist()
    return str(text)


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
def test_words_stay_and_values_go(said: str, kept: str) -> None:
    assert told(ValueError(said)) == f"ValueError: {kept}"
    assert told(ModelCallError(f"ValueError: {said}")) == f"ModelCallError: ValueError: {kept}"
    assert told(f"ModelCallError: ValueError: {said}{AGAIN}") == f"ModelCallError: ValueError: {kept}{AGAIN}"
    died = "the model's process ended itself with exit code 7; it had printed: "
    assert told(ModelDiedError(f"{died}{said}")) == f"ModelDiedError: {died}{kept}"
    assert told(f"ModelDiedError: {died}{said}{AGAIN}") == f"ModelDiedError: {died}{kept}{AGAIN}"


@pytest.mark.parametrize(
    "error",
    [
        ModelDiedError("the model's process held 302 MiB, more than the 300 that it may (limits.memory_mb)"),
        ModelDiedError("the model's process gave no answer within 0.5 seconds (limits.seconds) and was killed"),
        ModelCallError("the model returned answers of shape (1, 3) to 1 requests, must be (1,)"),
        ModelCallError("SystemExit: 3"),
        "log.other holds no prediction",
        "HTTP 400 Bad Request: input … cannot be …",
    ],
)
def test_our_own_words_keep_their_numbers(error: Exception | str) -> None:
    expected = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    assert told(error) == expected


def test_an_exit_with_a_text_is_no_exit_code() -> None:
    assert told(ModelCallError(f"SystemExit: {TEXT} 3")) == "ModelCallError: SystemExit: … …"
    assert told(ModelCallError("SystemExit: 7345129")) == "ModelCallError: SystemExit: …"


@pytest.mark.parametrize("carrier", ["a", "AA", " ", "", "c.*", "(x", "é"])
def test_a_short_text_is_hidden_where_it_stands_alone(carrier: str) -> None:
    text = told(ValueError(f"cannot take {carrier} as a class"), carrier)
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
    text = told(RuntimeError("x" * (LONGEST_ERROR - 20) + f" {TEXT} {NUMBER}"))
    assert len(text) <= LONGEST_ERROR
    assert not [value for value in VALUES if value[:4] in text]
