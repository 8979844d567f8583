"""A day is a stretch of time of the deployment's own zone, and days follow each other without gap or overlap."""

import datetime as dt
from functools import cache
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.window import (
    day_after,
    day_of,
    days_between,
    first_day_from,
    first_day_on,
    window_at,
    window_of,
    windows_of,
)
from shadow_deployment.errors import DeploymentError
from tests.builders import a_deployment

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Auckland"]
DAYS = st.dates(dt.date(1990, 1, 1), dt.date(2037, 12, 30))
HOURS = st.integers(0, 23)
CHANGES = [  # zone, and a day on which its clocks are changed in the hour
    ("Europe/Berlin", 2, dt.date(2013, 3, 31)),
    ("Europe/Berlin", 2, dt.date(2013, 10, 27)),
    ("America/New_York", 2, dt.date(2013, 3, 10)),
    ("America/New_York", 1, dt.date(2013, 11, 3)),
    ("Australia/Lord_Howe", 2, dt.date(2013, 10, 6)),
    ("Australia/Lord_Howe", 1, dt.date(2013, 4, 7)),
    ("America/Santiago", 0, dt.date(2019, 9, 8)),
]


@cache
def at(hour: int, zone: str) -> Deployment:
    return a_deployment(schedule=f"30 {hour} * * *", timezone=zone)


def utc(*parts: int) -> dt.datetime:
    return dt.datetime(*parts, tzinfo=dt.UTC)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("zone", "schedule", "day", "start", "end"),
    [
        ("UTC", "0 0 * * *", dt.date(2013, 3, 1), utc(2013, 3, 1), utc(2013, 3, 2)),
        ("UTC", "45 6 * * *", dt.date(2013, 12, 31), utc(2013, 12, 31, 6, 45), utc(2014, 1, 1, 6, 45)),
        ("Asia/Kolkata", "0 0 * * *", dt.date(2013, 3, 1), utc(2013, 2, 28, 18, 30), utc(2013, 3, 1, 18, 30)),
        ("Europe/Berlin", "0 0 * * *", dt.date(2013, 3, 31), utc(2013, 3, 30, 23), utc(2013, 3, 31, 22)),
        ("Europe/Berlin", "0 0 * * *", dt.date(2013, 10, 27), utc(2013, 10, 26, 22), utc(2013, 10, 27, 23)),
        ("America/New_York", "0 0 * * *", dt.date(2013, 3, 10), utc(2013, 3, 10, 5), utc(2013, 3, 11, 4)),
        ("America/New_York", "0 0 * * *", dt.date(2013, 11, 3), utc(2013, 11, 3, 4), utc(2013, 11, 4, 5)),
        ("America/New_York", "0 6 * * *", dt.date(2013, 3, 9), utc(2013, 3, 9, 11), utc(2013, 3, 10, 10)),
        ("America/New_York", "0 6 * * *", dt.date(2013, 11, 2), utc(2013, 11, 2, 10), utc(2013, 11, 3, 11)),
    ],
)
def test_a_window_is_the_local_day_from_the_hour_of_the_schedule(
    zone: str, schedule: str, day: dt.date, start: dt.datetime, end: dt.datetime
) -> None:
    window = window_of(a_deployment(timezone=zone, schedule=schedule), day)
    assert (window.day, window.start, window.end) == (day, start, end)
    assert window.start.utcoffset() == window.end.utcoffset() == dt.timedelta(0)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("UTC", dt.date(2013, 3, 31), 24),
        ("Europe/Berlin", dt.date(2013, 3, 30), 24),
        ("Europe/Berlin", dt.date(2013, 3, 31), 23),
        ("Europe/Berlin", dt.date(2013, 10, 27), 25),
        ("America/New_York", dt.date(2013, 3, 10), 23),
        ("America/New_York", dt.date(2013, 11, 3), 25),
        ("Australia/Lord_Howe", dt.date(2013, 10, 6), 23.5),
    ],
)
def test_a_day_on_which_the_clocks_change_is_shorter_or_longer(zone: str, day: dt.date, hours: float) -> None:
    window = window_of(a_deployment(timezone=zone), day)
    assert window.end - window.start == dt.timedelta(hours=hours)


