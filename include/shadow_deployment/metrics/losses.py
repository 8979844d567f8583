"""Metrics that are means over requests: the value of each request, for the champion and for the challenger.

Each function takes a `Batch` and returns two arrays of shape (n,), NaN where a request has no value for the metric. A
request with both values is a pair. Values point the way the metric does: see `catalog.py`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.metrics.catalog import METRICS, SKEW, Metric, Task

Array = NDArray[np.float64]
Both = tuple[Array, Array]

SAME: Final = 1e-6  # what two predictions of the same model may differ by, as in another precision
_LEAST: Final = float(np.finfo(np.float64).eps)  # probabilities are clipped to it before a logarithm


@dataclass(frozen=True, eq=False)
class Batch:
    """Some requests of a day with the predictions of both models: aligned arrays of shape (n,).

    Attributes:
        ordinal: the number of the request in the day's sample.
        cell: the number of the combination of slice values.
        version: the number of the champion's version.
        weight: the inverse of the inclusion probability.
        champion: the champion's prediction; with several classes, the number of the likeliest; NaN without a valid one.
        challenger: the challenger's, likewise.
        label: the label, or the number of its class; NaN if unknown.
        champion_latency_ms: in milliseconds, NaN if unknown.
        latency_ms: the challenger's.
        champion_probabilities: shape (n, classes), with several classes only.
        challenger_probabilities: likewise.
        custom: both models' values of each metric that is not computed from predictions and labels alone, by its name.
        repeated: whether another request has the same label and counts in its place, so that it has none; None where
            all requests have labels of their own.
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
    custom: Mapping[str, Both] | None = None
    repeated: NDArray[np.bool_] | None = None

    @property
    def unlabelled(self) -> NDArray[np.bool_]:
        """Whether a request of which a label is expected has none."""
        missing = np.isnan(self.label)
        return missing if self.repeated is None else missing & ~self.repeated

    def at(self, rows: NDArray[np.bool_]) -> "Batch":
        """Return some of the requests."""
        columns = {name: column[rows] for name, column in vars(self).items() if isinstance(column, np.ndarray)}
        custom = {name: (left[rows], right[rows]) for name, (left, right) in (self.custom or {}).items()}
        return replace(self, **columns, custom=custom)

    @property
    def identical(self) -> NDArray[np.bool_]:
        """Whether there are two predictions, and they are the same, as `same_prediction` says."""
        same = same_prediction(self.champion, self.challenger)
        if self.champion_probabilities is not None and self.challenger_probabilities is not None:
            same &= same_prediction(self.champion_probabilities, self.challenger_probabilities).all(axis=1)
        return same


@dataclass(frozen=True)
class MetricSettings:
    """The parameters of a deployment's metrics.

    Attributes:
        task: what is predicted.
        threshold: the probability from which a prediction counts as positive.
        tolerance: the largest difference at which two predictions agree; NaN if not declared.
        quantile: the quantile that the pinball loss measures.
        falls_back: whether production would serve the champion's prediction where the challenger has none.
        custom: the deployment's own metrics by name; what they are computed by is told by a digest of its own.
    """

    task: Task
    threshold: float
    tolerance: float
    quantile: float
    falls_back: bool = False
    custom: Mapping[str, Metric] = field(default_factory=dict, repr=False)

    def metric(self, name: str) -> Metric:
        """Return a metric of the catalog or of the deployment's own."""
        return self.custom[name] if name in self.custom else METRICS[name]


Loss = Callable[[Batch, MetricSettings], Both]


def losses_of(task: Task) -> Mapping[str, Loss]:
    """Return a task's metrics that are means over requests, by name."""
    return _OF_TASK[task] | _OF_ANY_TASK


def values_of(metric: Metric, batch: Batch, settings: MetricSettings) -> Both:
    """Return the values of a metric that is a mean over requests, of a batch that has those of custom metrics."""
    loss = losses_of(settings.task).get(metric.name)
    return (batch.custom or {})[metric.name] if loss is None else loss(batch, settings)


def same_prediction(left: Array, right: Array) -> NDArray[np.bool_]:
    """Return where there are two predictions within 1e-6, of their size where that is above 1."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.asarray(np.abs(left - right) <= SAME * np.maximum(1.0, np.abs(left)), np.bool_)


def _indicator(value: NDArray[np.bool_], *inputs: Array) -> Array:
    """Return 1 and 0, NaN where an input is missing."""
    missing = np.logical_or.reduce([np.isnan(array) for array in inputs])
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
    """Return both models' probabilities, with rows of NaN for missing predictions."""
    if batch.champion_probabilities is None or batch.challenger_probabilities is None:
        raise ValueError("a task with several classes needs the probabilities of both models")
    return (
        np.where(np.isnan(batch.champion)[:, None], np.nan, batch.champion_probabilities),
        np.where(np.isnan(batch.challenger)[:, None], np.nan, batch.challenger_probabilities),
    )


