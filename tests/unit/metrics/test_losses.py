"""What each request counts for: against scikit-learn, and row by row against the definitions."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import brier_score_loss, log_loss, mean_pinball_loss

from shadow_deployment.metrics.catalog import METRICS, QUIET, metrics_of
from shadow_deployment.metrics.losses import Batch, MetricSettings, losses_of, same_prediction

NAN = math.nan
BINARY = MetricSettings("binary", 0.5, NAN, NAN)


def batch(champion: Any, challenger: Any, label: Any, **columns: Any) -> Batch:
    count = len(champion)
    numbers = {
        name: np.asarray(column, np.float64)
        for name, column in {"champion": champion, "challenger": challenger, "label": label, **columns}.items()
    }
    zeros, ones = np.zeros(count, np.int64), np.ones(count)
    return Batch(
        **{
            "ordinal": np.arange(count),
            "cell": zeros,
            "version": zeros,
            "weight": ones,
            "champion_latency_ms": ones,
            "latency_ms": ones,
            **numbers,
        }
    )


def of(name: str, requests: Batch, settings: MetricSettings = BINARY) -> tuple[list[float], list[float]]:
    champion, challenger = losses_of(settings.task)[name](requests, settings)
    return champion.tolist(), challenger.tolist()


@pytest.mark.parametrize("task", ["binary", "regression", "multiclass"])
def test_every_metric_that_is_a_mean_has_a_loss_and_no_other_has(task: Any) -> None:
    means = {name for name in metrics_of(task) if METRICS[name].is_sum}
    quiet = {name for name in QUIET if task in METRICS[name].tasks}
    assert means | quiet <= set(losses_of(task))
    assert {name for name in losses_of(task) if task in METRICS[name].tasks} == means | quiet


def test_losses_of_probabilities_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(1)
    champion, challenger = random.random((2, 500))
    champion[:2], label = (0, 1), random.integers(0, 2, 500)
    requests = batch(champion, challenger, label)
    for place, answers in enumerate((champion, challenger)):
        assert np.mean(of("brier_score", requests)[place]) == pytest.approx(brier_score_loss(label, answers), rel=1e-12)
        assert np.mean(of("log_loss", requests)[place]) == pytest.approx(log_loss(label, answers), rel=1e-12)
        assert np.mean(of("accuracy", requests)[place]) == np.mean((answers >= 0.5) == label)


def test_pinball_loss_is_that_of_scikit_learn() -> None:
    random = np.random.default_rng(2)
    champion, challenger, label = random.normal(size=(3, 300))
    found = of("pinball_loss", batch(champion, challenger, label), MetricSettings("regression", 0.5, NAN, 0.9))
    for answers, losses in zip((champion, challenger), found, strict=True):
        assert np.mean(losses) == pytest.approx(mean_pinball_loss(label, answers, alpha=0.9), rel=1e-12)


def test_a_certain_answer_that_is_wrong_costs_much_and_not_infinitely_much() -> None:
    ((wrong, right), _) = of("log_loss", batch([0, 1], [0.5, 0.5], [1, 1]))
    assert wrong == pytest.approx(36.04365338911715)
    assert 0 < right < 1e-15


def test_an_answer_at_the_threshold_is_a_yes() -> None:
    requests = batch([0.3, 0.29], [0.31, 0.3], [1, 1])
    assert of("accuracy", requests, replace(BINARY, threshold=0.3)) == ([1, 0], [1, 1])
    assert of("agreement", requests, replace(BINARY, threshold=0.3)) == ([1, 1], [1, 0])


@pytest.mark.parametrize(
    ("name", "champion", "challenger"),
    [
        # what is missing:  nothing   champion   challenger   label   champion and label
        ("brier_score", [0.25, NAN, 0.25, NAN, NAN], [0.0, 0.0, NAN, NAN, NAN]),
        ("log_loss", [math.log(2), NAN, math.log(2), NAN, NAN], [0.0, 0.0, NAN, NAN, NAN]),
        ("accuracy", [1, NAN, 1, NAN, NAN], [1, 1, NAN, NAN, NAN]),
        ("certainly_wrong", [0, NAN, 0, 0, NAN], [0, 0, NAN, NAN, NAN]),
        ("agreement", [1, 1, 1, 1, 1], [1, NAN, NAN, 1, NAN]),
        ("disagreement", [0, 0, 0, 0, 0], [0.5, NAN, NAN, 0.5, NAN]),
        ("error_rate", [0, 1, 0, 0, 1], [0, 0, 1, 0, 0]),
        ("pairing_loss", [0, 0, 0, 0, 0], [0, 1, 1, 0, 1]),
        ("label_coverage", [1, 1, 1, 0, 0], [1, 1, 1, 0, 0]),
    ],
)
def test_what_is_missing_stays_missing(name: str, champion: list[float], challenger: list[float]) -> None:
    requests = batch([0.5, NAN, 0.5, 0.5, NAN], [1, 1, NAN, 1, 1], [1, 1, 1, NAN, NAN])
    found = of(name, requests)
    assert_allclose(found[0], champion, atol=1e-15)
    assert_allclose(found[1], challenger, atol=1e-15)


def test_values_agree_within_the_tolerance_and_without_one_nothing_is_known() -> None:
    requests = batch([1.0, 1.0, 1.0], [1.5, 1.75, NAN], [1, 1, 1])
    assert_array_equal(of("agreement", requests, MetricSettings("regression", 0.5, 0.5, 0.5))[1], [1, 0, NAN])
    assert_array_equal(of("agreement", requests, MetricSettings("regression", 0.5, NAN, 0.5)), [[NAN] * 3] * 2)


def test_errors_of_values_keep_their_sign_where_that_is_asked() -> None:
    requests, settings = batch([3.0, 1.0], [2.0, 2.0], [2.0, 2.0]), MetricSettings("regression", 0.5, NAN, 0.5)
    assert of("bias", requests, settings) == ([1, -1], [0, 0])
    assert of("absolute_error", requests, settings) == ([1, 1], [0, 0])
    assert of("squared_error", requests, settings) == ([1, 1], [0, 0])


def classes(label: list[float], champion: Any, challenger: Any) -> Batch:
    likeliest = [
        [NAN if math.isnan(row[0]) else int(np.argmax(row)) for row in rows] for rows in (champion, challenger)
    ]
    return batch(*likeliest, label, champion_probabilities=champion, challenger_probabilities=challenger)


def test_losses_of_classes_by_hand() -> None:
    requests = classes(
        [0, 2, NAN, 1], [[0.5, 0.3, 0.2]] * 4, [[0.5, 0.3, 0.2], [0, 0, 1], [0.1, 0.1, 0.8], [NAN, NAN, NAN]]
    )
    settings = MetricSettings("multiclass", 0.5, NAN, NAN)
    assert_allclose(of("brier_score", requests, settings), [[0.38, 0.98, NAN, 0.78], [0.38, 0, NAN, NAN]], atol=1e-15)
    expected = [[-math.log(0.5), -math.log(0.2), NAN, -math.log(0.3)], [-math.log(0.5), 0, NAN, NAN]]
    assert_allclose(of("log_loss", requests, settings), expected, atol=1e-15)
    assert_array_equal(of("accuracy", requests, settings), [[1, 0, NAN, 0], [1, 1, NAN, NAN]])
    assert_array_equal(of("agreement", requests, settings), [[1, 1, 1, 1], [1, 0, 0, NAN]])
    assert_allclose(of("disagreement", requests, settings), [[0] * 4, [0, 0.8, 0.6, NAN]], atol=1e-15)
    assert requests.identical.tolist() == [True, False, False, False]


def test_probabilities_of_the_same_likeliest_class_may_differ() -> None:
    assert classes([0], [[0.6, 0.4]], [[0.7, 0.3]]).identical.tolist() == [False]


def test_missing_predictions_are_never_identical() -> None:
    assert batch([NAN, NAN, 1, 1], [NAN, 1, NAN, 1], [0] * 4).identical.tolist() == [False, False, False, True]


def test_predictions_within_a_millionth_are_alike_as_in_another_precision() -> None:
    champion = np.array([0.3, 0.3, 2e5, 2e5, 1e308, np.inf])
    challenger = np.array([0.3 + 9e-7, 0.3 - 2e-6, 2e5 + 0.1, 2e5 + 0.5, -1e308, np.inf])
    assert same_prediction(champion, challenger).tolist() == [True, False, True, False, False, False]


def test_several_classes_need_probabilities() -> None:
    with pytest.raises(ValueError, match="needs the probabilities of both models"):
        of("brier_score", batch([0], [0], [0]), MetricSettings("multiclass", 0.5, NAN, NAN))
