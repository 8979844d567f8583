"""A rule's confidence sequence at every look: what it bounds, and what each look decides.

What a verdict judges is the newest look; a picture shows them all.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from include.shadow.confidence import ConfidenceSequence, Side, confidence_sequence, weighted_confidence_sequence
from include.shadow.evidence import WEEK, Series
from include.shadow.observations import Question, ask, holds, only_rounding
from include.shadow.rules import Policy, Rule


@dataclass(frozen=True)
class Terms:
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
    def expected(self) -> float:
        """The number of observations, in the policy's unit, at which bounds are tightest."""
        return max(2.0, self.policy.expected / WEEK) if self.policy.unit == "week" else float(self.policy.expected)


@dataclass(frozen=True, eq=False)
class Looks:
    """What a rule's sequence says at every look: arrays of shape (observations,).

    `lower` and `upper` bound the mean gain toward passing and toward failing, -inf and +inf where nothing may be
    concluded; `estimate` is the running mean. `passes` and `fails` are what each look decides, `blind` whether the
    gains up to it differ by no more than rounding.
    """

    question: Question
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


def look(rule: Rule, series: Series, terms: Terms) -> Looks:
    """Hold the sequence of gains against 0: above it passes, below it fails, and harm not shown passes not_harmful.

    `series` has at least one observation, and is in weeks where the policy is. Raises UnanswerableError as `ask` does.
    """
    question = ask(rule, series)
    passing = _sequence(rule, series, question, terms, "lower")
    failing = _sequence(rule, series, question, terms, "upper")
    blind = only_rounding(question, series)
    passes, fails = holds(rule, passing.lower, series) & ~blind, (failing.upper < 0) & ~blind
    if rule.is_ == "not_harmful":
        again = np.arange(len(series.days)) > 0
        passes = ~fails & ~(again & blind & (passing.estimate < 0))  # harm that is the same every day is harm
    return Looks(question, passing.estimate, passing.lower, failing.upper, passes, fails, blind)


def newest(rule: Rule, many: Sequence[Series], terms: Terms) -> NDArray[np.float64]:
    """Return estimate, lower and upper bound of the mean gain at the newest look of many series: shape (series, 3).

    What `look` gives one by one, but those of one length at once. Each has at least one observation, in the policy's
    unit. Raises UnanswerableError as `ask` does.
    """
    found = np.empty((len(many), 3))
    lengths = np.array([len(one.days) for one in many])
    for length in np.unique(lengths):
        of_length = np.flatnonzero(lengths == length)
        if terms.policy.unit == "request":
            for place in of_length.tolist():
                one = look(rule, many[place], terms)
                found[place] = one.estimate[-1], one.lower[-1], one.upper[-1]
            continue
        questions = [ask(rule, many[place]) for place in of_length.tolist()]
        gains = np.stack([question.gains for question in questions])
        passing = _of_days(gains, questions[0].range, terms, "lower")
        failing = _of_days(gains, questions[0].range, terms, "upper")
        found[of_length] = np.column_stack([passing.estimate[:, -1], passing.lower[:, -1], failing.upper[:, -1]])
    return found


def _sequence(rule: Rule, series: Series, question: Question, terms: Terms, side: Side) -> ConfidenceSequence:
    policy = terms.policy
    alpha = terms.alpha_pass if side == "lower" else terms.alpha_fail
    if policy.unit == "request" and series.squares is not None and series.weight is not None:
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
            alpha=alpha,
            burn_in=policy.burn_in,
            expected=policy.expected * per_day,
            side=side,
        )
    return _of_days(question.gains, question.range, terms, side)


def _of_days(gains: NDArray[np.float64], bounds: tuple[float, float], terms: Terms, side: Side) -> ConfidenceSequence:
    return confidence_sequence(
        gains,
        alpha=terms.alpha_pass if side == "lower" else terms.alpha_fail,
        burn_in=terms.policy.observations_before_bound,
        expected=terms.expected,
        side=side,
        method=terms.policy.method,
        bounds=bounds,
    )
