"""Series of evidence for a page: a year of a metric in every slice at once, as arrays."""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from psycopg.rows import dict_row

from include.shadow.evidence import Series, slice_name
from include.shadow.ledger.database import Session
from include.shadow.ledger.page import keys
from include.shadow.ledger.snapshots import Snapshot
from include.shadow.metrics import METRICS
from include.shadow.statements import parameterised

_SQL = Path(__file__).parent / "sql"
_EPOCH: Final = dt.date(2000, 1, 1)
_SQUARES: Final = ("weight_squares", "difference_sum_weighted", "difference_squares_weighted")

ByName = dict[tuple[str, str], Series]


def series(
    session: Session[Any],
    comparable: Mapping[int, Sequence[Snapshot]],
    *,
    champion_version: str,
    metrics: Collection[str],
    ripe: Mapping[dt.date, bool],
    every_slice: bool = False,
    squares: bool = False,
) -> dict[int, ByName]:
    """Return evidence by challenger, and by metric and slice, each challenger's on its comparable days.

    `ripe` says of each day whether its labels count, as `evidence.gather` takes it; `squares` whether the sums of
    squares are needed. Without `every_slice` only all requests. How many requests there are, and how many pairs are
    identical, is not read: the series say as many as pairs, and none.
    """
    values = {
        "challengers": list(comparable),
        "snapshots": keys({one.id: one for days in comparable.values() for one in days}.values()),
        "champion_version": champion_version,
        "metrics": list(metrics),
        "every_slice": every_slice,
        "squares": squares,
    }
    usable = {key: _Days({one.day: ripe.get(one.day, False) for one in days}) for key, days in comparable.items()}
    found: dict[int, ByName] = {key: {} for key in comparable}
    with session.cursor(row_factory=dict_row, binary=True) as cursor:
        for row in cursor.execute(parameterised(_SQL / "page_series.sql"), values):
            one = _series(row, usable[row["challenger_id"]])
            found[row["challenger_id"]][one.metric, one.slice] = one
    return found


class _Days:
    """Which days count; most series of a challenger have the same days, which are then looked up once."""

    def __init__(self, ripe: Mapping[dt.date, bool]) -> None:
        self._ripe = {(day - _EPOCH).days: is_ripe for day, is_ripe in ripe.items()}
        self._known: dict[tuple[bytes, bool], tuple[tuple[dt.date, ...], NDArray[np.bool_]]] = {}

    def chosen(self, packed: bytes, *, needs_label: bool) -> tuple[tuple[dt.date, ...], NDArray[np.bool_]]:
        """Return the days that count, and which entries of the column they are."""
        found = self._known.get((packed, needs_label))
        if found is None:
            numbers = np.frombuffer(packed, ">i4").tolist()
            counts = [number in self._ripe and (self._ripe[number] or not needs_label) for number in numbers]
            days = (_EPOCH + dt.timedelta(days=one) for one, is_in in zip(numbers, counts, strict=True) if is_in)
            found = self._known[packed, needs_label] = tuple(days), np.array(counts, bool)
        return found


def _series(row: Mapping[str, Any], usable: _Days) -> Series:
    metric = METRICS[row["metric"]]
    days, counts = usable.chosen(row["days"], needs_label=metric.needs_label)

    def column(key: str) -> NDArray[np.float64]:
        return np.frombuffer(row[key], ">f8").astype(np.float64)[counts]

    weight, pairs = column("weight"), np.frombuffer(row["pairs"], ">i4").astype(np.int64)[counts]
    has_squares = metric.is_sum and row["weight_squares"] is not None
    return Series(
        metric=row["metric"],
        slice=slice_name(row["slice_column"], row["slice_value"]),
        days=days,
        requests=pairs,
        pairs=pairs,
        identical=np.zeros_like(pairs),
        champion=column("champion") / weight,
        challenger=column("challenger") / weight,
        difference=column("difference") / weight,
        weight=weight,
        squares=np.column_stack([column(key) for key in _SQUARES]) if has_squares else None,
    )
