"""The least and the most that requests without a label can gain: over all labels that they may turn out to have.

Both predictions are known, so a request's gain, the champion's loss minus the challenger's, lies between two numbers
whatever its label is (Manski, "Nonparametric bounds on treatment effects", American Economic Review 80(2), 1990). A
regression has no such range: any number may be the label.
"""

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.metrics.catalog import Metric, Task
from shadow_deployment.metrics.charges import Missing, charge, fill
from shadow_deployment.metrics.losses import Array, Batch, MetricSettings, losses_of

POSSIBLE: Final = ("unlabelled_weight", "unlabelled_least", "unlabelled_most")


def has_range(metric: Metric, task: Task) -> bool:
    """Return whether the gain of a request without a label has a least and a most, which custom metrics do not tell."""
    return (
        task != "regression"
        and not metric.is_custom
        and metric.is_sum
        and metric.needs_label
        and metric.compares
        and metric.is_charged
    )


def _possible_labels(batch: Batch) -> int:
    """Return how many labels a request may turn out to have; they are numbered from 0."""
    return 2 if batch.champion_probabilities is None else batch.champion_probabilities.shape[1]


class PossibleGains:
    """The sums of one metric over the requests without a label, by group: weights, least and most gains."""

    def __init__(self, metric: Metric, settings: MetricSettings, groups: int) -> None:
        """Start at zero."""
        self._metric, self._settings, self._groups = metric, settings, groups
        self._sums: Array = np.zeros((len(POSSIBLE), groups))
        self._due: Array = np.zeros(groups)
        self._largest = -np.inf

    def add(self, batch: Batch, group: NDArray[np.int64]) -> None:
        """Add requests without a label, and the number of the group of each."""
        if not len(group):
            return
        least, most = np.full(len(group), np.inf), np.full(len(group), -np.inf)
        due = np.zeros(len(group), np.bool_)
        for label in range(_possible_labels(batch)):
            gain, due = self._gains(replace(batch, label=np.full(len(group), float(label))))
            least, most = np.minimum(least, gain), np.maximum(most, gain)
        self._sums += np.stack([self._total(group, batch.weight * each) for each in (1.0, least, most)])
        self._due += self._total(group, batch.weight * due)

    def sums(self, largest: float, due: Array | float) -> Array:
        """Return the sums in the order of POSSIBLE.

        Where an unanswered request is charged the largest value of the day, that is at least the largest of the
        labelled requests and at most what a label that never came can make of it: so the least gains include what
        labelled requests would then be charged in addition.

        Args:
            largest: The largest value of the labelled requests, -inf where there is none.
            due: The weights of the labelled requests that are charged it, by group.
        """
        if not self._due.any() and not np.any(due):
            return self._sums
        at_least, at_most = max(largest, 0.0), max(largest, self._largest, 0.0)
        weight, least, most = self._sums
        return np.stack([weight, least - at_most * self._due - (at_most - at_least) * due, most - at_least * self._due])

    def _gains(self, batch: Batch) -> tuple[Array, NDArray[np.bool_]]:
        """Return each request's gain, and whether the challenger is to be charged a value that is not known yet."""
        metric = self._metric
        missing = Missing.of(metric, batch.champion, batch.challenger, batch.label)
        losses = losses_of(self._settings.task)[metric.name](batch, self._settings)
        both = charge(metric, losses, missing, self._settings)
        self._largest = max(self._largest, *(float(np.fmax.reduce(each, initial=-np.inf)) for each in both))
        due = np.isnan(both[1]) & missing.unanswered
        champion, challenger = fill(metric, both, missing, 0.0)
        return metric.sign * (champion - challenger), due

    def _total(self, group: NDArray[np.int64], values: Array) -> Array:
        return np.bincount(group, values, self._groups).astype(np.float64)
