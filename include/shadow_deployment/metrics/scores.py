"""Metrics that cannot be summed: ranks, ratios of sums, quantiles and distances, of one day and slice at a time.

Each score needs the whole day, and so gives one observation a day; `losses.py` has what adds up over requests. Champion
and challenger are always measured on the same requests, weighted by the inverse of the inclusion probability; a weight
counts as that many equal rows, like scikit-learn's `sample_weight`. A score that is undefined on a day has no value.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from functools import cached_property, partial
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.metrics.catalog import Task

Array = NDArray[np.float64]
Basis = Literal["predicted", "classified", "labelled", "timed"]

_EMPTY_SHARE: Final = 1e-4  # stands for an empty bin's share, so that the stability index stays finite
_LEVEL_ROUNDING: Final = 1e-9  # a quantile's level counts as reached this close to it: sums of weights are rounded


@dataclass(frozen=True, eq=False)
class Pairs:
    """The requests of one day and slice: aligned arrays of shape (n,), in any order.

    Attributes:
        weight: finite and positive.
        champion: probability of the positive class (binary) or predicted value (regression); NaN without one.
        challenger: likewise.
        label: 0 or 1 (binary) or a value (regression); NaN if unknown.
        champion_latency_ms: in milliseconds; NaN if unknown.
        latency_ms: the challenger's.

    Raises:
        ValueError: another shape, or a weight that is not finite and positive.
    """

    weight: Array
    champion: Array
    challenger: Array
    label: Array
    champion_latency_ms: Array
    latency_ms: Array

    def __post_init__(self) -> None:
        for field in fields(self):
            array = np.asarray(getattr(self, field.name), dtype=np.float64)
            object.__setattr__(self, field.name, array)
            if array.ndim != 1 or array.shape != self.weight.shape:
                raise ValueError(f"{field.name}.shape == {array.shape}, must be one axis as long as weight")
        wrong = ~(np.isfinite(self.weight) & (self.weight > 0))
        if wrong.any():
            row = int(np.argmax(wrong))
            raise ValueError(f"weight[{row}] == {self.weight[row]}, must be finite and positive")


@dataclass(frozen=True, eq=False)
class Distribution:
    """Values with their weights, both of shape (n,), n > 0, in any order; what is computed from them is kept."""

    value: Array
    weight: Array

    @cached_property
    def _ranking(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The rows in ascending order of their value, and where in it each distinct value begins."""
        order = np.argsort(self.value)
        ordered = self.value[order]
        return order, np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))

    @cached_property
    def levels(self) -> Array:
        """The distinct values, ascending."""
        order, starts = self._ranking
        return self.value[order[starts]]

    def per_level(self, amounts: Array) -> Array:
        """Sum `amounts`, one per row, over the rows of each distinct value."""
        order, starts = self._ranking
        return np.asarray(np.add.reduceat(amounts[order], starts), dtype=np.float64)

    @cached_property
    def reached(self) -> Array:
        """The share of weight at or below each distinct value; the last is 1."""
        weight = np.cumsum(self.per_level(self.weight))
        return np.asarray(weight / weight[-1], dtype=np.float64)

    def quantiles(self, shares: Array) -> Array:
        """Weighted quantiles: the smallest value at which the cumulated share of weight reaches each of `shares`.

        Hyndman and Fan (1996), definition 1: `numpy.quantile(..., method="inverted_cdf", weights=...)`, always a value
        that was observed. Unlike numpy, a level missed by rounding alone is reached, so row order does not matter.
        """
        return self.levels[np.searchsorted(self.reached, shares - _LEVEL_ROUNDING, side="left")]

    def share_up_to(self, points: Array) -> Array:
        """Return the share of weight whose value is at most each of `points`: the empirical distribution function."""
        return np.concatenate(([0.0], self.reached))[np.searchsorted(self.levels, points, side="right")]

    def bin_ends(self, bins: int) -> Array:
        """Return the values at which `bins` bins of equal weight end, each holding its end; the last has none.

        A value so frequent that several of them fall on it is a bin of its own, so that a move off it to either side
        shows.
        """
        ends = self.quantiles(np.arange(1, bins) / bins)
        frequent = ends[1:][ends[1:] == ends[:-1]]
        return np.unique(np.concatenate((ends, np.nextafter(frequent, -np.inf))))

    def shares(self, ends: Array) -> Array:
        """Return the share of weight in each bin, one more than there are `ends`."""
        return np.diff(self.share_up_to(np.append(ends, np.inf)), prepend=0.0)


def stability_index(expected: Array, actual: Array) -> float:
    """Return the population stability index of shares in the same bins: the sum of (q - p) log(q / p) (Siddiqi 2006).

    A share below `_EMPTY_SHARE` counts as that; shares are not rescaled.
    """
    p, q = np.maximum(expected, _EMPTY_SHARE), np.maximum(actual, _EMPTY_SHARE)
    return float(np.sum((q - p) * np.log(q / p)))


