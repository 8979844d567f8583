"""A rule's confidence sequence at every look: what it bounds, and what each look decides.

A verdict rests on the newest look; a chart shows them all.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.config.policy import WEEK, Policy, Rule
from shadow_deployment.decision.alpha import AlphaSplit
from shadow_deployment.decision.estimand import Estimand, estimand_of, holds, only_rounding, size_of
from shadow_deployment.decision.series import Series
from shadow_deployment.statistics.confidence_sequence import (
    ConfidenceSequence,
    confidence_sequence,
    weighted_confidence_sequence,
)

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class JudgingTerms:
    """What a challenger's sequences are judged by.

    Its policy and error rates, the judged day (None: the newest), and the days that were left out of its evidence.
    """

    policy: Policy
    alpha: AlphaSplit
    day: dt.date | None = None
    left_out: tuple[dt.date, ...] = ()

    @property
    def unit(self) -> str:
        """What one observation is, in words."""
        return "week" if self.policy.unit == "week" else "day"

    @property
    def tuned_for(self) -> float:
        """The number of observations, in the policy's unit, at which bounds are tightest."""
        return max(2.0, self.policy.tuned_for / WEEK) if self.policy.unit == "week" else float(self.policy.tuned_for)


@dataclass(frozen=True, eq=False)
class SequentialResult:
    """A rule's sequence at every look: arrays of shape (observations,).

    `lower` and `upper` bound the mean gain toward passing and toward failing, -inf and +inf where nothing may be
    concluded; `estimate` is the running mean. `passes` and `fails` are what each look decides, `blind` whether the
    gains up to it differ by no more than rounding.
    """

    estimand: Estimand
    estimate: Floats
    lower: Floats
    upper: Floats
    passes: Flags
    fails: Flags
    blind: Flags

    @property
    def natural_bounds(self) -> tuple[Floats, Floats]:
        """The interval at every look in the rule's own unit, the smaller number first."""
        bounds = self.estimand.naturals(np.vstack([self.lower, self.upper]))
        return bounds.min(axis=0), bounds.max(axis=0)

    @property
    def newest_bounds(self) -> tuple[float, float]:
        """The interval at the newest look in the rule's own unit, the smaller number first."""
        bounds = self.estimand.natural(float(self.lower[-1])), self.estimand.natural(float(self.upper[-1]))
        return min(bounds), max(bounds)


def judge_sequence(rule: Rule, series: Series, terms: JudgingTerms) -> SequentialResult:
    """Hold the sequence of gains against 0: above it passes, below it fails; guardrail passes unless harm is shown.

    `series` has at least one observation, and is in weeks where the policy is. Raises NoEstimandError as `estimand_of`.
    """
    return judge_sequences(rule, [(series, estimand_of(rule, series))], terms)[0]


def judge_sequences(
    rule: Rule, judged: Sequence[tuple[Series, Estimand]], terms: JudgingTerms
) -> list[SequentialResult]:
    """Return what `judge_sequence` does for many series, each with the rule's estimand on it."""
    results: dict[int, SequentialResult] = {}
    for places, bounds in _sequences(rule, judged, terms):
        size = np.stack([size_of(judged[place][0]) for place in places])
        blind = only_rounding(np.stack([judged[place][1].gains for place in places]), size)
        passes, fails = _decisions(rule, bounds, size, blind)
        for row, place in enumerate(places):
            interval = bounds.estimate[row], bounds.lower[row], bounds.upper[row]
            results[place] = SequentialResult(judged[place][1], *interval, passes[row], fails[row], blind[row])
    return [results[place] for place in range(len(judged))]


def newest(rule: Rule, many: Sequence[Series], terms: JudgingTerms) -> Floats:
    """Return estimate, lower and upper bound of the mean gain at the newest look of many series: shape (series, 3).

    Each has at least one observation, in the policy's unit. Raises NoEstimandError as `estimand_of`.
    """
    judged = [(series, estimand_of(rule, series)) for series in many]
    looks = np.empty((len(many), 3))
    for places, bounds in _sequences(rule, judged, terms):
        looks[places] = np.column_stack([bounds.estimate[:, -1], bounds.lower[:, -1], bounds.upper[:, -1]])
    return looks


def _decisions(rule: Rule, bounds: ConfidenceSequence, size: Floats, blind: Flags) -> tuple[Flags, Flags]:
    """Return at which looks the rule passes and fails; all arrays have shape (series, observations)."""
    passes, fails = holds(rule, bounds.lower, size) & ~blind, (bounds.upper < 0) & ~blind
    if rule.is_ == "guardrail":
        later = np.arange(blind.shape[-1]) > 0
        shown = np.logical_or.accumulate(fails, axis=-1) | (later & blind)  # harm that is the same every day is harm
        passes = ~fails & ~(shown & (bounds.estimate < 0))  # and a day of still more of it does not take it back
    return passes, fails


def _sequences(
    rule: Rule, judged: Sequence[tuple[Series, Estimand]], terms: JudgingTerms
) -> Iterator[tuple[list[int], ConfidenceSequence]]:
    """Yield the places of some series with their sequences, of shape (series, observations).

    Those of one length and range are computed at once, those of requests one by one.
    """
    groups: dict[tuple[int, tuple[float, float]], list[int]] = defaultdict(list)
    for place, (series, estimand) in enumerate(judged):
        if terms.policy.unit == "request" and series.squares is not None and series.weight is not None:
            bounds = _of_requests(rule, series, series.weight, series.squares, estimand, terms)
            yield [place], ConfidenceSequence(bounds.lower[None], bounds.upper[None], bounds.estimate[None])
        else:
            groups[len(estimand.gains), estimand.range].append(place)
    for (_, span), places in groups.items():
        yield places, _of_days(np.stack([judged[place][1].gains for place in places]), span, terms)


def _of_requests(
    rule: Rule, series: Series, weight: Floats, squares: Floats, estimand: Estimand, terms: JudgingTerms
) -> ConfidenceSequence:
    weight2, weight2_difference, weight2_difference2 = squares.T
    margin = rule.margin or 0.0
    per_day = max(float(series.pairs.mean()), 1.0)
    return weighted_confidence_sequence(
        count=series.pairs,
        weight=weight,
        weight_difference=weight * estimand.gains,
        weight2=weight2,
        weight2_difference=weight2_difference + margin * weight2,
        weight2_difference2=weight2_difference2 + 2 * margin * weight2_difference + margin**2 * weight2,
        alpha=(terms.alpha.to_pass, terms.alpha.to_fail),
        burn_in=terms.policy.burn_in,
        tuned_for=terms.policy.tuned_for * per_day,
    )


def _of_days(gains: Floats, bounds: tuple[float, float], terms: JudgingTerms) -> ConfidenceSequence:
    return confidence_sequence(
        gains,
        alpha=(terms.alpha.to_pass, terms.alpha.to_fail),
        burn_in=terms.policy.observations_before_bound,
        tuned_for=terms.tuned_for,
        method=terms.policy.method,
        bounds=bounds,
    )
