"""Power: in how many days an effect would be decided, and what another sampling rate would change.

The variance of a day is split into a part that shrinks with more requests and a part that stays. Source: Owen,
Monte Carlo Theory, Methods and Examples, 2013, section 9.2, the linearised variance of a weighted mean.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from shadow_deployment.config.policy import COMPARING, WEEK, Policy, Rule
from shadow_deployment.decision.alpha import AlphaSplit
from shadow_deployment.decision.estimand import Estimand, estimand_of, estimand_or_reason
from shadow_deployment.decision.sequential import JudgingTerms, SequentialResult, plain_margins
from shadow_deployment.decision.series import Series
from shadow_deployment.decision.words.wording import rule_in_slice
from shadow_deployment.errors import LedgerError
from shadow_deployment.statistics.confidence_sequence import observations_needed

Rates = Sequence[float]
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
    """In how many `days` of evidence in all, including the `seen` ones, an effect would be decided.

    `between` and `within` are the parts of the variance of an observation (a day or week) that stay and that shrink as
    more requests are sampled, in the rule's unit squared; `within` and `proposed` are None and `rates` is empty where
    the evidence cannot separate them.
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
    series: Series, rule: Rule, policy: Policy, *, effect: float, alpha: float | None = None, rates: Rates = RATES
) -> PowerAnalysis:
    """Return in how many days `rule` would pass if its mean lay `effect`, in its unit, beyond its bound.

    The proposed rate is the smallest that takes at most a tenth longer than the present one. Two assumptions. Days to
    come vary as those seen do and independently, so that the plain margin of `observations_needed` holds; most
    histories decide earlier by chance, and later where days depend on each other or the method is betting. Requests
    of a day are drawn independently, so that their part of the variance, on average the linearised
    Σw²(d - mean)² / (Σw)² of a day (Owen) times n/(n - 1) for n = (Σw)² / Σw² and the square of the day's weight, is
    divided by the rate and the rest stays; days with n = 1 are left out of it.

    Args:
        series: The rule's evidence in one slice.
        rule: A rule with a sequence toward passing.
        policy, alpha: Its policy, in units of days or weeks, and the trial's alpha toward PASS, None for all of its.
        effect: Distance from the bound, in the rule's unit.
        rates: Multiples of the present sampling rate.

    Raises:
        LedgerError: There are fewer than two observations, no sequence toward passing, or the unit is `request`.
        ValueError: `effect` or a rate is not positive and finite.
    """
    require_planned(policy, effect)
    if not all(0 < rate < math.inf for rate in rates):
        raise ValueError(f"rates == {tuple(rates)}, must be > 0 and finite")
    weekly = policy.unit == "week"
    estimand = _planned(rule, series, policy)
    terms = JudgingTerms(policy, AlphaSplit(alpha or policy.alpha, policy.alpha))
    total = float(estimand.linearised.var(ddof=1)) * estimand.scale**2
    within = _within(rule, series.weighed(policy), weekly=weekly)
    within = None if within is None else min(within, total)
    between = total - (within or 0.0)
    now = _days_needed(effect, between + (within or 0.0), terms)
    variances = {} if within is None else {rate: between + within / rate for rate in sorted(rates)}
    others = tuple(SampleRate(rate, _days_needed(effect, variance, terms)) for rate, variance in variances.items())
    enough = [other.rate for other in others if now and other.days and other.days <= _SLOWER * now]
    return PowerAnalysis(
        rule=rule_in_slice(rule, series.slice),
        effect=effect,
        alpha=terms.alpha.to_pass,
        seen=len(series.days),
        days=now,
        between=between,
        within=within,
        rates=others,
        proposed=min(enough, default=None),
    )


def require_planned(policy: Policy, effect: float | None) -> None:
    """Raise LedgerError for a policy whose days cannot be planned with, ValueError for an effect out of range."""
    if policy.unit == "request":
        raise LedgerError("policy.unit == 'request', must be day or week here: try the same policy with unit day")
    if effect is not None and not 0 < effect < math.inf:
        raise ValueError(f"effect == {effect}, must be > 0 and finite: how far beyond the bound the truth lies")


