"""Better since the start, and no longer: what a PASS must also be where the difference changes.

A sequence is about the mean over all days. After +0.3 standard deviations of a day turn to -0.3 on day 200, that mean
stays above 0 until day 400. So PASS of a rule that compares also needs the newest days to be on the challenger's side,
and no alarm that its weekly means have fallen below the bound (statistics/e_detector.py).
"""

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from shadow_deployment.config.policy import COMPARING, PROVING, WEEK, Policy, Rule
from shadow_deployment.decision.estimand import estimands_of
from shadow_deployment.decision.series import Evidence, Series
from shadow_deployment.metrics.slices import ALL
from shadow_deployment.statistics.e_detector import fallen


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
    is_new = np.array([(newest - day).days < policy.recent_days for day in series.days])
    sides = estimands_of(rule, weighed)

    def mean(chosen: np.ndarray, values: np.ndarray) -> float:
        return float(np.average(values[chosen], weights=weighed.weights[chosen]))

    every, scale = np.full_like(is_new, fill_value=True), sides[0].scale
    return Lately(
        first=first,
        days=policy.recent_days,
        since_first=scale * mean(every, weighed.difference),
        newest=scale * mean(is_new, weighed.difference),
        held=all(mean(every, side.gains) > 0 for side in sides),
        holds=all(mean(is_new, side.gains) > 0 for side in sides),
    )


def turned(rule: Rule, series: Series, policy: Policy) -> dt.date | None:
    """Return the first day of the week since which a rule that compares no longer holds; None without an alarm.

    Raises NoEstimandError as `estimand_of`.
    """
    if rule.is_ not in PROVING or not policy.recent_days:
        return None
    weeks = series.weighed(policy).by_week()
    if not weeks.days:
        return None
    changes = [change.since for side in estimands_of(rule, weeks) if (change := fallen(side.gains))]
    return _begins(weeks, min(changes)) if changes else None


def successor_got_worse(policy: Policy, evidence: Evidence) -> Iterator[tuple[str, dt.date]]:
    """Yield the metrics in which a watched former champion has become better than its successor, and since when."""
    metrics = {rule.metric: None for rule in policy.rules if rule.is_ in COMPARING and rule.role == "blocking"}
    for metric in metrics:
        series = evidence.get((metric, ALL))
        weeks = None if series is None else series.weighed(policy).by_week()
        if weeks is None or not weeks.days or not np.isfinite(weeks.difference).all():
            continue
        change = fallen(-weeks.difference)
        if change is not None:
            yield metric, _begins(weeks, change.since)


def _begins(weeks: Series, number: int) -> dt.date:
    """Return the first day of a week; a series of weeks has their last days."""
    return weeks.days[number] - dt.timedelta(days=WEEK - 1)