@dataclass(frozen=True, eq=False)
class _Model(Distribution):
    """One model's values on the pairs, with their labels."""

    label: Array
    threshold: float
    bins: int

    @cached_property
    def classes(self) -> tuple[Array, Array]:
        """The weight of positive and of negative labels at each distinct value."""
        return self.per_level(self.weight * self.label), self.per_level(self.weight * (1 - self.label))

    @cached_property
    def confusion(self) -> tuple[float, float, float]:
        """The weight of true positives, false positives and false negatives at the threshold."""
        positive, predicted = self.label == 1, self.value >= self.threshold
        hits, false_alarms, misses = positive & predicted, ~positive & predicted, positive & ~predicted
        return float(self.weight[hits].sum()), float(self.weight[false_alarms].sum()), float(self.weight[misses].sum())


Both = tuple[_Model, _Model]
Measure = Callable[[_Model, _Model], tuple[float | None, float | None]]


class _PairsOfModel:
    """Champion and challenger on the requests that both predicted, selected and sorted once for all scores."""

    def __init__(self, pairs: Pairs, threshold: float, bins: int) -> None:
        if math.isnan(threshold):
            raise ValueError("threshold == nan, must be a number")
        if bins < 2:
            raise ValueError(f"bins == {bins}, must be at least 2")
        self._pairs, self._threshold, self._bins = pairs, threshold, bins
        self._is_pair = ~(np.isnan(pairs.champion) | np.isnan(pairs.challenger))

    def _select(self, rows: NDArray[np.bool_], champion: Array, challenger: Array) -> Both | None:
        if not rows.any():
            return None
        shared = self._pairs.weight[rows], self._pairs.label[rows], self._threshold, self._bins
        return _Model(champion[rows], *shared), _Model(challenger[rows], *shared)

    @cached_property
    def predicted(self) -> Both | None:
        return self._select(self._is_pair, self._pairs.champion, self._pairs.challenger)

    @cached_property
    def labelled(self) -> Both | None:
        rows = self._is_pair & ~np.isnan(self._pairs.label)
        fewer = not np.array_equal(rows, self._is_pair)
        return self._select(rows, self._pairs.champion, self._pairs.challenger) if fewer else self.predicted

    @cached_property
    def classified(self) -> Both | None:
        return self.labelled if self.labelled and np.isin(self.labelled[0].label, (0, 1)).all() else None

    @cached_property
    def timed(self) -> Both | None:
        champion, challenger = self._pairs.champion_latency_ms, self._pairs.latency_ms
        return self._select(self._is_pair & ~(np.isnan(champion) | np.isnan(challenger)), champion, challenger)


@dataclass(frozen=True)
class Score:
    """One way to score a day.

    Attributes:
        name: the metric.
        tasks: the tasks it exists for.
        basis: the requests that count: "predicted" by both models; "labelled", those of them with a label;
            "classified", the same, and undefined if any label is other than 0 and 1; "timed", with both latencies.
        measure: computes both models' values.
    """

    name: str
    tasks: frozenset[Task]
    basis: Basis
    measure: Measure

    def __call__(self, pairs: Pairs, *, threshold: float = 0.5, bins: int = 10) -> tuple[float, float, int] | None:
        """Return the champion's value, the challenger's, and the number of pairs; None if either is undefined.

        Args:
            pairs: the requests.
            threshold: a value of at least this is a predicted positive.
            bins: of the calibration error and the stability index.

        Raises:
            ValueError: the threshold is NaN, or there are fewer than 2 bins.
        """
        return compute_scores(pairs, [self.name], threshold=threshold, bins=bins).get(self.name)


def compute_scores(
    pairs: Pairs, names: Iterable[str], *, threshold: float, bins: int = 10
) -> dict[str, tuple[float, float, int]]:
    """Compute scores of one day and slice; each model is sorted once.

    Args:
        pairs: the requests.
        names: scores, of which the caller makes sure that they exist for the task.
        threshold: a value of at least this is a predicted positive.
        bins: of the calibration error and the stability index.

    Returns:
        The champion's value, the challenger's and the number of pairs, by name; undefined scores are left out.

    Raises:
        ValueError: a name is not in SCORES.
    """
    selection = _PairsOfModel(pairs, threshold, bins)
    scores: dict[str, tuple[float, float, int]] = {}
    for name in names:
        if name not in SCORES:
            raise ValueError(f"score == {name!r}, must be one of {', '.join(SCORES)}")
        both: Both | None = getattr(selection, SCORES[name].basis)
        if both is None:
            continue
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is not finite, and so undefined
            values = [value for value in SCORES[name].measure(*both) if value is not None and math.isfinite(value)]
        if len(values) == 2:
            scores[name] = (values[0], values[1], both[0].value.size)
    return scores


def _precision(model: _Model) -> float | None:
    """TP / (TP + FP); undefined without predicted positives."""
    hits, false_alarms, _ = model.confusion
    return hits / (hits + false_alarms) if hits + false_alarms > 0 else None


def _recall(model: _Model) -> float | None:
    """TP / (TP + FN); undefined without positive labels."""
    hits, _, misses = model.confusion
    return hits / (hits + misses) if hits + misses > 0 else None