def _days_needed(effect: float, variance: float, terms: JudgingTerms) -> int | None:
    """Return in how many days the effect would be decided at this variance of an observation."""
    needed = observations_needed(
        effect,
        math.sqrt(variance),
        alpha=terms.alpha.to_pass,
        tuned_for=terms.tuned_for,
        burn_in=terms.policy.observations_before_bound,
    )
    return None if needed is None else needed * (WEEK if terms.policy.unit == "week" else 1)


def _planned(rule: Rule, series: Series, policy: Policy) -> Estimand:
    title = rule_in_slice(rule, series.slice)
    if rule.is_ == "guardrail":
        raise LedgerError(f"{title}: passes unless harm is shown, so no number of days is needed")
    reason = estimand_or_reason(rule, series, 2 * WEEK if policy.unit == "week" else 2)
    if isinstance(reason, str):
        raise LedgerError(f"{title}: {reason}")
    return estimand_of(rule, series.observed(policy))


def _within(rule: Rule, series: Series, *, weekly: bool) -> float | None:
    """Return the variance of an observation that is due to the sample of requests, None where it is not known."""
    if series.squares is None or rule.is_ not in COMPARING or rule.relative_margin is not None:
        return None
    weight, mean = series.weights, series.difference
    weight2, weight2_difference, weight2_difference2 = series.squares.T
    effective = weight**2 / weight2
    spread = weight2_difference2 - 2 * mean * weight2_difference + mean**2 * weight2
    known = effective > 1 + _ROUNDING
    variance = (np.maximum(spread, 0) / weight**2)[known] * effective[known] / (effective[known] - 1)
    if not known.any():
        return None
    share = weight[known] / weight[known].sum()
    return float(share**2 @ variance) * int(known.sum()) / (WEEK if weekly else 1)


def more_observations(results: Sequence[SequentialResult], terms: JudgingTerms) -> list[int | None]:
    """Return in how many more observations each effect seen so far would be decided, None where none would.

    The margins of today are wider than those of independent, symmetric days with the same spread by a factor that is
    assumed to stay.
    """
    first = terms.policy.observations_before_bound
    effects = [_effect_of(result) for result in results]
    wide = [place for place, effect in enumerate(effects) if effect.count >= first and math.isfinite(effect.width)]
    plain = plain_margins([results[place].estimand for place in wide], [effects[place].alpha for place in wide], terms)
    wider = {place: max(1.0, effects[place].width / width) for place, width in zip(wide, plain, strict=True)}
    return [_more(effect, wider.get(place, 1.0), terms) for place, effect in enumerate(effects)]


@dataclass(frozen=True)
class _Effect:
    """The effect of `count` observations, their spread, and alpha and margin of the side that it is decided on."""

    count: int
    mean: float = math.nan
    spread: float = math.nan
    alpha: float = math.nan
    width: float = math.nan


def _effect_of(result: SequentialResult) -> _Effect:
    gains = result.estimand.linearised
    if len(gains) < 2:
        return _Effect(len(gains))
    with np.errstate(over="ignore", invalid="ignore"):
        mean, spread = float(gains.mean()), float(gains.std(ddof=1))
    if not (math.isfinite(mean) and math.isfinite(spread)):
        return _Effect(len(gains))
    if mean > 0:
        return _Effect(len(gains), mean, spread, result.alpha[0], float((result.estimate - result.lower)[-1]))
    return _Effect(len(gains), mean, spread, result.alpha[1], float((result.upper - result.estimate)[-1]))


def _more(effect: _Effect, wider: float, terms: JudgingTerms) -> int | None:
    first = terms.policy.observations_before_bound
    if effect.count < 2:
        return max(first - effect.count, 1)
    if math.isnan(effect.mean):
        return None
    needed = observations_needed(
        effect.mean, effect.spread * wider, alpha=effect.alpha, tuned_for=terms.tuned_for, burn_in=first
    )
    return None if needed is None else max(needed - effect.count, 1)
