"""What a page shows of a day's predictions: histograms, quadrants at the threshold, and the largest disagreements.

Histograms add up over days. Binary: 20 equal bins of 0 to 1. Regression: each day's bins have a power of two as their
width and start at a multiple of it, chosen from the day's predictions alone, so that the bins of all days nest. Tasks
with several classes have neither histograms nor quadrants. Only requests with predictions of both models count.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.metrics.losses import Array, Batch

BIN_FIELDS: Final = (
    "requests",
    "labelled",
    "weight",
    "prediction_sum",
    "labelled_weight",
    "labelled_weight_squares",
    "labelled_prediction_sum",
    "label_sum",
    "label_squares",
)
QUADRANT_FIELDS: Final = ("requests", "labelled", "positive", "weight", "labelled_weight", "positive_weight")
MODELS: Final = ("champion", "challenger")
_FINEST: Final = 1e-300
_NARROWEST: Final = 1e-12  # least width of a bin, as a share of the largest prediction


@dataclass(frozen=True)
class Grid:
    """Bins from `first` to `last`: bin k holds values from k * width (inclusive) to (k + 1) * width (exclusive).

    The outermost bins also hold what lies beyond them.
    """

    width: float
    first: int
    last: int

    @classmethod
    def of(cls, low: float, high: float) -> "Grid":
        """Return 16 to 32 bins between two predictions, with a power of two as width, and four more on either side."""
        if low < high:
            least = max(high / 32 - low / 32, max(-low, high) * _NARROWEST, _FINEST)
        else:
            least = max(abs(low) / 32, _FINEST) if low else 1.0
        mantissa, exponent = math.frexp(least)
        width = math.ldexp(1.0, exponent - (mantissa == 0.5))
        return cls(width, math.floor(low / width) - 4, math.floor(high / width) + 4)

    @property
    def count(self) -> int:
        """The number of bins."""
        return self.last - self.first + 1

    def place(self, predictions: Array) -> NDArray[np.int64]:
        """Return the index of each prediction's bin, counted from 0."""
        return (np.clip(np.floor(predictions / self.width), self.first, self.last) - self.first).astype(np.int64)


class _Binary(Grid):
    def place(self, predictions: Array) -> NDArray[np.int64]:
        return np.minimum(np.floor(predictions * 20), 19).astype(np.int64)


PROBABILITY_GRID: Final = _Binary(0.05, 0, 19)


class Histograms:
    """Histograms of both models' predictions; with a threshold, also the quadrants of their decisions at it."""

    def __init__(self, grid: Grid, versions: int, threshold: float | None) -> None:
        """Start empty."""
        self.grid, self._versions, self._threshold = grid, versions, threshold
        self._bins = {model: np.zeros((len(BIN_FIELDS), versions * grid.count)) for model in MODELS}
        self._quadrants = np.zeros((len(QUADRANT_FIELDS), versions * 4))

    def add(self, batch: Batch) -> None:
        """Add a batch."""
        both = ~(np.isnan(batch.champion) | np.isnan(batch.challenger))
        version, weight, label = batch.version[both], batch.weight[both], batch.label[both]
        predictions = {"champion": batch.champion[both], "challenger": batch.challenger[both]}
        known = ~np.isnan(label)
        label, labelled_weight = np.where(known, label, 0.0), np.where(known, weight, 0.0)
        of_label = (label * labelled_weight, label**2 * labelled_weight)
        for model, prediction in predictions.items():
            group = version * self.grid.count + self.grid.place(prediction)
            amounts = (None, known, weight, weight * prediction, labelled_weight, labelled_weight**2)
            for row, amount in enumerate((*amounts, labelled_weight * prediction, *of_label)):
                self._bins[model][row] += np.bincount(group, amount, self._versions * self.grid.count)
        if self._threshold is not None:
            champion, challenger = ((predictions[model] >= self._threshold).astype(np.int64) for model in MODELS)
            group = version * 4 + champion * 2 + challenger
            amounts = (None, known, known & (label == 1), weight, labelled_weight, label * labelled_weight)
            for row, amount in enumerate(amounts):
                self._quadrants[row] += np.bincount(group, amount, self._versions * 4)

    def bins(self) -> Iterator[tuple[int, str, int, list[float]]]:
        """Yield version number, model, bin and its sums in the order of BIN_FIELDS, without empty bins."""
        for model, sums in self._bins.items():
            for group in np.flatnonzero(sums[0]).tolist():
                version, place = divmod(group, self.grid.count)
                yield version, model, place + self.grid.first, sums[:, group].tolist()

    def quadrants(self) -> Iterator[tuple[int, bool, bool, list[float]]]:
        """Yield version number, whether champion and challenger are positive, and sums in the order of QUADRANT_FIELDS.

        Each version with a request has four.
        """
        for version in range(self._versions if self._threshold is not None else 0):
            sums = self._quadrants[:, version * 4 : version * 4 + 4]
            for place in range(4) if sums[0].any() else ():
                yield version, place >= 2, bool(place % 2), sums[:, place].tolist()


class LargestDisagreements:
    """The requests on which the models disagree most: at most `most`, largest first, then in the order drawn."""

    def __init__(self, most: int) -> None:
        """Start empty."""
        self._most = most
        self.ordinal = np.zeros(0, np.int64)
        self.distance = np.zeros(0)

    def add(self, batch: Batch) -> None:
        """Add a batch; identical predictions are not disagreements."""
        if batch.champion_probabilities is None or batch.challenger_probabilities is None:
            distance = np.abs(batch.champion - batch.challenger)
        else:
            distance = np.abs(batch.champion_probabilities - batch.challenger_probabilities).sum(axis=1)
        apart = ~(np.isnan(batch.champion) | np.isnan(batch.challenger) | np.isnan(distance) | batch.identical)
        ordinal = np.concatenate((self.ordinal, batch.ordinal[apart]))
        distance = np.concatenate((self.distance, distance[apart]))
        if len(distance) > self._most:
            least = np.partition(distance, -self._most)[-self._most]
            ordinal, distance = ordinal[distance >= least], distance[distance >= least]
        order = np.lexsort((ordinal, -distance))[: self._most]
        self.ordinal, self.distance = ordinal[order], distance[order]
