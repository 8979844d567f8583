"""The calendar: which days count, and why the others do not."""

import datetime as dt
from dataclasses import dataclass, field, replace

import pytest

from shadow_deployment.decision.calendar import (
    LabelProgress,
    collected_later,
    comparable,
    exclusion,
    final_days,
    label_progress,
    newest_coverage,
)

MATURITY = dt.timedelta(days=7)


@dataclass(frozen=True)
class Day:
    """A sampled day of January 2024, its labels collected up to its own window's end."""

    id: int
    rows: int = 100
    labelled: int = 0
    contradicted: int = 0
    collected_after: int | None = 0
    champion_versions: list[str] = field(default_factory=lambda: ["7"])

    @property
    def day(self) -> dt.date:
        return dt.date(2024, 1, self.id)

    @property
    def window_end(self) -> dt.datetime:
        return moment(self.id)

    @property
    def labels_until(self) -> dt.datetime | None:
        return None if self.collected_after is None else moment(self.id + self.collected_after)


def moment(day: int) -> dt.datetime:
    """The end of a day's window."""
    return dt.datetime(2024, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=day)


def progress(*days: Day, now: int, known: dict[int, int] | None = None, coverage: float = 1.0) -> list[LabelProgress]:
    found = label_progress(days, known or {}, now=moment(now), maturity=MATURITY, minimum_coverage=coverage)
    return [found[one.day] for one in days]


@pytest.mark.parametrize(
    ("versions", "valid", "reason"),
    [
        (["7"], {1}, None),
        (["7"], set(), "expectations not met"),
        (["6"], {1}, "another champion"),
        (["6", "7"], {1}, "several champions"),
        ([], {1}, "no requests"),
    ],
)
def test_a_day_is_compared_unless_there_is_a_reason(versions: list[str], valid: set[int], reason: str | None) -> None:
    one = Day(1, champion_versions=versions)
    assert exclusion(one, "7", valid) == reason
    assert comparable([one, Day(2)], "7", valid | {2}) == ([one] if reason is None else []) + [Day(2)]


@pytest.mark.parametrize(
    ("one", "now", "counts"),
    [
        (Day(1, labelled=100), 1, True),
        (Day(1, labelled=99), 1, False),
        (Day(1, labelled=99, collected_after=6), 8, False),
        (Day(1, labelled=99, collected_after=7), 8, True),
        (Day(1, labelled=99, collected_after=7), 7, False),
        (Day(1, labelled=0, collected_after=None), 30, False),
        (Day(1, rows=0), 1, False),
        (Day(1, rows=0, collected_after=7), 8, True),
    ],
)
def test_a_day_counts_once_its_labels_are_known_or_none_is_expected(one: Day, now: int, counts: bool) -> None:
    assert progress(one, now=now)[0].counts is counts


@pytest.mark.parametrize(("labelled", "counts"), [(79, False), (80, True)])
def test_a_share_of_the_labels_is_enough_where_the_policy_says_so(labelled: int, counts: bool) -> None:
    assert progress(Day(1, labelled=labelled), now=1, coverage=0.8)[0].counts is counts


def test_labels_that_became_known_later_change_nothing_for_a_past_day() -> None:
    late = Day(3, labelled=100, collected_after=9)
    assert collected_later([Day(1, collected_after=9), late], moment(9), MATURITY) == [late]
    assert [one.counts for one in progress(late, now=9, known={3: 60})] == [False]
    assert [one.counts for one in progress(late, now=12, known={})] == [True]


def test_what_is_expected_of_a_day_follows_from_the_complete_ones() -> None:
    final, waiting = Day(1, labelled=90, collected_after=7), Day(9, rows=50, labelled=10)
    more = replace(waiting, id=10, labelled=48)
    assert [one.expected for one in progress(final, waiting, more, now=10)] == [90, 45, 48]
    assert [one.expected for one in progress(waiting, now=10)] == [None]
    contradicted = Day(2, labelled=98, contradicted=2)
    assert [one.expected for one in progress(contradicted, waiting, now=10)] == [98, 49]


def test_final_days_and_the_coverage_of_the_newest() -> None:
    days = [Day(1, labelled=90, collected_after=7), Day(2, labelled=80, collected_after=8), Day(3, labelled=100)]
    assert final_days(days, MATURITY) == {days[0].day, days[1].day}
    assert newest_coverage(days, MATURITY) == 0.8
    assert newest_coverage([*days[:2], Day(4, rows=0, collected_after=7)], MATURITY) == 0.8
    assert newest_coverage(days[2:], MATURITY) is None
