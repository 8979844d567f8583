"""A rule's confidence sequence at every look: what it bounds, and what each look decides.

What a verdict judges is the newest look; a picture shows them all.
"""

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.config.policy import Policy, Rule
from shadow_deployment.decision.estimand import Estimand, estimand_of, holds, only_rounding, size_of
from shadow_deployment.decision.series import WEEK, Series
from shadow_deployment.statistics.confidence import (
    ConfidenceSequence,
    confidence_sequence,
    weighted_confidence_sequence,
)


@dataclass(frozen=True)
class JudgingTerms:
    """At which error rates a challenger's sequences are judged, and by which policy."""

    policy: Policy
    alpha_pass: float
    alpha_fail: float
    day: dt.date | None = None

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
    """What a rule's sequence says at every look: arrays of shape (observations,).

    `lower` and `upper` bound the mean gain toward passing and toward failing, -inf and +inf where nothing may be
    concluded; `estimate` is the running mean. `passes` and `fails` are what each look decides, `blind` whether the
    gains up to it differ by no more than rounding.
    """

    question: Estimand
    estimate: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    passes: NDArray[np.bool_]
    fails: NDArray[np.bool_]
    blind: NDArray[np.bool_]

    @property
    def natural_bounds(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The interval at every look in the rule's own unit, the smaller number first."""
        bounds = self.question.naturals(np.vstack([self.lower, self.upper]))
        return bounds.min(axis=0), bounds.max(axis=0)

    @property
    def newest_bounds(self) -> tuple[float, float]:
        """The interval at the newest look in the rule's own unit, the smaller number first."""
        bounds = self.question.natural(float(self.lower[-1])), self.question.natural(float(self.upper[-1]))
        return min(bounds), max(bounds)


def judge_sequence(rule: Rule, series: Series, terms: JudgingTerms) -> SequentialResult:
    """Hold the sequence of gains against 0: above it passes, below it fails, and harm not shown passes guardrail.

    `series` has at least one observation, and is in weeks where the policy is. Raises UnanswerableError as `ask` does.
    """
    return judge_sequences(rule, [(series, estimand_of(rule, series))], terms)[0]


def judge_sequences(
    rule: Rule, asked: Sequence[tuple[Series, Estimand]], terms: JudgingTerms
) -> list[SequentialResult]:
    """Return what `look` does for many series, each with the question that the rule asks of it."""
    found: dict[int, SequentialResult] = {}
    for places, many in _sequences(rule, asked, terms):
        size = np.stack([size_of(asked[place][0]) for place in places])
        blind = only_rounding(np.stack([asked[place][1].gains for place in places]), size)
        passes, fails = _decided(rule, many, size, blind)
        for row, place in enumerate(places):
            bounds = many.estimate[row], many.lower[row], many.upper[row]
            found[place] = SequentialResult(asked[place][1], *bounds, passes[row], fails[row], blind[row])
    return [found[place] for place in range(len(asked))]


def newest(rule: Rule, many: Sequence[Series], terms: JudgingTerms) -> NDArray[np.float64]:
    """Return estimate, lower and upper bound of the mean gain at the newest look of many series: shape (series, 3).

    Each has at least one observation, in the policy's unit. Raises UnanswerableError as `ask` does.
    """
    asked = [(series, estimand_of(rule, series)) for series in many]
    found = np.empty((len(many), 3))
    for places, one in _sequences(rule, asked, terms):
        found[places] = np.column_stack([one.estimate[:, -1], one.lower[:, -1], one.upper[:, -1]])
    return found


def plain_margins(questions: Sequence[Estimand], alphas: Sequence[float], terms: JudgingTerms) -> list[float]:
    """Return how far the plain bound lies below the mean of each question's gains by now, at an alpha of its own."""
    margins = [0.0] * len(questions)
    for alpha in set(alphas):
        places = [place for place, one in enumerate(alphas) if one == alpha]
        for same in _of_one_length([len(questions[place].gains) for place in places]):
            chosen = [places[place] for place in same]
            sequence = confidence_sequence(
                np.stack([questions[place].gains for place in chosen]),
                alpha=alpha,
                burn_in=terms.policy.observations_before_bound,
                tuned_for=terms.tuned_for,
                side="lower",
                method="plain",
            )
            widths = (sequence.estimate - sequence.lower)[:, -1].tolist()
            for place, width in zip(chosen, widths, strict=True):
                margins[place] = width
    return margins


def _decided(
    rule: Rule, many: ConfidenceSequence, size: NDArray[np.float64], blind: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return at which looks the rule passes and fails: arrays of shape (series, observations), as those given."""
    passes, fails = holds(rule, many.lower, size) & ~blind, (many.upper < 0) & ~blind
    if rule.is_ == "guardrail":
        again = np.arange(blind.shape[-1]) > 0
        shown = np.logical_or.accumulate(fails, axis=-1) | (again & blind)  # harm that is the same every day is harm
        passes = ~fails & ~(shown & (many.estimate < 0))  # and a day of still more of it does not take it back
    return passes, fails


def _sequences(
    rule: Rule, asked: Sequence[tuple[Series, Estimand]], terms: JudgingTerms
) -> Iterator[tuple[list[int], ConfidenceSequence]]:
    """Yield the places of some series with their sequences, of shape (series, observations).

    Those of one length and range are computed at once, those of requests one by one.
    """
    groups: dict[tuple[int, tuple[float, float]], list[int]] = {}
    for place, (series, question) in enumerate(asked):
        if terms.policy.unit == "request" and series.squares is not None and series.weight is not None:
            one = _of_requests(rule, series, question, terms)
            yield [place], ConfidenceSequence(one.lower[None], one.upper[None], one.estimate[None])
        else:
            groups.setdefault((len(question.gains), question.range), []).append(place)
    for (_, span), places in groups.items():
        yield places, _of_days(np.stack([asked[place][1].gains for place in places]), span, terms)


def _of_one_length(lengths: Sequence[int]) -> list[list[int]]:
    """Return the places of equal lengths together."""
    return [[place for place, one in enumerate(lengths) if one == length] for length in sorted(set(lengths))]


def _of_requests(rule: Rule, series: Series, question: Estimand, terms: JudgingTerms) -> ConfidenceSequence:
    assert series.squares is not None  # noqa: S101 (such a series is told from the others by it)
    assert series.weight is not None  # noqa: S101
    weight2, weight2_difference, weight2_difference2 = series.squares.T
    margin = rule.margin or 0.0
    per_day = max(float(series.pairs.mean()), 1.0)
    return weighted_confidence_sequence(
        count=series.pairs,
        weight=series.weight,
        weight_difference=series.weight * question.gains,
        weight2=weight2,
        weight2_difference=weight2_difference + margin * weight2,
        weight2_difference2=weight2_difference2 + 2 * margin * weight2_difference + margin**2 * weight2,
        alpha=(terms.alpha_pass, terms.alpha_fail),
        burn_in=terms.policy.burn_in,
        tuned_for=terms.policy.tuned_for * per_day,
    )


def _of_days(gains: NDArray[np.float64], bounds: tuple[float, float], terms: JudgingTerms) -> ConfidenceSequence:
    return confidence_sequence(
        gains,
        alpha=(terms.alpha_pass, terms.alpha_fail),
        burn_in=terms.policy.observations_before_bound,
        tuned_for=terms.tuned_for,
        method=terms.policy.method,
        bounds=bounds,
    )
