"""A rule's confidence sequence at every look: what it bounds, and what each look decides.

A verdict rests on the newest look; a chart shows them all.
"""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.config.policy import Policy, Rule
from shadow_deployment.decision.alpha import AlphaSplit
from shadow_deployment.decision.estimand import (
    Estimand,
    estimand_of,
    estimands_of,
    holds,
    only_rounding,
    size_of,
)
from shadow_deployment.decision.series import Series
from shadow_deployment.statistics.confidence_sequence import (
    ConfidenceSequence,
    Looks,
    first_of,
    weighted_confidence_sequence,
)
from shadow_deployment.statistics.weighted_mean import weighted_mean_sequence

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

    def alphas_in(self, slice_name: str) -> tuple[float, float]:
        """Return the error probabilities of the bounds toward passing and toward failing in one slice."""
        return self.alpha.to_pass, self.alpha.to_fail_in(slice_name)

    @property
    def tuned_for(self) -> float:
        """The number of observations, in the policy's unit, at which bounds are tightest."""
        return max(2.0, self.policy.tuned_for / self.policy.days_per_observation)


@dataclass(frozen=True, eq=False)
class SequentialResult:
    """A rule's sequence at every look, or the newest alone: arrays of shape (looks,).

    `alpha` are the error probabilities of `lower` and `upper`, which bound the mean gain toward passing and toward
    failing, -inf and +inf where nothing may be concluded; `estimate` is the running weighted mean. `passes` and `fails`
    are what each look decides, `blind` whether the gains up to it differ by no more than rounding. `sides` are the two
    one-sided results of `equivalent`, which needs both; none for other rules.
    """

    estimand: Estimand
    alpha: tuple[float, float]
    estimate: Floats
    lower: Floats
    upper: Floats
    passes: Flags
    fails: Flags
    blind: Flags
    sides: tuple["SequentialResult", ...] = ()

    @property
    def nearest(self) -> "SequentialResult":
        """The result of the bound that the newest estimate is nearest to, or furthest beyond."""
        return min(self.sides, key=lambda side: float(side.estimate[-1]), default=self)

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

    `series` has at least one observation, as `Series.observed` gives them. Raises NoEstimandError as `estimand_of`.
    """
    return judge_sequences(rule, [(series, estimand_of(rule, series))], terms)[0]


def judge_sequences(
    rule: Rule, judged: Sequence[tuple[Series, Estimand]], terms: JudgingTerms, looks: Looks = "all"
) -> list[SequentialResult]:
    """Return what `judge_sequence` does for many series, each with the rule's estimand on it.

    With "newest" the results have that look alone, but for a guardrail, whose newest look depends on all before.
    """
    looks = "all" if rule.is_ == "guardrail" else looks
    if rule.is_ != "equivalent":
        return _one_sided(rule, judged, terms, looks)
    halved = replace(terms, alpha=terms.alpha.with_halved_fail)
    other = [(series, estimands_of(rule, series)[1]) for series, _ in judged]
    sides = zip(_one_sided(rule, judged, halved, looks), _one_sided(rule, other, halved, looks), strict=True)
    return [_both_sides(worse, better) for worse, better in sides]


def _both_sides(worse: SequentialResult, better: SequentialResult) -> SequentialResult:
    """Put two one-sided tests together (Schuirmann, Journal of Pharmacokinetics and Biopharmaceutics 15(6), 1987).

    Both bounds shown are those toward passing, except where one side fails: there it is that side's toward failing.
    """
    margins = worse.estimate + better.estimate  # twice the margin, in whose distance the one gain mirrors the other
    return SequentialResult(
        estimand=worse.estimand,
        alpha=worse.alpha,
        estimate=worse.estimate,
        lower=np.where(better.fails, margins - better.upper, worse.lower),
        upper=np.where(worse.fails, worse.upper, margins - better.lower),
        passes=worse.passes & better.passes,
        fails=worse.fails | better.fails,
        blind=worse.blind | better.blind,
        sides=(worse, better),
    )


def _one_sided(
    rule: Rule, judged: Sequence[tuple[Series, Estimand]], terms: JudgingTerms, looks: Looks
) -> list[SequentialResult]:
    results: dict[int, SequentialResult] = {}
    for places, alpha, bounds in _sequences(judged, terms, looks):
        size = np.stack([size_of(judged[place][0]) for place in places])
        wanted = np.s_[:, first_of(looks, size.shape[1]) :]
        blind = only_rounding(np.stack([judged[place][1].gains for place in places]), size)[wanted]
        lower = np.where(blind, -np.inf, bounds.lower - _one_more_day(rule, size.shape[1], terms)[wanted[1:]])
        size = size[wanted]
        upper = np.where(blind, np.inf, bounds.upper)
        passes, fails = _decisions(rule, ConfidenceSequence(lower, upper, bounds.estimate), size, blind)
        for row, place in enumerate(places):
            interval = bounds.estimate[row], lower[row], upper[row]
            decided = passes[row], fails[row], blind[row]
            results[place] = SequentialResult(judged[place][1], alpha, *interval, *decided)
    return [results[place] for place in range(len(judged))]


def _one_more_day(rule: Rule, observations: int, terms: JudgingTerms) -> Floats:
    """Return by how much one more day that lost `worst_day` would lower the mean at each look."""
    days = np.arange(1.0, observations + 1) * terms.policy.days_per_observation
    return (rule.worst_day or 0.0) / days


def newest(rule: Rule, many: Sequence[Series], terms: JudgingTerms) -> Floats:
    """Return estimate, lower and upper bound of the mean gain at the newest look of many series: shape (series, 3).

    Each has at least one observation, as `Series.observed` gives them. Raises NoEstimandError as `estimand_of`.
    """
    judged = [(series, estimand_of(rule, series)) for series in many]
    looks = np.empty((len(many), 3))
    for places, _, bounds in _sequences(judged, terms, "newest"):
        looks[places] = np.column_stack([bounds.estimate, bounds.lower, bounds.upper])
    return looks


def _decisions(rule: Rule, bounds: ConfidenceSequence, size: Floats, blind: Flags) -> tuple[Flags, Flags]:
    """Return at which looks the rule passes and fails; all arrays have shape (series, observations)."""
    passes, fails = holds(rule, bounds.lower, size) & ~blind, (bounds.upper < 0) & ~blind
    if rule.is_ == "guardrail":
        later = np.arange(blind.shape[1]) > 0
        shown = np.logical_or.accumulate(fails, axis=1) | (later & blind)  # harm that is the same every day is harm
        passes = ~fails & ~(shown & (bounds.estimate < 0))  # and a day of still more of it does not take it back
    return passes, fails


def _sequences(
    judged: Sequence[tuple[Series, Estimand]], terms: JudgingTerms, looks: Looks
) -> Iterator[tuple[list[int], tuple[float, float], ConfidenceSequence]]:
    """Yield the places of some series with their alphas and their sequences, of shape (series, looks).

    Those of one length, range and alpha are computed at once, those of requests one by one.
    """
    groups: dict[tuple[int, tuple[float, float], tuple[float, float]], list[int]] = defaultdict(list)
    for place, (series, estimand) in enumerate(judged):
        alpha = terms.alphas_in(series.slice)
        if terms.policy.unit == "request" and series.squares is not None:
            bounds = _of_requests(series, series.squares, estimand, alpha, terms.policy)
            wanted = np.s_[None, first_of(looks, len(series.days)) :]
            yield (
                [place],
                alpha,
                ConfidenceSequence(bounds.lower[wanted], bounds.upper[wanted], bounds.estimate[wanted]),
            )
        else:
            groups[len(estimand.gains), estimand.range, alpha].append(place)
    for (_, _, alpha), places in groups.items():
        yield places, alpha, _of_observations([judged[place][1] for place in places], alpha, terms, looks)


def _of_requests(
    series: Series, squares: Floats, estimand: Estimand, alpha: tuple[float, float], policy: Policy
) -> ConfidenceSequence:
    """Bound the mean of requests; how many a day has is taken from the burn-in, so that past bounds never move."""
    weight2, weight2_difference, weight2_difference2 = squares.T
    sign, margin = estimand.scale, -estimand.scale * estimand.offset
    return weighted_confidence_sequence(
        count=series.pairs,
        weight=estimand.weight,
        weight_difference=estimand.weight * estimand.gains,
        weight2=weight2,
        weight2_difference=sign * weight2_difference + margin * weight2,
        weight2_difference2=weight2_difference2 + 2 * margin * sign * weight2_difference + margin**2 * weight2,
        alpha=alpha,
        burn_in=policy.burn_in,
        tuned_for=policy.tuned_for * max(float(series.pairs[: policy.burn_in].mean()), 1.0),
    )


def _of_observations(
    estimands: Sequence[Estimand], alpha: tuple[float, float], terms: JudgingTerms, looks: Looks
) -> ConfidenceSequence:
    return weighted_mean_sequence(
        np.stack([each.gains for each in estimands]),
        np.stack([each.weight for each in estimands]),
        alpha=alpha,
        burn_in=terms.policy.observations_before_bound,
        tuned_for=terms.tuned_for,
        method=terms.policy.method,
        bounds=estimands[0].range,
        looks=looks,
    )
