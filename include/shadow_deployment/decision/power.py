"""Planning: in how many days an effect would be decided, and what another sampling rate would change.

The variance of a day is split into what more requests would shrink and what they would not. Source: Owen, Monte Carlo
Theory, Methods and Examples, 2013, section 9.2, the linearised variance of a weighted mean.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from shadow_deployment.config.policy import COMPARING, Policy, Rule
from shadow_deployment.decision.calibration import check, named, question_of
from shadow_deployment.decision.estimand import Estimand, estimand_of
from shadow_deployment.decision.sequential import JudgingTerms
from shadow_deployment.decision.series import WEEK, Series
from shadow_deployment.errors import LedgerError
from shadow_deployment.statistics.confidence import observations_needed

RATES: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_ROUNDING: Final = 1e-12
_SLOWER: Final = 1.1  # how much longer a smaller sample may take


@dataclass(frozen=True)
class SampleRate:
    """In how many days the effect would be decided if `rate` times as many requests were sampled; None for never."""

    rate: float
    days: int | None


@dataclass(frozen=True)
class PowerAnalysis:
    """In how many `days` of evidence in all, `seen` of them there already, an effect would be decided.

    `between` and `within` are the variances of an observation (a day or week) that stay, and that shrink as more
    requests are sampled, in the rule's unit squared; `within`, `rates` and `proposed` are None and empty where the
    evidence cannot tell them apart.
    """

    rule: str
    effect: float
    alpha: float
    seen: int
    days: int | None
    between: float
    within: float | None
    rates: tuple[SampleRate, ...]
    proposed: float | None

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def power_analysis(
    series: Series, rule: Rule, policy: Policy, *, promotable: int, effect: float, rates: Sequence[float] = RATES
) -> PowerAnalysis:
    """Return in how many days `rule` would pass if its mean lay `effect`, in its unit, beyond its bound.

    `rates` are multiples of the present sample. The proposed one is the smallest that takes at most a tenth longer than
    the present one. Assumed: days to come vary as those seen do and independently, so that the plain margin of
    `observations_needed` holds, to which chance comes earlier in most histories, and later where days depend on each
    other or are bet on; and requests of a day are drawn independently, so that their part of the variance, on average
    the linearised Σw²(d - mean)² / (Σw)² of a day (Owen) times n/(n - 1) for n = (Σw)² / Σw², is divided by the rate
    and the rest stays. Days with an n of 1 say nothing about it.

    Raises LedgerError for fewer than two observations, a rule without a sequence toward passing and unit `request`.
    """
    check(policy, effect)
    if not all(0 < rate < math.inf for rate in rates):
        raise ValueError(f"rates == {tuple(rates)}, must be > 0 and finite")
    weekly = policy.unit == "week"
    question = _planned(rule, series, weekly=weekly)
    terms = JudgingTerms(policy, policy.alpha / max(promotable, 1), policy.alpha)
    total = float(question.gains.var(ddof=1)) * question.scale**2
    within = _within(rule, series, weekly=weekly)
    within = None if within is None else min(within, total)
    between = total - (within or 0.0)

    def days(rate: float) -> int | None:
        deviation, first = math.sqrt(between + (within or 0.0) / rate), policy.observations_before_bound
        alpha, tuned_for = terms.alpha_pass, terms.tuned_for
        needed = observations_needed(effect, deviation, alpha=alpha, tuned_for=tuned_for, burn_in=first)
        return None if needed is None else needed * (WEEK if weekly else 1)

    now = days(1.0)
    others = () if within is None else tuple(SampleRate(rate, days(rate)) for rate in sorted(rates))
    enough = [one.rate for one in others if now and one.days and one.days <= _SLOWER * now]
    known = (named(rule, series.slice), effect, terms.alpha_pass, len(series.days), now, between, within, others)
    return PowerAnalysis(*known, proposed=min(enough, default=None))


def _planned(rule: Rule, series: Series, *, weekly: bool) -> Estimand:
    title = named(rule, series.slice)
    if rule.is_ == "guardrail":
        raise LedgerError(f"{title}: passes unless harm is shown, so no number of days is needed")
    question = question_of(rule, series, 2 * WEEK if weekly else 2)
    if isinstance(question, str):
        raise LedgerError(f"{title}: {question}")
    return estimand_of(rule, series.by_week()) if weekly else question


def _within(rule: Rule, series: Series, *, weekly: bool) -> float | None:
    """Return the variance of an observation that is due to the sample of requests, None where it is not known."""
    if series.squares is None or rule.is_ not in COMPARING or rule.relative_margin is not None:
        return None
    weight, mean = np.ones(len(series.days)) if series.weight is None else series.weight, series.difference
    weight2, weight2_difference, weight2_difference2 = series.squares.T
    effective = weight**2 / weight2
    spread = weight2_difference2 - 2 * mean * weight2_difference + mean**2 * weight2
    known = effective > 1 + _ROUNDING
    variance = (np.maximum(spread, 0) / weight**2)[known] * effective[known] / (effective[known] - 1)
    if not known.any():
        return None
    share = weight[known] / weight[known].sum()
    return float(share**2 @ variance) * known.sum() / WEEK if weekly else float(variance.mean())
