"""Evidence by series: each metric in each slice with its days as arrays, for judging a long history."""

import datetime as dt
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from psycopg import sql
from psycopg.rows import dict_row

from shadow_deployment.data.db import Session
from shadow_deployment.data.postgres_arrays import reading_many, stacked
from shadow_deployment.decision.calendar import in_order
from shadow_deployment.decision.series import MISSING, SQUARES, LedgerSeries
from shadow_deployment.ledger.reading import read_column, statement
from shadow_deployment.ledger.snapshots import Snapshot, keys
from shadow_deployment.metrics.possible_gains import POSSIBLE
from shadow_deployment.metrics.slices import ALL

_SUMS: Final = ("weight", "champion_sum", "challenger_sum", "difference_sum")
_NAMES: Final = ("metrics", "slice_columns", "slice_values")

Key = tuple[str, str, str]  # metric, column and value of a slice


def newest(
    session: Session[Any],
    challenger: int,
    snapshots: Sequence[Snapshot],
    mature: Mapping[dt.date, bool],
    *,
    champion_version: str | None = None,
) -> list[int]:
    """Return the keys of the newest final evidence of a challenger on these snapshots.

    Metrics that need labels count on the `mature` days in order, up to the first that is not. None is any champion.
    """
    counts = in_order({snapshot.day: mature.get(snapshot.day, False) for snapshot in snapshots})
    values = {
        "challenger": challenger,
        "snapshots": keys(snapshots),
        "mature": keys([snapshot for snapshot in snapshots if counts[snapshot.day]]),
        "champion_version": champion_version,
    }
    return read_column(session, statement("newest_evidence"), values)


def read(
    session: Session[Any],
    rows: Sequence[int],
    *,
    metrics: Collection[str],
    squares: bool,
    every_slice: bool = True,
) -> Iterator[LedgerSeries]:
    """Yield evidence by metric and slice, all first; the days of each in no order.

    `rows` are keys of `shadow.evidence_batch`. `squares` says whether the sums of squares are needed, which only single
    requests are judged by. Without `every_slice` only all requests.
    """
    values = {
        "rows": "{" + ",".join(map(str, rows)) + "}",
        "metrics": list(metrics),
        "squares": squares,
        "every_slice": every_slice,
        "whole": every_slice and len(metrics) > 1,
    }
    with reading_many(session) as cursor:
        cursor.row_factory = dict_row
        cut = sql.SQL("" if values["whole"] else "[w.first:w.last][1:w.slices]")
        stored = cursor.execute(statement("read_series", {"cut": cut}), values).fetchall()
    alike: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in stored:
        alike.setdefault(tuple(row[name] for name in _NAMES), []).append(row)
    grids = [_Grid.of(names, same, (*_SUMS, *(SQUARES if squares else ()))) for names, same in alike.items()]
    for key in sorted({key for grid in grids for key in grid.places if key[0] in metrics}, key=_order):
        columns = _joined([grid.columns(key) for grid in grids if key in grid.places])
        if len(columns.counts["days"]):
            yield columns


@dataclass(frozen=True, eq=False)
class _Grid:
    """Days that have the same metrics and slices: numbers of shape (metrics and slices, days), by name.

    `missing` has the counts of MISSING. `identical` has shape (metrics, days), and is of all requests, which are the
    first slice of each metric. `there` says which days have a request in a metric's slice; None where all of them have
    one in each.
    """

    places: Mapping[Key, int]
    days: NDArray[np.int64]
    pairs: NDArray[np.int64]
    missing: Mapping[str, NDArray[np.int64]]
    sums: Mapping[str, NDArray[np.float64]]
    identical: NDArray[np.int64]
    there: NDArray[np.bool_] | None

    @classmethod
    def of(cls, names: Sequence[str], rows: Sequence[Mapping[str, Any]], sums: Sequence[str]) -> "_Grid":
        """Put the rows of these days together."""

        def numbers(name: str, kind: type) -> NDArray[Any]:
            return stacked([row[name] for row in rows]).reshape(len(rows), -1).T.astype(kind, order="C")

        pairs = numbers("pairs", np.int64)
        return cls(
            {key: place for place, key in enumerate(_keys(*names))},
            np.array([row["day"] for row in rows], np.int64),
            pairs,
            {name: _filled([row[name] for row in rows], pairs.shape, 0) for name in MISSING},
            {name: numbers(name, np.float64) for name in sums}
            | {name: _filled([row[name] for row in rows], pairs.shape, 0.0) for name in POSSIBLE},
            numbers("identical", np.int64),
            _there([row["requests"] for row in rows], pairs.shape),
        )

    def columns(self, key: Key) -> LedgerSeries:
        """Return one metric in one slice, of the days that have a request in it."""
        place = self.places[key]
        there = slice(None) if self.there is None else self.there[place]
        counts = {"days": self.days[there], "pairs": self.pairs[place][there]}
        counts |= {name: column[place][there] for name, column in self.missing.items()}
        sums = {name: column[place][there] for name, column in self.sums.items()}
        if key[1] == ALL:
            slices = len(self.places) // len(self.identical)
            counts["identical"] = self.identical[place // slices][there]
        return LedgerSeries(*key, counts, sums)


def _filled(arrays: Sequence[bytes | None], shape: tuple[int, ...], otherwise: float) -> NDArray[Any]:
    """Return numbers of days as an array of a shape; `otherwise` those of a day of which none are read."""
    numbers = np.full(shape, otherwise)
    some = [day for day, each in enumerate(arrays) if each is not None]
    if some:
        numbers[:, some] = stacked([each for each in arrays if each is not None]).reshape(len(some), -1).T
    return numbers


def _there(requests: Sequence[bytes | None], shape: tuple[int, ...]) -> NDArray[np.bool_] | None:
    """Return which days have a request in a metric's slice; a day of which none is read has one in each."""
    return None if all(each is None for each in requests) else _filled(requests, shape, 1) > 0


@lru_cache(maxsize=64)
def _keys(metrics: str, columns: str, values: str) -> list[Key]:
    """Return what the elements of a day's arrays are about, in their order."""
    slices = list(zip(json.loads(columns), json.loads(values), strict=True))
    return [(metric, column, value) for metric in json.loads(metrics) for column, value in slices]


def _joined(parts: Sequence[LedgerSeries]) -> LedgerSeries:
    """Return the days of some columns of the same metric and slice as one."""
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    counts = {name: np.concatenate([part.counts[name] for part in parts]) for name in first.counts}
    sums = {name: np.concatenate([part.sums[name] for part in parts]) for name in first.sums}
    return LedgerSeries(first.metric, first.slice_column, first.slice_value, counts, sums)


def _order(key: Key) -> tuple[Any, ...]:
    metric, column, value = key
    return metric, column != ALL, column, value
