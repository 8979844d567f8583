"""Scoring: every request of a shard gets a prediction or an error, whatever the model does.

A model that cannot predict a request often repeats it. Of a foreign exception the kind is stored, and its text without
numbers, without the texts of these requests, and without what stands in quotes unless it is a feature's name.
"""

import io
import logging
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from shadow_deployment.base.prefetch import prefetch
from shadow_deployment.base.redaction import one_line
from shadow_deployment.data.features.shown import PartWithFeatures
from shadow_deployment.data.predictor import Predictor
from shadow_deployment.errors import ShadowError
from shadow_deployment.models.bisection import Bisection
from shadow_deployment.models.model_words import without_requests

logger = logging.getLogger(__name__)

BATCH_ROWS = 8_192
LONGEST_ERROR = 500
_SHOWN_ERRORS = 3  # of a shard, in the log
_SHOWN = ("request_id", "champion", "champion_probabilities")  # to a model, besides the features
_OURS = "shadow_deployment."


class _OutputError(Exception):
    """The model returned something other than a number for each row and class."""


@dataclass
class ScoredBatch:
    """The predictions of one batch: columns as in `shadow.prediction`, one entry a row."""

    values: NDArray[np.float64]
    errors: dict[int, str] = field(default_factory=dict)
    latency_ms: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    probabilities: NDArray[np.float64] | None = None

    def table(self, first_ordinal: int) -> pa.Table:
        """Return ordinal, value, error, latency_ms and, where there are classes, probabilities; null where failed."""
        rows = len(self.values)
        failed = np.zeros(rows, bool)
        failed[list(self.errors)] = True
        columns = {
            "ordinal": pa.array(np.arange(first_ordinal, first_ordinal + rows, dtype=np.int32)),
            "value": pa.array(self.values, mask=failed),
            "error": pa.array(map(self.errors.get, range(rows)), pa.string())
            if self.errors
            else pa.nulls(rows, pa.string()),
            "latency_ms": pa.array(self.latency_ms, mask=failed),
        }
        if self.probabilities is not None:
            columns["probabilities"] = _lists(self.probabilities, failed)
        return pa.table(columns)


def _lists(rows: NDArray[np.float64], failed: NDArray[np.bool_]) -> pa.Array:
    """Return the rows of a matrix as lists, null where a row has failed."""
    ends = np.arange(0, rows.size + 1, rows.shape[1], dtype=np.int32)
    return pa.ListArray.from_arrays(ends, rows.ravel(), mask=pa.array(failed))


def score(
    predictor: Predictor,
    file: pq.ParquetFile | PartWithFeatures,
    first_ordinal: int,
    features: Sequence[str],
    *,
    classes: int = 0,
) -> Iterator[pa.Table]:
    """Yield the predictions of a shard, in tables of BATCH_ROWS rows or as many as the model prefers.

    A row with an infinite feature is not shown to the model. Where the model raises, bisection finds the rows at fault.
    Latency is the time of a call divided by its rows, in milliseconds, or what the model measured itself.

    Args:
        predictor: A loaded model.
        file: The shard's part of the snapshot, with the challenger's own features.
        first_ordinal: The number of the shard's first request within the day.
        features: The columns that the model takes.
        classes: How many classes the task has; the model then predicts a probability for each, and the value is the
            likeliest.

    Raises:
        ShadowError: What is wrong is no fault of a row, as where a server cannot be reached.
    """
    ordinal, refused = first_ordinal, Counter[str]()
    shown = {*_SHOWN, *features, *getattr(predictor, "columns", ())}
    columns = [name for name in file.schema_arrow.names if name in shown]
    rows = getattr(predictor, "batch_rows", BATCH_ROWS)
    for batch in prefetch(file.iter_batches(batch_size=rows, columns=columns)):
        yield _score_batch(predictor, batch, features, classes, refused).table(ordinal)
        ordinal += batch.num_rows
    rows = ordinal - first_ordinal
    for text, count in refused.most_common(_SHOWN_ERRORS):
        level = logging.INFO if count == rows else logging.WARNING  # that none is scored is an error of the day
        logger.log(level, "%d of %d rows cannot be scored: %s", count, rows, text)


