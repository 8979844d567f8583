"""Scoring: every request of a shard gets an answer or an error, whatever the model does."""

import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from include.shadow.errors import ShadowError
from include.shadow.ledger.copying import array_text
from include.shadow.models import Predictor

logger = logging.getLogger(__name__)

BATCH_ROWS = 8_192
CALLS_TO_FIND_BAD_ROWS = 256
LONGEST_ERROR = 500


@dataclass
class Scored:
    """The answers to one batch: columns as in `shadow.prediction`, one entry a row."""

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
            "error": pa.array([self.errors.get(row) for row in range(rows)], pa.string()),
            "latency_ms": pa.array(self.latency_ms, mask=failed),
        }
        if self.probabilities is not None:
            rows_or_none = (None if bad else row for row, bad in zip(self.probabilities.tolist(), failed, strict=True))
            columns["probabilities"] = array_text(rows_or_none)
        return pa.table(columns)


def score(
    predictor: Predictor, file: pq.ParquetFile, first_ordinal: int, features: Sequence[str], *, classes: int = 0
) -> Iterator[pa.Table]:
    """Yield the answers to a shard in tables of at most BATCH_ROWS rows, or of as many as the model wants at once.

    With `classes`, the model answers with a probability for each, and the likeliest is the value.

    A row with an infinite feature is not shown to the model. Where the model raises, the rows it cannot answer are
    found by halving. Latency is the time of a call divided by its rows, in milliseconds, or what the model says itself.
    """
    ordinal = first_ordinal
    for batch in file.iter_batches(batch_size=getattr(predictor, "batch_rows", BATCH_ROWS)):
        yield _score_batch(predictor, batch, features, classes).table(ordinal)
        ordinal += batch.num_rows


def _score_batch(predictor: Predictor, batch: pa.RecordBatch, features: Sequence[str], classes: int) -> Scored:
    rows = batch.num_rows
    scored = Scored(np.full(rows, np.nan), _infinite(batch, features), np.full(rows, np.nan))
    if classes:
        scored.probabilities = np.full((rows, classes), np.nan)
    usable = np.array([row for row in range(rows) if row not in scored.errors], np.int64)
    calls = CALLS_TO_FIND_BAD_ROWS
    waiting = [usable] if len(usable) else []
    while waiting:
        chunk = waiting.pop()
        calls -= 1
        problem = _call(predictor, batch, chunk, scored)
        if problem is None:
            continue
        if len(chunk) == 1 or calls <= 0:
            logger.warning("%d rows cannot be scored: %s", len(chunk), problem)
            scored.errors.update(dict.fromkeys(chunk.tolist(), problem))
        else:
            waiting += [chunk[: len(chunk) // 2], chunk[len(chunk) // 2 :]]
    _refuse_non_finite(batch, features, scored)
    return scored


def _call(predictor: Predictor, batch: pa.RecordBatch, rows: NDArray[np.int64], scored: Scored) -> str | None:
    """Score some rows into `scored`; return what went wrong, None where nothing did."""
    part = batch if len(rows) == batch.num_rows else batch.take(pa.array(rows))
    began = time.perf_counter()
    try:
        answers = predictor.predict(part)
        values = np.asarray(answers.values)
    except ShadowError:  # what production or the ledger says is about all rows
        raise
    except Exception as error:  # noqa: BLE001 (a model may raise anything; its rows are then errors)
        return _short(f"{type(error).__name__}: {error}")
    spent = (time.perf_counter() - began) * 1000 / len(rows)
    expected = (len(rows),) if scored.probabilities is None else (len(rows), scored.probabilities.shape[1])
    if values.shape != expected:
        return f"the model returned answers of shape {values.shape} to {len(rows)} requests"
    if values.dtype.kind not in "fiu":
        return f"the model returned {values.dtype}, must be numbers"
    if scored.probabilities is None:
        scored.values[rows] = values
    else:
        scored.probabilities[rows] = values
        whole = np.isfinite(values).all(axis=1)
        scored.values[rows] = np.where(whole, np.argmax(np.where(np.isfinite(values), values, -np.inf), axis=1), np.nan)
    scored.latency_ms[rows] = spent if answers.latency_ms is None else answers.latency_ms
    scored.errors.update({int(rows[row]): _short(text) for row, text in answers.errors.items()})
    return None


def _infinite(batch: pa.RecordBatch, features: Sequence[str]) -> dict[int, str]:
    errors: dict[int, str] = {}
    for name in features:
        if pa.types.is_floating(batch[name].type):
            for row in np.flatnonzero(pc.fill_null(pc.is_inf(batch[name]), False).to_numpy(zero_copy_only=False)):
                errors.setdefault(int(row), f"feature {name} is infinite")
    return errors


def _refuse_non_finite(batch: pa.RecordBatch, features: Sequence[str], scored: Scored) -> None:
    for row in np.flatnonzero(~np.isfinite(scored.values)).tolist():
        if row not in scored.errors:
            missing = [name for name in features if not batch[name][row].is_valid]
            reason = f"; null features: {', '.join(missing)}" if missing else ""
            scored.errors[row] = _short(f"the model answered {scored.values[row]}{reason}")


def _short(text: str) -> str:
    printable = text.replace("\x00", " ").encode("utf-8", "replace").decode("utf-8")
    return " ".join(printable.split())[:LONGEST_ERROR]
