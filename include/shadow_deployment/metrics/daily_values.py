"""Metrics that are no sums: each day and slice gets a value, computed from the day's answers as a whole."""

from collections.abc import Iterator, Sequence

import numpy as np

from shadow_deployment.metrics.catalog import METRICS
from shadow_deployment.metrics.losses import Batch, MetricSettings
from shadow_deployment.metrics.scores import Pairs, compute_scores
from shadow_deployment.metrics.sums import Slices

_COLUMNS = ("weight", "champion", "challenger", "label", "champion_latency_ms", "latency_ms")


class DailyValues:
    """One challenger's day, held in memory until it is whole; nothing is where no metric asks for it."""

    def __init__(self, metrics: Sequence[str], settings: MetricSettings, versions: int, slices: Slices) -> None:
        """Begin with nothing; none of `metrics` is a sum, each is for the task."""
        self._metrics, self._settings, self._versions, self._slices = metrics, settings, versions, slices
        self._batches: list[Batch] = []

    def add(self, batch: Batch) -> None:
        """Add a batch."""
        if self._metrics:
            self._batches.append(batch)

    def rows(self) -> Iterator[tuple[int, tuple[str, str], str, list[float]]]:
        """Yield what `Sums.rows` yields: a value is an observation of weight 1.

        A metric that is undefined on a slice, such as the area under the curve of labels that are all alike, has none.
        """
        if not self._batches:
            return
        version, cell, *columns = (
            np.concatenate([getattr(batch, name) for batch in self._batches]) for name in ("version", "cell", *_COLUMNS)
        )
        for number in range(self._versions):
            for key, inside in self._slices.members.items():
                is_in = np.zeros(self._slices.cells, bool)
                is_in[inside] = True
                chosen = np.flatnonzero(is_in[cell] & (version == number))
                if len(chosen):
                    answers = Pairs(*(column[chosen] for column in columns))
                    yield from ((number, key, *row) for row in self._values(answers))

    def _values(self, answers: Pairs) -> Iterator[tuple[str, list[float]]]:
        requests, labelled = len(answers.weight), int(np.isfinite(answers.label).sum())
        identical = int((answers.champion == answers.challenger).sum())
        scored = compute_scores(answers, self._metrics, threshold=self._settings.threshold)
        for name, (champion, challenger, pairs) in scored.items():
            difference = METRICS[name].sign * (champion - challenger)
            counts = [requests, labelled, pairs, min(identical, pairs)]
            moments = [moment for value in (champion, challenger, difference) for moment in (value, value**2)]
            yield name, [*counts, 1.0, 1.0, *moments, difference, difference**2]