def score_table(predictor: Predictor, requests: pa.Table, features: Sequence[str], *, classes: int = 0) -> pa.Table:
    """Return the predictions of requests in memory, as `score` yields those of a shard; raise as it does."""
    file = io.BytesIO()
    pq.write_table(requests, file)
    return pa.concat_tables(score(predictor, pq.ParquetFile(file), 0, features, classes=classes))


def _score_batch(
    predictor: Predictor, batch: pa.RecordBatch, features: Sequence[str], classes: int, refused: Counter[str]
) -> ScoredBatch:
    """Score a batch; count in `refused`, by error, the rows at which the model raised."""
    rows = batch.num_rows
    scored = ScoredBatch(np.full(rows, np.nan), _infinite(batch, features), np.full(rows, np.nan))
    if classes:
        scored.probabilities = np.full((rows, classes), np.nan)
    search = Bisection(np.delete(np.arange(rows), list(scored.errors)))
    for chunk in search:
        part = batch if len(chunk) == rows else batch.take(pa.array(chunk))
        try:
            _predict(predictor, part, chunk, scored)
        except ShadowError:
            raise
        except Exception as error:  # noqa: BLE001 (a model may raise anything; its rows then get the error)
            if not search.split(chunk):
                text = _error_text(error, part, features)
                refused[text] += len(chunk)
                scored.errors.update(dict.fromkeys(chunk.tolist(), text))
    _refuse_non_finite(batch, features, scored)
    return scored


def _predict(predictor: Predictor, part: pa.RecordBatch, rows: NDArray[np.int64], scored: ScoredBatch) -> None:
    """Write a model's predictions of some rows into `scored`; raise what the model raises, or _OutputError."""
    began = time.perf_counter()
    predictions = predictor.predict(part)
    values = np.asarray(predictions.values)
    spent = (time.perf_counter() - began) * 1000 / len(rows)
    expected = (len(rows),) if scored.probabilities is None else (len(rows), scored.probabilities.shape[1])
    if values.shape != expected:
        raise _OutputError(f"the model returned predictions of shape {values.shape} for {len(rows)} requests")
    if values.dtype.kind not in "fiu":
        raise _OutputError(f"the model returned {values.dtype}, must be numbers")
    if scored.probabilities is None:
        scored.values[rows] = values
    else:
        scored.probabilities[rows] = values
        whole = np.isfinite(values).all(axis=1)
        scored.values[rows] = np.where(whole, np.argmax(np.where(np.isfinite(values), values, -np.inf), axis=1), np.nan)
    scored.latency_ms[rows] = spent if predictions.latency_ms is None else predictions.latency_ms
    for row, text in predictions.errors.items():
        scored.errors[int(rows[row])] = one_line(text, LONGEST_ERROR)


def _error_text(error: Exception, part: pa.RecordBatch, features: Sequence[str]) -> str:
    """Return what an exception says, without the values of these requests; our own exceptions hold none."""
    if isinstance(error, _OutputError):
        return str(error)
    kind = type(error)
    text = str(error) if kind.__module__.startswith(_OURS) else without_requests(str(error), part, features)
    return one_line(f"{kind.__name__}: {text}", LONGEST_ERROR)


def _infinite(batch: pa.RecordBatch, features: Sequence[str]) -> dict[int, str]:
    errors: dict[int, str] = {}
    for name in features:
        infinite = pc.is_inf(batch[name]) if pa.types.is_floating(batch[name].type) else None
        if infinite is not None and infinite.true_count:
            for row in np.flatnonzero(pc.fill_null(infinite, False).to_numpy(zero_copy_only=False)):
                errors.setdefault(int(row), f"feature {name} is infinite")
    return errors


def _refuse_non_finite(batch: pa.RecordBatch, features: Sequence[str], scored: ScoredBatch) -> None:
    for row in np.flatnonzero(~np.isfinite(scored.values)).tolist():
        if row not in scored.errors:
            missing = [name for name in features if not batch[name][row].is_valid]
            reason = f"; null features: {', '.join(missing)}" if missing else ""
            scored.errors[row] = one_line(f"the model predicted {scored.values[row]}{reason}", LONGEST_ERROR)
