"""What a request without a usable prediction counts for: a model that gives none where it would be wrong gains nothing.

Where the challenger has none, a bounded metric is charged its worst value, any other the worst that either model had
on the day; where production would serve the champion's prediction instead, the two do not differ. Where the champion
has none, they do not differ either. Where neither has one, both are charged. A metric that needs a label is charged
once it is known.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.metrics.catalog import Metric, Task
from shadow_deployment.metrics.losses import Array, Both, MetricSettings

Flags = NDArray[np.bool_]

_WORST: Final[dict[str, float]] = {
    "brier_score": 1.0,
    "accuracy": 0.0,
    "agreement": 0.0,
    "disagreement": 1.0,
}


def worst_of(metric: Metric, task: Task) -> float | None:
    """Return the worst value of a request; None for a metric without bounds, or that is not charged."""
    if metric.is_custom:
        return metric.bounds[0 if metric.higher_is_better else 1] if metric.bounds else None
    if metric.name == "brier_score" and task == "multiclass":
        return 2.0
    if metric.name == "disagreement" and task == "regression":
        return None
    return _WORST.get(metric.name)


@dataclass(frozen=True, eq=False)
class Missing:
    """Which requests lack a prediction that a metric needs: shape (n,).

    Attributes:
        champion: no usable prediction of the champion, whatever the challenger has.
        challenger: none of the challenger, whatever the champion has.
    """

    champion: Flags
    challenger: Flags

    @classmethod
    def of(cls, metric: Metric, champion: Array, challenger: Array, label: Array) -> "Missing":
        """Return the missing predictions of a metric; without a label, one that needs it misses none yet."""
        known = ~np.isnan(label) if metric.needs_label else np.ones(len(label), np.bool_)
        return cls(np.isnan(champion) & known, np.isnan(challenger) & known)

    @cached_property
    def unanswered(self) -> Flags:
        """Whether the challenger alone has no prediction."""
        return self.challenger & ~self.champion

    @cached_property
    def neither(self) -> Flags:
        """Whether neither has one."""
        return self.challenger & self.champion

    @cached_property
    def any(self) -> bool:
        """Whether any request misses a prediction."""
        return bool(self.champion.any() or self.challenger.any())


def charge(metric: Metric, both: Both, missing: Missing, settings: MetricSettings) -> Both:
    """Return both models' values with charges, NaN where a charge is the day's worst value."""
    if not metric.is_charged or not missing.any:
        return both
    champion, challenger = both
    if metric.compares:
        champion = np.where(missing.champion, challenger, champion)
    if settings.falls_back:
        challenger = np.where(missing.unanswered, champion, challenger)
    worst = worst_of(metric, settings.task)
    return (champion, challenger) if worst is None else fill(metric, (champion, challenger), missing, worst)


def fill(metric: Metric, both: Both, missing: Missing, value: float) -> Both:
    """Return both models' values with `value` where a prediction is missing that is still to be charged."""
    champion, challenger = both
    neither = missing.neither if metric.compares else np.zeros_like(missing.neither)
    due = (missing.unanswered & np.isnan(challenger)) | neither
    return np.where(neither, value, champion), np.where(due, value, challenger)
