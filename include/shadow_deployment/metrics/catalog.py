"""The metrics: what each one measures, which tasks it belongs to, and how a rule may use it.

Means over requests are computed in `losses.py`, the others in `scores.py`. In the code every difference is the
champion's loss minus the challenger's: positive means that the challenger is better, whichever way the metric points.
"""

from dataclasses import dataclass
from typing import Literal

Task = Literal["binary", "regression", "multiclass"]


@dataclass(frozen=True)
class Metric:
    """One way to score predictions.

    Attributes:
        name: as rules name it.
        title: as people read it.
        tasks: the tasks that have it.
        needs_label: whether it counts only on days whose labels are mature.
        higher_is_better: which way it points.
        operational: whether it is a property of the day itself, judged on the day's value without a sequence.
        compares: whether the champion has a value of its own, so that a difference means something.
        is_sum: whether it is a mean over requests, so that days and slices add up; else each day has a value.
        is_custom: whether a deployment declares it, with a function of its own; it then is a sum and compares.
        bounds: the smallest and the largest value that a request can have; None where there is no such value.
    """

    name: str
    title: str
    tasks: frozenset[Task]
    needs_label: bool = True
    higher_is_better: bool = False
    operational: bool = False
    compares: bool = True
    is_sum: bool = True
    is_custom: bool = False
    bounds: tuple[float, float] | None = None

    @property
    def is_bounded(self) -> bool:
        """Whether each request's value lies between two bounds."""
        return self.bounds is not None

    @property
    def is_charged(self) -> bool:
        """Whether requests without a usable prediction stay among its pairs, charged as `charges.py` says."""
        return self.is_custom or self.name in _CHARGED

    @property
    def counts_every_request(self) -> bool:
        """Whether it is about missing predictions or labels, so that a request without them has a value."""
        return self.name in _OF_EVERY_REQUEST

    @property
    def sign(self) -> int:
        """+1 where lower is better, -1 where higher is better: turns a value into a loss."""
        return -1 if self.higher_is_better else 1


SKEW = "feature_skew"
_SHARE = (0.0, 1.0)
_LOSSES = frozenset({"log_loss", "squared_error", "absolute_error", "pinball_loss"})
_CHARGED = frozenset({"brier_score", "accuracy", "agreement", "disagreement"}) | _LOSSES
_OF_EVERY_REQUEST = frozenset({"error_rate", "pairing_loss", "label_coverage", SKEW})
_BINARY: frozenset[Task] = frozenset({"binary"})
_REGRESSION: frozenset[Task] = frozenset({"regression"})
_CLASSES: frozenset[Task] = frozenset({"binary", "multiclass"})
_ALL: frozenset[Task] = _BINARY | _REGRESSION | _CLASSES


def _loss(
    name: str, title: str, tasks: frozenset[Task], *, is_sum: bool = True, bounds: tuple[float, float] | None = None
) -> Metric:
    return Metric(name, title, tasks, is_sum=is_sum, bounds=bounds)


def _gain(name: str, title: str, tasks: frozenset[Task]) -> Metric:
    return Metric(name, title, tasks, higher_is_better=True, is_sum=False)


def _of_the_day(name: str, title: str, *, compares: bool = False, is_sum: bool = False, better: bool = False) -> Metric:
    return Metric(name, title, _ALL, False, better, True, compares, is_sum)


def custom_metric(
    name: str, title: str, *, higher_is_better: bool, needs_label: bool, bounds: tuple[float, float] | None
) -> Metric:
    """Return a metric of a deployment's own: a mean over requests that takes part in everything that losses do."""
    return Metric(name, title, _ALL, needs_label, higher_is_better, is_custom=True, bounds=bounds)


def skew_of(feature: str) -> Metric:
    """Return the part of `feature_skew` that one feature has."""
    return _of_the_day(
        f"{SKEW}:{feature}", f"share of requests whose {feature} differs from the logged one", is_sum=True
    )


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        _loss("brier_score", "Brier score", _CLASSES, bounds=_SHARE),  # up to 2 with several classes
        _loss("log_loss", "log loss", _CLASSES),
        Metric("accuracy", "accuracy", _CLASSES, higher_is_better=True, bounds=_SHARE),
        _gain("precision", "precision", _BINARY),
        _gain("recall", "recall", _BINARY),
        _gain("f1", "F1", _BINARY),
        _gain("roc_auc", "ROC AUC", _BINARY),
        _gain("average_precision", "average precision", _BINARY),
        _loss("calibration_error", "expected calibration error", _BINARY, is_sum=False),
        _loss("certainly_wrong", "share of predictions of exactly 0 or 1 that were wrong", _BINARY),
        _loss("squared_error", "squared error", _REGRESSION),
        _loss("absolute_error", "absolute error", _REGRESSION),
        _loss("pinball_loss", "pinball loss", _REGRESSION),
        Metric("bias", "mean error", _REGRESSION, compares=False),
        _gain("r2", "R²", _REGRESSION),
        Metric("error_rate", "error rate", _ALL, False, operational=True, bounds=_SHARE),
        _of_the_day("agreement", "agreement with the champion", is_sum=True, better=True),
        _of_the_day("disagreement", "mean absolute difference of the two predictions", is_sum=True),
        _of_the_day("population_stability_index", "population stability index (PSI) between champion and challenger"),
        _of_the_day("kolmogorov_smirnov", "Kolmogorov-Smirnov (KS) distance between champion and challenger"),
        _of_the_day("latency_p50", "latency p50, ms", compares=True),
        _of_the_day("latency_p95", "latency p95, ms", compares=True),
        _of_the_day("latency_p99", "latency p99, ms", compares=True),
        _of_the_day("latency_ratio_p50", "latency ratio p50"),
        _of_the_day("latency_ratio_p95", "latency ratio p95"),
        _of_the_day("latency_ratio_p99", "latency ratio p99"),
        _of_the_day(SKEW, "share of requests of which a feature differs from the logged one", is_sum=True),
        _of_the_day("pairing_loss", "share of requests that lack a prediction of one of the models", is_sum=True),
        Metric("label_coverage", "share of requests with a label", _ALL, True, True, True, False),
    )
}

DAILY = frozenset(
    metric.name for metric in METRICS.values() if not metric.is_sum
)  # the others, custom ones too, add up

# Computed for every deployment for a warning of its verdicts. No rule names it: it leaves out missing predictions.
QUIET = frozenset({"certainly_wrong"})
BASIC = frozenset({"brier_score", "log_loss", "squared_error", "absolute_error", "error_rate", "agreement"})


def metrics_of(task: Task) -> list[str]:
    """Return the names of a task's metrics, in the order in which they are shown."""
    return [metric.name for metric in METRICS.values() if task in metric.tasks and metric.name not in QUIET]
