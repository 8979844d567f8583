"""What a few rows say of a column."""

import datetime as dt
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

from shadow_deployment.data.sources.table import Column
from shadow_deployment.onboarding.tables.port import Values, kind_of

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


@dataclass(frozen=True)
class Profile:
    """One column with the values of some rows; `kind` is number, boolean, text or time.

    `values` has None where there is none; whole numbers stay int, others are float, NaN included.
    """

    name: str
    type: str
    kind: str
    values: Sequence[Any]

    @cached_property
    def known(self) -> list[Any]:
        """The values that are there, without NaN."""
        return [each for each in self.values if each is not None and not (isinstance(each, float) and math.isnan(each))]

    @cached_property
    def counts(self) -> Counter[Any]:
        """How often each value is there."""
        return Counter(self.known)

    @cached_property
    def words(self) -> list[str]:
        """The words of the name in lower case: predictedAt has predicted and at."""
        return [word.lower() for word in _WORD.findall(self.name)]

    @property
    def is_complete(self) -> bool:
        """Whether every row has a value."""
        return bool(self.values) and len(self.known) == len(self.values)

    @property
    def is_unique(self) -> bool:
        """Whether every row has a value of its own."""
        return self.is_complete and len(self.counts) == len(self.values)

    @property
    def is_whole(self) -> bool:
        """Whether it holds whole numbers only."""
        return self.kind == "number" and all(float(each).is_integer() for each in self.known)

    @property
    def is_share(self) -> bool:
        """Whether it holds numbers from 0 to 1, and more than a yes and no."""
        return self.kind == "number" and len(self.counts) > 2 and all(0 <= each <= 1 for each in self.known)

    @property
    def is_rising(self) -> bool:
        """Whether 95 % of the values are at least the one before: rows were appended as time went by."""
        pairs = list(zip(self.known, self.known[1:], strict=False))
        return len(pairs) > 1 and sum(first <= second for first, second in pairs) >= 0.95 * len(pairs)

    def names(self, *words: str) -> bool:
        """Return whether the name has one of these words."""
        return not set(words).isdisjoint(self.words)

    def rank(self, words: Sequence[str]) -> int:
        """Return the place of the first of these words that the name has, their number without any."""
        return min((words.index(word) for word in self.words if word in words), default=len(words))


def profiles_of(columns: Mapping[str, Column], values: Values) -> dict[str, Profile]:
    """Return the profile of each column that a deployment can use."""
    return {
        name: Profile(name, column.type, kind, [_plain(each) for each in values.get(name, ())])
        for name, column in columns.items()
        if (kind := kind_of(column)) is not None
    }


def text_of_value(value: Any) -> str:
    """Return a value as Postgres writes it as text, for ids and labels."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def days_between_moments(pairs: Iterable[tuple[dt.datetime, dt.datetime]]) -> list[float]:
    """Return the days from the first to the second moment of each pair, in order of their length."""
    return sorted((second - first) / dt.timedelta(days=1) for first, second in pairs)


def duration(days: float) -> str:
    """Return a number of days in words, below two days in hours, below two hours in minutes."""
    for unit, length in (("minutes", 1 / 1440), ("hours", 1 / 24)):
        if days < {"minutes": 2 / 24, "hours": 2}[unit]:
            return f"{days / length:.3g} {unit}"
    return f"{days:.3g} days"


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value.is_finite() and value == value.to_integral_value() else float(value)
    return value
