"""The calendar: which days count, and why the others do not."""

import datetime as dt
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from shadow_deployment.decision.calendar import (
    Calendar,
    DayRecords,
    LabelProgress,
    calendar_of,
    comparable,
    counts_of,
    coverage,
    in_order,
    label_progress,
    newest_coverage,
)
from shadow_deployment.decision.trial import champion_in_words

MATURITY = dt.timedelta(days=7)


@dataclass(frozen=True)
class Day:
    """A sampled day of January 2024, its labels collected up to its own window's end, or some days after it."""

    id: int
    rows: int = 100
    labelled: int = 0
    complete_at: dt.datetime | None = None
    collected_after: int | None = 0
    champion_versions: list[str] = field(default_factory=lambda: ["7"])
    by_service: bool = False

    @property
    def champions(self) -> list[str]:
        return ["service"] if self.by_service else self.champion_versions

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


def progress(*days: Day) -> list[LabelProgress]:
    found = label_progress(days, MATURITY)
    return [found[one.day] for one in days]


def states(*taken: Day, first: int = 1, shown_from: int = 1, last: int = 3, **records: Any) -> Calendar:
    everything: dict[str, Any] = {"scored": {1, 2, 3, 4, 5}, **records}
    return calendar_of(
        taken,
        DayRecords(**everything),
        champion_version="7",
        every=[dt.date(2024, 1, number) for number in range(shown_from, last + 1)],
        first=dt.date(2024, 1, first),
    )


@pytest.mark.parametrize(
    ("versions", "records", "state"),
    [
        (["7"], {}, "compared"),
        (["7"], {"scored": {1, 3}}, "not run"),
        (["7"], {"failed": {2}}, "inputs failed"),
        (["7"], {"failed": {2}, "scored": {1, 3}}, "inputs failed"),
        (["7"], {"withdrawn": {dt.date(2024, 1, 2): "the log was loaded twice"}}, "withdrawn"),
        (["7"], {"seen": {dt.date(2024, 1, 2)}}, "seen before the trial"),
        (["6"], {}, "another champion"),
        (["6", "7"], {}, "several champions"),
        ([], {}, "no requests"),
        (None, {}, "not run"),
        (None, {"begun": [dt.date(2024, 1, 2)]}, "not complete"),
    ],
)
def test_every_day_is_accounted_for(versions: list[str] | None, records: dict[str, Any], state: str) -> None:
    second = [] if versions is None else [Day(2, champion_versions=versions)]
    calendar = states(Day(1), *second, Day(3), **records)
    assert list(calendar.states.values()) == ["compared", state, "compared"]
    chosen = state in ("not run", "not complete", "inputs failed", "withdrawn")
    assert calendar.left_out == ([dt.date(2024, 1, 2)] if chosen else [])


def test_against_the_service_days_of_every_version_count_and_the_versions_are_named() -> None:
    served = (["6"], ["6", "7"], ["7"])
    taken = [Day(number, champion_versions=each, by_service=True) for number, each in enumerate(served, 1)]
    first, every = taken[0].day, [each.day for each in taken]
    records = DayRecords(scored={1, 2, 3})
    calendar = calendar_of(taken, records, champion_version="service", every=every, first=first)
    assert list(calendar.states.values()) == ["compared"] * 3
    counts = counts_of(calendar, taken, dict.fromkeys(calendar.states, True), first)
    assert counts.champion_versions == {"6": 2, "7": 2}
    assert champion_in_words("service", counts.champion_versions) == (
        "whatever production serves (versions 6 on 2 days, 7 on 2 days)"
    )


def test_of_many_versions_of_the_service_the_newest_are_named() -> None:
    served = {str(version): 1 for version in range(1, 8)}
    assert champion_in_words("service", served) == (
        "whatever production serves (2 earlier versions, then versions 3 on 1 day, 4 on 1 day, 5 on 1 day, 6 on 1 day, "
        "7 on 1 day)"
    )
    assert champion_in_words("service") == "whatever production serves"
    assert champion_in_words("7", {"7": 3}) == "champion 7"


def test_days_before_the_first_are_replayed_where_they_can_be_compared_and_never_left_out() -> None:
    calendar = states(Day(1), Day(3), Day(4), first=3, last=5)
    assert list(calendar.states.values()) == ["replayed", "compared", "compared", "not run"]
    assert calendar.left_out == [dt.date(2024, 1, 5)]


@pytest.mark.parametrize(("days", "runs", "most"), [(10, 8, None), (10, 7, 2), (100, 95, None), (100, 94, 5)])
def test_a_share_of_the_days_and_two_in_any_case_may_be_left_out(days: int, runs: int, most: int | None) -> None:
    first = dt.date(2024, 1, 1)
    calendar = Calendar(
        {first + dt.timedelta(days=day): "compared" if day < runs else "not run" for day in range(days)}
    )
    assert calendar.too_many_left_out(0.05) == most


