"""Scoring: every request gets an answer or an error, whatever the model does."""

import datetime as dt
import io
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_deployment.config.window import Window
from shadow_deployment.data.ports import RequestSource
from shadow_deployment.data.predictor import Predictions
from shadow_deployment.errors import ModelError, ShadowError, TransientError
from shadow_deployment.models.bisection import CALLS_TO_FIND_BAD_ROWS
from shadow_deployment.models.champion import ChampionPredictor
from shadow_deployment.models.logged import LoggedPredictor
from shadow_deployment.pipeline.challengers import scoring
from shadow_deployment.pipeline.challengers.scoring import LONGEST_ERROR, score

FEATURES = ["x", "text"]


@dataclass
class Double:
    """Answers x / 1000, raises where it is shown one of the bad requests, and remembers what it was shown."""

    bad: Collection[float] = ()
    error: Exception = field(default_factory=lambda: ValueError("cannot"))
    shown: list[list[float | None]] = field(default_factory=list)

    def predict(self, batch: pa.RecordBatch) -> Predictions:
        values = batch["x"].to_pylist()
        self.shown.append(values)
        if set(values) & set(self.bad):
            raise self.error
        return Predictions(np.array([np.nan if value is None else value for value in values]) / 1000)


@dataclass
class Says:
    """Answers with whatever it was given, made from the number of requests."""

    answer: Callable[[int], Any]

    def predict(self, batch: pa.RecordBatch) -> Predictions:
        return Predictions(self.answer(batch.num_rows))


def scored(predictor: Any, xs: Sequence[float | None], *, first: int = 0, **columns: Sequence[Any]) -> pa.Table:
    content = {"x": pa.array(xs, pa.float64()), "text": pa.array(["a"] * len(xs))} | columns
    file = io.BytesIO()
    pq.write_table(pa.table(content), file)
    table = pa.concat_tables(score(predictor, pq.ParquetFile(file), first, FEATURES))
    assert table["ordinal"].to_pylist() == list(range(first, first + len(xs)))
    for value, error in zip(table["value"].to_pylist(), table["error"].to_pylist(), strict=True):
        assert (value is None) != (error is None)  # an answer or an error, never both, never neither
    return table


def errors_of(table: pa.Table) -> dict[int, str]:
    return {row: text for row, text in enumerate(table["error"].to_pylist()) if text is not None}


def test_answers_come_in_the_order_of_the_requests_with_their_ordinals() -> None:
    table = scored(Double(), [5.0, 1.0, 3.0], first=700)
    assert table["value"].to_pylist() == [0.005, 0.001, 0.003]
    assert table["ordinal"].type == pa.int32()
    assert all(latency >= 0 for latency in table["latency_ms"].to_pylist())


@pytest.mark.parametrize("rows", [0, 3, 4, 5, 8, 11])
def test_a_shard_is_scored_in_batches_and_none_is_lost(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "BATCH_ROWS", 4)
    xs = [float(row) for row in range(rows)]
    predictor = Double()
    file = io.BytesIO()
    pq.write_table(pa.table({"x": pa.array(xs, pa.float64()), "text": pa.array(["a"] * rows)}), file)
    tables = list(score(predictor, pq.ParquetFile(file), 100, FEATURES))
    assert [table.num_rows for table in tables] == [len(shown) for shown in predictor.shown]
    assert all(table.num_rows <= 4 for table in tables)
    assert [one for table in tables for one in table["ordinal"].to_pylist()] == list(range(100, 100 + rows))
    assert [one for table in tables for one in table["value"].to_pylist()] == [x / 1000 for x in xs]


@pytest.mark.parametrize("bad", [[0.0], [999.0], [3.0, 4.0], [0.0, 250.0, 500.0, 750.0, 999.0]])
def test_the_rows_that_make_a_model_raise_are_found_and_only_those(bad: list[float]) -> None:
    table = scored(Double(bad), [float(row) for row in range(1000)])
    assert errors_of(table) == {int(row): "ValueError: cannot" for row in bad}
    expected = [None if row in bad else row / 1000 for row in range(1000)]
    assert table["value"].to_pylist() == expected
    latencies = table["latency_ms"].to_pylist()
    assert [row for row in range(1000) if latencies[row] is None] == bad