@given(day=DAYS, hour=HOURS, zone=st.sampled_from(ZONES))
@settings(max_examples=50)
def test_each_day_begins_where_the_one_before_ends(day: dt.date, hour: int, zone: str) -> None:
    deployment = at(hour, zone)
    window = window_of(deployment, day)
    assert window.start < window.end == window_of(deployment, day + dt.timedelta(days=1)).start


@given(day=DAYS, hour=HOURS, zone=st.sampled_from(ZONES))
@settings(max_examples=50)
def test_the_day_of_a_window_is_found_from_where_it_begins(day: dt.date, hour: int, zone: str) -> None:
    deployment = at(hour, zone)
    start = window_of(deployment, day).start
    assert day_of(deployment, start) == day
    assert day_of(deployment, start.astimezone(ZoneInfo("Asia/Tokyo"))) == day


@given(day=DAYS, hour=HOURS, zone=st.sampled_from(ZONES), part=st.floats(0, 1, exclude_max=True))
@settings(max_examples=50)
def test_every_moment_of_a_window_belongs_to_its_day(day: dt.date, hour: int, zone: str, part: float) -> None:
    deployment = at(hour, zone)
    window = window_of(deployment, day)
    assert day_of(deployment, window.start + part * (window.end - window.start - dt.timedelta(microseconds=1))) == day
    assert day_of(deployment, window.end - dt.timedelta(microseconds=1)) == day
    assert day_of(deployment, window.end) == day + dt.timedelta(days=1)


@pytest.mark.parametrize(("zone", "hour", "day"), CHANGES)
def test_every_moment_belongs_to_its_day_where_the_day_begins_as_the_clocks_change(
    zone: str, hour: int, day: dt.date
) -> None:
    deployment = at(hour, zone)
    for one in (day - dt.timedelta(days=1), day, day + dt.timedelta(days=1)):
        window = window_of(deployment, one)
        minutes = (window.end - window.start) // dt.timedelta(minutes=1)
        assert {day_of(deployment, window.start + dt.timedelta(minutes=minute)) for minute in range(minutes)} == {one}


@pytest.mark.parametrize(
    ("cron", "zone", "hour", "day"),
    [
        (cron, *change)
        for cron in ("30 {hour} * * *", "30 * * * *", "15 */2 * * *", "30 {hour} * * 0", "30 {hour} * * 1")
        for change in CHANGES
        # Airflow's hourly timetable does not get past a change of the clocks by half an hour.
        if not (cron.startswith("30 *") and change[0] == "Australia/Lord_Howe")
    ],
)
def test_windows_are_the_data_intervals_of_airflow(cron: str, zone: str, hour: int, day: dt.date) -> None:
    import pendulum
    from airflow.timetables.base import DataInterval, TimeRestriction
    from airflow.timetables.interval import CronDataIntervalTimetable

    schedule = cron.format(hour=hour)
    timetable = CronDataIntervalTimetable(schedule, timezone=zone)
    deployment = a_deployment(schedule=schedule, timezone=zone, policy={"unit": "week"})
    length = dt.timedelta(deployment.policy.days_per_period)
    days = days_between(deployment, day - 2 * length, day + length)
    first, *windows = [window for one in days for window in windows_of(deployment, one)]
    interval = DataInterval(pendulum.instance(first.start), pendulum.instance(first.end))
    for window in windows:
        run = timetable.next_dagrun_info(
            last_automated_data_interval=interval, restriction=TimeRestriction(None, None, catchup=True)
        )
        assert run is not None
        interval = run.data_interval
        assert (interval.start, interval.end) == (window.start, window.end)


@pytest.mark.parametrize(
    ("zone", "schedule", "day", "count"),
    [
        ("UTC", "30 6 * * *", dt.date(2013, 3, 31), 1),
        ("UTC", "0 * * * *", dt.date(2013, 3, 31), 24),
        ("Europe/Berlin", "0 * * * *", dt.date(2013, 3, 31), 23),
        ("Europe/Berlin", "0 * * * *", dt.date(2013, 10, 27), 25),
        ("Asia/Kolkata", "45 * * * *", dt.date(2013, 3, 31), 24),
        ("America/Santiago", "0 * * * *", dt.date(2019, 9, 8), 23),
        ("Europe/Berlin", "0 */6 * * *", dt.date(2013, 3, 31), 4),
    ],
)
def test_the_windows_of_a_day_are_the_day_without_gap_or_overlap(
    zone: str, schedule: str, day: dt.date, count: int
) -> None:
    deployment = a_deployment(timezone=zone, schedule=schedule)
    windows, whole = windows_of(deployment, day), window_of(deployment, day)
    assert len(windows) == count
    assert [window.start for window in windows] == [whole.start, *(window.end for window in windows[:-1])]
    assert windows[-1].end == whole.end
    for window in windows:
        assert window.day == day
        assert window_at(deployment, window.start) == window_at(deployment, window.end - dt.timedelta(microseconds=1))
        assert window_at(deployment, window.start) == window


