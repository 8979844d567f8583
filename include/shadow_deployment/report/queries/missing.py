"""Why a section of the page has nothing to show, and what would fill it."""

from typing import Final

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.report.queries.days import DRIFTS, LATENCIES
from shadow_deployment.report.views.facts import DeploymentFacts

_OF_CHALLENGER: Final = (
    "verdict",
    "rules",
    "sequences",
    "slices",
    "scores",
    "quadrants",
    "disagreements",
    "latency",
    "validations",
    "drift",
    "noise",
    "history",
    "provenance",
)
_NO_DAY = "no day counts yet: a day needs valid inputs and predictions, one champion, and ripe labels"
_NOT_KEPT = "the days were compared before this was kept: the next run compares them again"


def why_missing(deployment: Deployment, facts: DeploymentFacts) -> dict[str, str]:
    """Return the reason for each section that is empty, by the name of its field."""
    has_days = facts.provenance is not None and facts.provenance.days > 0
    kept = _NOT_KEPT if has_days else _NO_DAY
    reasons = {
        "rules": "the verdict has no finding that fits its policy",
        "sequences": _NO_DAY
        if _has_sequences(deployment)
        else "no gate is judged over days: each judges a day's value",
        "slices": _NO_DAY,
        "scores": "answers of several classes are not kept in bins" if deployment.classes else kept,
        "quadrants": kept if deployment.task == "binary" else "only a yes or no has quadrants: task is not binary",
        "disagreements": "the two answered every request alike, or their requests are no longer kept",
        "labels": "no day was sampled yet",
        "latency": _latency(deployment),
        "validations": "nothing was validated yet",
        "drift": _drift(deployment),
        "noise": _NO_DAY,
        "promotions": "nothing was promoted yet",
        "questions": "nobody was asked yet",
        "alerts": _alerts(deployment),
    }
    missing = {name: reason for name, reason in reasons.items() if not getattr(facts, name)}
    if facts.slices is not None and not facts.slices.slices:
        missing["slices"] = "no slice has evidence" if deployment.slices else "the deployment declares no slices"
    if all(one.role != "a_a_check" for one in facts.challengers):
        missing["a_a_check"] = (
            "there is no A/A check: add a challenger with model: champion to see the noise of the pipe"
        )
    return missing


def never_judged(deployment: Deployment, facts: DeploymentFacts, reason: str) -> dict[str, str]:
    """Return the same for a challenger without a verdict: `reason` stands for all that is of the challenger."""
    return why_missing(deployment, facts) | dict.fromkeys(_OF_CHALLENGER, reason)


def _has_sequences(deployment: Deployment) -> bool:
    return any(rule.role == "blocking" and not rule.is_daily for rule in deployment.policy.rules)


def _latency(deployment: Deployment) -> str:
    if deployment.requests.latency is None:
        return "requests.latency is not declared: the log does not say how long the champion took"
    if not set(LATENCIES.values()) & set(deployment.tracked):
        return f"no percentile is kept: add {', '.join(LATENCIES.values())} to the deployment's metrics"
    return _NO_DAY


def _drift(deployment: Deployment) -> str:
    if not set(DRIFTS) & set(deployment.tracked):
        return f"no distance is kept: add {', '.join(DRIFTS)} to the deployment's metrics"
    return _NO_DAY


def _alerts(deployment: Deployment) -> str:
    if not deployment.alerts.channels:
        return "alerts.channels is empty: nobody is told"
    return "nothing was told in the last 30 days"
