"""When a day's run must be done: `alerts.deadline`, a local time, also where clocks change."""

import datetime as dt
from collections.abc import Iterator

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.fields import Clock
from shadow_deployment.config.window import days_between, window_of, windows_of

STANDING = dt.date(2100, 1, 1)  # so far ahead a time zone follows the rule now in force
_YEAR = 366


def due(deployment: Deployment, day: dt.date) -> dt.datetime | None:
    """Return the moment by which the run of a day must be done, in UTC; None without a deadline.

    It is the first time after the window's end that the local clock shows `alerts.deadline`. Of a repeated time the
    second counts; a skipped time is read as if the clock had not changed.
    """
    clock = deployment.alerts.deadline
    if clock is None:
        return None
    end = window_of(deployment, day).end
    date = end.astimezone(deployment.zone).date()
    moment = _moment(deployment, date, clock)
    return moment if moment > end else _moment(deployment, date + dt.timedelta(days=1), clock)


def intervals(deployment: Deployment) -> list[dt.timedelta]:
    """Return the possible times from the start of a day's last window to its deadline, shortest first; [] without one.

    One where clocks never change, else usually three. They depend on the deployment alone, not on today.
    """
    return sorted(
        {
            moment - windows_of(deployment, day)[-1].start
            for day in _days_of_each_length(deployment)
            if (moment := due(deployment, day)) is not None
        }
    )


def _days_of_each_length(deployment: Deployment) -> Iterator[dt.date]:
    """Yield an ordinary day (or week) and the ones around clock changes, of two years and of the rule now in force."""
    firsts = (deployment.start, deployment.start + dt.timedelta(days=_YEAR), STANDING)
    days = [first + dt.timedelta(days=number) for first in firsts for number in range(_YEAR)]
    offsets = [dt.datetime.combine(day, dt.time(12), tzinfo=deployment.zone).utcoffset() for day in days]
    around = [day for at, day in enumerate(days) if at == 0 or len(set(offsets[max(at - 1, 0) : at + 3])) > 1]
    for day in around:
        yield from days_between(deployment, day, day + dt.timedelta(deployment.policy.days_per_period - 1))


def _moment(deployment: Deployment, date: dt.date, clock: Clock) -> dt.datetime:
    hour, minute = map(int, clock.split(":"))
    return max(
        dt.datetime.combine(date, dt.time(hour, minute, fold=fold), tzinfo=deployment.zone).astimezone(dt.UTC)
        for fold in (0, 1)
    )
