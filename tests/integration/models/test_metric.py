"""Functions of custom metrics in their sandbox: what an honest one is given, and what any other is refused for."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from shadow_deployment.errors import MetricError
from shadow_deployment.models.sandbox.metric import SandboxedMetric, identity_of
from tests.builders import a_deployment

FUNCTIONS = "python:tests.integration.models.custom_functions:"
PREDICTION, LABEL, DISTANCE = [0.9, 0.2, 0.6, 0.5], [1.0, 1.0, 0.0, 1.0], [500.0, 100.0, 3000.0, None]
REFUSED: dict[str, str] = {
    "too_few": "the function returned values of shape (3,) for 4 requests, must be (4,)",
    "one_number": "the function returned values of shape () for 4 requests, must be (4,)",
    "text": "the function returned text, must be numbers",
    "not_a_number": "returned nan for the first of 2 such requests in 4, must be finite numbers",
    "infinite": "returned inf for the first of 4 such requests in 4, must be finite numbers",
    "too_much": "returned 7.25 for the first of 2 such requests in 4, must be from -5 to 5 (bounds)",
    "other_index": "the function returned Series with an index that is not that of its 4 requests",
    **dict.fromkeys(
        ("of_its_place", "ranked", "of_the_others", "of_chance", "of_its_calls"),
        "the function returned another value for the same request among others, must depend on nothing but its own "
        "prediction, label and features",
    ),
    "refuse": "ValueError: distance … of … is not to be repeated",
    "leave": "SystemExit: …",
    "hang": "the metric's process did not reply within 0.5 seconds (limits.seconds) and was killed",
    "take_memory": "more than the 250 it is allowed (limits.memory_mb), and was killed",
}
UNUSABLE = {
    f"{FUNCTIONS}nothing": "AttributeError: module … has no attribute …",
    f"{FUNCTIONS}NUMBER": "NUMBER of tests.integration.models.custom_functions is not a function that takes "
    "prediction, label, request",
    f"{FUNCTIONS}price": "price must take (prediction, label, request): too many positional arguments",
    f"{FUNCTIONS}four_arguments": "four_arguments must take (prediction, label, request): missing a required argument",
    f"{FUNCTIONS}biggest": "biggest must take (prediction, label, request): no signature found",
    "python:tests.integration.models.unloadable:profit": "RuntimeError: this module cannot be imported",
    "python:no.such.module:profit": "but there is no module no.such.module: put it below",
}


@contextmanager
def loaded(named: str, **declared: Any) -> Iterator[SandboxedMetric]:
    classes = declared.pop("deployment", {})
    metric = {"name": "profit", "function": f"{FUNCTIONS}{named}", "better": "higher", **declared}
    deployment = a_deployment(metrics=[metric], **classes)
    declaration = deployment.custom_metrics["profit"]
    yield SandboxedMetric(deployment, declaration, identity_of(deployment, declaration))


def inputs(*columns: Sequence[Any], distance: Sequence[Any] = DISTANCE) -> pa.RecordBatch:
    """Return predictions and labels with features; one of the features is named as an argument is."""
    arrays = [pa.array(each) for each in (*columns, distance, ["JFK"] * len(distance))]
    return pa.RecordBatch.from_arrays(arrays, names=[*(f"\0{n}" for n in range(len(columns))), "distance", "label"])


@pytest.mark.parametrize("function", ["profit", "sorted_profit", "spoil"])
@pytest.mark.parametrize("rows", [None, 1, 3])
def test_each_request_has_the_value_of_its_own_prediction_label_and_features(function: str, rows: int | None) -> None:
    limits = {"rows": rows} if rows else {}
    with loaded(function, limits=limits) as metric:
        found = metric.values(inputs(PREDICTION[:3], LABEL[:3], distance=DISTANCE[:3]))
        assert metric.values(inputs(PREDICTION[:0], LABEL[:0], distance=pa.array([], pa.float64()))).shape == (0,)
    np.testing.assert_allclose(found, [1.5, 0.0, -3.0])


def test_a_metric_that_needs_no_label_is_shown_none() -> None:
    with loaded("price", needs_label=False) as metric:
        np.testing.assert_allclose(metric.values(inputs(PREDICTION)), [0.5, 0.0, 0.5, 0.5])


def test_with_classes_it_is_shown_their_names() -> None:
    changes = {
        "task": "multiclass",
        "classes": ["a", "b", "c"],
        "requests": {"prediction": ["p_a", "p_b", "p_c"]},
        "challengers": [{"name": "a_a_check", "model": "champion"}],
        "policy": {"rules": [{"metric": "log_loss", "is": "superior"}]},
    }
    with loaded("class_profit", deployment=changes) as metric:
        found = metric.values(inputs([0.2, 0.5], [0.7, 0.5], [0.1, 0.0], [1.0, 2.0], distance=[1.0, 2.0]))
    np.testing.assert_allclose(found, [1.7, 0.0])


@pytest.mark.parametrize("function", REFUSED)
def test_what_is_no_value_of_each_request_is_an_error_that_says_whose(function: str) -> None:
    limits = {"hang": {"seconds": 0.5}, "take_memory": {"memory_mb": 250}}.get(function, {})
    with loaded(function, bounds=[-5, 5], limits=limits) as metric, pytest.raises(MetricError) as refused:
        metric.values(inputs(PREDICTION, LABEL))
    message = str(refused.value)
    assert message.startswith(f"deployment flight_delay: metric profit: {FUNCTIONS}{function}: ")
    assert REFUSED[function] in message
    assert "JFK" not in message


@pytest.mark.parametrize("function", UNUSABLE)
def test_a_function_that_cannot_be_used_is_refused_before_it_is_called(function: str) -> None:
    with pytest.raises(MetricError) as refused, loaded("", function=function):
        pass
    assert str(refused.value).startswith("deployment flight_delay: metric profit: ")
    assert UNUSABLE[function] in str(refused.value)


def test_what_it_prints_reaches_an_error_without_values_and_nothing_secret_is_within_reach(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHADOW_DB", "postgresql://shadow:very-secret@db/shadow")
    with loaded("print_surroundings") as metric, pytest.raises(MetricError) as refused:
        metric.values(inputs(PREDICTION, LABEL))
    assert "ended itself with exit code 3" in str(refused.value)
    assert "very-secret" not in str(refused.value)
