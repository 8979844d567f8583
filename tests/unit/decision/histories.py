"""Histories of days, dependent or not, and what calibration makes of them."""

import datetime as dt
import math
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from shadow_deployment.config.policy import Policy
from shadow_deployment.decision.calibration import POLICIES, Calibration, calibrate
from shadow_deployment.decision.series import Evidence, Series

FIRST = dt.date(2021, 3, 1)
ALPHA, RUNS = 0.05, 1000
SUPERIOR = {"metric": "brier_score", "is": "superior"}
NON_INFERIOR = {"metric": "brier_score", "is": "non_inferior", "margin": 0.5}
RELATIVE = {"metric": "brier_score", "is": "non_inferior", "relative_margin": 0.1}
GUARDRAIL = {"metric": "accuracy", "is": "guardrail"}
AT_MOST = {"metric": "brier_score", "is": "at_most", "value": 0.5}
AT_LEAST = {"metric": "roc_auc", "is": "at_least", "value": 0.25}
FEW_ERRORS = {"metric": "error_rate", "is": "at_most", "value": 0.01}
LOG_LOSS = {"metric": "log_loss", "is": "superior"}


def series(values: ArrayLike, metric: str = "brier_score", name: str = "all", **others: Any) -> Series:
    """Days in a row on which the difference and the challenger's value are the same numbers."""
    array = np.asarray(values, np.float64)
    counts = np.full(len(array), 50)
    days = tuple(FIRST + dt.timedelta(days=number) for number in range(len(array)))
    champion = np.zeros(len(array))
    plain = Series(metric, name, days, counts, np.zeros_like(counts), champion, array, array)
    return replace(plain, **others)


def evidence(*all_series: Series) -> Evidence:
    return {(one.metric, one.slice): one for one in all_series}


def policy(*rules: dict[str, Any], **settings: Any) -> Policy:
    return Policy.model_validate({"rules": list(rules)} | settings)


def normal(days: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(days)


def remembering(days: int, memory: float, seed: int = 0) -> np.ndarray:
    """AR(1), of standard deviation 1 whatever the memory."""
    shocks = normal(days + 100, seed) * math.sqrt(1 - memory**2)
    for day in range(1, len(shocks)):
        shocks[day] += memory * shocks[day - 1]
    return shocks[100:]


@cache
def calibrated(memory: float = 0.0, effect: float | None = None, **settings: Any) -> Calibration:
    """One superiority rule on a long history, so that what it shows by chance is small."""
    found = evidence(series(remembering(1500, memory)))
    return calibrate(policy(SUPERIOR, **settings), found, effect=effect, runs=RUNS, days=365)


def false_promotions(found: Calibration) -> list[float]:
    assert [row.policy for row in found.rows] == list(POLICIES)
    return [row.false_promotion for row in found.rows]
