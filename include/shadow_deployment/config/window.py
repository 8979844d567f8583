"""Windows: which stretch of time a day is, in the deployment's own time zone."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

from shadow_deployment.config.deployment import DAYS, Deployment
from shadow_deployment.errors import DeploymentError


@dataclass(frozen=True)
class Window:
    """One day of a deployment: `start` is in it, `end` is not; both are aware and in UTC."""

    day: dt.date
    start: dt.datetime
    end: dt.datetime

    @property
    def bounds(self) -> dict[str, dt.datetime]:
        """Return start and end as the values of a statement that reads the window."""
        return {"start": self.start, "end": self.end}

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M} UTC"


def window_of(deployment: Deployment, day: dt.date) -> Window:
    """Return the window that begins on `day`, at the hour of the schedule.

    It lasts 23 or 25 hours where the clocks change. These are the data intervals of the deployment's DAG. Raises
    DeploymentError for a day that no deployment has.
    """
    if not DAYS[0] <= day <= DAYS[1]:
        raise DeploymentError(f"deployment {deployment.name}: day == {day}, must be from {DAYS[0]} to {DAYS[1]}")
    return Window(day, _tick(deployment, day), _tick(deployment, day + dt.timedelta(days=1)))


def day_of(deployment: Deployment, start: dt.datetime) -> dt.date:
    """Return the day whose window holds the moment `start`."""
    day = start.astimezone(deployment.zone).date()
    return day if start >= _tick(deployment, day) else day - dt.timedelta(days=1)


def days_between(first: dt.date, last: dt.date) -> Iterator[dt.date]:
    """Yield every day from `first` to `last`, both included."""
    for offset in range((last - first).days + 1):
        yield first + dt.timedelta(days=offset)


def _tick(deployment: Deployment, day: dt.date) -> dt.datetime:
    hour, minute = deployment.tick
    return max(  # of two equal local times Airflow takes the second, and before a gap the clock that was
        dt.datetime.combine(day, dt.time(hour, minute, fold=fold), tzinfo=deployment.zone).astimezone(dt.UTC)
        for fold in (0, 1)
    )