@given(rows=st.integers(1, 40), bad=st.sets(st.integers(0, 39), max_size=6))
@settings(max_examples=40)
def test_wherever_the_bad_rows_are_exactly_they_are_errors(rows: int, bad: set[int]) -> None:
    table = scored(Double([float(row) for row in bad]), [float(row) for row in range(rows)])
    assert set(errors_of(table)) == {row for row in bad if row < rows}


def test_a_model_that_always_raises_is_not_called_for_every_row() -> None:
    xs = [float(row) for row in range(5000)]
    predictor = Double(xs)
    assert len(errors_of(scored(predictor, xs))) == len(xs)
    assert len(predictor.shown) < 2 * CALLS_TO_FIND_BAD_ROWS


def test_what_a_model_says_of_single_rows_stays_with_them_when_others_are_searched() -> None:
    class Picky(Double):
        def predict(self, batch: pa.RecordBatch) -> Predictions:
            answers = super().predict(batch)
            return Predictions(
                answers.values, {row: f"no {x:g}" for row, x in enumerate(self.shown[-1]) if x in (2.0, 6.0)}
            )

    assert errors_of(scored(Picky([5.0]), [float(row) for row in range(9)])) == {
        2: "no 2",
        5: "ValueError: cannot",
        6: "no 6",
    }


@pytest.mark.parametrize("bad", [np.inf, -np.inf])
def test_a_request_with_an_infinite_feature_never_reaches_the_model(bad: float) -> None:
    predictor = Double()
    table = scored(predictor, [1.0, bad, 3.0, None, bad])
    assert predictor.shown == [[1.0, 3.0, None]]
    assert {row: text for row, text in errors_of(table).items() if row != 3} == {
        1: "feature x is infinite",
        4: "feature x is infinite",
    }
    assert table["value"].to_pylist()[:3] == [0.001, None, 0.003]


def test_a_model_is_not_called_where_every_request_is_infinite() -> None:
    predictor = Double()
    assert len(errors_of(scored(predictor, [np.inf] * 3))) == 3
    assert predictor.shown == []


def test_only_features_are_looked_at_for_infinity() -> None:
    table = scored(Double(), [1.0, 2.0], champion=[np.inf, -np.inf])
    assert errors_of(table) == {}


@pytest.mark.parametrize(("value", "message"), [(np.nan, "nan"), (np.inf, "inf"), (-np.inf, "-inf")])
def test_an_answer_that_is_no_number_is_an_error_of_its_row(value: float, message: str) -> None:
    table = scored(Says(lambda rows: np.array([0.5, value, 0.25])), [1.0, 2.0, 3.0])
    assert errors_of(table) == {1: f"the model predicted {message}"}
    assert table["value"].to_pylist() == [0.5, None, 0.25]


def test_an_answer_that_is_no_number_names_the_features_that_are_null() -> None:
    table = scored(Double(), [1.0, None, 3.0])
    assert errors_of(table) == {1: "the model predicted nan; null features: x"}


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (lambda rows: np.zeros(rows + 1), "predictions of shape"),
        (lambda rows: np.zeros((rows, 2)), "predictions of shape"),
        (lambda rows: np.float64(0.5), "predictions of shape"),
        (lambda rows: np.array(["0.5"] * rows), "must be numbers"),
        (lambda rows: np.array([None] * rows), "must be numbers"),
        (lambda rows: np.array([True] * rows), "must be numbers"),
        (lambda rows: [[0.5, 0.5], [0.5], [0.5]], "ValueError"),
        (lambda rows: None, "predictions of shape"),
    ],
)
def test_answers_of_another_shape_or_kind_are_errors(answer: Callable[[int], Any], problem: str) -> None:
    errors = errors_of(scored(Says(answer), [1.0, 2.0, 3.0]))
    assert list(errors) == [0, 1, 2]
    assert all(problem in error for error in errors.values())


