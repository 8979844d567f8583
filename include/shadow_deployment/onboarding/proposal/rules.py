"""The policy that is proposed for a task: each line with what it means."""

from typing import Final

from shadow_deployment.metrics.catalog import Task
from shadow_deployment.onboarding.proposal.writing import Line

_ERRORS: Final = Line(
    {"metric": "error_rate", "is": "at_most", "value": 0.001},
    "at most 0.1 % of a day's requests may go without a usable prediction of the challenger",
)
_RULES: Final[dict[Task, list[Line]]] = {
    "binary": [
        Line(
            {"metric": "brier_score", "is": "superior"},
            "the mean squared error of its probabilities must be shown to be smaller than the champion's",
        ),
        Line(
            {"metric": "log_loss", "is": "non_inferior", "relative_margin": 0.02},
            "its log loss must be shown to be at most 2 % larger: it may not be sure of what turns out wrong",
        ),
        _ERRORS,
    ],
    "regression": [
        Line(
            {"metric": "squared_error", "is": "superior"},
            "its mean squared error must be shown to be smaller than the champion's",
        ),
        Line(
            {"metric": "absolute_error", "is": "non_inferior", "relative_margin": 0.02},
            "its mean absolute error must be shown to be at most 2 % larger: few large errors may not decide alone",
        ),
        _ERRORS,
    ],
    "multiclass": [
        Line(
            {"metric": "log_loss", "is": "superior"},
            "its log loss must be shown to be smaller than the champion's",
        ),
        Line(
            {"metric": "accuracy", "is": "non_inferior", "margin": 0.01},
            "it must be shown to be right at most one percentage point less often",
        ),
        _ERRORS,
    ],
}


def proposed_rules(task: Task) -> list[Line]:
    """Return the rules for a task, each with its meaning."""
    return _RULES[task]
