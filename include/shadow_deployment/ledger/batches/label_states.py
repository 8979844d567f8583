"""What is known of requests' labels, made from the rows that production has of them: arrays alone.

The label that became known first stands; the first one that differs from it contradicts it. A value that is no label of
the task is invalid, and a label that was known before its request is early: neither is ever used.
"""

from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

NEVER: Final = np.iinfo(np.int64).max  # what Postgres calls infinity

Floats = NDArray[np.float64]
Moments = NDArray[np.int64]  # microseconds since the year 2000, NEVER for no time
Texts = NDArray[np.object_]  # None for no text


@dataclass(frozen=True, eq=False)
class LabelRows:
    """Rows of labels, of which a request may have several; `value` is NaN where `invalid` has the text of one."""

    ordinal: NDArray[np.int64]
    value: Floats
    known_at: Moments
    invalid: Texts
    early: NDArray[np.bool_]

    def __add__(self, other: "LabelRows") -> "LabelRows":
        return LabelRows(*(np.concatenate(columns) for columns in zip(_all(self), _all(other), strict=True)))


@dataclass(frozen=True, eq=False)
class LabelStates:
    """The labels of some requests, one entry a request: NaN and NEVER where there is nothing."""

    value: Floats
    known_at: Moments
    conflict: Floats
    conflict_at: Moments
    invalid: Texts
    invalid_at: Moments
    early_at: Moments

    @classmethod
    def nothing(cls, count: int) -> "LabelStates":
        """Return that nothing is known of so many requests."""
        nan, never = np.full(count, np.nan), np.full(count, NEVER)
        return cls(nan, never, nan.copy(), never.copy(), np.full(count, None, object), never.copy(), never.copy())

    def at(self, places: NDArray[Any]) -> "LabelStates":
        """Return the entries at some places."""
        return LabelStates(*(column[places] for column in _all(self)))

    def put(self, places: NDArray[Any], states: "LabelStates") -> None:
        """Replace the entries at some places."""
        for column, values in zip(_all(self), _all(states), strict=True):
            column[places] = values

    def differ(self, other: "LabelStates") -> NDArray[np.bool_]:
        """Return which entries are not the same."""
        times = ("known_at", "conflict_at", "invalid_at", "early_at")
        differ = np.logical_or.reduce([getattr(self, name) != getattr(other, name) for name in times])
        for mine, theirs in ((self.value, other.value), (self.conflict, other.conflict)):
            differ |= (mine != theirs) & ~(np.isnan(mine) & np.isnan(theirs))
        return np.asarray(differ | (self.invalid != other.invalid), bool)

    def usable(self, moment: int) -> Floats:
        """Return the labels known by a moment, NaN where there was none or another one contradicted it by then."""
        contradicted = (self.conflict_at <= moment) & (self.conflict_at != NEVER)
        return np.where((self.known_at <= moment) & ~contradicted, self.value, np.nan)

    def rows(self, ordinal: NDArray[np.int64]) -> LabelRows:
        """Return rows from which the same states are made; `ordinal` names the requests."""
        columns = (
            (self.value, self.known_at, False),
            (self.conflict, self.conflict_at, False),
            (np.full(len(ordinal), np.nan), self.invalid_at, False),
            (np.zeros(len(ordinal)), self.early_at, True),
        )
        rows = [
            LabelRows(ordinal[there], values[there], at[there], self.invalid[there], np.full(there.sum(), early))
            for values, at, early in columns
            for there in [at != NEVER]
        ]
        return rows[0] + rows[1] + rows[2] + rows[3]


@dataclass(frozen=True)
class LabelCounts:
    """How many requests have which label at a moment, and when the newest label became known, of those that stand."""

    labelled: int = 0
    contradicted: int = 0
    invalid: int = 0
    early: int = 0
    newest: int = -NEVER

    @classmethod
    def of(cls, states: LabelStates, moment: int) -> "LabelCounts":
        """Count states as they were known by a moment."""
        known, contradicted = states.known_at[states.known_at <= moment], int((states.conflict_at <= moment).sum())
        return cls(
            labelled=len(known) - contradicted,
            contradicted=contradicted,
            invalid=int((states.invalid_at <= moment).sum()),
            early=int((states.early_at <= moment).sum()),
            newest=int(known.max(initial=-NEVER)),
        )

    def __add__(self, other: "LabelCounts") -> "LabelCounts":
        names = ("labelled", "contradicted", "invalid", "early")
        sums = {name: getattr(self, name) + getattr(other, name) for name in names}
        return LabelCounts(**sums, newest=max(self.newest, other.newest))


def resolve(rows: LabelRows, ordinals: NDArray[np.int64]) -> LabelStates:
    """Return the states that rows make of requests; `ordinals` are in ascending order, with all those of the rows."""
    order = np.lexsort((rows.value, rows.known_at, rows.ordinal))
    rows = LabelRows(*(column[order] for column in _all(rows)))
    place = np.searchsorted(ordinals, rows.ordinal)
    is_invalid = np.isnan(rows.value)
    is_label = ~is_invalid & ~rows.early
    states = LabelStates.nothing(len(ordinals))
    for where, columns in (
        (is_label, ("value", "known_at")),
        (is_invalid, ("invalid", "invalid_at")),
        (rows.early & ~is_invalid, ("", "early_at")),
    ):
        _enter_first(states, rows, place, where, *columns)
    _enter_first(states, rows, place, is_label & (rows.value != states.value[place]), "conflict", "conflict_at")
    return states


def _enter_first(
    states: LabelStates, rows: LabelRows, place: NDArray[Any], where: NDArray[np.bool_], column: str, moment: str
) -> None:
    """Enter of each request the first of the rows `where` something holds; rows are in the order of their times."""
    chosen = np.flatnonzero(where)
    first = chosen[np.diff(place[chosen], prepend=-1) > 0]
    if column:
        getattr(states, column)[place[first]] = (rows.invalid if column == "invalid" else rows.value)[first]
    getattr(states, moment)[place[first]] = rows.known_at[first]


def _all(columns: LabelRows | LabelStates) -> list[NDArray[Any]]:
    return [getattr(columns, field.name) for field in fields(columns)]
