"""What is measured with a first draft: how many requests a day has, and from which day on to begin."""

import datetime as dt
import math
from dataclasses import dataclass
from typing import Final

from shadow_deployment.config.window import day_of, window_of
from shadow_deployment.context import DeploymentContext
from shadow_deployment.onboarding.proposal.interview import Answer

DAILY_SAMPLE: Final = 10_000  # requests a day that decide most questions, and cost seconds
HISTORY_DAYS: Final = 90  # days of the past to begin with, as `policy.replay_days` has them
_DAY: Final = dt.timedelta(days=1)


@dataclass(frozen=True)
class Volume:
    """The whole days of a log, and how many requests the newest of them has."""

    first: dt.date
    last: dt.date
    requests: int


def measure(context: DeploymentContext, span: tuple[dt.datetime, dt.datetime]) -> Volume:
    """Count the requests of the newest whole day, as the run counts them."""
    deployment = context.deployment
    first, last = (day_of(deployment, moment) for moment in span)
    last = max(last - _DAY, first)
    with context.request_source.reading(window_of(deployment, last)) as reading:
        requests = sum(reading.population().values())
    return Volume(min(first + _DAY, last), last, requests)


def find_rate(volume: Volume) -> Answer:
    """Return the sampling rate that draws about DAILY_SAMPLE requests a day."""
    if volume.requests <= DAILY_SAMPLE:
        return Answer(1.0, f"{volume.last} has {volume.requests:,} requests, few enough for all of them")
    rate = DAILY_SAMPLE / volume.requests
    digits = 1 - math.floor(math.log10(rate))
    return Answer(round(rate, digits), f"about {DAILY_SAMPLE:,} of the {volume.requests:,} requests of {volume.last}")


def find_start(volume: Volume, count_from: dt.date | None) -> Answer:
    """Return the first day to run: not before the log, nor much before now, nor before days that can count."""
    recent = volume.last - (HISTORY_DAYS - 1) * _DAY
    if count_from is not None and max(volume.first, recent) < count_from <= volume.last:
        return Answer(count_from, "the first day that counts: labels of earlier ones may have been training data")
    if recent > volume.first:
        return Answer(recent, f"the newest {HISTORY_DAYS} whole days of the log, which ends on {volume.last}")
    return Answer(volume.first, f"the first whole day of the log, which ends on {volume.last}")
