"""Sums over the pairs of a day, by metric, champion version and cell, added up by slice.

Batches have a fixed order and size, so that the same rows give the same sums to the last bit.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.errors import SourceError
from shadow_deployment.metrics.catalog import METRICS
from shadow_deployment.metrics.losses import Array, Batch, MetricSettings, losses_of
from shadow_deployment.metrics.slices import ALL

FIELDS: Final = (
    "requests",
    "labelled",
    "pairs",
    "identical",
    "weight",
    "weight_squares",
    "champion_sum",
    "champion_squares",
    "challenger_sum",
    "challenger_squares",
    "difference_sum",
    "difference_squares",
    "difference_sum_weighted",
    "difference_squares_weighted",
)
COUNTS: Final = 4  # the first of FIELDS count requests, the others are sums of doubles


@dataclass(frozen=True)
class Slices:
    """A snapshot's slices: by column and value, the numbers of their cells; the slice of all requests comes first."""

    cells: int
    members: Mapping[tuple[str, str], NDArray[np.int64]]

    @classmethod
    def of(cls, cells: Mapping[int, Mapping[str, str]]) -> "Slices":
        """Return the slices of cells, given the value of each column in each cell."""
        members: dict[tuple[str, str], list[int]] = {}
        for cell, values in sorted(cells.items()):
            for key in values.items():
                members.setdefault(key, []).append(cell)
        ordered = {(ALL, ""): sorted(cells)} | dict(sorted(members.items()))
        return cls(max(cells, default=-1) + 1, {key: np.array(inside, np.int64) for key, inside in ordered.items()})


class Sums:
    """The sums of one challenger's day."""

    def __init__(self, metrics: Sequence[str], settings: MetricSettings, versions: int, slices: Slices) -> None:
        """Start at zero; `metrics` are sums, and exist for the task."""
        self._settings, self._slices = settings, slices
        self._groups = versions * slices.cells
        self._sums = {name: np.zeros((len(FIELDS), self._groups)) for name in metrics}

    def add(self, batch: Batch) -> None:
        """Add a batch; raise SourceError where a value is too large to be summed."""
        group = batch.version * self._slices.cells + batch.cell
        requests = np.bincount(group, minlength=self._groups)
        labelled = np.bincount(group[~np.isnan(batch.label)], minlength=self._groups)
        identical, cache = batch.identical, dict[bytes, _Pairs]()
        functions = losses_of(self._settings.task)
        for name, sums in self._sums.items():
            with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused below
                champion, challenger = functions[name](batch, self._settings)
                pair = ~(np.isnan(champion) | np.isnan(challenger))
                pairs = cache.get(key := pair.tobytes())
                if pairs is None:
                    pairs = cache[key] = _Pairs(pair, group, identical, batch.weight, self._groups)
                sums[:2] += requests, labelled
                sums[2:] += pairs.sums(champion, challenger, METRICS[name].sign)
            if not np.isfinite(sums).all():
                raise SourceError(
                    f"{name}: a prediction or a label is so large that its sum is not finite; an expectation on the "
                    "predictions, such as expect_column_values_to_be_between, names the requests"
                )

    def rows(self) -> Iterator[tuple[int, tuple[str, str], str, list[float]]]:
        """Yield the number of the champion's version, the slice, the metric and its sums, in the order of FIELDS.

        A slice without a request of a version has no row.
        """
        cells = self._slices.cells
        for name, sums in self._sums.items():
            for version in range(self._groups // max(cells, 1)):
                for key, inside in self._slices.members.items():
                    row = sums[:, version * cells + inside].sum(axis=1)
                    if row[0]:
                        yield version, key, name, [*row[:COUNTS].astype(int).tolist(), *row[COUNTS:].tolist()]


class _Pairs:
    """The requests of a batch that are pairs, shared by several metrics."""

    def __init__(
        self,
        pair: NDArray[np.bool_],
        group: NDArray[np.int64],
        identical: NDArray[np.bool_],
        weight: Array,
        groups: int,
    ) -> None:
        self._pair = slice(None) if pair.all() else pair
        self._group, self._groups = group[self._pair], groups
        self._weight = weight[self._pair]
        self._squares = self._weight**2
        self._counts = [
            self._total(None),
            np.bincount(self._group[identical[self._pair]], minlength=groups),
            self._total(self._weight),
            self._total(self._squares),
        ]

    def sums(self, champion: Array, challenger: Array, sign: int) -> list[NDArray[Any]]:
        """Return the sums of a metric, in the order of FIELDS from `pairs` on."""
        champion, challenger = champion[self._pair], challenger[self._pair]
        difference = sign * (champion - challenger)
        moments = [(self._weight, champion), (self._weight, challenger), (self._weight, difference)]
        moments.append((self._squares, difference))
        amounts = (amount for factor, value in moments for amount in (factor * value, factor * value * value))
        return [*self._counts, *map(self._total, amounts)]

    def _total(self, values: Array | None) -> NDArray[Any]:
        return np.bincount(self._group, values, self._groups)
