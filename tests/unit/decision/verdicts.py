"""Days of noise around a mean, and the verdict of a policy on them."""

import datetime as dt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from shadow_deployment.config.policy import Policy
from shadow_deployment.decision.series import Evidence, Series
from shadow_deployment.decision.verdict import judge
from shadow_deployment.decision.words.finding import Finding, Verdict

DAYS, BURN_IN = 90, 28
FIRST = dt.date(2013, 3, 1)
ORDER = {"FAIL": 0, "INCONCLUSIVE": 1, "PASS": 2}
SUPERIOR = {"metric": "brier_score", "is": "superior"}
NON_INFERIOR = {"metric": "brier_score", "is": "non_inferior", "margin": 0.1}
AT_MOST = {"metric": "brier_score", "is": "at_most", "value": 0.5}
AT_LEAST = {"metric": "brier_score", "is": "at_least", "value": 0.5}
FEW_ERRORS = {"metric": "error_rate", "is": "at_most", "value": 0.01}
AGREEMENT = {"metric": "agreement", "is": "at_least", "value": 0.8}
SEQUENTIAL = [SUPERIOR, NON_INFERIOR, AT_MOST, AT_LEAST]
EVERY_RULE = [*SEQUENTIAL, FEW_ERRORS, AGREEMENT]
NOISE = 0.1 * np.random.default_rng(20130301).standard_normal(DAYS)


NOISE -= NOISE.mean()


def around(mean: float, days: int = DAYS) -> np.ndarray:
    return mean + NOISE[:days]


def series(values: ArrayLike, metric: str = "brier_score", name: str = "all") -> Series:
    """Evidence in which the difference and the challenger's own value are the same numbers."""
    array = np.asarray(values, np.float64)
    counts = np.full(len(array), 50)
    days = tuple(FIRST + dt.timedelta(days=number) for number in range(len(array)))
    return Series(metric, name, days, counts, np.zeros_like(counts), np.zeros(len(array)), array, array)


def evidence(*all_series: Series) -> Evidence:
    return {(one.metric, one.slice): one for one in all_series}


def policy(*rules: dict[str, Any], **settings: Any) -> Policy:
    return Policy.model_validate({"burn_in": BURN_IN, "rules": list(rules)} | settings)


def verdict_on(values: ArrayLike, *rules: dict[str, Any], **settings: Any) -> Verdict:
    """The verdict of rules on one metric, all requests."""
    return judge(policy(*rules, **settings), evidence(series(values, rules[0]["metric"])))


def finding_on(values: ArrayLike, rule: dict[str, Any], **settings: Any) -> Finding:
    (finding,) = verdict_on(values, rule, **settings).findings
    return finding
