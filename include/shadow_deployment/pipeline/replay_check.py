"""Parity: the champion's own model file, beside what the champion had logged in production.

A difference means that features differ between serving and shadow, and then no comparison means anything.
"""

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shadow_deployment.config.deployment import ChampionSettings
from shadow_deployment.data.predictor import Predictor
from shadow_deployment.data.rows import PART_ROWS, Rows, rows_at_once
from shadow_deployment.errors import ShadowError
from shadow_deployment.ledger.replay_checks import Parity

MOST_WORST = 20


def check(champion: ChampionSettings, predictor: Predictor, rows: Rows, *, part_rows: int = PART_ROWS) -> Parity:
    """Score up to `champion.sample` rows of a snapshot again, spread evenly over it, and compare with the log.

    Rows without a logged answer, or of another version than `champion.version`, are passed over. The rows are read
    twice, `part_rows` at a time: to count those that can be compared, and to take some of them.
    """
    compared = ["champion"] if champion.version is None else ["champion", "champion_version"]
    candidates = sum(len(_candidates(champion, table)) for table in rows.read(compared, part_rows))
    if not candidates:
        return Parity(0, 0, 0.0, [])
    batch = _spread(champion, rows, max(candidates // champion.sample, 1), part_rows)
    again = _answers(predictor, batch)
    expected = batch["champion"].to_numpy(zero_copy_only=False).astype(np.float64)
    if again.ndim == 2:  # classes: the answer is the likeliest, the distance that of the furthest probability
        furthest = np.abs(again - np.array(batch["champion_probabilities"].to_pylist(), np.float64)).max(axis=1)
        again = np.where(np.isfinite(furthest), np.argmax(np.nan_to_num(again, nan=-1.0), axis=1), np.nan)
    else:
        furthest = np.abs(again - expected)
    distance = np.where(np.isfinite(furthest), furthest, np.inf)
    wrong = np.flatnonzero(distance > champion.tolerance)
    worst = wrong[np.argsort(-distance[wrong], kind="stable")][:MOST_WORST]
    names = batch["request_id"].to_pylist()
    finite = distance[np.isfinite(distance)]
    return Parity(
        checked=batch.num_rows,
        mismatched=len(wrong),
        largest=float(finite.max()) if len(finite) else 0.0,
        worst=[
            {"request_id": names[row], "logged": float(expected[row]), "again": _number(again[row])}
            for row in worst.tolist()
        ],
    )


def _candidates(champion: ChampionSettings, table: pa.Table) -> NDArray[np.int64]:
    """Return which rows have an answer that can be compared."""
    usable = np.isfinite(table["champion"].to_numpy(zero_copy_only=False).astype(np.float64))
    if champion.version is not None:
        usable &= table["champion_version"].to_numpy(zero_copy_only=False) == champion.version
    return np.flatnonzero(usable)


def _spread(champion: ChampionSettings, rows: Rows, step: int, part_rows: int) -> pa.RecordBatch:
    """Return every `step`th of the rows that can be compared, as many as the sample has."""
    taken: list[pa.Table] = []
    missing, skipped = champion.sample, 0
    names = rows.schema.names
    for table in rows.read(names, rows_at_once(len(names), part_rows)):
        candidates = _candidates(champion, table)
        chosen = candidates[skipped::step][:missing]
        skipped = (skipped - len(candidates)) % step
        missing -= len(chosen)
        taken.append(table.take(pa.array(chosen)))
        if not missing:
            break
    return pa.concat_tables(taken).combine_chunks().to_batches()[0]


def _answers(predictor: Predictor, batch: pa.RecordBatch) -> NDArray[np.float64]:
    """Return the model's answers, NaN where it has none; where it raises, one row at a time."""
    try:
        answers = predictor.predict(batch)
    except ShadowError:
        raise
    except Exception:  # noqa: BLE001 (a model may raise anything)
        if batch.num_rows == 1:
            return np.full(1, np.nan)
        rows = [_answers(predictor, batch.slice(row, 1)) for row in range(batch.num_rows)]
        whole = next((one for one in rows if np.isfinite(one).all()), rows[0])
        return np.concatenate([one if one.shape == whole.shape else np.full(whole.shape, np.nan) for one in rows])
    again = np.array(answers.values, np.float64)
    again[list(answers.errors)] = np.nan
    return again


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
