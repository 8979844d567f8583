"""The replay check: the champion's own model must predict again what production has logged.

A difference is training-serving skew: features differ between serving and shadow, and no comparison is meaningful.
"""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shadow_deployment.config.deployment import ChampionSettings
from shadow_deployment.data.predictor import Predictor
from shadow_deployment.data.rows import PART_ROWS, Rows, rows_per_part
from shadow_deployment.errors import ShadowError
from shadow_deployment.ledger.checks.replay_checks import ReplayCheck

MOST_WORST = 20


def check(champion: ChampionSettings, predictor: Predictor, rows: Rows, *, part_rows: int = PART_ROWS) -> ReplayCheck:
    """Score up to `champion.sample` rows of a snapshot again and compare with the logged predictions.

    The rows are spread evenly over those with a logged prediction of `champion.version`. The snapshot is read twice,
    `part_rows` at a time: to count these, and to take some of them.
    """
    compared = ["champion"] if champion.version is None else ["champion", "champion_version"]
    candidates = sum(len(_candidates(champion, table)) for table in rows.read(compared, part_rows))
    if not candidates:
        return ReplayCheck(0, 0, 0.0, [])
    batch = _spread(champion, rows, max(candidates // champion.sample, 1), part_rows)
    again = _predict(predictor, batch)
    logged = batch["champion"].to_numpy(zero_copy_only=False).astype(np.float64)
    if again.ndim == 2:  # classes: the value is the likeliest, the distance that of the furthest probability
        distance = np.abs(again - np.array(batch["champion_probabilities"].to_pylist(), np.float64)).max(axis=1)
        again = np.where(np.isfinite(distance), np.argmax(np.nan_to_num(again, nan=-1.0), axis=1), np.nan)
    else:
        distance = np.abs(again - logged)
    return _result(batch, logged, again, np.where(np.isfinite(distance), distance, np.inf), champion.tolerance)


def _result(
    batch: pa.RecordBatch,
    logged: NDArray[np.float64],
    again: NDArray[np.float64],
    distance: NDArray[np.float64],
    tolerance: float,
) -> ReplayCheck:
    wrong = np.flatnonzero(distance > tolerance)
    worst = wrong[np.argsort(-distance[wrong], kind="stable")][:MOST_WORST]
    names = batch["request_id"].to_pylist()

    def described(row: int) -> dict[str, Any]:
        value = float(again[row]) if np.isfinite(again[row]) else None
        return {"request_id": names[row], "logged": float(logged[row]), "again": value}

    return ReplayCheck(
        checked=batch.num_rows,
        mismatched=len(wrong),
        largest=float(max(distance[np.isfinite(distance)], default=0.0)),
        worst=[described(row) for row in worst.tolist()],
    )


def _candidates(champion: ChampionSettings, table: pa.Table) -> NDArray[np.int64]:
    """Return the positions of rows whose logged prediction can be compared."""
    usable = np.isfinite(table["champion"].to_numpy(zero_copy_only=False).astype(np.float64))
    if champion.version is not None:
        usable &= table["champion_version"].to_numpy(zero_copy_only=False) == champion.version
    return np.flatnonzero(usable)


def _spread(champion: ChampionSettings, rows: Rows, step: int, part_rows: int) -> pa.RecordBatch:
    """Return every `step`th candidate, at most `champion.sample`."""
    taken: list[pa.Table] = []
    missing, skipped = champion.sample, 0
    names = rows.schema.names
    for table in rows.read(names, rows_per_part(len(names), part_rows)):
        candidates = _candidates(champion, table)
        chosen = candidates[skipped::step][:missing]
        skipped = (skipped - len(candidates)) % step
        missing -= len(chosen)
        taken.append(table.take(pa.array(chosen)))
        if not missing:
            break
    return pa.concat_tables(taken).combine_chunks().to_batches()[0]


def _predict(predictor: Predictor, batch: pa.RecordBatch) -> NDArray[np.float64]:
    """Return predictions, NaN where there is none; where the model raises, row by row."""
    try:
        predicted = predictor.predict(batch)
    except ShadowError:
        raise
    except Exception:  # noqa: BLE001 (a model may raise anything)
        if batch.num_rows == 1:
            return np.full(1, np.nan)
        rows = [_predict(predictor, batch.slice(row, 1)) for row in range(batch.num_rows)]
        shape = next((row for row in rows if np.isfinite(row).all()), rows[0]).shape
        return np.concatenate([row if row.shape == shape else np.full(shape, np.nan) for row in rows])
    values = np.array(predicted.values, np.float64)
    values[list(predicted.errors)] = np.nan
    return values