def _f1(model: _Model) -> float | None:
    """2 TP / (2 TP + FP + FN), van Rijsbergen (1979); undefined with positives neither labelled nor predicted."""
    hits, false_alarms, misses = model.confusion
    total = 2 * hits + false_alarms + misses
    return 2 * hits / total if total > 0 else None


def _roc_auc(model: _Model) -> float | None:
    """Return the chance that a positive scores above a negative, ties counting half (Hanley, McNeil 1982)."""
    positive, negative = model.classes
    positives, negatives = positive.sum(), negative.sum()
    if positives <= 0 or negatives <= 0:
        return None
    return min(float(np.sum((positive / positives) * ((np.cumsum(negative) - negative / 2) / negatives))), 1.0)


def _average_precision(model: _Model) -> float | None:
    """Sum of precision times the step in recall over the distinct scores, from the highest; not interpolated.

    scikit-learn's definition. Undefined with one class only: with positives alone it is 1 whatever the scores.
    """
    positive, negative = (amounts[::-1] for amounts in model.classes)
    hits, false_alarms = np.cumsum(positive), np.cumsum(negative)
    if hits[-1] <= 0 or false_alarms[-1] <= 0:
        return None
    return min(float(np.sum((positive / hits[-1]) * (hits / (hits + false_alarms)))), 1.0)


def _calibration_error(model: _Model) -> float | None:
    """Mean over equal-width bins of |mean label - mean score|, by the bins' weight; undefined outside [0, 1].

    Expected calibration error, Naeini, Cooper and Hauskrecht (AAAI 2015); a bin holds its lower edge, the last both.
    """
    if model.value.min() < 0 or model.value.max() > 1:
        return None
    index = np.digitize(model.value, np.arange(1, model.bins) / model.bins)
    gaps = np.bincount(index, weights=model.weight * (model.label - model.value))
    return float(np.abs(gaps).sum() / model.weight.sum())


def _r2(model: _Model) -> float | None:
    """1 - weighted squared error / weighted squares of the label about its weighted mean; undefined if it is constant.

    The coefficient of determination as scikit-learn defines it, except that a constant label gives no value.
    """
    if model.label.min() == model.label.max():
        return None
    mean = np.average(model.label, weights=model.weight)
    missed, total = (
        float(np.sum(model.weight * (model.label - prediction) ** 2)) for prediction in (model.value, mean)
    )
    return 1 - missed / total if 0 < total < np.inf else None


def _population_stability_index(champion: _Model, challenger: _Model) -> tuple[float, float]:
    """Bins end at the champion's weighted quantiles, deciles with 10 bins."""
    ends = champion.bin_ends(champion.bins)
    return 0.0, stability_index(champion.shares(ends), challenger.shares(ends))


def _kolmogorov_smirnov(champion: _Model, challenger: _Model) -> tuple[float, float]:
    """Return the largest distance between the two weighted empirical distribution functions (Smirnov 1948)."""
    at_champions = champion.reached - challenger.share_up_to(champion.levels)
    at_challengers = challenger.reached - champion.share_up_to(challenger.levels)
    return 0.0, float(max(np.abs(at_champions).max(), np.abs(at_challengers).max()))


def _latency(model: _Model, share: float) -> float:
    """Return a weighted quantile of the latency, in milliseconds."""
    return float(model.quantiles(np.array([share]))[0])


def _latency_ratio(champion: _Model, challenger: _Model, share: float) -> tuple[float, float | None]:
    """Return 1 and the ratio of the quantiles, not the quantile of ratios; undefined where the champion's is 0."""
    own, other = _latency(challenger, share), _latency(champion, share)
    return 1.0, own / other if other > 0 else None


def _each(measure: Callable[[_Model], float | None]) -> Measure:
    return lambda champion, challenger: (measure(champion), measure(challenger))


_BINARY: Final[frozenset[Task]] = frozenset({"binary"})
_REGRESSION: Final[frozenset[Task]] = frozenset({"regression"})
_BOTH: Final = _BINARY | _REGRESSION

SCORES: Final[dict[str, Score]] = {
    score.name: score
    for score in (
        Score("precision", _BINARY, "classified", _each(_precision)),
        Score("recall", _BINARY, "classified", _each(_recall)),
        Score("f1", _BINARY, "classified", _each(_f1)),
        Score("roc_auc", _BINARY, "classified", _each(_roc_auc)),
        Score("average_precision", _BINARY, "classified", _each(_average_precision)),
        Score("calibration_error", _BINARY, "classified", _each(_calibration_error)),
        Score("r2", _REGRESSION, "labelled", _each(_r2)),
        Score("population_stability_index", _BOTH, "predicted", _population_stability_index),
        Score("kolmogorov_smirnov", _BOTH, "predicted", _kolmogorov_smirnov),
        *(Score(f"latency_p{p}", _BOTH, "timed", _each(partial(_latency, share=p / 100))) for p in (50, 95, 99)),
        *(Score(f"latency_ratio_p{p}", _BOTH, "timed", partial(_latency_ratio, share=p / 100)) for p in (50, 95, 99)),
    )
}
