"""Metrics that are means over requests: what each request counts for, for the champion and for the challenger.

Each function takes a `Batch` and returns two arrays of shape (n,), NaN where a request has no value for the metric. A
request is a pair where both values are there. Values point as the metric does; `metrics.py` says which way that is.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.metrics.catalog import PREDICTION_LABELLED, PREDICTION_UNLABELLED, Task

Array = NDArray[np.float64]
Both = tuple[Array, Array]

_LEAST: Final = float(np.finfo(np.float64).eps)  # a probability counts as no less than this in a logarithm


@dataclass(frozen=True, eq=False)
class Batch:
    """Some requests of a day with the answers of both models: aligned arrays of shape (n,).

    `cell` and `version` number the combination of slice values and the champion's version. `weight` is the inverse of
    the inclusion probability. Answers, labels and latencies (in milliseconds) are NaN where there is none. Where there
    are classes, an answer is the number of the likeliest, and the probabilities have shape (n, classes).
    """

    ordinal: NDArray[np.int64]
    cell: NDArray[np.int64]
    version: NDArray[np.int64]
    weight: Array
    champion: Array
    challenger: Array
    label: Array
    champion_latency_ms: Array
    latency_ms: Array
    champion_probabilities: Array | None = None
    challenger_probabilities: Array | None = None

    @property
    def identical(self) -> NDArray[np.bool_]:
        """Whether both said exactly the same, an answer that is missing included."""
        same = _same(self.champion, self.challenger)
        if self.champion_probabilities is not None and self.challenger_probabilities is not None:
            same &= _same(self.champion_probabilities, self.challenger_probabilities).all(axis=1)
        return same


@dataclass(frozen=True)
class MetricSettings:
    """What a deployment says about its metrics; NaN where it does not.

    `threshold`: from which probability on an answer is a yes. `tolerance`: how far two values may lie apart and still
    agree. `quantile`: which one a pinball loss is about.
    """

    task: Task
    threshold: float
    tolerance: float
    quantile: float


Loss = Callable[[Batch, MetricSettings], Both]


def losses_of(task: Task) -> Mapping[str, Loss]:
    """Return the metrics that are means over requests, by name."""
    return _OF_TASK[task] | _OF_ANY_TASK


def _same(one: Array, other: Array) -> NDArray[np.bool_]:
    return np.asarray((one == other) | (np.isnan(one) & np.isnan(other)), np.bool_)


def _known(value: NDArray[np.bool_], *needed: Array) -> Array:
    """Return 1 and 0, NaN where something needed is missing."""
    missing = np.logical_or.reduce([np.isnan(one) for one in needed])
    return np.where(missing, np.nan, value)


def _of_each(loss: Callable[[Array, Array, MetricSettings], Array]) -> Loss:
    return lambda batch, settings: (
        loss(batch.champion, batch.label, settings),
        loss(batch.challenger, batch.label, settings),
    )


def _of_probabilities(loss: Callable[[Array, Array], Array]) -> Loss:
    def both(batch: Batch, _: MetricSettings) -> Both:
        champion, challenger = _probabilities(batch)
        return loss(champion, batch.label), loss(challenger, batch.label)

    return both


def _probabilities(batch: Batch) -> Both:
    """Return both models' probabilities, rows of NaN where a model gave no answer."""
    if batch.champion_probabilities is None or batch.challenger_probabilities is None:
        raise ValueError("a task with several classes needs the probabilities of both models")
    return (
        np.where(np.isnan(batch.champion)[:, None], np.nan, batch.champion_probabilities),
        np.where(np.isnan(batch.challenger)[:, None], np.nan, batch.challenger_probabilities),
    )


def _squared_error(answer: Array, label: Array, _: MetricSettings) -> Array:
    """(p - y)²; of probabilities the Brier score (Brier 1950)."""
    return np.asarray((answer - label) ** 2)


def _absolute_error(answer: Array, label: Array, _: MetricSettings) -> Array:
    return np.asarray(np.abs(answer - label))


def _error(answer: Array, label: Array, _: MetricSettings) -> Array:
    return np.asarray(answer - label)


def _pinball_loss(answer: Array, label: Array, settings: MetricSettings) -> Array:
    """max(q (y - a), (q - 1) (y - a)), Koenker and Bassett (1978)."""
    missed = label - answer
    return np.asarray(np.maximum(settings.quantile * missed, (settings.quantile - 1) * missed))


def _log_loss(answer: Array, label: Array, _: MetricSettings) -> Array:
    """-(y log p + (1 - y) log(1 - p)), with p within one rounding of 0 and 1 (scikit-learn clips there too)."""
    clipped = np.clip(answer, _LEAST, 1 - _LEAST)
    return np.asarray(-(label * np.log(clipped) + (1 - label) * np.log(1 - clipped)))


