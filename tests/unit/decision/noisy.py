"""Days with a difference, what a finding says of them, and bounds worked out by another way."""

import datetime as dt
import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from shadow_deployment.config.policy import Policy
from shadow_deployment.decision.series import Series
from shadow_deployment.decision.verdict import judge
from shadow_deployment.decision.words.finding import Finding
from shadow_deployment.metrics.catalog import METRICS
from shadow_deployment.statistics.confidence_sequence import confidence_sequence

FIRST, DAYS, BURN_IN, EXPECTED, A_DAY = dt.date(2013, 3, 1), 60, 28, 60, 50
SUPERIOR = {"metric": "brier_score", "is": "superior"}
GUARDRAIL = {"metric": "brier_score", "is": "guardrail"}
FEW_ERRORS = {"metric": "error_rate", "is": "at_most", "value": 0.01}
AGREEMENT = {"metric": "agreement", "is": "at_least", "value": 0.8}
CONSTANT = "do not differ from each other: nothing can be concluded from them"
LIKE_IT = "would decide an effect like the one seen so far"
TOO_SMALL = "no number of days would decide an effect as small as the one seen so far"


def noise(kind: str, days: int = DAYS) -> np.ndarray:
    """Days around 0 with a standard deviation of about 0.1."""
    random = np.random.default_rng(11)
    if kind == "rare gains":
        drawn = random.exponential(size=days)
    elif kind == "rare losses":
        drawn = -random.exponential(size=days)
    else:
        drawn = random.standard_normal(days)
    if kind == "dependent":
        for day in range(1, days):
            drawn[day] += 0.7 * drawn[day - 1]
    return 0.1 * (drawn - drawn.mean()) / drawn.std()


def series(difference: ArrayLike, metric: str = "brier_score", name: str = "all", **changes: Any) -> Series:
    """Evidence with these daily differences, from a champion at 0.5."""
    gains = np.asarray(difference, np.float64)
    counts, champion = np.full(len(gains), A_DAY), np.full(len(gains), 0.5)
    usual = {
        "metric": metric,
        "slice": name,
        "days": tuple(FIRST + dt.timedelta(days=number) for number in range(len(gains))),
        "pairs": counts,
        "identical": np.zeros_like(counts),
        "champion": champion,
        "challenger": champion - METRICS[metric].sign * gains,
        "difference": gains,
    }
    return Series(**usual | changes)


def values(challenger: ArrayLike, metric: str = "error_rate", **changes: Any) -> Series:
    """Evidence with these daily values of the challenger, and none of the champion."""
    array = np.asarray(challenger, np.float64)
    zeros = np.zeros(len(array))
    return series(zeros, metric, **{"champion": zeros, "challenger": array} | changes)


def found(one: Series, rule: dict[str, Any], *, day: dt.date | None = None, **changes: Any) -> Finding:
    policy = Policy.model_validate({"burn_in": BURN_IN, "tuned_for": EXPECTED, "rules": [rule]} | changes)
    (finding,) = judge(policy, {(one.metric, one.slice): one}, day=day).findings
    assert (finding.metric, finding.slice, finding.is_) == (one.metric, "all", rule["is"])
    return finding


def boundary(t: int, alpha: float, expected: float) -> float:
    """The one-sided boundary of Waudby-Smith et al. at unit standard deviation."""
    rho2 = (-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) / expected
    return math.sqrt(2 * (t * rho2 + 1) / (t**2 * rho2) * math.log(1 + math.sqrt(t * rho2 + 1) / (2 * alpha)))


def bounds_of(gains: np.ndarray, alpha: tuple[float, float] = (0.05, 0.05), **design: Any) -> tuple[Any, Any]:
    usual = {"burn_in": BURN_IN, "tuned_for": EXPECTED} | design
    lower = confidence_sequence(gains, alpha=alpha[0], side="lower", **usual)
    return lower.lower, confidence_sequence(gains, alpha=alpha[1], side="upper", **usual).upper
