"""Predictions that cannot be one of the task: they count as missing, whatever could be computed from them."""

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.metrics.catalog import Task
from shadow_deployment.metrics.losses import Array, Batch

LEAST_TOTAL: Final = 0.999  # of the probabilities of all classes
MOST_TOTAL: Final = 1.001


def valid_only(batch: Batch, task: Task) -> Batch:
    """Return a batch in which invalid predictions are NaN.

    Valid are finite numbers; of a binary task from 0 to 1; with several classes probabilities of at least 0 that add up
    to 1, within 0.001.
    """
    if task == "multiclass":
        return _of_classes(batch)
    low, high = (0.0, 1.0) if task == "binary" else (-np.inf, np.inf)
    champion, challenger = (_where(_between(value, low, high), value) for value in (batch.champion, batch.challenger))
    return replace(batch, champion=champion, challenger=challenger)


def _of_classes(batch: Batch) -> Batch:
    if batch.champion_probabilities is None:
        raise ValueError("a task with several classes needs the probabilities of the champion")
    probabilities = batch.champion_probabilities, batch.challenger_probabilities
    whole = [np.full_like(batch.champion_probabilities, np.nan) if each is None else each for each in probabilities]
    champion, challenger = (
        (each >= 0).all(axis=1) & _between(each.sum(axis=1), LEAST_TOTAL, MOST_TOTAL) for each in whole
    )
    return replace(
        batch,
        champion=_where(champion, batch.champion),
        challenger=_where(challenger, batch.challenger),
        champion_probabilities=_where(champion[:, None], whole[0]),
        challenger_probabilities=_where(challenger[:, None], whole[1]),
    )


def _between(values: Array, low: float, high: float) -> NDArray[np.bool_]:
    return np.asarray(np.isfinite(values) & (values >= low) & (values <= high), np.bool_)


def _where(valid: NDArray[np.bool_], values: Array) -> Array:
    """Return values with NaN where they are not valid; the same array where all are."""
    return values if valid.all() else np.where(valid, values, np.nan)
