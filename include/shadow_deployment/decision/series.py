"""Evidence in memory: the days of one metric in one slice, as arrays."""

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.base.digests import rounded
from shadow_deployment.config.policy import Policy, Rule
from shadow_deployment.metrics.catalog import DAILY
from shadow_deployment.metrics.possible_gains import POSSIBLE
from shadow_deployment.metrics.slices import ALL, slice_name

WEEK = 7
_EPOCH = dt.date(2000, 1, 1)
MISSING = ("unanswered", "champion_missing")
SQUARES = ("weight_squares", "difference_sum_weighted", "difference_squares_weighted")


@dataclass(frozen=True, eq=False)
class Unlabelled:
    """The requests of a metric in one slice whose label never arrived, one entry a day that has any, in order.

    `weight` is the sum of their weights, `least` and `most` bound their weighted mean difference whatever their labels
    are. All arrays have shape (days,).
    """

    days: tuple[dt.date, ...]
    weight: NDArray[np.float64]
    least: NDArray[np.float64]
    most: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Series:
    """One metric in one slice, one entry a day, in order; days without a pair are left out.

    `champion` and `challenger` are weighted daily means of the metric, `difference` is champion minus challenger as
    losses, so it is positive where the challenger is better. All arrays have shape (days,). `weight` is the sum of the
    weights of the pairs, the same for all days where it is None. `squares` has the columns Σw², Σw²·d and Σw²·d² over
    weights w and differences d of the pairs; None for a metric that is not a sum, and where they were not requested.
    `identical` counts the pairs whose predictions are the same within 1e-6; None except for all requests. `unanswered`
    counts the requests without a usable prediction of the challenger, `champion_missing` those without one of the
    champion; None for none. `unlabelled` has the requests without a label, on days without a pair too; None where there
    are none, or nothing bounds what they gain.
    """

    metric: str
    slice: str
    days: tuple[dt.date, ...]
    pairs: NDArray[np.int64]
    identical: NDArray[np.int64] | None
    champion: NDArray[np.float64]
    challenger: NDArray[np.float64]
    difference: NDArray[np.float64]
    weight: NDArray[np.float64] | None = None
    squares: NDArray[np.float64] | None = None
    unanswered: NDArray[np.int64] | None = None
    champion_missing: NDArray[np.int64] | None = None
    unlabelled: Unlabelled | None = None

    @property
    def total_requests(self) -> int:
        """How many pairs stand behind the series."""
        return int(self.pairs.sum())

    @property
    def total_unanswered(self) -> int:
        """How many requests have no usable prediction of the challenger."""
        return 0 if self.unanswered is None else int(self.unanswered.sum())

    @property
    def total_champion_missing(self) -> int:
        """How many requests have no usable prediction of the champion."""
        return 0 if self.champion_missing is None else int(self.champion_missing.sum())

    @property
    def weights(self) -> NDArray[np.float64]:
        """The weight of each observation, 1 where all have the same."""
        return np.ones(len(self.days)) if self.weight is None else self.weight

    @property
    def means(self) -> tuple[float, float]:
        """The champion's and the challenger's mean over all requests."""
        total = float(self.weights.sum())
        return float(self.weights @ self.champion) / total, float(self.weights @ self.challenger) / total

    @property
    def mean_difference(self) -> float:
        """The mean of `difference` over all requests."""
        return float(np.average(self.difference, weights=self.weights))

    def weighed(self, policy: Policy) -> "Series":
        """Return the series with each day weighing what the policy says: as its requests do, or the same as any."""
        return self if policy.weighting == "request" and policy.method != "betting" else replace(self, weight=None)

    def observed(self, policy: Policy) -> "Series":
        """Return the observations in the policy's unit, with the policy's weights; those of requests are days.

        Where observations are bet on, all of them weigh the same.
        """
        weighed = self.weighed(policy)
        weekly = weighed.by_week() if policy.periods_per_observation == WEEK else weighed
        return replace(weekly, weight=None) if policy.method == "betting" else weekly

    def by_week(self) -> "Series":
        """Return blocks of seven days, counted from the first; an unfinished block is left out.

        A block's value is the mean over its days, by their weights, and its weight is their sum; a block without a day
        is left out.
        """
        first = self.days[0] if self.days else dt.date.min
        number = np.array([(day - first).days // WEEK for day in self.days])
        last_is_over = bool(self.days) and (self.days[-1] - first).days % WEEK == WEEK - 1
        whole = number < (number[-1] + last_is_over) if len(number) else np.zeros(0, bool)
        blocks, position = np.unique(number[whole], return_inverse=True)
        weight = self.weights[whole]
        total = np.bincount(position, weight).astype(np.float64)

        def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.asarray(np.bincount(position, weight * values[whole]) / total)

        def count(values: NDArray[np.int64]) -> NDArray[np.int64]:
            return np.bincount(position, values[whole]).astype(np.int64)

        return Series(
            metric=self.metric,
            slice=self.slice,
            days=tuple(first + dt.timedelta(days=int(block + 1) * WEEK - 1) for block in blocks),
            pairs=count(self.pairs),
            identical=None if self.identical is None else count(self.identical),
            champion=mean(self.champion),
            challenger=mean(self.challenger),
            difference=mean(self.difference),
            weight=total,
            unanswered=None if self.unanswered is None else count(self.unanswered),
            champion_missing=None if self.champion_missing is None else count(self.champion_missing),
        )


Evidence = Mapping[tuple[str, str], Series]


def slices_of(rule: Rule, evidence: Evidence) -> list[str]:
    """Return the slices that a rule is judged in: all requests, and each value of its columns.

    A column without a value stands for itself: it has no evidence, so the rule does not pass.
    """
    names = [ALL]
    for column in sorted(set(rule.slices) - {ALL}):
        values = [name for metric, name in evidence if metric == rule.metric and name.split("=", 1)[0] == column]
        names += sorted(values) or [column]
    return names


@dataclass(frozen=True, eq=False)
class LedgerSeries:
    """One metric in one slice as the ledger keeps it: arrays of shape (days,), in any order of days.

    `counts` has days (since 2000-01-01), pairs, those of MISSING and, of all requests, identical; `sums` has weight,
    champion_sum, challenger_sum, difference_sum, on request those of SQUARES, and those of POSSIBLE.
    """

    metric: str
    slice_column: str
    slice_value: str
    counts: Mapping[str, NDArray[np.int64]]
    sums: Mapping[str, NDArray[np.float64]]


def gather(rows: Iterable[LedgerSeries]) -> dict[tuple[str, str], Series]:
    """Return the series of evidence in the order in which they come, each with its days in order."""
    ordered = _Days()
    gathered: dict[tuple[str, str], Series] = {}
    for row in rows:
        places, dates = ordered.with_some(row.counts["days"], row.counts["pairs"])
        name = slice_name(row.slice_column, row.slice_value)
        gathered[row.metric, name] = _series(row, name, places, dates, _unlabelled(row, ordered))
    return gathered


class _Days:
    """Days in order; most series have the same ones, which are then looked up once."""

    def __init__(self) -> None:
        self._cache: dict[tuple[bytes, bytes], tuple[NDArray[np.int64], tuple[dt.date, ...]]] = {}

    def with_some(self, numbers: NDArray[np.int64], of: NDArray[Any]) -> tuple[NDArray[np.int64], tuple[dt.date, ...]]:
        """Return the places of these days that have some of a number, in order, and their dates."""
        there = of > 0
        key = numbers.tobytes(), there.tobytes()
        if key not in self._cache:
            places = np.flatnonzero(there)
            places = places[np.argsort(numbers[places])]
            self._cache[key] = places, tuple(_EPOCH + dt.timedelta(days=number) for number in numbers[places].tolist())
        return self._cache[key]


def _unlabelled(row: LedgerSeries, ordered: _Days) -> Unlabelled | None:
    if POSSIBLE[0] not in row.sums or not row.sums[POSSIBLE[0]].any():
        return None
    places, dates = ordered.with_some(row.counts["days"], row.sums[POSSIBLE[0]])
    weight, least, most = (row.sums[name][places] for name in POSSIBLE)
    return Unlabelled(dates, weight, least / weight, most / weight)


def _series(
    row: LedgerSeries,
    name: str,
    places: NDArray[np.int64],
    dates: tuple[dt.date, ...],
    unlabelled: Unlabelled | None,
) -> Series:
    counts = {key: column[places] for key, column in row.counts.items()}
    sums = {key: column[places] for key, column in row.sums.items()}
    weight, has_squares = sums["weight"], row.metric not in DAILY and SQUARES[0] in sums
    return Series(
        metric=row.metric,
        slice=name,
        days=dates,
        pairs=counts["pairs"],
        identical=counts.get("identical"),
        champion=sums["champion_sum"] / weight,
        challenger=sums["challenger_sum"] / weight,
        difference=sums["difference_sum"] / weight,
        weight=weight,
        squares=np.column_stack([sums[key] for key in SQUARES]) if has_squares else None,
        unanswered=counts.get("unanswered"),
        champion_missing=counts.get("champion_missing"),
        unlabelled=unlabelled,
    )


def digest_of(evidence: Evidence) -> str:
    """Return the SHA-256 of all series: days, pairs and means, which are rounded to some twelve digits."""
    days: dict[tuple[dt.date, ...], int] = {}  # most series have the same ones
    names, numbers, columns = [], [], []
    for (metric, name), series in sorted(evidence.items()):
        unlabelled = series.unlabelled.days if series.unlabelled else ()
        names.append((metric, name, *(days.setdefault(each, len(days)) for each in (series.days, unlabelled))))
        numbers.append(series.pairs)
        columns += _columns(series)
    fractions, exponents = rounded(np.concatenate([np.zeros(0), *columns]))
    total = hashlib.sha256(json.dumps([names, [list(map(dt.date.toordinal, each)) for each in days]]).encode())
    for array in (np.concatenate([np.zeros(0, np.int64), *numbers]).astype("<i8"), fractions, exponents):
        total.update(array.tobytes())
    return total.hexdigest()


def _columns(series: Series) -> list[NDArray[np.float64]]:
    """Return the means that identify a series."""
    unlabelled = series.unlabelled
    of_unlabelled = [unlabelled.weight, unlabelled.least, unlabelled.most] if unlabelled else []
    return [series.champion, series.challenger, series.difference, *of_unlabelled]
