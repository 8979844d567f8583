"""The metrics: what each one measures, which task it belongs to, and how a rule may use it.

How a metric is computed stands in `ledger/sql/compare.sql`; what a rule may ask of it stands here. Inside the code
every difference is a loss of the champion minus that of the challenger, so positive means that the challenger is
better, whichever way the metric itself points.
"""

from dataclasses import dataclass
from typing import Literal

Task = Literal["binary", "regression"]


@dataclass(frozen=True)
class Metric:
    """One way to score predictions.

    `needs_label`: it counts only requests whose label is known. `higher_is_better`: which way it points.
    `operational`: it is a property of the day itself and is judged on the day's value, without a sequence.
    `compares`: the champion has a value of its own, so that a difference means something.
    """

    name: str
    title: str
    tasks: frozenset[Task]
    needs_label: bool
    higher_is_better: bool = False
    operational: bool = False
    compares: bool = True

    @property
    def sign(self) -> int:
        """+1 where lower is better, -1 where higher is better: turns a value into a loss."""
        return -1 if self.higher_is_better else 1


_BINARY: frozenset[Task] = frozenset({"binary"})
_REGRESSION: frozenset[Task] = frozenset({"regression"})
_ALL: frozenset[Task] = _BINARY | _REGRESSION

METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("brier_score", "Brier score", _BINARY, needs_label=True),
        Metric("log_loss", "log loss", _BINARY, needs_label=True),
        Metric("squared_error", "squared error", _REGRESSION, needs_label=True),
        Metric("absolute_error", "absolute error", _REGRESSION, needs_label=True),
        Metric("error_rate", "share of requests without an answer", _ALL, needs_label=False, operational=True),
        Metric(
            "agreement",
            "share of requests on which champion and challenger agree",
            _ALL,
            needs_label=False,
            higher_is_better=True,
            operational=True,
            compares=False,
        ),
    )
}


def metrics_of(task: Task) -> list[str]:
    """Return the names of the metrics that exist for a task, in the order in which they are shown."""
    return [metric.name for metric in METRICS.values() if task in metric.tasks]
