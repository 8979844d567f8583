"""Which days and windows may be run: those within the deployment's dates that are over and were not withdrawn.

A window that is not over would be sampled half and stay so, and a day in the far future would be the newest for ever.
"""

import datetime as dt
from collections.abc import Sequence
from typing import Any

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.window import (
    Window,
    day_after,
    day_of,
    days_between,
    has_several_windows,
    window_of,
    windows_of,
)
from shadow_deployment.data.db import Session, clock
from shadow_deployment.errors import DeploymentError, LedgerError, TransientError
from shadow_deployment.ledger import snapshots, trials
from shadow_deployment.ledger.snapshots import Snapshot

_CLOCKS_DIFFER = dt.timedelta(minutes=1)
_MOST_SPANS = 3  # of missing windows that are named


def require_runnable(
    session: Session[Any], deployment: Deployment, days: Sequence[dt.date], windows: Sequence[Window] | None = None
) -> None:
    """Raise for the first day that cannot be run, by the ledger's clock; `windows` are those to run, by default all.

    Raises:
        DeploymentError: it is before `start`, after `end`, or a window is not over.
        LedgerError: it was withdrawn.
        TransientError: a window ends within a minute, as where the scheduler's clock is ahead of the ledger's.
    """
    now = clock(session)
    withdrawn = trials.withdrawn(session, deployment)
    for day in days:
        _require_declared(deployment, day)
        for window in [window_of(deployment, day)] if windows is None else windows:
            _require_over(deployment, window, now)
        if day in withdrawn:
            raise LedgerError(f"deployment {deployment.name}: {day} was withdrawn: {withdrawn[day]}")


def what_is_missing(deployment: Deployment, snapshot: Snapshot) -> str:
    """Say which windows of a day were not sampled."""
    return _in_words(snapshots.missing_windows(deployment, snapshot), len(windows_of(deployment, snapshot.day)))


def with_missing_before(session: Session[Any], deployment: Deployment, windows: Sequence[Window]) -> list[Window]:
    """Return windows of a day with those before them that were not sampled, in order: what the scheduler has missed."""
    snapshot = snapshots.so_far(session, deployment, windows[0].day)
    there = {window.start for window in snapshot.windows} if snapshot else set()
    wanted = {window.start for window in windows}
    return [
        window
        for window in windows_of(deployment, windows[0].day)
        if window.start in wanted or (window.start < min(wanted) and window.start not in there)
    ]


def gaps(session: Session[Any], deployment: Deployment, last: dt.date | None = None) -> list[str]:
    """Say of each day up to `last` which of its windows were not sampled, though a later one was."""
    if not has_several_windows(deployment):
        return []
    withdrawn = trials.withdrawn(session, deployment)
    days = [each for each in snapshots.sampled(session, deployment, None, last) if each.day not in withdrawn]
    sentences: list[str] = []
    for each in (day for day in days if not day.is_complete):
        newest = max(window.end for window in days[-1].windows)
        windows = [gap for gap in snapshots.missing_windows(deployment, each) if gap.end <= newest]
        if windows:
            sentences.append(f"{each.day} is not complete: {_in_words(windows, len(windows_of(deployment, each.day)))}")
    return sentences


def next_day(session: Session[Any], deployment: Deployment, moment: dt.datetime) -> dt.date:
    """Return the first day that was over at a moment and not wholly sampled by then, else the newest that was over.

    Days that were withdrawn are passed over.

    Raises:
        DeploymentError: no day was over.
    """
    newest = day_after(deployment, day_of(deployment, moment), -1)
    if deployment.end is not None:
        newest = min(newest, deployment.end)
    if newest < deployment.start:
        ends = window_of(deployment, deployment.start).end
        raise DeploymentError(
            f"deployment {deployment.name}: no day is over yet: the first is {deployment.start} (start), and ends at "
            f"{ends:%Y-%m-%d %H:%M} UTC"
        )
    done = snapshots.sampled_before(session, deployment, moment) | set(trials.withdrawn(session, deployment))
    return next((day for day in days_between(deployment, deployment.start, newest) if day not in done), newest)


def _in_words(windows: Sequence[Window], of: int) -> str:
    """Return how many windows of a day were not sampled, and when they are: adjacent ones as one span."""
    spans: list[tuple[dt.datetime, dt.datetime]] = []
    for window in windows:
        if spans and spans[-1][1] == window.start:
            spans[-1] = (spans[-1][0], window.end)
        else:
            spans.append((window.start, window.end))
    named = [f"{Window(start.date(), start, end)}" for start, end in spans[:_MOST_SPANS]]
    named += [f"{more} more"] if (more := len(spans) - _MOST_SPANS) > 0 else []
    return f"{len(windows)} of {of} windows not sampled ({', '.join(named)})"


def _require_over(deployment: Deployment, window: Window, now: dt.datetime) -> None:
    if window.end > now:
        text = (
            f"deployment {deployment.name}: day == {window.day}, must be over: its window ends at "
            f"{window.end:%Y-%m-%d %H:%M} UTC, and by the ledger's clock it is {now:%Y-%m-%d %H:%M:%S} UTC"
        )
        raise (TransientError if window.end - now < _CLOCKS_DIFFER else DeploymentError)(text)


def _require_declared(deployment: Deployment, day: dt.date) -> None:
    first, last = deployment.start, deployment.end
    if day < first or (last is not None and day > last):
        is_weekly = deployment.policy.period == "week"
        start = "the first whole week from start on" if is_weekly else "start"
        allowed = f"at least {first} ({start})" if last is None else f"from {first} ({start}) to {last} (end)"
        got = f"{day}, the first day of its week" if is_weekly else day
        raise DeploymentError(f"deployment {deployment.name}: day == {got}, must be {allowed}")
