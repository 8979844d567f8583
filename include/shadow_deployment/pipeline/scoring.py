"""Scoring: every request of a shard gets an answer or an error, whatever the model does.

What a model says of a request that it cannot answer often repeats the request. So of words that are not ours the kind
of the exception is kept, and its text without numbers, without the texts of these requests, and without what stands in
quotes unless it is a feature's name: that says where to look, and holds no value of a feature.
"""

import logging
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from shadow_deployment.base.prefetch import prefetch
from shadow_deployment.data.predictor import Predictor
from shadow_deployment.errors import ShadowError
from shadow_deployment.models.remote.calls import texts

logger = logging.getLogger(__name__)

BATCH_ROWS = 8_192
CALLS_TO_FIND_BAD_ROWS = 256
LONGEST_ERROR = 500
_LOOKED_AT = 20_000
_SHOWN = ("request_id", "champion", "champion_probabilities")  # to a model, besides the features
_OURS = "shadow_deployment."
_VALUE = re.compile(  # quoted, a short number that belongs to a name as in float32, a number
    r"""(?P<quoted>'[^']*'|"[^"]*")|(?P<of_name>(?<=[A-Za-z_])\d{1,3}(?!\d|[.,]\d))|"""
    r"""[-+]?\d(?:[\d.,_]*\d)?(?:[eE][-+]?\d+)?"""
)
_QUOTING = re.compile(  # where errors of our own repeat a model's words; an exit code is none
    r"(?P<ours>.*?; it had printed: |ModelCallError: (?!SystemExit: \d{1,3}$)\w[\w.]*: )"
    r"(?P<theirs>.*?)(?P<rest>; it is not asked again: .*)?",
    re.DOTALL,
)


@dataclass
class ScoredBatch:
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
    predictor: Predictor, file: pq.ParquetFile, first_ordinal: int, features: Sequence[str], *, classes: int = 0
) -> Iterator[pa.Table]:
    """Yield the answers to a shard in tables of at most BATCH_ROWS rows, or of as many as the model wants at once.

    With `classes`, the model answers with a probability for each, and the likeliest is the value.

    A row with an infinite feature is not shown to the model. Where the model raises, the rows it cannot answer are
    found by halving. Latency is the time of a call divided by its rows, in milliseconds, or what the model says itself.
    """
    ordinal = first_ordinal
    columns = [name for name in file.schema_arrow.names if name in _SHOWN or name in features]
    rows = getattr(predictor, "batch_rows", BATCH_ROWS)
    for batch in prefetch(file.iter_batches(batch_size=rows, columns=columns)):
        yield _score_batch(predictor, batch, features, classes).table(ordinal)
        ordinal += batch.num_rows


def _score_batch(predictor: Predictor, batch: pa.RecordBatch, features: Sequence[str], classes: int) -> ScoredBatch:
    rows = batch.num_rows
    scored = ScoredBatch(np.full(rows, np.nan), _infinite(batch, features), np.full(rows, np.nan))
    if classes:
        scored.probabilities = np.full((rows, classes), np.nan)
    usable = np.delete(np.arange(rows), list(scored.errors))
    calls = CALLS_TO_FIND_BAD_ROWS
    waiting = [usable] if len(usable) else []
    while waiting:
        chunk = waiting.pop()
        calls -= 1
        found = _call(predictor, batch, chunk, features, scored)
        if found is None:
            continue
        if len(chunk) == 1 or calls <= 0:
            problem = found if isinstance(found, str) else _problem(found, batch.take(pa.array(chunk)), features)
            logger.warning("%d rows cannot be scored: %s", len(chunk), problem)
            scored.errors.update(dict.fromkeys(chunk.tolist(), problem))
        else:
            waiting += [chunk[: len(chunk) // 2], chunk[len(chunk) // 2 :]]
    _refuse_non_finite(batch, features, scored)
    return scored


def _call(
    predictor: Predictor, batch: pa.RecordBatch, rows: NDArray[np.int64], features: Sequence[str], scored: ScoredBatch
) -> str | Exception | None:
    """Score some rows into `scored`; return what went wrong, or what the model raised, None where nothing did."""
    part = batch if len(rows) == batch.num_rows else batch.take(pa.array(rows))
    began = time.perf_counter()
    try:
        answers = predictor.predict(part)
        values = np.asarray(answers.values)
    except ShadowError:  # what production or the ledger says is about all rows
        raise
    except Exception as error:  # noqa: BLE001 (a model may raise anything; its rows are then errors)
        return error
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
    for row, text in answers.errors.items():
        scored.errors[int(rows[row])] = _short(_hiding(text, part.slice(row, 1), features))
    return None


def _problem(error: Exception, part: pa.RecordBatch, features: Sequence[str]) -> str:
    """Return what an exception says, without the values of these requests."""
    kind = type(error)
    if kind.__module__.startswith(_OURS):
        return _short(_hiding(f"{kind.__name__}: {error}", part, features))
    return _short(f"{kind.__name__}: {_foreign(str(error), part, features)}")


def _hiding(text: str, part: pa.RecordBatch, features: Sequence[str]) -> str:
    """Return an error of our own without the values that a model's words in it hold."""
    found = _QUOTING.fullmatch(text)
    return f"{found['ours']}{_foreign(found['theirs'], part, features)}{found['rest'] or ''}" if found else text


def _foreign(text: str, part: pa.RecordBatch, features: Sequence[str]) -> str:
    """Return somebody else's words without values."""

    def shown(found: re.Match[str]) -> str:
        is_name = found["of_name"] or (found["quoted"] and found["quoted"][1:-1] in features)
        return found[0] if is_name else "…"

    without = text[:_LOOKED_AT]
    known = texts(part.select([name for name in features if name in part.schema.names]))
    if hidden := sorted((one for one in known if one.strip()), key=len, reverse=True):
        without = re.sub(rf"(?<!\w)(?:{'|'.join(map(re.escape, hidden))})(?!\w)", "…", without)
    return _VALUE.sub(shown, without)


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
            scored.errors[row] = _short(f"the model answered {scored.values[row]}{reason}")


def _short(text: str) -> str:
    printable = text.replace("\x00", " ").encode("utf-8", "replace").decode("utf-8")
    return " ".join(printable.split())[:LONGEST_ERROR]
