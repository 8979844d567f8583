"""Power: in how many days an effect would be decided, and what another sampling rate would change.

The variance of a day is split into a part that shrinks with more requests and a part that stays. Source: Owen,
Monte Carlo Theory, Methods and Examples, 2013, section 9.2, the linearised variance of a weighted mean.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from shadow_deployment.config.policy import COMPARING, Policy, Rule
from shadow_deployment.decision.alpha import AlphaSplit
from shadow_deployment.decision.estimand import Estimand, estimand_of, estimand_or_reason
from shadow_deployment.decision.sequential import JudgingTerms, SequentialResult
from shadow_deployment.decision.series import Series
from shadow_deployment.decision.words.wording import rule_in_slice
from shadow_deployment.errors import LedgerError
from shadow_deployment.statistics.confidence_sequence import observations_needed
from shadow_deployment.statistics.first_passage import decision_times
from shadow_deployment.statistics.long_run_variance import long_run_ratio
from shadow_deployment.statistics.margin import independent_margin

RATES: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_ROUNDING: Final = 1e-12
_SLOWER: Final = 1.1  # how much longer a smaller sample may take


@dataclass(frozen=True)
class SampleRate:
    """In how many days half the histories would decide, if `rate` times as many requests were sampled; None: never."""

    rate: float
    days: int | None


@dataclass(frozen=True)
class PowerAnalysis:
    """In how many days of evidence in all, including the `seen` ones, an effect would be decided.

    Half of all histories are decided by `days`, nine tenths by `days_90`; `other_days` are the `days` with the unit
    `other_unit` in place of the policy's, None also where the evidence is too short for it, or of weeks. `between` and
    `within` are the parts of the variance of an observation (a day or week) that stay and that shrink as more requests
    are sampled, in the rule's unit squared; `within` and `proposed` are None and `rates` is empty where the evidence
    cannot separate them.
    """

    rule: str
    effect: float
    alpha: float
    seen: int
    days: int | None
    days_90: int | None
    other_unit: str
    other_days: int | None
    between: float
    within: float | None
    rates: tuple[SampleRate, ...]
    proposed: float | None

    def to_json(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


class _Variance(NamedTuple):
    """The variance of an observation: the part that stays, the part due to the sample of requests where it is known."""

    between: float
    within: float | None

    def at(self, rate: float) -> float:
        """Return the whole where `rate` times as many requests are sampled."""
        return self.between + (self.within or 0.0) / rate


def power_analysis(
    series: Series,
    rule: Rule,
    policy: Policy,
    *,
    effect: float,
    alpha: float | None = None,
    present: float = 1.0,
    rates: Sequence[float] = RATES,
) -> PowerAnalysis:
    """Return in how many days `rule` would pass if its mean lay `effect`, in its unit, beyond its bound.

    The proposed rate is the smallest that takes at most a tenth longer than the present one. Days to come should vary
    and depend on each other as those seen do, and requests of a day be drawn independently, so that their part of the
    variance is divided by the rate. With method betting it takes longer.

    Args:
        series: The rule's evidence in one slice.
        rule: A rule with a sequence toward passing.
        policy, alpha: Its policy, in units of days or weeks, and the trial's alpha toward PASS, None for all of its.
        effect: Distance from the bound, in the rule's unit.
        present, rates: The share of the requests that is sampled now, and multiples of it, at most up to all requests.

    Raises:
        LedgerError: There are fewer than two observations, no sequence toward passing, or the unit is `request`.
        ValueError: `effect`, `present` or a rate is out of range.
    """
    require_planned(policy, effect)
    _require_rates(present, rates)
    terms = JudgingTerms(policy, AlphaSplit(alpha or policy.alpha, policy.alpha))
    variance = _variance(rule, series, policy)
    now = _days_needed(effect, variance.at(1.0), terms)
    possible = sorted({min(rate, 1 / present) for rate in rates}) if variance.within is not None else []
    others = tuple(SampleRate(rate, _days_needed(effect, variance.at(rate), terms)[0]) for rate in possible)
    enough = [each.rate for each in others if now[0] and each.days and each.days <= _SLOWER * now[0]]
    other = _in_other_unit(rule, series, terms, effect)
    return PowerAnalysis(
        rule=rule_in_slice(rule, series.slice),
        effect=effect,
        alpha=terms.alpha.to_pass,
        seen=len(series.days) * policy.days_per_period,
        days=now[0],
        days_90=now[1],
        other_unit=other[0],
        other_days=other[1],
        between=variance.between,
        within=variance.within,
        rates=others,
        proposed=min(enough, default=None),
    )


def _require_rates(present: float, rates: Sequence[float]) -> None:
    if not 0 < present <= 1:
        raise ValueError(f"present == {present}, must be > 0 and <= 1: the share of the requests that is sampled")
    if not all(0 < rate < math.inf for rate in rates):
        raise ValueError(f"rates == {tuple(rates)}, must be > 0 and finite")


def require_planned(policy: Policy, effect: float | None) -> None:
    """Raise LedgerError for a policy whose days cannot be planned with, ValueError for an effect out of range."""
    if policy.unit == "request":
        raise LedgerError("policy.unit == 'request', must be day or week here: try the same policy with unit day")
    if effect is not None and not 0 < effect < math.inf:
        raise ValueError(f"effect == {effect}, must be > 0 and finite: how far beyond the bound the truth lies")


def _days_needed(effect: float, variance: float, terms: JudgingTerms) -> tuple[int | None, int | None]:
    """Return by how many days half, and nine tenths, of all histories decide at this variance of an observation."""
    median, most = decision_times(
        effect,
        math.sqrt(variance),
        alpha=terms.alpha.to_pass,
        tuned_for=terms.tuned_for,
        burn_in=terms.policy.observations_before_bound,
        method=terms.policy.method,
    )
    days = terms.policy.days_per_observation
    return None if median is None else median * days, None if most is None else most * days


def _in_other_unit(rule: Rule, series: Series, terms: JudgingTerms, effect: float) -> tuple[str, int | None]:
    """Return the unit that the policy does not have, and by how many days half of all histories decide with it."""
    unit: Literal["day", "week"] = "day" if terms.policy.unit == "week" else "week"
    policy = terms.policy.model_copy(update={"unit": unit})
    if policy.period == "week":  # its days are not known
        return unit, None
    try:
        variance = _variance(rule, series, policy)
    except LedgerError:  # too few weeks
        return unit, None
    return unit, _days_needed(effect, variance.at(1.0), replace(terms, policy=policy))[0]


def _variance(rule: Rule, series: Series, policy: Policy) -> _Variance:
    """Return the variance of an observation that independent ones would need for a mean as uncertain."""
    estimand = _planned(rule, series, policy)
    gains, scale = estimand.linearised, estimand.scale
    total = float(gains.var(ddof=1))
    dependent = policy.method in ("robust", "long_memory") and len(gains) >= policy.observations_before_bound
    wider = long_run_ratio(gains) if dependent and total > 0 else 1.0
    within = _within(rule, series.weighed(policy), policy.periods_per_observation)
    within = None if within is None else min(within, total * scale**2)
    return _Variance(total * wider * scale**2 - (within or 0.0), within)


def _planned(rule: Rule, series: Series, policy: Policy) -> Estimand:
    title = rule_in_slice(rule, series.slice)
    if rule.is_ == "guardrail":
        raise LedgerError(f"{title}: passes unless harm is shown, so no number of days is needed")
    reason = estimand_or_reason(rule, series, 2 * policy.periods_per_observation, policy.period)
    if isinstance(reason, str):
        raise LedgerError(f"{title}: {reason}")
    return estimand_of(rule, series.observed(policy))


def _within(rule: Rule, series: Series, periods: int) -> float | None:
    """Return the variance of an observation that is due to the sample of requests, None where it is not known.

    An observation has so many `periods` of the series. On average the linearised Σw²(d - mean)² / (Σw)² of a day (Owen)
    times n/(n - 1) for n = (Σw)² / Σw² and the square of the day's weight; days of n = 1 are left out.
    """
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
    return float(share**2 @ variance) * int(known.sum()) / periods


def more_observations(results: Sequence[SequentialResult], terms: JudgingTerms) -> list[int | None]:
    """Return in how many more observations each effect seen so far would be decided, None where none would.

    The margins of today are wider than those of independent, symmetric days with the same spread by a factor that is
    assumed to stay.
    """
    return [_more(_effect_of(result), terms) for result in results]


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


def _more(effect: _Effect, terms: JudgingTerms) -> int | None:
    first, method = terms.policy.observations_before_bound, terms.policy.method
    if effect.count < 2:
        return max(first - effect.count, 1)
    if math.isnan(effect.mean):
        return None
    wider = 1.0
    if effect.count >= first and math.isfinite(effect.width) and effect.spread > 0:
        margin = float(independent_margin(np.float64(effect.count), effect.alpha, terms.tuned_for, method))
        wider = max(1.0, effect.width / (effect.spread * margin))
    needed = observations_needed(
        effect.mean,
        effect.spread * wider,
        alpha=effect.alpha,
        tuned_for=terms.tuned_for,
        burn_in=first,
        method=method,
    )
    return None if needed is None else max(needed - effect.count, 1)