@pytest.mark.parametrize("kind", [np.float32, np.int64, np.uint8, list])
def test_numbers_of_any_kind_are_answers(kind: Any) -> None:
    assert scored(Says(lambda rows: kind([1, 0])), [1.0, 2.0])["value"].to_pylist() == [1.0, 0.0]


def test_a_model_that_leaves_rows_out_is_not_read_out_of_line() -> None:
    class Drops(Double):
        def predict(self, batch: pa.RecordBatch) -> Predictions:
            values = [x / 1000 for x in batch["x"].to_pylist() if x is not None]
            return Predictions(np.array(values))

    table = scored(Drops(), [1.0, None, 3.0, 4.0])
    assert list(errors_of(table)) == [1]
    assert table["value"].to_pylist() == [0.001, None, 0.003, 0.004]


def test_a_model_that_answers_nothing_leaves_every_request_an_error() -> None:
    class Silent:
        def predict(self, batch: pa.RecordBatch) -> None:
            return None

    errors = errors_of(scored(Silent(), [1.0, 2.0]))
    assert list(errors) == [0, 1]
    assert all(error.startswith("AttributeError: ") for error in errors.values())


@pytest.mark.parametrize(
    "text", ["x" * 10_000, "nul \x00 in it", "two\n\n  lines\tof it", "é" * 3000, "half a pair \ud800 in it"]
)
def test_an_error_is_one_short_line_that_postgres_can_store(text: str) -> None:
    (error,) = errors_of(scored(Double([1.0], RuntimeError(text)), [1.0])).values()
    assert error.startswith("RuntimeError: ")
    assert len(error) <= LONGEST_ERROR
    assert not set(error) & {"\x00", "\n", "\t"}
    assert error.encode()


def test_an_error_that_a_model_reports_itself_is_shortened_too() -> None:
    class Reports(Double):
        def predict(self, batch: pa.RecordBatch) -> Predictions:
            return Predictions(np.zeros(batch.num_rows), {0: "a\x00b\n" + "x" * 10_000})

    assert errors_of(scored(Reports(), [1.0])) == {0: ("a b " + "x" * 10_000)[:LONGEST_ERROR]}


@pytest.mark.parametrize("error", [ModelError("wrong inputs"), TransientError("lost connection")])
def test_what_is_wrong_with_all_rows_ends_the_task_instead(error: ShadowError) -> None:
    with pytest.raises(type(error), match=str(error)):
        scored(Double([1.0], error), [1.0, 2.0])


def test_the_control_repeats_what_the_champion_answered() -> None:
    table = scored(ChampionPredictor(), [1.0, 2.0, 3.0], champion=[0.1, None, 0.3])
    assert table["value"].to_pylist() == [0.1, None, 0.3]
    assert errors_of(table) == {1: "the champion logged no prediction"}


def test_logged_predictions_are_paired_by_request_id() -> None:
    window = Window(dt.date(2013, 3, 1), dt.datetime(2013, 3, 1, tzinfo=dt.UTC), dt.datetime(2013, 3, 2, tzinfo=dt.UTC))

    class Log:
        def logged(self, column: str, requests: Sequence[str], asked: Window) -> dict[str, tuple[float | None]]:
            assert (column, requests, asked) == ("log.other", ["a", "b", "c"], window)
            return {"c": (0.3,), "a": (0.1,), "b": (None,)}

    predictor = LoggedPredictor(cast(RequestSource, Log()), "log.other", window)
    table = scored(predictor, [1.0, 2.0, 3.0, 4.0], request_id=["a", "b", "c", None])
    assert table["value"].to_pylist() == [0.1, None, 0.3, None]
    assert errors_of(table) == dict.fromkeys([1, 3], "log.other holds no prediction")
