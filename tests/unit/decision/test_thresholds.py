"""What thresholds of other tools say can be said, and what they let through does not pass."""

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tests.unit.decision.paired import DAYS, NOISE, judged, paired


@dataclass(frozen=True)
class ChangeThreshold:
    """TFMA's GenericChangeThreshold, which holds of the change of a metric."""

    higher_is_better: bool
    absolute: float | None = None
    relative: float | None = None

    def holds(self, baseline: float, candidate: float) -> bool:
        change = candidate - baseline
        pairs = [(change, self.absolute), (np.float64(change) / baseline, self.relative)]
        return all(got >= asked if self.higher_is_better else got <= asked for got, asked in pairs if asked is not None)

    def rules(self, metric: str) -> list[dict[str, Any]]:
        kind = "at_least" if self.higher_is_better else "at_most"
        asked = {"change": self.absolute, "relative_change": self.relative}
        return [
            {"metric": metric, "is": kind, "of": of, "value": value} for of, value in asked.items() if value is not None
        ]


@dataclass(frozen=True)
class ValueThreshold:
    """TFMA's GenericValueThreshold."""

    lower_bound: float | None = None
    upper_bound: float | None = None

    def holds(self, baseline: float, candidate: float) -> bool:
        above = self.lower_bound is None or candidate >= self.lower_bound
        return above and (self.upper_bound is None or candidate <= self.upper_bound)

    def rules(self, metric: str) -> list[dict[str, Any]]:
        bounds = {"at_least": self.lower_bound, "at_most": self.upper_bound}
        return [{"metric": metric, "is": kind, "value": value} for kind, value in bounds.items() if value is not None]


@dataclass(frozen=True)
class MetricThreshold:
    """MLflow's MetricThreshold: a value to reach, and by how much at least the candidate must be better."""

    greater_is_better: bool
    threshold: float | None = None
    min_absolute_change: float | None = None
    min_relative_change: float | None = None

    def holds(self, baseline: float, candidate: float) -> bool:
        sign = 1 if self.greater_is_better else -1
        failed = [
            self.threshold is not None and not sign * candidate >= sign * self.threshold,
            self.min_absolute_change is not None
            and not sign * candidate >= sign * (baseline + sign * self.min_absolute_change),
            self.min_relative_change is not None
            and sign * (candidate - baseline) / np.float64(baseline) < self.min_relative_change,
        ]
        return not any(failed)

    def rules(self, metric: str) -> list[dict[str, Any]]:
        kind, sign = ("at_least", 1) if self.greater_is_better else ("at_most", -1)
        asked = {
            "value": self.threshold,
            "change": None if self.min_absolute_change is None else sign * self.min_absolute_change,
            "relative_change": None if self.min_relative_change is None else sign * self.min_relative_change,
        }
        return [
            {"metric": metric, "is": kind, "of": of, "value": value} for of, value in asked.items() if value is not None
        ]


Threshold = ChangeThreshold | ValueThreshold | MetricThreshold
HIGHER: list[Threshold] = [
    ValueThreshold(lower_bound=0.7),
    ValueThreshold(lower_bound=0.55, upper_bound=0.85),
    ChangeThreshold(True, absolute=0.05),
    ChangeThreshold(True, absolute=-0.05),
    ChangeThreshold(True, relative=0.1),
    ChangeThreshold(True, relative=-0.1),
    ChangeThreshold(True, absolute=-0.05, relative=0.01),
    MetricThreshold(True, threshold=0.7),
    MetricThreshold(True, min_absolute_change=0.05),
    MetricThreshold(True, min_relative_change=0.1),
    MetricThreshold(True, threshold=0.65, min_absolute_change=0.02, min_relative_change=0.05),
]
LOWER: list[Threshold] = [
    ValueThreshold(upper_bound=0.3),
    ChangeThreshold(False, absolute=0.05),
    ChangeThreshold(False, absolute=-0.05),
    ChangeThreshold(False, relative=0.1),
    ChangeThreshold(False, relative=-0.1),
    MetricThreshold(False, threshold=0.3),
    MetricThreshold(False, min_absolute_change=0.05),
    MetricThreshold(False, min_relative_change=0.1),
    MetricThreshold(False, threshold=0.35, min_absolute_change=0.02, min_relative_change=0.05),
]


