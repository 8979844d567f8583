"""Between which values a metric must lie, whatever the models predict."""

import math
from typing import Final

from shadow_deployment.metrics.catalog import SKEW, Metric, Task
from shadow_deployment.metrics.charges import worst_of

Range = tuple[float, float]

_LOG_LOSS_OF_EPSILON: Final = 36.05  # of a probability of 0, which is clipped to 2.2e-16
_UNBOUNDED: Final = (-math.inf, math.inf)
_SHARES: Final = frozenset(
    {
        *("accuracy", "precision", "recall", "f1", "roc_auc", "average_precision", "calibration_error"),
        *("error_rate", "agreement", "kolmogorov_smirnov", "pairing_loss", "label_coverage", SKEW),
    }
)
_RANGES: Final[dict[str, Range]] = {
    **dict.fromkeys(_SHARES, (0.0, 1.0)),
    "log_loss": (0.0, _LOG_LOSS_OF_EPSILON),
    "r2": (-math.inf, 1.0),
    "bias": _UNBOUNDED,
}


def range_of(metric: Metric, task: Task) -> Range:
    """Return the smallest and the largest value of a metric of a task, infinite where it has none."""
    if metric.is_custom:
        return metric.bounds or _UNBOUNDED
    worst = worst_of(metric, task)
    if metric.name in _RANGES:
        return _RANGES[metric.name]
    return (0.0, math.inf if worst is None else worst)
