"""Which days a verdict rests on: every day from a trial's first one is accounted for.

A day counts where one champion served it (a version, or whatever production serves) and its inputs met their
expectations. A metric that needs labels counts days in order, up to the first whose labels may still change: labels
tend to arrive in an order that depends on what they say, so a day that is half labelled misleads. Days that somebody
could have chosen to leave out (whose inputs failed, which were not run, or not in all their windows, which were
withdrawn) are named, and a PASS must hold with each of them at its worst.
"""

import datetime as dt
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol, TypeVar

from shadow_deployment.base.numbers import quantity

State = Literal[
    "compared",
    "replayed",
    "no requests",
    "several champions",
    "another champion",
    "seen before the trial",
    "inputs failed",
    "not run",
    "not complete",
    "withdrawn",
]
LEFT_OUT: Final[tuple[State, ...]] = ("inputs failed", "not run", "not complete", "withdrawn")
FEWEST_LEFT_OUT: Final = 2  # days that may always be left out, however short a trial is


class LabelledSample(Protocol):
    """What the calendar needs to know of a sampled day; the ledger's snapshots are such days."""

    @property
    def id(self) -> int:
        """Its key."""

    @property
    def day(self) -> dt.date:
        """The day."""

    @property
    def window_end(self) -> dt.datetime:
        """When its window ended."""

    @property
    def rows(self) -> int:
        """How many requests were sampled."""

    @property
    def champion_versions(self) -> list[str]:
        """The versions that served it, in order."""

    @property
    def champions(self) -> list[str]:
        """The champions that its evidence is against: these versions, or the service as one."""

    @property
    def labels_until(self) -> dt.datetime | None:
        """Up to when its labels were collected; None for not yet."""

    @property
    def labelled(self) -> int:
        """How many labels are known."""

    @property
    def complete_at(self) -> dt.datetime | None:
        """When the last request got its label; None where a request has none."""


Day = TypeVar("Day", bound=LabelledSample)


@dataclass(frozen=True)
class LabelProgress:
    """The labels of one sampled day as known at one moment.

    `labelled` are known. `expected` is how many there will be if the day is like those that are complete; None before
    any is. `counts` says whether the day counts for metrics that need labels.
    """

    labelled: int
    expected: int | None
    counts: bool


