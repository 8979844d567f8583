"""Days of champion and challenger, and what a rule makes of them."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from shadow_deployment.config.policy import Policy
from shadow_deployment.decision.series import Series
from shadow_deployment.decision.verdict import judge
from shadow_deployment.decision.words.finding import Finding, Verdict
from shadow_deployment.metrics.catalog import METRICS

DAYS, BURN_IN, A_DAY = 60, 14, 50
FIRST = dt.date(2013, 3, 1)
WITH_MARGIN_ONLY = "belongs to non_inferior and equivalent only"
ORDER = {"FAIL": 0, "INCONCLUSIVE": 1, "PASS": 2}
NOISE = 0.005 * np.random.default_rng(20130301).standard_normal(DAYS)


NOISE -= NOISE.mean()


SUPERIOR = {"metric": "brier_score", "is": "superior"}
NON_INFERIOR = {"metric": "brier_score", "is": "non_inferior", "margin": 0.02}
RELATIVELY = {"metric": "brier_score", "is": "non_inferior", "relative_margin": 0.1}
GUARDRAIL = {"metric": "brier_score", "is": "guardrail"}
BOUNDED = [
    {"metric": "brier_score", "is": kind, "of": of, "value": value}
    for kind, of, value in [
        ("at_most", "value", 0.3),
        ("at_most", "change", 0.02),
        ("at_most", "relative_change", 0.1),
        ("at_least", "value", 0.1),
        ("at_least", "change", -0.02),
        ("at_least", "relative_change", -0.1),
    ]
]
SEQUENTIAL = [SUPERIOR, NON_INFERIOR, RELATIVELY, *BOUNDED]
DAILY = [
    *({**rule, "last": {"hold": 2, "of": 3}} for rule in BOUNDED),
    {"metric": "error_rate", "is": "at_most", "value": 0.3},
    {"metric": "error_rate", "is": "at_most", "of": "change", "value": 0.05},
    {"metric": "agreement", "is": "at_least", "value": 0.1, "last": {"hold": 1, "of": 4}},
]
EVERY_RULE = [*SEQUENTIAL, GUARDRAIL, *DAILY]


def paired(
    champion: ArrayLike, challenger: ArrayLike, metric: str = "brier_score", name: str = "all", **changes: Any
) -> Series:
    """Evidence of one metric: the means of champion and challenger on consecutive days."""
    first, second = (np.array(one) for one in np.broadcast_arrays(np.float64(champion), np.float64(challenger)))
    counts = np.full(len(second), A_DAY)
    usual = {
        "metric": metric,
        "slice": name,
        "days": tuple(FIRST + dt.timedelta(days=number) for number in range(len(second))),
        "pairs": counts,
        "identical": np.zeros_like(counts),
        "champion": first,
        "challenger": second,
        "difference": METRICS[metric].sign * (first - second),
    }
    return Series(**usual | changes)


def policy(*rules: dict[str, Any], **changes: Any) -> Policy:
    return Policy.model_validate({"burn_in": BURN_IN, "rules": list(rules)} | changes)


def judged(one: Series | Sequence[Series], *rules: dict[str, Any], **changes: Any) -> Verdict:
    found = [one] if isinstance(one, Series) else one
    return judge(policy(*rules, **changes), {(each.metric, each.slice): each for each in found})


def finding_on(one: Series, rule: dict[str, Any], **changes: Any) -> Finding:
    (finding,) = judged(one, rule, **changes).findings
    return finding


def good(rule: dict[str, Any], shape: np.ndarray = NOISE) -> Series:
    """Evidence on which a rule passes clearly."""
    return paired(np.full(len(shape), 0.2), (0.3 if rule["is"] == "at_least" else 0.1) + shape, rule["metric"])


def gains_of(rule: dict[str, Any], one: Series) -> np.ndarray:
    """By how much each day meets a rule, as the rules' descriptions say: not below 0 where it holds."""
    level, change = np.abs(one.champion), one.challenger - one.champion
    if rule["is"] in ("superior", "guardrail"):
        return one.difference
    if rule["is"] == "non_inferior":
        return one.difference + (rule["margin"] if "margin" in rule else rule["relative_margin"] * level)
    of = rule.get("of", "value")
    judged_on = one.challenger if of == "value" else change
    allowed = rule["value"] * (level if of == "relative_change" else 1.0)
    return judged_on - allowed if rule["is"] == "at_least" else allowed - judged_on


def is_relative(rule: dict[str, Any]) -> bool:
    return "relative_margin" in rule or rule.get("of") == "relative_change"


def worse(rule: dict[str, Any]) -> int:
    """The direction in which a challenger's value is more adverse to a rule."""
    return {"at_most": 1, "at_least": -1}.get(rule["is"], METRICS[rule["metric"]].sign)


def requests(days: int = 40, better: float = 0.03) -> tuple[Series, list[tuple[np.ndarray, np.ndarray]]]:
    """Days of requests with weights of their own: the series, and each day's weights and differences."""
    random = np.random.default_rng(7)
    drawn = []
    for _ in range(days):
        size = int(random.integers(5, 40))
        weight = random.choice([1.0, 2.5, 10.0], size)
        drawn.append((weight, random.normal(better, 0.3, size)))
    means = np.array([np.average(difference, weights=weight) for weight, difference in drawn])
    one = paired(
        np.full(days, 0.5),
        0.5 - means,
        pairs=np.array([len(weight) for weight, _ in drawn]),
        weight=np.array([weight.sum() for weight, _ in drawn]),
        squares=np.array([[(w**2).sum(), (w**2 * d).sum(), (w**2 * d**2).sum()] for w, d in drawn]),
    )
    return replace(one, difference=means), drawn