def judged_by(threshold: Threshold, metric: str, baseline: float, candidate: float, **changes: Any) -> str:
    steady = np.full(DAYS, baseline)
    return judged(paired(steady, candidate + NOISE, metric, **changes), *threshold.rules(metric)).outcome


@pytest.mark.parametrize(
    ("metric", "threshold"), [*(("accuracy", one) for one in HIGHER), *(("brier_score", one) for one in LOWER)]
)
def test_what_thresholds_of_other_tools_say_can_be_said_and_is_judged_alike_where_it_is_clear(
    metric: str, threshold: Threshold
) -> None:
    outcomes = set()
    for baseline, candidate in itertools.product([0.2, 0.4, 0.6, 0.8], [0.13, 0.26, 0.33, 0.47, 0.53, 0.62, 0.74, 0.9]):
        expected = "PASS" if threshold.holds(baseline, candidate) else "FAIL"
        outcomes.add(expected)
        assert judged_by(threshold, metric, baseline, candidate) == expected, (baseline, candidate)
    assert outcomes == {"PASS", "FAIL"}


@pytest.mark.parametrize(
    ("metric", "threshold"), [*(("accuracy", one) for one in HIGHER), *(("brier_score", one) for one in LOWER)]
)
def test_no_threshold_passes_on_what_is_not_a_number_or_missing(metric: str, threshold: Threshold) -> None:
    for baseline, candidate in ((0.5, math.nan), (math.nan, 0.5), (math.nan, math.nan)):
        assert judged_by(threshold, metric, baseline, candidate) == "INCONCLUSIVE"
    assert judged([], *threshold.rules(metric)).outcome == "INCONCLUSIVE"
    other = paired(0.5, 0.1 + NOISE, "log_loss")
    assert judged(other, *threshold.rules(metric)).outcome == "INCONCLUSIVE"


def test_what_other_tools_are_known_to_let_through_is_not() -> None:
    relative = MetricThreshold(True, min_relative_change=0.1)
    assert relative.holds(0.5, math.nan), "the defect is gone: this test protects nothing"
    assert judged_by(relative, "accuracy", 0.5, math.nan) == "INCONCLUSIVE"


@pytest.mark.parametrize(
    "threshold", [ChangeThreshold(True, relative=0.1), MetricThreshold(True, min_relative_change=0.1)]
)
def test_a_negative_baseline_inverts_the_thresholds_of_other_tools_and_not_the_verdict(threshold: Threshold) -> None:
    better, much_worse = -0.4, -0.6
    assert not threshold.holds(-0.5, better)
    assert threshold.holds(-0.5, much_worse)
    assert judged_by(threshold, "r2", -0.5, better) == "PASS"
    assert judged_by(threshold, "r2", -0.5, much_worse) == "FAIL"


@pytest.mark.parametrize(
    "threshold",
    [
        ChangeThreshold(False, relative=0.1),
        ChangeThreshold(True, relative=-0.1),
        MetricThreshold(True, min_relative_change=0.1),
    ],
)
@pytest.mark.parametrize("candidate", [-0.5, 0.0, 0.5])
def test_a_baseline_of_zero_decides_nothing_about_shares(threshold: Threshold, candidate: float) -> None:
    assert judged_by(threshold, "brier_score", 0.0, candidate) == "INCONCLUSIVE"


def test_a_change_that_is_just_reached_is_met_where_rounding_makes_other_tools_refuse_it() -> None:
    threshold = MetricThreshold(False, min_absolute_change=0.1)
    assert not threshold.holds(0.3, 0.2)
    (rule,) = threshold.rules("brier_score")
    assert judged(paired([0.3], [0.2]), rule | {"last": {"hold": 1, "of": 1}}).outcome == "PASS"
