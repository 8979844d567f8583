"""Windows: the periods of time that a day consists of, in the deployment's own time zone."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.fields import DAYS, ticks_of
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
    """Return the whole day that begins on `day`, at the first time of the schedule.

    It lasts 23 or 25 hours when the clocks change.

    Raises:
        DeploymentError: `day` is outside 1970 to 2199.
    """
    if not DAYS[0] <= day <= DAYS[1]:
        raise DeploymentError(f"deployment {deployment.name}: day == {day}, must be from {DAYS[0]} to {DAYS[1]}")
    return Window(day, _tick(deployment, day), _tick(deployment, day + dt.timedelta(days=1)))


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
    return day if start >= _tick(deployment, day) else day - dt.timedelta(days=1)


def first_day_from(deployment: Deployment, moment: dt.datetime) -> dt.date:
    """Return the first day whose window begins at or after a moment."""
    day = day_of(deployment, moment)
    return day if _tick(deployment, day) >= moment else day + dt.timedelta(days=1)


def days_between(first: dt.date, last: dt.date) -> Iterator[dt.date]:
    """Yield every day from `first` to `last`, inclusive."""
    for offset in range((last - first).days + 1):
        yield first + dt.timedelta(days=offset)


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
