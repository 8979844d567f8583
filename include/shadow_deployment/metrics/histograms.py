"""What a page shows of a day's answers: in bins, by quadrant, and which requests differ most.

Answers in bins add up over days. Binary: 20 equal bins of 0 to 1. Regression: each day's bins have a width that is a
power of two and begin at a multiple of it, chosen from the day's answers alone, so that days may be compared in any
order and still lie within each other's bins. Several classes have neither bins nor quadrants. Only requests that both
models answered count.
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
    "answer_sum",
    "labelled_weight",
    "labelled_weight_squares",
    "labelled_answer_sum",
    "label_sum",
    "label_squares",
)
QUADRANT_FIELDS: Final = ("requests", "labelled", "positive", "weight")
MODELS: Final = ("champion", "challenger")
_FINEST: Final = 1e-300
_FURTHEST_BIN: Final = 1e-12  # a bin is at least so wide, as a share of the largest answer


@dataclass(frozen=True)
class Grid:
    """Bins from `first` to `last`: bin k holds answers from k * width to (k + 1) * width, its upper end not in it.

    What lies beyond them is in the outermost.
    """

    width: float
    first: int
    last: int

    @classmethod
    def of(cls, low: float, high: float) -> "Grid":
        """Return 16 to 32 bins of a power of two between two answers, and four more on either side."""
        if low < high:
            least = max(high / 32 - low / 32, max(-low, high) * _FURTHEST_BIN, _FINEST)
        else:
            least = max(abs(low) / 32, _FINEST) if low else 1.0
        mantissa, exponent = math.frexp(least)
        width = math.ldexp(1.0, exponent - (mantissa == 0.5))
        return cls(width, math.floor(low / width) - 4, math.floor(high / width) + 4)

    @property
    def count(self) -> int:
        """How many bins there are."""
        return self.last - self.first + 1

    def place(self, answers: Array) -> NDArray[np.int64]:
        """Return the place of each answer's bin, the first being 0."""
        return (np.clip(np.floor(answers / self.width), self.first, self.last) - self.first).astype(np.int64)


class _Binary(Grid):
    def place(self, answers: Array) -> NDArray[np.int64]:
        return np.minimum(np.floor(answers * 20), 19).astype(np.int64)


PROBABILITY_GRID: Final = _Binary(0.05, 0, 19)


class Histograms:
    """Both models' answers by bin; with a threshold, the quadrants of what they say at it."""

    def __init__(self, grid: Grid, versions: int, threshold: float | None) -> None:
        """Begin with nothing."""
        self.grid, self._versions, self._threshold = grid, versions, threshold
        self._bins = {model: np.zeros((len(BIN_FIELDS), versions * grid.count)) for model in MODELS}
        self._quadrants = np.zeros((len(QUADRANT_FIELDS), versions * 4))

    def add(self, batch: Batch) -> None:
        """Add a batch."""
        both = ~(np.isnan(batch.champion) | np.isnan(batch.challenger))
        version, weight, label = batch.version[both], batch.weight[both], batch.label[both]
        answers = {"champion": batch.champion[both], "challenger": batch.challenger[both]}
        known = ~np.isnan(label)
        label, labelled_weight = np.where(known, label, 0.0), np.where(known, weight, 0.0)
        of_label = (label * labelled_weight, label**2 * labelled_weight)
        for model, answer in answers.items():
            group = version * self.grid.count + self.grid.place(answer)
            amounts = (None, known, weight, weight * answer, labelled_weight, labelled_weight**2)
            for row, amount in enumerate((*amounts, labelled_weight * answer, *of_label)):
                self._bins[model][row] += np.bincount(group, amount, self._versions * self.grid.count)
        if self._threshold is not None:
            champion, challenger = ((answers[model] >= self._threshold).astype(np.int64) for model in MODELS)
            group = version * 4 + champion * 2 + challenger
            for row, amount in enumerate((None, known, known & (label == 1), weight)):
                self._quadrants[row] += np.bincount(group, amount, self._versions * 4)

    def bins(self) -> Iterator[tuple[int, str, int, list[float]]]:
        """Yield the number of the version, the model, the bin and its sums, in the order of BIN_FIELDS; none empty."""
        for model, sums in self._bins.items():
            for group in np.flatnonzero(sums[0]).tolist():
                version, place = divmod(group, self.grid.count)
                yield version, model, place + self.grid.first, sums[:, group].tolist()

    def quadrants(self) -> Iterator[tuple[int, bool, bool, list[float]]]:
        """Yield the number of the version, whether champion and challenger say yes, and the sums; four of a version.

        A version without a request has none.
        """
        for version in range(self._versions if self._threshold is not None else 0):
            sums = self._quadrants[:, version * 4 : version * 4 + 4]
            for place in range(4) if sums[0].any() else ():
                yield version, place >= 2, bool(place % 2), sums[:, place].tolist()


class LargestDisagreements:
    """The requests that the two answered furthest apart: at most `most`, furthest first, then in the order drawn."""

    def __init__(self, most: int) -> None:
        """Begin with none."""
        self._most = most
        self.ordinal = np.zeros(0, np.int64)
        self.distance = np.zeros(0)

    def add(self, batch: Batch) -> None:
        """Look at a batch; requests answered alike are none of them."""
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
