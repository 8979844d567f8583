"""Which sampled days count in a verdict, and why the others do not.

A day is compared where one champion served it and its inputs and predictions met their expectations. A metric that
needs labels counts it once enough labels are known or none is expected any more: labels tend to arrive in an order that
depends on what they say, so a day that is half labelled misleads.
"""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

Exclusion = Literal["no requests", "several champions", "another champion", "expectations not met"]


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
        """The champion versions that served it, in order."""

    @property
    def labels_until(self) -> dt.datetime | None:
        """Up to when its labels were collected; None for not yet."""

    @property
    def labelled(self) -> int:
        """How many labels are known."""

    @property
    def contradicted(self) -> int:
        """How many requests have labels that contradict each other."""


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


def exclusion(sampled: LabelledSample, champion_version: str, valid: Collection[int]) -> Exclusion | None:
    """Return why a day is not compared, None where it is. `valid` are the keys of days that met their expectations."""
    if not sampled.champion_versions:
        return "no requests"
    if len(sampled.champion_versions) > 1:
        return "several champions"
    if sampled.champion_versions != [champion_version]:
        return "another champion"
    return None if sampled.id in valid else "expectations not met"


def comparable(days: Sequence[Day], champion_version: str, valid: Collection[int]) -> list[Day]:
    """Return the days that are compared with this champion version, in their order."""
    return [sampled for sampled in days if exclusion(sampled, champion_version, valid) is None]


def collected_later(days: Sequence[Day], now: dt.datetime, maturity: dt.timedelta) -> list[Day]:
    """Return the days whose stored labels include some that may have become known after `now`."""
    return [
        sampled
        for sampled in days
        if sampled.window_end + maturity > now and sampled.labels_until and sampled.labels_until > now
    ]


def final_days(days: Sequence[LabelledSample], maturity: dt.timedelta) -> set[dt.date]:
    """Return the days of which no label is expected any more: all were collected that arrived within `maturity`."""
    return {sampled.day for sampled in days if _is_final(sampled, maturity)}


def label_progress(
    days: Sequence[LabelledSample],
    known: Mapping[int, int],
    *,
    now: dt.datetime,
    maturity: dt.timedelta,
    minimum_coverage: float,
) -> dict[dt.date, LabelProgress]:
    """Return the labels of each day as known at `now`, and whether the day counts.

    Args:
        days: Sampled days.
        known: Labels known at `now` by key, at least of the days of `collected_later`; others have what is stored. So
            a label that became known later changes nothing when a past day is judged again.
        now: The end of the judged day's window.
        maturity: How long after its window a request's label may still arrive.
        minimum_coverage: Share of a day's requests whose labels must be known for it to count before it is final.
    """
    labelled = {sampled.id: known.get(sampled.id, sampled.labelled) for sampled in days}
    final = {sampled.id for sampled in days if _is_final(sampled, maturity) and sampled.window_end + maturity <= now}
    complete = {day.id for day in days if day.id in final or labelled[day.id] + day.contradicted >= day.rows}
    whole = [sampled for sampled in days if sampled.id in complete and sampled.rows]
    share = sum(labelled[day.id] for day in whole) / sum(day.rows for day in whole) if whole else None

    def progress(sampled: LabelledSample) -> LabelProgress:
        count = labelled[sampled.id]
        covered = sampled.rows > 0 and count >= minimum_coverage * sampled.rows
        expected = None if share is None else max(count, round(share * sampled.rows))
        return LabelProgress(
            count, count if sampled.id in complete else expected, counts=covered or sampled.id in final
        )

    return {sampled.day: progress(sampled) for sampled in days}


def newest_coverage(days: Sequence[LabelledSample], maturity: dt.timedelta) -> float | None:
    """Return the share of sampled requests with a label on the newest final day; None before there is one."""
    final = [sampled for sampled in days if sampled.rows and _is_final(sampled, maturity)]
    return final[-1].labelled / final[-1].rows if final else None


def _is_final(sampled: LabelledSample, maturity: dt.timedelta) -> bool:
    return sampled.labels_until is not None and sampled.labels_until >= sampled.window_end + maturity
