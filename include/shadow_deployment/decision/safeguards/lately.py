"""Better since the start, and no longer: what a PASS must also be where the difference changes.

A sequence is about the mean over all days. After +0.3 standard deviations of a day turn to -0.3 on day 200, that mean
stays above 0 until day 400. So PASS of a rule that compares also needs the newest days to be on the challenger's side,
and no alarm that its weekly means have fallen below the bound (statistics/e_detector.py).
"""

import datetime as dt
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.config.policy import COMPARING, PROVING, WEEK, Policy, Rule
from shadow_deployment.decision.estimand import estimands_of
from shadow_deployment.decision.series import Evidence, Series
from shadow_deployment.metrics.slices import ALL
from shadow_deployment.statistics.e_detector import fallen

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Lately:
    """The mean differences since the `first` day and over the newest `days`, in the rule's unit.

    `held` and `holds` say on which side of the rule's bound they lie.
    """

    first: dt.date
    days: int
    since_first: float
    newest: float
    held: bool
    holds: bool


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
    every, recent = weight / weight.sum(), np.append(np.zeros(new), weight[new:] / weight[new:].sum())
    return Lately(
        first=first,
        days=policy.recent_days,
        since_first=float(every @ series.difference) * sides[0].scale,
        newest=float(recent @ series.difference) * sides[0].scale,
        held=all(every @ side.gains > 0 for side in sides),
        holds=all(recent @ side.gains > 0 for side in sides),
    )


def turned(rule: Rule, series: Series, policy: Policy) -> dt.date | None:
    """Return the first day of the week since which a rule that compares no longer holds; None without an alarm.

    Raises NoEstimandError as `estimand_of`.
    """
    if rule.is_ not in PROVING or not policy.recent_days:
        return None
    sides = estimands_of(rule, series.weighed(policy))
    changes = [day for side in sides if (day := _change(series, side.gains, side.weight))]
    return min(changes, default=None)


def successor_got_worse(policy: Policy, evidence: Evidence) -> Iterator[tuple[str, dt.date]]:
    """Yield the metrics in which a watched former champion has become better than its successor, and since when."""
    metrics = {rule.metric: None for rule in policy.rules if rule.is_ in COMPARING and rule.role == "blocking"}
    for metric in metrics:
        series = evidence.get((metric, ALL))
        if series is None or not series.days or not np.isfinite(series.difference).all():
            continue
        since = _change(series, -series.difference, series.weighed(policy).weights)
        if since is not None:
            yield metric, since


def _change(series: Series, gains: Floats, weight: Floats) -> dt.date | None:
    """Return the first day of the week, as `Series.by_week` has them, since which weekly means have fallen below 0."""
    first, last = series.days[0].toordinal(), series.days[-1].toordinal()
    week = (np.fromiter((day.toordinal() for day in series.days), np.int64, len(series.days)) - first) // WEEK
    total, sums = np.bincount(week, weight), np.bincount(week, weight * gains)
    over = np.flatnonzero(total[: (last - first + 1) // WEEK])
    change = fallen(sums[over] / total[over])
    return None if change is None else series.days[0] + dt.timedelta(days=int(over[change.since]) * WEEK)