@dataclass(frozen=True)
class DayRecords:
    """What is known of days besides their samples: keys of snapshots, and dates.

    Of `begun` days some windows were not sampled. `failed` inputs do not meet their expectations, `scored` snapshots
    were validated and answered as a whole by the challenger, `seen` days had evidence of the same model before the
    trial was opened.
    """

    begun: Collection[dt.date] = ()
    failed: Collection[int] = ()
    scored: Collection[int] = ()
    seen: Collection[dt.date] = ()
    withdrawn: Mapping[dt.date, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Calendar:
    """Each day of a trial up to the judged one, and what became of it. Days before the first one are replayed only."""

    states: Mapping[dt.date, State]

    def days(self, *states: State) -> list[dt.date]:
        """Return the days in any of these states, in order."""
        return [day for day, state in self.states.items() if state in states]

    @property
    def left_out(self) -> list[dt.date]:
        """The days that somebody could have chosen to leave out."""
        return self.days(*LEFT_OUT)

    def too_many_left_out(self, share: float) -> int | None:
        """Return how many days may be left out at most where more are, None where no more are."""
        of = len(self.left_out) + len(self.days("compared"))
        most = max(FEWEST_LEFT_OUT, int(share * of + 1e-9))
        return most if len(self.left_out) > most else None


def calendar_of(
    taken: Sequence[LabelledSample],
    records: DayRecords,
    *,
    champion_version: str,
    every: Iterable[dt.date],
    first: dt.date,
) -> Calendar:
    """Return what became of each day.

    Args:
        taken: The sampled days.
        records: What else is known of them.
        champion_version: The champion of the trial.
        every: The days from the first that is shown at all to the judged one, in order; of a weekly schedule the first
            day of each week.
        first: The first day that counts; those before it are replayed.
    """
    sampled = {day.day: day for day in taken}
    states: dict[dt.date, State] = {}
    for day in every:
        state = _state(day, sampled.get(day), records, champion_version)
        if day >= first:
            states[day] = state
        elif state == "compared":
            states[day] = "replayed"
    return Calendar(states)


def comparable(days: Sequence[Day], champion_version: str, complete: Collection[int]) -> list[Day]:
    """Return the days that this champion version served and whose keys are `complete`, in their order."""
    return [day for day in days if day.champions == [champion_version] and day.id in complete]


def _state(day: dt.date, sampled: LabelledSample | None, records: DayRecords, champion_version: str) -> State:
    if day in records.seen:
        return "seen before the trial"
    if day in records.withdrawn:
        return "withdrawn"
    if sampled is None:
        return "not complete" if day in records.begun else "not run"
    if sampled.champions != [champion_version]:
        served_by = len(sampled.champions)
        return "no requests" if not served_by else "another champion" if served_by == 1 else "several champions"
    if sampled.id in records.failed:
        return "inputs failed"
    return "compared" if sampled.id in records.scored else "not run"


def in_order(mature: Mapping[dt.date, bool]) -> dict[dt.date, bool]:
    """Return which days count for metrics that need labels: in order, up to the first that is not mature."""
    counts, all_before = {}, True
    for day in sorted(mature):
        all_before = all_before and mature[day]
        counts[day] = all_before
    return counts


@dataclass(frozen=True)
class DayCounts:
    """The days of a verdict in short; `left_out` has the state of each day that was left out.

    `champion_versions` says which versions served the days that count, in the order in which they came, and how many.
    A trial that was concluded rests on the days up to `concluded_on`. A day is a `period`: by a weekly schedule a week.
    """

    counted: int
    waiting: int
    replayed: int
    live: int
    left_out: Mapping[dt.date, State]
    champion_versions: Mapping[str, int]
    concluded_on: dt.date | None = None
    period: str = "day"

    def say(self, number: int) -> str:
        """Return a number of days, or of weeks, in words."""
        return quantity(number, self.period)

    def to_json(self) -> dict[str, Any]:
        """Return plain data, as the ledger stores it and `verdict --json` prints it."""
        left_out = [{"day": str(day), "why": state} for day, state in self.left_out.items()]
        return {
            "counted": self.counted,
            "waiting": self.waiting,
            "left_out": left_out,
            "replayed": self.replayed,
            "live": self.live,
            "champion_versions": [
                {"version": version, "days": days} for version, days in self.champion_versions.items()
            ],
            "concluded_on": str(self.concluded_on) if self.concluded_on else None,
            "period": self.period,
        }


def counts_of(
    calendar: Calendar, taken: Sequence[LabelledSample], labels_count: Mapping[dt.date, bool], live_from: dt.date
) -> DayCounts:
    """Return a verdict's days in short; `live_from` is the first day whose window began after the registration."""
    compared = calendar.days("compared")
    counted = [day for day in compared if labels_count.get(day)]
    shown = [day for day in calendar.days("replayed") if labels_count.get(day)]
    live = sum(day >= live_from for day in counted)
    counting = set(counted)
    versions = Counter(version for day in taken if day.day in counting for version in day.champion_versions)
    return DayCounts(
        counted=len(counted),
        waiting=len(compared) - len(counted),
        replayed=len(counted) - live + len(shown),
        live=live,
        left_out={day: calendar.states[day] for day in calendar.left_out},
        champion_versions=dict(versions),
    )


def label_progress(days: Sequence[LabelledSample], maturity: dt.timedelta) -> dict[dt.date, LabelProgress]:
    """Return the labels of each day, and whether the day counts: all have arrived, or none is expected any more.

    Args:
        days: Sampled days, with their labels as known at one moment.
        maturity: How long after its window a request's label may still arrive.
    """
    mature = {sampled.id for sampled in days if is_mature(sampled, maturity)}
    whole = [sampled for sampled in days if sampled.id in mature and sampled.rows]
    share = sum(sampled.labelled for sampled in whole) / sum(sampled.rows for sampled in whole) if whole else None

    def progress(sampled: LabelledSample) -> LabelProgress:
        count, counts = sampled.labelled, sampled.id in mature
        expected = None if share is None else max(count, round(share * sampled.rows))
        return LabelProgress(count, count if counts else expected, counts)

    return {sampled.day: progress(sampled) for sampled in days}


def coverage(days: Iterable[LabelledSample]) -> float | None:
    """Return the share of the days' sampled requests that have a label; None where there is no request."""
    rows = labelled = 0
    for sampled in days:
        rows, labelled = rows + sampled.rows, labelled + sampled.labelled
    return labelled / rows if rows else None


def is_mature(sampled: LabelledSample, maturity: dt.timedelta) -> bool:
    """Return whether all labels of a day have been collected, or all that arrived within `maturity`."""
    return sampled.complete_at is not None or _is_final(sampled, maturity)


def newest_coverage(days: Sequence[LabelledSample], maturity: dt.timedelta) -> float | None:
    """Return the share of sampled requests with a label on the newest final day; None before there is one."""
    final = [sampled for sampled in days if sampled.rows and _is_final(sampled, maturity)]
    return coverage(final[-1:])


def _is_final(sampled: LabelledSample, maturity: dt.timedelta) -> bool:
    return sampled.labels_until is not None and sampled.labels_until >= sampled.window_end + maturity
