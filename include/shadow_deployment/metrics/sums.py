"""Sums over the pairs of a day, by metric, champion version and cell, added up by slice.

Batches have a fixed order and size, so that the same rows give the same sums to the last bit.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.errors import SourceError
from shadow_deployment.metrics.catalog import Metric
from shadow_deployment.metrics.charges import Missing, charge, fill, worst_of
from shadow_deployment.metrics.losses import Array, Batch, Both, MetricSettings, values_of
from shadow_deployment.metrics.slices import ALL

FIELDS: Final = (
    "requests",
    "labelled",
    "unanswered",
    "champion_missing",
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
COUNTS: Final = 6  # the first of FIELDS count requests, the others are sums of doubles


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
        charged = [metric for metric in map(settings.metric, metrics) if metric.is_charged]
        unbounded = [metric for metric in charged if worst_of(metric, settings.task) is None]
        self._charged = {metric.name: _ChargedWorst(metric, self._groups) for metric in unbounded}

    def add(self, batch: Batch) -> None:
        """Add a batch; raise SourceError where a value is too large to be summed."""
        grouped = _GroupedBatch(batch, batch.version * self._slices.cells + batch.cell, self._groups)
        for name, sums in self._sums.items():
            metric = self._settings.metric(name)
            missing = grouped.missing(metric)
            with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused below
                both = charge(metric, values_of(metric, batch, self._settings), missing, self._settings)
                sums[:_OF_REQUESTS] += grouped.counts(metric)
                sums[_OF_REQUESTS:] += grouped.sums(metric, *both)
                if name in self._charged:
                    self._charged[name].add(grouped, both, missing)
            _require_finite(name, sums)

    def rows(self) -> Iterator[tuple[int, tuple[str, str], str, list[float]]]:
        """Yield the number of the champion's version, the slice, the metric and its sums, in the order of FIELDS.

        A slice without a request of a version has no row. Raises SourceError as `add`.
        """
        cells = self._slices.cells
        for name, sums in self._sums.items():
            whole = self._with_charges(name, sums)
            for version in range(self._groups // max(cells, 1)):
                for key, inside in self._slices.members.items():
                    row = whole[:, version * cells + inside].sum(axis=1)
                    if row[0]:
                        yield version, key, name, [*row[:COUNTS].astype(int).tolist(), *row[COUNTS:].tolist()]

    def _with_charges(self, name: str, sums: NDArray[Any]) -> NDArray[Any]:
        if name not in self._charged:
            return sums
        whole = sums.copy()
        with np.errstate(over="ignore", invalid="ignore"):
            whole[_OF_REQUESTS:] += self._charged[name].sums()
        _require_finite(name, whole)
        return whole


_OF_REQUESTS: Final = FIELDS.index("pairs")  # the first of FIELDS count all requests, the others are of pairs
_OF_PAIRS: Final = FIELDS[_OF_REQUESTS:]


def _require_finite(name: str, sums: NDArray[Any]) -> None:
    if not np.isfinite(sums).all():
        raise SourceError(
            f"{name}: a prediction or a label is so large that its sum is not finite; an expectation on the "
            "predictions, such as expect_column_values_to_be_between, names the requests"
        )


class _GroupedBatch:
    """A batch by champion version and cell; what several metrics share is computed once."""

    def __init__(self, batch: Batch, group: NDArray[np.int64], groups: int) -> None:
        self._batch, self._group, self._groups = batch, group, groups
        self._identical = batch.identical
        self._missing: dict[bool, Missing] = {}
        self._counts: dict[bool, NDArray[Any]] = {}
        self._pairs: dict[bytes, _Pairs] = {}

    def missing(self, metric: Metric) -> Missing:
        """Return which predictions a metric misses."""
        batch = self._batch
        if metric.needs_label not in self._missing:
            self._missing[metric.needs_label] = Missing.of(metric, batch.champion, batch.challenger, batch.label)
        return self._missing[metric.needs_label]

    def counts(self, metric: Metric) -> NDArray[Any]:
        """Return requests, labels and missing predictions of a metric, in the order of FIELDS."""
        if metric.needs_label not in self._counts:
            missing = self.missing(metric)
            everything = np.ones(len(self._group), np.bool_)
            flags = (everything, ~np.isnan(self._batch.label), missing.unanswered, missing.champion)
            counted = [np.bincount(self._group[each], minlength=self._groups) for each in flags]
            self._counts[metric.needs_label] = np.stack(counted)
        return self._counts[metric.needs_label]

    def sums(self, metric: Metric, champion: Array, challenger: Array) -> NDArray[Any]:
        """Return the sums over the requests with both values, in the order of FIELDS from `pairs` on."""
        pair = ~(np.isnan(champion) | np.isnan(challenger))
        pairs = self._pairs.get(key := pair.tobytes())
        if pairs is None:
            pairs = _Pairs(pair, self._group, self._identical, self._batch.weight, self._groups)
            self._pairs[key] = pairs
        return np.stack(pairs.sums(champion, challenger, metric.sign))


class _ChargedWorst:
    """The requests that are charged the worst value of the day, which is known once the day is complete.

    Their sums are kept as if the charge were 0, by whether the champion has a value of its own.
    """

    def __init__(self, metric: Metric, groups: int) -> None:
        self._metric, self._largest_loss = metric, -np.inf
        self._unanswered: Array = np.zeros((len(_OF_PAIRS), groups))
        self._neither: Array = np.zeros((len(_OF_PAIRS), groups))

    def add(self, batch: _GroupedBatch, both: Both, missing: Missing) -> None:
        """Add a batch with both models' values, NaN where they are to be charged."""
        sign = self._metric.sign
        self._largest_loss = max(
            self._largest_loss, *(float(np.fmax.reduce(sign * each, initial=-np.inf)) for each in both)
        )
        if not missing.any:
            return
        champion, challenger = fill(self._metric, both, missing, 0.0)
        due = np.isnan(both[1])
        alone, neither = (np.where(due & each, challenger, np.nan) for each in (missing.unanswered, missing.neither))
        self._unanswered += batch.sums(self._metric, champion, alone)
        self._neither += batch.sums(self._metric, champion, neither)

    def sums(self) -> Array:
        """Return the sums of the charged pairs as `_GroupedBatch.sums` does; zeros on a day without a value."""
        if self._largest_loss == -np.inf:
            return np.zeros_like(self._neither)
        loss, sign = self._largest_loss, self._metric.sign
        return _raised(self._unanswered, loss, sign) + _raised(self._neither, loss, sign, champion=True)


def _raised(sums: Array, loss: float, sign: int, *, champion: bool = False) -> Array:
    """Return sums of pairs in which the challenger's loss was 0 with `loss` in its place, or in that of both."""
    of: dict[str, Array] = dict(zip(_OF_PAIRS, sums, strict=True))
    for model in ("challenger", *(["champion"] if champion else [])):
        of |= {f"{model}_sum": sign * loss * of["weight"], f"{model}_squares": loss**2 * of["weight"]}
    for weight, suffix in (("weight", ""), ("weight_squares", "_weighted")) if not champion else ():
        mean, squares = f"difference_sum{suffix}", f"difference_squares{suffix}"
        moved = of[squares] - 2 * loss * of[mean] + loss**2 * of[weight]
        of |= {mean: of[mean] - loss * of[weight], squares: np.maximum(moved, 0.0)}  # negative by rounding alone
    return np.stack(list(of.values()))


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