def _right(answer: Array, label: Array, settings: MetricSettings) -> Array:
    return _known((answer >= settings.threshold) == (label == 1), answer, label)


def _certainly_wrong(answer: Array, label: Array, _: MetricSettings) -> Array:
    """Whether an answer of exactly 0 or 1 was wrong; any other answer was not, whatever its label will be."""
    certain = (answer == 0) | (answer == 1)
    return _known(certain & (answer != label), answer, np.where(certain, label, 0.0))


def _classes_brier_score(probabilities: Array, label: Array) -> Array:
    """Sum over classes of (p_k - y_k)², between 0 and 2 (Brier 1950)."""
    happened = np.arange(probabilities.shape[1]) == label[:, None]
    return np.asarray(((probabilities - happened) ** 2).sum(axis=1) + 0 * label)


def _classes_log_loss(probabilities: Array, label: Array) -> Array:
    happened = np.arange(probabilities.shape[1]) == label[:, None]
    given = np.where(happened.any(axis=1), np.where(happened, probabilities, 0).sum(axis=1), np.nan)
    return np.asarray(-np.log(np.clip(given, _LEAST, 1 - _LEAST)))


def _classes_right(answer: Array, label: Array, _: MetricSettings) -> Array:
    return _known(answer == label, answer, label)


def _classes_disagreement(batch: Batch, _: MetricSettings) -> Both:
    """Half the sum of absolute differences: the total variation distance of the two answers."""
    champion, challenger = _probabilities(batch)
    return np.zeros(len(batch.champion)), np.asarray(np.abs(champion - challenger).sum(axis=1) / 2)


def _classes_agreement(batch: Batch, _: MetricSettings) -> Both:
    same = batch.champion == batch.challenger
    return np.ones(len(same)), _known(same, batch.champion, batch.challenger)


def _agreement(batch: Batch, settings: MetricSettings) -> Both:
    same = (batch.champion >= settings.threshold) == (batch.challenger >= settings.threshold)
    return np.ones(len(same)), _known(same, batch.champion, batch.challenger)


def _agreement_within_tolerance(batch: Batch, settings: MetricSettings) -> Both:
    tolerance = np.full(len(batch.champion), settings.tolerance)
    near = np.abs(batch.champion - batch.challenger) <= tolerance
    return np.ones(len(near)), _known(near, batch.champion, batch.challenger, tolerance)


def _disagreement(batch: Batch, _: MetricSettings) -> Both:
    return np.zeros(len(batch.champion)), np.abs(batch.champion - batch.challenger)


def _error_rate(batch: Batch, _: MetricSettings) -> Both:
    return np.isnan(batch.champion).astype(np.float64), np.isnan(batch.challenger).astype(np.float64)


def _pairing_loss(batch: Batch, _: MetricSettings) -> Both:
    lost = np.isnan(batch.champion) | np.isnan(batch.challenger)
    return np.zeros(len(lost)), lost.astype(np.float64)


def _label_coverage(batch: Batch, _: MetricSettings) -> Both:
    labelled = (~np.isnan(batch.label)).astype(np.float64)
    return labelled, labelled


def _answer(where: Callable[[Array], NDArray[np.bool_]]) -> Loss:
    def both(batch: Batch, _: MetricSettings) -> Both:
        counted = where(np.isnan(batch.label))
        return np.where(counted, batch.champion, np.nan), np.where(counted, batch.challenger, np.nan)

    return both


_OF_TASK: Final[dict[Task, dict[str, Loss]]] = {
    "binary": {
        "brier_score": _of_each(_squared_error),
        "log_loss": _of_each(_log_loss),
        "accuracy": _of_each(_right),
        "certainly_wrong": _of_each(_certainly_wrong),
        "agreement": _agreement,
        "disagreement": _disagreement,
    },
    "regression": {
        "squared_error": _of_each(_squared_error),
        "absolute_error": _of_each(_absolute_error),
        "pinball_loss": _of_each(_pinball_loss),
        "bias": _of_each(_error),
        "agreement": _agreement_within_tolerance,
        "disagreement": _disagreement,
    },
    "multiclass": {
        "brier_score": _of_probabilities(_classes_brier_score),
        "log_loss": _of_probabilities(_classes_log_loss),
        "accuracy": _of_each(_classes_right),
        "agreement": _classes_agreement,
        "disagreement": _classes_disagreement,
    },
}
_OF_ANY_TASK: Final[dict[str, Loss]] = {
    "error_rate": _error_rate,
    "pairing_loss": _pairing_loss,
    "label_coverage": _label_coverage,
    PREDICTION_LABELLED: _answer(np.logical_not),
    PREDICTION_UNLABELLED: _answer(np.asarray),
}
