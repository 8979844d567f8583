"""Windows: the period of time that a day is, in the deployment's own time zone."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.fields import DAYS
from shadow_deployment.errors import DeploymentError


@dataclass(frozen=True)
class Window:
    """One day of a deployment: `start` is inclusive, `end` exclusive; both are aware and in UTC."""

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
    """Return the window that begins on `day`, at the time of the schedule: the data interval of the daily DAG.

    It lasts 23 or 25 hours when the clocks change.

    Raises:
        DeploymentError: `day` is outside 1970 to 2199.
    """
    if not DAYS[0] <= day <= DAYS[1]:
        raise DeploymentError(f"deployment {deployment.name}: day == {day}, must be from {DAYS[0]} to {DAYS[1]}")
    return Window(day, _tick(deployment, day), _tick(deployment, day + dt.timedelta(days=1)))


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


def _tick(deployment: Deployment, day: dt.date) -> dt.datetime:
    hour, minute = deployment.tick
    return max(  # of two equal local times Airflow takes the second, and before a gap the clock that was
        dt.datetime.combine(day, dt.time(hour, minute, fold=fold), tzinfo=deployment.zone).astimezone(dt.UTC)
        for fold in (0, 1)
    )