def test_days_count_in_order_up_to_the_first_that_waits_for_labels() -> None:
    days = [dt.date(2024, 1, day) for day in (1, 2, 5)]
    assert list(in_order(dict(zip(days, (True, False, True), strict=True))).values()) == [True, False, False]


def test_the_days_of_a_verdict_in_short() -> None:
    taken = [Day(1, champion_versions=["6"]), Day(2), Day(3), Day(4)]
    calendar = states(*taken, first=2, last=5)
    labels = {dt.date(2024, 1, day): day < 4 for day in range(1, 5)}
    assert counts_of(calendar, taken, labels, dt.date(2024, 1, 3)).to_json() == {
        "counted": 2,
        "waiting": 1,
        "left_out": [{"day": "2024-01-05", "why": "not run"}],
        "replayed": 1,
        "live": 1,
        "champion_versions": [{"version": "7", "days": 2}],
        "concluded_on": None,
        "period": "day",
    }
    concluded = counts_of(calendar, taken, labels, dt.date(2024, 1, 3))
    assert replace(concluded, concluded_on=dt.date(2024, 1, 4)).to_json()["concluded_on"] == "2024-01-04"
    assert [replace(concluded, period=period).say(2) for period in ("day", "week")] == ["2 days", "2 weeks"]


def test_days_are_comparable_where_that_champion_served_and_the_challenger_answered() -> None:
    days = [Day(1), Day(2, champion_versions=["6"]), Day(3), Day(4, champion_versions=["6", "7"])]
    assert [each.id for each in comparable(days, "7", {1, 2, 4})] == [1]


def test_days_before_the_first_that_counts_are_replayed_once_their_labels_count() -> None:
    """Of five days, two lie before the trial's first and one of these waits for labels; one that counts is not live."""
    taken = [Day(number) for number in range(1, 6)]
    calendar = states(*taken, first=3, last=5)
    labels = {dt.date(2024, 1, day): day != 1 for day in range(1, 6)}
    counts = counts_of(calendar, taken, labels, dt.date(2024, 1, 4))
    assert (counts.counted, counts.live, counts.replayed, counts.waiting) == (3, 2, 2, 0)


@pytest.mark.parametrize(
    ("one", "counts"),
    [
        (Day(1, labelled=100, complete_at=moment(1)), True),
        (Day(1, labelled=98, complete_at=moment(1)), True),
        (Day(1, labelled=99), False),
        (Day(1, labelled=99, collected_after=6), False),
        (Day(1, labelled=99, collected_after=7), True),
        (Day(1, labelled=0, collected_after=7), True),
        (Day(1, labelled=0, collected_after=None), False),
        (Day(1, rows=0), False),
        (Day(1, rows=0, collected_after=7), True),
    ],
)
def test_a_day_counts_once_its_labels_are_known_or_none_is_expected(one: Day, counts: bool) -> None:
    assert progress(one)[0].counts is counts


def test_what_is_expected_of_a_day_follows_from_the_mature_ones() -> None:
    final, waiting = Day(1, labelled=90, collected_after=7), Day(9, rows=50, labelled=10)
    more = replace(waiting, id=10, labelled=48)
    assert [one.expected for one in progress(final, waiting, more)] == [90, 45, 48]
    assert [one.labelled for one in progress(final, waiting)] == [90, 10]
    assert [one.expected for one in progress(waiting)] == [None]
    assert [one.expected for one in progress(final, Day(2, labelled=70, collected_after=7))] == [90, 70]
    contradicted = Day(2, labelled=98, complete_at=moment(2))
    assert [one.expected for one in progress(contradicted, waiting)] == [98, 49]


def test_the_coverage_of_days_and_of_the_newest_final_one() -> None:
    days = [Day(1, labelled=90, collected_after=7), Day(2, labelled=80, collected_after=8), Day(3, labelled=100)]
    assert coverage(days) == 0.9
    assert coverage([]) is coverage([Day(1, rows=0)]) is None
    assert newest_coverage(days, MATURITY) == 0.8
    assert newest_coverage([*days[:2], Day(4, rows=0, collected_after=7)], MATURITY) == 0.8
    assert newest_coverage(days[2:], MATURITY) is None
    earlier = Day(5, labelled=50, collected_after=7)
    many = [earlier, replace(earlier, id=6, labelled=60), replace(earlier, id=7, labelled=70)]
    assert newest_coverage(many, MATURITY) == 0.7
