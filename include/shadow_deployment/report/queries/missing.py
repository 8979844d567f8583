"""Why a section of the page has nothing to show, and what would fill it."""

from typing import Final

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.report.queries.days import DISTANCES, LATENCIES
from shadow_deployment.report.views import ChallengerLine, DeploymentView

_OF_CHALLENGER: Final = [
    "verdict",
    "rules",
    "sequences",
    "slices",
    "scores",
    "quadrants",
    "disagreements",
    "latency",
    "validations",
    "distances",
    "noise",
    "history",
    "compared",
]
_NOTHING_COUNTS: Final = "no {0} counts yet: a {0} needs valid inputs and predictions, one champion, and mature labels"
_NOT_KEPT: Final = "the {0}s were compared before this was kept: the next run compares them again"
_NO_A_A_CHECK: Final = "there is no A/A check: add a challenger with model: champion to see the noise of the pipeline"


def why_missing(deployment: Deployment, view: DeploymentView, line: ChallengerLine) -> dict[str, str]:
    """Return the reason for each section that is empty, by the name of its field.

    Where the challenger shown was never judged, that is the reason for all that is of the challenger.
    """
    period = view.period
    nothing = _NOTHING_COUNTS.format(period)
    kept = _NOT_KEPT.format(period) if view.compared else nothing
    reasons = {
        "rules": "the verdict has no finding that fits its policy",
        "sequences": _sequences(deployment) or nothing,
        "slices": "no slice has evidence" if deployment.slices else "the deployment declares no slices",
        "scores": "predictions of several classes are not kept in bins" if deployment.classes else kept,
        "quadrants": kept if deployment.task == "binary" else "only a yes or no has quadrants: task is not binary",
        "disagreements": "the two predicted the same for every request, or their requests are no longer kept",
        "labels": f"no {period} was sampled yet",
        "drift": f"no {period} was compared with the first ones: two sampled {period}s are needed, and older ones were "
        "sampled before this was kept",
        "latency": _latency(deployment, line) or nothing,
        "validations": "nothing was validated yet",
        "distances": _distances(deployment) or nothing,
        "noise": nothing,
        "promotions": "nothing was promoted yet",
        "approvals": "no approval was requested yet",
        "alerts": _alerts(deployment),
    }
    missing = {name: reason for name, reason in reasons.items() if not getattr(view, name)}
    if all(each.role != "a_a_check" for each in view.challengers):
        missing["a_a_check"] = _NO_A_A_CHECK
    never_judged = line.waiting or line.status.sentence if line.outcome is None else ""
    return missing | dict.fromkeys(_OF_CHALLENGER, never_judged) if never_judged else missing


def _sequences(deployment: Deployment) -> str:
    if any(rule.role == "blocking" and not rule.is_daily for rule in deployment.policy.rules):
        return ""
    return f"no blocking rule is judged over {deployment.policy.period}s: each is judged on one's value"


def _latency(deployment: Deployment, line: ChallengerLine) -> str:
    if line.role == "a_a_check":
        return "latency: the A/A check repeats the log, so it has none of its own"
    if deployment.requests.latency is None:
        return "requests.latency is not declared: the log does not say how long the champion took"
    if not set(LATENCIES.values()) & set(deployment.tracked):
        return f"no percentile is kept: add {', '.join(LATENCIES.values())} to the deployment's metrics"
    return ""


def _distances(deployment: Deployment) -> str:
    if not set(DISTANCES) & set(deployment.tracked):
        return f"no distance is kept: add {', '.join(DISTANCES)} to the deployment's metrics"
    return ""


def _alerts(deployment: Deployment) -> str:
    if not deployment.alerts.channels:
        return "alerts.channels is empty: alerts go nowhere"
    return "none in the last 30 days"
