"""Requests without a usable prediction: what they are charged, metric by metric, and which predictions are usable."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from shadow_deployment.errors import SourceError
from shadow_deployment.metrics.catalog import METRICS, QUIET, custom_metric
from shadow_deployment.metrics.losses import Batch, MetricSettings, losses_of
from shadow_deployment.metrics.sums import FIELDS, Slices, Sums
from shadow_deployment.metrics.validity import valid_only

NAN, INF = math.nan, math.inf
SETTINGS = {
    "binary": MetricSettings("binary", 0.5, NAN, NAN),
    "regression": MetricSettings("regression", 0.5, 0.5, 0.9),
    "multiclass": MetricSettings("multiclass", 0.5, NAN, NAN),
}
# what is missing:  nothing, the challenger, the champion, both, the label, the challenger and the label
CHAMPION = [0.5, 0.2, NAN, NAN, 0.5, 0.5]
CHALLENGER = [0.4, NAN, 0.3, NAN, 0.5, NAN]
LABEL = [1.0, 0.0, 1.0, 1.0, NAN, NAN]


def batch(champion: Any = CHAMPION, challenger: Any = CHALLENGER, label: Any = LABEL, **columns: Any) -> Batch:
    count = len(champion)
    ones, zeros = np.ones(count), np.zeros(count, np.int64)
    numbers = (np.asarray(each, np.float64) for each in (champion, challenger, label))
    return Batch(np.arange(count), zeros, zeros, ones, *numbers, ones, ones, **columns)


def classes(value: Any) -> Any:
    return np.array([[NAN] * 3 if math.isnan(one) else [one, 1 - one, 0.0] for one in value])


def of_classes() -> Batch:
    probabilities = {"champion_probabilities": classes(CHAMPION), "challenger_probabilities": classes(CHALLENGER)}
    return batch(np.where(np.isnan(CHAMPION), NAN, 1), np.where(np.isnan(CHALLENGER), NAN, 1), LABEL, **probabilities)


def sums(name: str, settings: MetricSettings, *batches: Batch) -> dict[str, float]:
    total = Sums([name], settings, 1, Slices.of({0: {}}))
    for one in batches:
        total.add(one)
    return {field: value for *_, row in total.rows() for field, value in zip(FIELDS, row, strict=True)}


def cut(whole: Batch) -> list[Batch]:
    """Return a batch request by request."""
    columns = {name: column for name, column in vars(whole).items() if column is not None}
    return [
        replace(whole, **{name: column[row : row + 1] for name, column in columns.items()})
        for row in range(len(whole.ordinal))
    ]


PINBALL = [0.9 * 0.5, 0.1 * 0.2, 0.9 * 0.7]  # of the first three, where the model has a prediction
LOG = [math.log(2), -math.log(0.8), -math.log(0.3)]


@pytest.mark.parametrize(
    ("task", "name", "champion", "challenger"),
    [
        ("binary", "brier_score", [0.25, 0.04, 0.49, 1], [0.36, 1, 0.49, 1]),
        ("binary", "accuracy", [1, 1, 0, 0], [0, 0, 0, 0]),
        ("binary", "log_loss", [LOG[0], LOG[1], LOG[2], LOG[2]], [-math.log(0.4), LOG[2], LOG[2], LOG[2]]),
        ("regression", "squared_error", [0.25, 0.04, 0.49, 0.49], [0.36, 0.49, 0.49, 0.49]),
        ("regression", "absolute_error", [0.5, 0.2, 0.7, 0.7], [0.6, 0.7, 0.7, 0.7]),
        ("regression", "pinball_loss", [PINBALL[0], PINBALL[1], 0.63, 0.63], [0.54, 0.63, 0.63, 0.63]),
        ("multiclass", "brier_score", [0.5, 1.28, 0.18, 2], [0.32, 2, 0.18, 2]),
        ("multiclass", "accuracy", [1, 0, 1, 0], [1, 0, 1, 0]),
        ("binary", "agreement", [1, 1, 1, 1], [0, 0, 1, 0]),
        ("binary", "disagreement", [0, 0, 0, 0], [0.1, 1, 0, 1]),
        ("regression", "disagreement", [0, 0, 0, 0], [0.1, 0.1, 0, 0.1]),
        ("regression", "bias", [-0.5], [-0.6]),
        ("binary", "error_rate", [0, 0, 1, 1, 0, 0], [0, 1, 0, 1, 0, 1]),
    ],
)
def test_every_request_counts_as_its_metric_says(
    task: str, name: str, champion: list[float], challenger: list[float]
) -> None:
    whole = of_classes() if task == "multiclass" else batch()
    difference = METRICS[name].sign * (np.array(champion) - challenger)
    expected = {
        "pairs": len(champion),
        "weight": len(champion),
        "champion_sum": sum(champion),
        "champion_squares": np.square(champion).sum(),
        "challenger_sum": sum(challenger),
        "challenger_squares": np.square(challenger).sum(),
        "difference_sum": difference.sum(),
        "difference_squares": (difference**2).sum(),
        "difference_squares_weighted": (difference**2).sum(),
        "unanswered": 2 if not METRICS[name].needs_label else 1,
        "champion_missing": 2,
    }
    for parts in ([whole], cut(whole), cut(whole)[::-1]):
        found = sums(name, SETTINGS[task], *parts)
        assert {field: found[field] for field in expected} == pytest.approx(expected, rel=1e-12, abs=1e-12)


VALUES = {"champion": [3.0, -1.0, NAN, NAN], "challenger": [2.0, NAN, 4.0, NAN]}


@pytest.mark.parametrize(
    ("higher_is_better", "bounds", "champion", "challenger"),
    [
        (True, (-2.0, 9.0), [3, -1, 4, -2], [2, -2, 4, -2]),
        (False, (-2.0, 9.0), [3, -1, 4, 9], [2, 9, 4, 9]),
        (True, None, [3, -1, 4, -1], [2, -1, 4, -1]),
        (False, None, [3, -1, 4, 4], [2, 4, 4, 4]),
    ],
)
def test_a_custom_metric_is_charged_its_worse_bound_or_the_worst_of_the_day(
    higher_is_better: bool, bounds: tuple[float, float] | None, champion: list[float], challenger: list[float]
) -> None:
    metric = custom_metric("money", "money", higher_is_better=higher_is_better, needs_label=True, bounds=bounds)
    settings = replace(SETTINGS["binary"], custom={"money": metric})
    values = tuple(np.array([*VALUES[model], NAN, NAN]) for model in ("champion", "challenger"))
    requests = replace(batch(), weight=np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), custom={"money": values})
    weight, difference = requests.weight[:4], metric.sign * (np.array(champion) - challenger)
    parts = [
        replace(part, custom={"money": tuple(each[row : row + 1] for each in values)})
        for row, part in enumerate(cut(replace(requests, custom=None)))
    ]
    for batches in ([requests], parts, parts[::-1]):
        found = sums("money", settings, *batches)
        expected = {
            "pairs": 4,
            "unanswered": 1,
            "champion_missing": 2,
            "champion_sum": weight @ champion,
            "champion_squares": weight @ np.square(champion),
            "challenger_sum": weight @ challenger,
            "challenger_squares": weight @ np.square(challenger),
            "difference_sum": weight @ difference,
            "difference_squares": weight @ difference**2,
            "difference_sum_weighted": weight**2 @ difference,
            "difference_squares_weighted": weight**2 @ difference**2,
        }
        assert {field: found[field] for field in expected} == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("name", ["brier_score", "log_loss", "accuracy", "agreement", "disagreement"])
def test_where_production_falls_back_an_unanswered_request_makes_no_difference(name: str) -> None:
    settings = replace(SETTINGS["binary"], falls_back=True)
    found = sums(name, settings, batch([0.5, 0.2], [NAN, NAN], [1, 0]))
    assert (found["pairs"], found["unanswered"]) == (2, 2)
    assert (found["difference_sum"], found["difference_squares"]) == (0, 0)
    assert found["champion_sum"] == found["challenger_sum"]


def test_a_day_without_any_loss_has_nothing_to_be_charged() -> None:
    nothing = batch([NAN, NAN], [NAN, NAN], [1, 0])
    assert (found := sums("log_loss", SETTINGS["binary"], nothing))["pairs"] == 0
    assert found["champion_missing"] == 2
    assert sums("brier_score", SETTINGS["binary"], nothing)["pairs"] == 2, "its worst is known"


def test_a_day_that_the_challenger_leaves_unanswered_is_charged_the_champions_largest() -> None:
    found = sums("log_loss", SETTINGS["binary"], batch([0.5, 0.2, 0.2], [NAN] * 3, [1, 1, 0]))
    assert found["pairs"] == 3
    assert found["challenger_sum"] == pytest.approx(-3 * math.log(0.2))


def test_charges_are_weighted_as_their_requests_are() -> None:
    requests = replace(batch([0.5, 0.2], [0.5, NAN], [1, 1]), weight=np.array([1.0, 4.0]))
    found = sums("log_loss", SETTINGS["binary"], requests)
    largest, difference = -math.log(0.2), 0.0
    assert found["challenger_sum"] == pytest.approx(math.log(2) + 4 * largest)
    assert found["weight_squares"] == 17
    requests = replace(requests, champion=np.array([0.5, 0.6]))
    found = sums("log_loss", SETTINGS["binary"], requests)
    difference = -math.log(0.6) - math.log(2)
    assert found["difference_sum_weighted"] == pytest.approx(16 * difference)
    assert found["difference_squares_weighted"] == pytest.approx(16 * difference**2)


def test_a_charge_too_large_to_be_summed_is_refused() -> None:
    requests = batch([1e154, 0.0, 0.0], [0.0, NAN, NAN], [0.0, 0.0, 0.0])
    with pytest.raises(SourceError, match="squared_error: a prediction or a label is so large"):
        sums("squared_error", SETTINGS["regression"], requests)


def test_every_loss_that_a_rule_may_compare_is_charged() -> None:
    compared = {name for name, metric in METRICS.items() if metric.is_sum and metric.compares and metric.needs_label}
    assert {name for name in compared - QUIET if not METRICS[name].is_charged} == set()
    assert {name for task in SETTINGS for name in losses_of(task) if METRICS[name].is_charged} >= compared - QUIET


@pytest.mark.parametrize(
    ("task", "value", "valid"),
    [
        ("binary", [0, 1, 0.5, 1.7, -1e-9, 1 + 1e-9, INF, NAN], [1, 1, 1, 0, 0, 0, 0, 0]),
        ("regression", [0, -1e300, 1.7, INF, -INF, NAN], [1, 1, 1, 0, 0, 0]),
    ],
)
def test_what_cannot_be_a_prediction_is_missing(task: Any, value: list[float], valid: list[int]) -> None:
    expected = np.where(valid, value, NAN)
    usable = valid_only(batch(value, value[::-1], [1] * len(value)), task)
    assert_array_equal(usable.champion, expected)
    assert_array_equal(usable.challenger, expected[::-1])


def test_probabilities_of_classes_are_at_least_0_and_add_up_to_1() -> None:
    rows = np.array(
        [[0.2, 0.3, 0.5], [0.2, 0.3, 0.5009], [0.2, 0.3, 0.6], [1.2, -0.2, 0], [NAN, 0.5, 0.5], [INF, 0, 0]]
    )
    right = [[0.2, 0.3, 0.5]] * len(rows)
    value = np.array([2.0, 2, 2, 0, 1, 0])
    usable = valid_only(
        batch(value, value, [1] * 6, champion_probabilities=np.array(right), challenger_probabilities=rows),
        "multiclass",
    )
    assert_array_equal(usable.champion, value)
    assert_array_equal(usable.challenger, [2, 2, NAN, NAN, NAN, NAN])
    assert_allclose(usable.challenger_probabilities, np.vstack([rows[:2], np.full((4, 3), NAN)]))


def test_a_batch_without_any_probabilities_of_the_challenger_is_unanswered() -> None:
    champion = np.array([[0.2, 0.3, 0.5]] * 2)
    usable = valid_only(batch([2, 2], [NAN, NAN], [1, 2], champion_probabilities=champion), "multiclass")
    assert sums("brier_score", SETTINGS["multiclass"], usable)["challenger_sum"] == 4
