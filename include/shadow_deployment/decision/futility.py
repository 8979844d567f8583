"""Whether a rule that is not decided could still pass within the time that a decision may take."""

import math
from collections.abc import Sequence

import numpy as np

from shadow_deployment.config.policy import Rule
from shadow_deployment.decision.sequential import JudgingTerms, SequentialResult
from shadow_deployment.statistics.confidence_sequence import observations_needed
from shadow_deployment.statistics.margin import independent_margin


def are_futile(rule: Rule, results: Sequence[SequentialResult], terms: JudgingTerms) -> list[bool]:
    """Return of each result whether the rule would not pass by the horizon even on the best truth its interval allows.

    The best is the bound toward failing, and days to come have it as their mean; for `equivalent` it is no better than
    no difference. Days vary as they have so far, and margins stay as much wider than those of independent, symmetric
    days as they are.
    """
    first, futile = terms.policy.observations_before_bound, [False] * len(results)
    open_until = [place for place, result in enumerate(results) if first <= len(result.estimate) < _horizon(terms)]
    judged = [place for place in open_until if all(map(math.isfinite, _newest(results[place].nearest)))]
    for place in judged:
        futile[place] = _is_futile(rule, results[place], terms)
    return futile


def _is_futile(rule: Rule, result: SequentialResult, terms: JudgingTerms) -> bool:
    side, last, policy = result.nearest, _horizon(terms), terms.policy
    with np.errstate(over="ignore", invalid="ignore"):
        spread = float(side.estimand.linearised.std(ddof=1))
    if not (math.isfinite(spread) and spread > 0):
        return False
    seen, (estimate, lower, upper) = len(side.estimate), _newest(side)
    best = min(upper, sum(float(each.estimate[-1]) for each in result.sides) / 2) if result.sides else upper
    charge = (rule.worst_day or 0.0) / policy.days_per_observation
    reached = (seen * estimate + (last - seen) * best - charge) / last
    if reached <= 0:
        return True
    independent = spread * float(
        independent_margin(np.float64(seen), terms.alpha.to_pass, terms.tuned_for, policy.method)
    )
    needed = observations_needed(
        reached,
        spread * max(1.0, (estimate - lower - charge / seen) / independent),
        alpha=terms.alpha.to_pass,
        tuned_for=terms.tuned_for,
        burn_in=policy.observations_before_bound,
        method=policy.method,
    )
    return needed is None or needed > last


def _horizon(terms: JudgingTerms) -> float:
    return terms.policy.horizon / terms.policy.days_per_observation


def _newest(side: SequentialResult) -> tuple[float, float, float]:
    return float(side.estimate[-1]), float(side.lower[-1]), float(side.upper[-1])
