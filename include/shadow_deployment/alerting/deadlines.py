"""When a day must be done: the deployment's `alerts.deadline`, a local time, on days of any length."""

import datetime as dt
from collections.abc import Iterator

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.fields import Clock
from shadow_deployment.config.window import window_of

STANDING = dt.date(2100, 1, 1)  # far ahead a time zone has only the rule that is in force
_YEAR = 366


def due(deployment: Deployment, day: dt.date) -> dt.datetime | None:
    """Return the moment by which the run of a day must be done, in UTC; None without a deadline.

    It is the first time after the window's end that the local clock shows `alerts.deadline`. Where the clock shows it
    twice the second counts, and where it skips it, the same time by the clock that was.
    """
    clock = deployment.alerts.deadline
    if clock is None:
        return None
    end = window_of(deployment, day).end
    date = end.astimezone(deployment.zone).date()
    moment = _moment(deployment, date, clock)
    return moment if moment > end else _moment(deployment, date + dt.timedelta(days=1), clock)


def intervals(deployment: Deployment) -> list[dt.timedelta]:
    """Return in which times after a window's start its deadline can be, shortest first; [] without a deadline.

    One where the clock is never changed, three where it is put forward and back. They depend on the deployment alone,
    not on the day on which they are asked for.
    """
    found = {
        moment - window_of(deployment, day).start
        for day in _days_of_each_length(deployment)
        if (moment := due(deployment, day)) is not None
    }
    return sorted(found)


def _days_of_each_length(deployment: Deployment) -> Iterator[dt.date]:
    """Yield an ordinary day and those around a change of the clock, of two years and of the rule that is in force."""
    firsts = (deployment.start, deployment.start + dt.timedelta(days=_YEAR), STANDING)
    days = [first + dt.timedelta(days=number) for first in firsts for number in range(_YEAR)]
    noons = [dt.datetime.combine(day, dt.time(12), tzinfo=deployment.zone) for day in days]
    offsets = [noon.utcoffset() for noon in noons]
    for number, day in enumerate(days):
        if number == 0 or len(set(offsets[max(number - 1, 0) : number + 3])) > 1:
            yield day


def _moment(deployment: Deployment, date: dt.date, clock: Clock) -> dt.datetime:
    hour, minute = map(int, clock.split(":"))
    return max(
        dt.datetime.combine(date, dt.time(hour, minute, fold=fold), tzinfo=deployment.zone).astimezone(dt.UTC)
        for fold in (0, 1)
    )
