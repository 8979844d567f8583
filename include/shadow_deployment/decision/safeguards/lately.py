"""Better since the start, and no longer: what a PASS must also be where the difference changes.

A sequence is about the mean over all days. After +0.3 standard deviations of a day turn to -0.3 on day 200, that mean
stays above 0 until day 400. So PASS of a rule that compares also needs the newest days to be on the challenger's side,
and no alarm that its weekly means have fallen below the bound (statistics/e_detector.py).
"""

import datetime as dt
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.config.policy import COMPARING, PROVING, WEEK, Policy, Rule
from shadow_deployment.decision.estimand import estimands_of
from shadow_deployment.decision.series import Evidence, Series
from shadow_deployment.decision.words.finding import Lately
from shadow_deployment.metrics.slices import ALL
from shadow_deployment.statistics.e_detector import falls

Days = tuple[dt.date, ...]
Floats = NDArray[np.float64]


def lately(rule: Rule, series: Series, policy: Policy) -> Lately | None:
    """Return both means of a series of days, None where the newest days are all there are, or nobody asks.

    Raises NoEstimandError as `estimand_of`.
    """
    first, newest = series.days[0], series.days[-1]
    if rule.is_ not in PROVING or not policy.recent_days or (newest - first).days < policy.recent_days:
        return None
    weighed = series.weighed(policy)
    weight, sides = weighed.weights, estimands_of(rule, weighed)
    new = bisect_right(series.days, newest - dt.timedelta(days=policy.recent_days))
    every, recent = weight / weight.sum(), weight[new:] / weight[new:].sum()
    return Lately(
        first=first,
        days=policy.recent_days,
        since_first=float(every @ series.difference) * sides[0].scale,
        newest=float(recent @ series.difference[new:]) * sides[0].scale,
        held=all(every @ side.gains > 0 for side in sides),
        holds=all(recent @ side.gains[new:] > 0 for side in sides),
    )


def turned(rule: Rule, many: Sequence[Series], policy: Policy) -> list[dt.date | None]:
    """Return of each series the first day of the week since which a rule that compares no longer holds on it.

    None is without an alarm. Raises NoEstimandError as `estimand_of`.
    """
    if rule.is_ not in PROVING or not policy.recent_days:
        return [None] * len(many)
    sides = [estimands_of(rule, series.weighed(policy)) for series in many]
    days = [series.days for series in many]
    changes = [
        _changes(days, [each.gains for each in of_all], [each.weight for each in of_all], policy.days_per_period)
        for of_all in zip(*sides, strict=True)
    ]
    return [min(filter(None, of_one), default=None) for of_one in zip(*changes, strict=True)]


def successor_got_worse(policy: Policy, evidence: Evidence) -> Iterator[tuple[str, dt.date]]:
    """Yield the metrics in which a watched former champion has become better than its successor, and since when."""
    metrics = {rule.metric: None for rule in policy.rules if rule.is_ in COMPARING and rule.role == "blocking"}
    for metric in metrics:
        series = evidence.get((metric, ALL))
        if series is None or not series.days or not np.isfinite(series.difference).all():
            continue
        weight = series.weighed(policy).weights
        (since,) = _changes([series.days], [-series.difference], [weight], policy.days_per_period)
        if since is not None:
            yield metric, since


def _changes(
    days: Sequence[Days], gains: Sequence[Floats], weight: Sequence[Floats], period: int
) -> list[dt.date | None]:
    """Return of each series the first day of the week, as `Series.by_week` has them, since which it is below 0.

    Each of `days` is the first of a period of so many days.
    Weekly means of series on the same days are computed at once.
    """
    since: list[dt.date | None] = [None] * len(days)
    alike: dict[Days, list[int]] = defaultdict(list)
    for place, each in enumerate(days):
        alike[each].append(place)
    for same, places in alike.items():
        begins, starts = _weeks(same, period)
        weights = np.stack([weight[place] for place in places])
        sums = weights * np.stack([gains[place] for place in places])
        means = np.add.reduceat(sums, starts, axis=-1) / np.add.reduceat(weights, starts, axis=-1)
        for place, change in zip(places, falls(means[:, : len(begins)]), strict=True):
            since[place] = None if change is None else begins[change.since]
    return since


def _weeks(days: Days, period: int) -> tuple[list[dt.date], NDArray[np.int64]]:
    """Return the first day of each week that is over and has a day, and the places of each week's first one."""
    offset = np.array([(day - days[0]).days for day in days])
    weeks, starts = np.unique(offset // WEEK, return_index=True)
    over = weeks[weeks < (offset[-1] + period) // WEEK]
    return [days[0] + dt.timedelta(days=int(week) * WEEK) for week in over], starts
