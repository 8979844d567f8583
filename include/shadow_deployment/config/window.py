"""Windows: the periods of time that a day consists of, in the deployment's own time zone.

With a weekly schedule a day is a week, named by its first day: whoever goes from one to the next does it by this file.
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.fields import DAYS, ticks_of, weekday_of
from shadow_deployment.errors import DeploymentError

_MINUTE = dt.timedelta(minutes=1)


@dataclass(frozen=True)
class Window:
    """A period of one day, or the day as a whole: `start` is inclusive, `end` exclusive; both are aware and in UTC."""

    day: dt.date
    start: dt.datetime
    end: dt.datetime

    @property
    def bounds(self) -> dict[str, dt.datetime]:
        """Start and end as parameters of a statement that reads the window."""
        return {"start": self.start, "end": self.end}

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC"


def window_of(deployment: Deployment, day: dt.date) -> Window:
    """Return the whole day, or week, that begins on `day`, at the first time of the schedule.

    It lasts an hour more or less when the clocks change.

    Raises:
        DeploymentError: `day` is outside 1970 to 2199, or no week begins on it.
    """
    if not DAYS[0] <= day <= DAYS[1]:
        raise DeploymentError(f"deployment {deployment.name}: day == {day}, must be from {DAYS[0]} to {DAYS[1]}")
    if (begins := _begin(deployment, day)) != day:
        text = f"must be the first day of a week, such as {begins} (schedule == {deployment.schedule!r})"
        raise DeploymentError(f"deployment {deployment.name}: day == {day}, {text}")
    return Window(day, _tick(deployment, day), _tick(deployment, day_after(deployment, day)))


def windows_of(deployment: Deployment, day: dt.date) -> list[Window]:
    """Return a day's windows in order: each is the data interval of one run, and together they are the day.

    An hourly schedule has as many as the day has hours: 23 or 25 when the clocks change. Raises as `window_of` does.
    """
    whole, (hours, _) = window_of(deployment, day), ticks_of(deployment.schedule)
    starts = _hours(deployment, whole) if hours.step == 1 else (_tick(deployment, day, hour) for hour in hours)
    return [Window(day, start, end) for start, end in pairwise([*sorted(set(starts)), whole.end])]


def has_several_windows(deployment: Deployment) -> bool:
    """Return whether a day has several windows."""
    return len(ticks_of(deployment.schedule)[0]) > 1


def window_at(deployment: Deployment, moment: dt.datetime) -> Window:
    """Return the window that contains a moment."""
    windows = windows_of(deployment, day_of(deployment, moment))
    return next(window for window in windows if moment < window.end)


def counted_since(deployment: Deployment, window: Window) -> dt.datetime:
    """Return from when on rows of an id count as logged before: where each counts once a day, from the day's start."""
    is_once = deployment.requests.duplicates == "first"
    return window_of(deployment, window.day).start if is_once else window.start


def day_of(deployment: Deployment, start: dt.datetime) -> dt.date:
    """Return the day whose window contains the moment `start`."""
    day = start.astimezone(deployment.zone).date()
    return _begin(deployment, day if start >= _tick(deployment, day) else day - dt.timedelta(days=1))


def first_day_from(deployment: Deployment, moment: dt.datetime) -> dt.date:
    """Return the first day whose window begins at or after a moment."""
    day = day_of(deployment, moment)
    return day if _tick(deployment, day) >= moment else day_after(deployment, day)


def first_day_on(deployment: Deployment, date: dt.date) -> dt.date:
    """Return the first day that is not before a date: the date itself, or that on which the next week begins."""
    begins = _begin(deployment, date)
    return begins if begins == date else day_after(deployment, begins)


def day_after(deployment: Deployment, day: dt.date, number: int = 1) -> dt.date:
    """Return the day so many after a day, or before it where the number is negative."""
    return day + number * deployment.policy.days_per_period * dt.timedelta(days=1)


def days_between(deployment: Deployment, first: dt.date, last: dt.date) -> Iterator[dt.date]:
    """Yield every day from the one that `first` is in to the one that `last` is in; none where `last` is before."""
    day = _begin(deployment, first)
    while first <= last and day <= last:
        yield day
        day = day_after(deployment, day)


def _begin(deployment: Deployment, date: dt.date) -> dt.date:
    """Return the first day of the week that a date is in, by a weekly schedule; by any other the date."""
    weekday = weekday_of(deployment.schedule)
    return date if weekday is None else date - dt.timedelta((date.weekday() - weekday) % 7)


def _hours(deployment: Deployment, day: Window) -> Iterator[dt.datetime]:
    """Yield when the hourly windows of a day begin: as Airflow does, whenever the minute comes on the local clock."""
    _, minute = ticks_of(deployment.schedule)
    start = day.start
    while start < day.end:
        yield start
        start += ((minute - start.astimezone(deployment.zone).minute - 1) % 60 + 1) * _MINUTE


def _tick(deployment: Deployment, day: dt.date, at: int | None = None) -> dt.datetime:
    """Return the moment of a local hour, by default the one at which a day begins."""
    hours, minute = ticks_of(deployment.schedule)
    hour = hours[0] if at is None else at
    return max(  # of two equal local times Airflow takes the second, and before a gap the clock that was
        dt.datetime.combine(day, dt.time(hour, minute, fold=fold), tzinfo=deployment.zone).astimezone(dt.UTC)
        for fold in (0, 1)
    )