def _squared_error(prediction: Array, label: Array, _: MetricSettings) -> Array:
    """(p - y)²; of probabilities the Brier score (Brier 1950)."""
    return np.asarray((prediction - label) ** 2)


def _absolute_error(prediction: Array, label: Array, _: MetricSettings) -> Array:
    return np.asarray(np.abs(prediction - label))


def _error(prediction: Array, label: Array, _: MetricSettings) -> Array:
    return np.asarray(prediction - label)


def _pinball_loss(prediction: Array, label: Array, settings: MetricSettings) -> Array:
    """max(q (y - p), (q - 1) (y - p)), Koenker and Bassett (1978)."""
    missed = label - prediction
    return np.asarray(np.maximum(settings.quantile * missed, (settings.quantile - 1) * missed))


def _log_loss(prediction: Array, label: Array, _: MetricSettings) -> Array:
    """-(y log p + (1 - y) log(1 - p)), with p within one rounding of 0 and 1 (scikit-learn clips there too)."""
    clipped = np.clip(prediction, _LEAST, 1 - _LEAST)
    return np.asarray(-(label * np.log(clipped) + (1 - label) * np.log(1 - clipped)))


def _right(prediction: Array, label: Array, settings: MetricSettings) -> Array:
    return _indicator((prediction >= settings.threshold) == (label == 1), prediction, label)


def _certainly_wrong(prediction: Array, label: Array, _: MetricSettings) -> Array:
    """1 if a prediction of exactly 0 or 1 was wrong; 0 for any other prediction, whatever its label will be."""
    certain = (prediction == 0) | (prediction == 1)
    return _indicator(certain & (prediction != label), prediction, np.where(certain, label, 0.0))


def _classes_brier_score(probabilities: Array, label: Array) -> Array:
    """Sum over classes of (p_k - y_k)², between 0 and 2 (Brier 1950)."""
    happened = np.arange(probabilities.shape[1]) == label[:, None]
    return np.asarray(((probabilities - happened) ** 2).sum(axis=1) + 0 * label)


def _classes_log_loss(probabilities: Array, label: Array) -> Array:
    happened = np.arange(probabilities.shape[1]) == label[:, None]
    of_label = np.where(happened.any(axis=1), np.where(happened, probabilities, 0).sum(axis=1), np.nan)
    return np.asarray(-np.log(np.clip(of_label, _LEAST, 1 - _LEAST)))


def _classes_right(prediction: Array, label: Array, _: MetricSettings) -> Array:
    return _indicator(prediction == label, prediction, label)


def _classes_disagreement(batch: Batch, _: MetricSettings) -> Both:
    """Half the sum of absolute differences: the total variation distance of the two predictions."""
    champion, challenger = _probabilities(batch)
    return np.zeros(len(batch.champion)), np.asarray(np.abs(champion - challenger).sum(axis=1) / 2)


def _classes_agreement(batch: Batch, _: MetricSettings) -> Both:
    same = batch.champion == batch.challenger
    return np.ones(len(same)), _indicator(same, batch.champion, batch.challenger)


def _agreement(batch: Batch, settings: MetricSettings) -> Both:
    same = (batch.champion >= settings.threshold) == (batch.challenger >= settings.threshold)
    return np.ones(len(same)), _indicator(same, batch.champion, batch.challenger)


def _agreement_within_tolerance(batch: Batch, settings: MetricSettings) -> Both:
    tolerance = np.full(len(batch.champion), settings.tolerance)
    near = np.abs(batch.champion - batch.challenger) <= tolerance
    return _indicator(np.ones_like(near), tolerance), _indicator(near, batch.champion, batch.challenger, tolerance)


def _disagreement(batch: Batch, _: MetricSettings) -> Both:
    return np.zeros(len(batch.champion)), np.abs(batch.champion - batch.challenger)


def _error_rate(batch: Batch, _: MetricSettings) -> Both:
    return np.isnan(batch.champion).astype(np.float64), np.isnan(batch.challenger).astype(np.float64)


def _pairing_loss(batch: Batch, _: MetricSettings) -> Both:
    lost = np.isnan(batch.champion) | np.isnan(batch.challenger)
    return np.zeros(len(lost)), lost.astype(np.float64)


def _feature_skew(batch: Batch, _: MetricSettings) -> Both:
    """1 where a feature differs; a challenger that takes no logged feature from elsewhere has none that does."""
    none = np.zeros(len(batch.champion))
    return (batch.custom or {}).get(SKEW, (none, none))


def _label_coverage(batch: Batch, _: MetricSettings) -> Both:
    labelled = np.where(batch.unlabelled, 0.0, np.where(np.isnan(batch.label), np.nan, 1.0))
    return labelled, labelled


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
    SKEW: _feature_skew,
}
