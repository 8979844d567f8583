"""Metrics that are not sums: one value per day and slice, computed from all predictions of the day."""

from collections.abc import Iterator, Sequence

import numpy as np

from shadow_deployment.metrics.catalog import METRICS
from shadow_deployment.metrics.charges import Missing
from shadow_deployment.metrics.losses import Batch, MetricSettings, same_prediction
from shadow_deployment.metrics.possible_gains import POSSIBLE
from shadow_deployment.metrics.scores import Pairs, compute_scores
from shadow_deployment.metrics.sums import Slices

_NO_RANGE = [0.0] * len(POSSIBLE)
_COLUMNS = ("weight", "champion", "challenger", "label", "champion_latency_ms", "latency_ms")


class DailyValues:
    """One challenger's day, held in memory until it is complete, or not at all without metrics."""

    def __init__(self, metrics: Sequence[str], settings: MetricSettings, versions: int, slices: Slices) -> None:
        """Start empty; `metrics` are not sums, and exist for the task."""
        self._metrics, self._settings, self._versions, self._slices = metrics, settings, versions, slices
        self._batches: list[Batch] = []

    def add(self, batch: Batch) -> None:
        """Add a batch."""
        if self._metrics:
            self._batches.append(batch)

    def rows(self) -> Iterator[tuple[int, tuple[str, str], str, list[float]]]:
        """Yield rows as `Sums.rows` does: a value is an observation of weight 1.

        A metric that is undefined on a slice, such as ROC AUC with labels of one class, has no row.
        """
        if not self._batches:
            return
        version, cell, *columns = (
            np.concatenate([getattr(batch, name) for batch in self._batches]) for name in ("version", "cell", *_COLUMNS)
        )
        for number in range(self._versions):
            for key, inside in self._slices.members.items():
                rows = np.flatnonzero(np.isin(cell, inside) & (version == number))
                if len(rows):
                    pairs = Pairs(*(column[rows] for column in columns))
                    yield from ((number, key, *row) for row in self._values(pairs))

    def _values(self, pairs: Pairs) -> Iterator[tuple[str, list[float]]]:
        requests, labelled = len(pairs.weight), int(np.isfinite(pairs.label).sum())
        identical = int(same_prediction(pairs.champion, pairs.challenger).sum())
        scores = compute_scores(pairs, self._metrics, threshold=self._settings.threshold)
        for name, (champion, challenger, count) in scores.items():
            metric = METRICS[name]
            missing = Missing.of(metric, pairs.champion, pairs.challenger, pairs.label)
            difference = metric.sign * (champion - challenger)
            left_out = [int(missing.unanswered.sum()), int(missing.champion.sum())]
            counts = [requests, labelled, *left_out, count, min(identical, count)]
            moments = [moment for value in (champion, challenger, difference) for moment in (value, value**2)]
            yield name, [*counts, 1.0, 1.0, *moments, difference, difference**2, *_NO_RANGE]
