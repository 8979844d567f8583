"""Evidence in memory: the days of one metric in one slice, as arrays."""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from include.shadow.metrics import METRICS

ALL = "all"
WEEK = 7
_SQUARES = ("weight_squares", "difference_sum_weighted", "difference_squares_weighted")


@dataclass(frozen=True, eq=False)
class Series:
    """One metric in one slice, one entry a day, in order; days without a pair are left out.

    `champion` and `challenger` are weighted daily means of the metric, `difference` is champion minus challenger as
    losses, so positive where the challenger is better. All arrays have shape (days,). `weight` is the sum of the
    weights of the pairs, the same for all days where it is None. `squares` has the columns Σw², Σw²·d and Σw²·d² over
    weights w and differences d of the pairs; None for a metric that is no sum.
    """

    metric: str
    slice: str
    days: tuple[dt.date, ...]
    requests: NDArray[np.int64]
    pairs: NDArray[np.int64]
    identical: NDArray[np.int64]
    champion: NDArray[np.float64]
    challenger: NDArray[np.float64]
    difference: NDArray[np.float64]
    weight: NDArray[np.float64] | None = None
    squares: NDArray[np.float64] | None = None

    @property
    def total_requests(self) -> int:
        """How many pairs stand behind the series."""
        return int(self.pairs.sum())

    def by_week(self) -> "Series":
        """Return blocks of seven days, counted from the first; the days of a block that is not over are left out.

        A block's value is the mean over its days, weighted as their requests are; a block without a day is left out.
        """
        first = self.days[0] if self.days else dt.date.min
        number = np.array([(day - first).days // WEEK for day in self.days], np.int64)
        last_is_over = bool(self.days) and (self.days[-1] - first).days % WEEK == WEEK - 1
        whole = number < (number[-1] + last_is_over) if len(number) else np.zeros(0, bool)
        blocks, position = np.unique(number[whole], return_inverse=True)
        weight = (np.ones(len(number)) if self.weight is None else self.weight)[whole]
        total = np.bincount(position, weight, len(blocks)).astype(np.float64)

        def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.asarray(np.bincount(position, weight * values[whole], len(blocks)) / total)

        def count(values: NDArray[np.int64]) -> NDArray[np.int64]:
            return np.bincount(position, values[whole], len(blocks)).astype(np.int64)

        return Series(
            metric=self.metric,
            slice=self.slice,
            days=tuple(first + dt.timedelta(days=int(block + 1) * WEEK - 1) for block in blocks),
            requests=count(self.requests),
            pairs=count(self.pairs),
            identical=count(self.identical),
            champion=mean(self.champion),
            challenger=mean(self.challenger),
            difference=mean(self.difference),
            weight=total,
        )


Evidence = Mapping[tuple[str, str], Series]


def slice_name(column: str, value: str) -> str:
    """Return a slice as it is shown and named: all, or column=value."""
    return ALL if column == ALL else f"{column}={value}"


def gather(rows: Iterable[Mapping[str, Any]], usable: Mapping[dt.date, bool]) -> dict[tuple[str, str], Series]:
    """Return the series of evidence rows that come by metric, slice and day.

    `usable` says of each day whether its labels are ripe; a metric that needs no label takes every day in it.
    """
    grouped: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        key = (row["metric"], slice_name(row["slice_column"], row["slice_value"]))
        ripe = usable.get(row["day"])
        if ripe is None or (METRICS[row["metric"]].needs_label and not ripe):
            continue
        grouped.setdefault(key, [])
        if row["pairs"]:
            grouped[key].append(row)
    return {key: _series(*key, days) for key, days in grouped.items()}


def _series(metric: str, name: str, rows: list[Mapping[str, Any]]) -> Series:
    def column(key: str) -> NDArray[np.float64]:
        return np.array([row[key] for row in rows], np.float64)

    def count(key: str) -> NDArray[np.int64]:
        return np.array([row[key] for row in rows], np.int64)

    weight = column("weight")
    return Series(
        metric=metric,
        slice=name,
        days=tuple(row["day"] for row in rows),
        requests=count("requests"),
        pairs=count("pairs"),
        identical=count("identical"),
        champion=column("champion_sum") / weight,
        challenger=column("challenger_sum") / weight,
        difference=column("difference_sum") / weight,
        weight=weight,
        squares=np.column_stack([column(key) for key in _SQUARES]) if METRICS[metric].is_sum else None,
    )