@pytest.mark.parametrize(
    ("first", "last", "days"),
    [
        (dt.date(2013, 2, 27), dt.date(2013, 3, 1), [dt.date(2013, 2, 27), dt.date(2013, 2, 28), dt.date(2013, 3, 1)]),
        (dt.date(2013, 3, 1), dt.date(2013, 3, 1), [dt.date(2013, 3, 1)]),
        (dt.date(2013, 3, 2), dt.date(2013, 3, 1), []),
    ],
)
def test_days_between_holds_both_ends(first: dt.date, last: dt.date, days: list[dt.date]) -> None:
    assert list(days_between(a_deployment(), first, last)) == days


WEEKLY = a_deployment(  # from a Friday to a Tuesday, by weeks that begin on Wednesdays
    schedule="30 6 * * 3", start=dt.date(2024, 3, 1), end=dt.date(2024, 4, 2), policy={"unit": "week"}
)


def test_a_week_is_named_by_its_first_day_and_contains_seven() -> None:
    window = window_of(WEEKLY, dt.date(2024, 3, 6))
    assert (window.start, window.end) == (utc(2024, 3, 6, 6, 30), utc(2024, 3, 13, 6, 30))
    assert windows_of(WEEKLY, window.day) == [window]
    for moment in (window.start, window.start + dt.timedelta(days=5), window.end - dt.timedelta(microseconds=1)):
        assert day_of(WEEKLY, moment) == window.day
        assert window_at(WEEKLY, moment) == window
    assert day_of(WEEKLY, window.end) == day_after(WEEKLY, window.day) == dt.date(2024, 3, 13)
    assert first_day_from(WEEKLY, window.start) == first_day_on(WEEKLY, window.day) == window.day
    assert first_day_from(WEEKLY, utc(2024, 3, 6, 6, 31)) == first_day_on(WEEKLY, dt.date(2024, 3, 7))


def test_a_day_inside_a_week_is_no_week() -> None:
    text = r"day == 2024-03-07, must be the first day of a week, such as 2024-03-06 \(schedule == '30 6 \* \* 3'\)"
    with pytest.raises(DeploymentError, match=text):
        window_of(WEEKLY, dt.date(2024, 3, 7))


def test_a_weekly_deployment_has_the_whole_weeks_between_start_and_end() -> None:
    assert (WEEKLY.start, WEEKLY.end) == (dt.date(2024, 3, 6), dt.date(2024, 3, 27))
    assert list(days_between(WEEKLY, dt.date(2024, 3, 6), dt.date(2024, 3, 19))) == [
        dt.date(2024, 3, 6),
        dt.date(2024, 3, 13),
    ]
    assert next(days_between(WEEKLY, dt.date(2024, 3, 12), dt.date(2024, 3, 13))) == dt.date(2024, 3, 6)
    assert list(days_between(WEEKLY, dt.date(2024, 3, 13), dt.date(2024, 3, 12))) == []


def test_a_window_is_shown_in_utc() -> None:
    window = window_of(a_deployment(timezone="Europe/Berlin"), dt.date(2013, 7, 1))
    assert str(window) == "2013-06-30 22:00 to 2013-07-01 22:00 UTC"


@pytest.mark.parametrize("day", [dt.date.min, dt.date(1969, 12, 31), dt.date(2200, 1, 1), dt.date.max])
def test_a_day_that_no_deployment_has_is_refused(day: dt.date) -> None:
    with pytest.raises(DeploymentError, match=rf"day == {day}, must be from 1970-01-01 to 2199-12-31"):
        window_of(at(5, "Europe/Berlin"), day)
