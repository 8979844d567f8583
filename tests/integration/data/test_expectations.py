"""Great Expectations on inputs and predictions: what always applies, what a suite adds, and what a failure keeps."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.quality.expectations import (
    MOST_REQUESTS,
    Failure,
    Validation,
    input_expectations,
    prediction_expectations,
    read_suite,
)
from shadow_deployment.data.quality.validation import validate as validate_rows
from shadow_deployment.errors import DeploymentError
from tests.builders import a_deployment
from tests.rows import TableRows

SECRET = 987654321.0
REGRESSION = {"rules": [{"metric": "squared_error", "is": "superior"}]}
PROBABILITY = "to_be_between(max_value=1.0, min_value=0.0)"

WriteSuite = Callable[[Any], str]


@pytest.fixture
def suite(tmp_path: Path) -> WriteSuite:
    """Write a suite and return where it lies."""

    def write(content: Any) -> str:
        path = tmp_path / "suite.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return str(path)

    return write


def plain(**changes: Any) -> Deployment:
    return a_deployment(expectations={"inputs": None, "predictions": None}, **changes)


def inputs(**columns: Any) -> pd.DataFrame:
    usual = {
        "request_id": list("abcde"),
        "champion": [0.0, 0.25, 0.5, 0.75, 1.0],
        "dep_hour": [1.0, 2.0, np.nan, 4.0, 5.0],
        "distance": [1, 2, 3, 4, 5],
    }
    return pd.DataFrame(usual | columns)


def predictions(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame({"request_id": list("abc"), "value": [0.0, 0.5, 1.0], "error": [None] * 3} | columns)


def validate(frame: pd.DataFrame, expectations: list[dict[str, Any]]) -> Validation:
    return validate_rows(TableRows(pa.Table.from_pandas(frame, preserve_index=False)), expectations)


def one(kind: str, **kwargs: Any) -> list[dict[str, Any]]:
    return [{"type": kind, "kwargs": kwargs}]


def only_failure(validation: Validation) -> Failure:
    assert not validation.success
    (failure,) = validation.failures
    return failure


def test_inputs_as_they_should_be_meet_the_defaults() -> None:
    validation = validate(inputs(), input_expectations(plain(), 5))
    assert validation.success
    assert validation.failures_json() == "[]"
    assert validation.evaluated == len(input_expectations(plain(), 5))


@pytest.mark.parametrize(
    ("frame", "rows", "expectation", "column", "requests"),
    [
        (inputs(), 6, "row_count_to_equal(value=6)", None, []),
        (inputs(request_id=["a", "b", "b", "d", "e"]), 5, "to_be_unique()", "request_id", ["b"]),
        (inputs(request_id=["a", "b", None, "d", "e"]), 5, "to_not_be_null()", "request_id", []),
        (inputs().drop(columns="distance"), 5, "column_to_exist()", "distance", []),
        (inputs(champion=[0.0, 1.1, 0.5, -0.1, 1.0]), 5, PROBABILITY, "champion", ["b", "d"]),
        (inputs(champion=[0.0, np.inf, 0.5, 0.1, 1.0]), 5, PROBABILITY, "champion", ["b"]),
    ],
)
def test_inputs_that_cannot_be_paired_are_refused(
    frame: pd.DataFrame, rows: int, expectation: str, column: str | None, requests: list[str]
) -> None:
    failure = only_failure(validate(frame, input_expectations(plain(), rows)))
    assert failure.expectation.endswith(expectation)
    assert (failure.column, failure.requests) == (column, requests)


def test_a_champion_that_predicts_amounts_may_leave_zero_to_one() -> None:
    frame = inputs(champion=[-5.0, 1e6, 0.5, 0.1, 1.0])
    assert validate(frame, input_expectations(plain(task="regression", policy=REGRESSION), 5)).success


@pytest.mark.parametrize(
    ("task", "values", "bad"),
    [
        ("binary", [0.0, 0.5, 1.0], []),
        ("binary", [0.5, np.nan, 0.5], []),
        ("binary", [0.5, 1.0001, -0.0001], ["b", "c"]),
        ("binary", [0.5, np.inf, 0.5], ["b"]),
        ("regression", [-1e300, 0.5, 1e300], []),
        ("regression", [0.5, np.inf, -np.inf], ["b", "c"]),
    ],
)
def test_predictions_must_be_finite_and_in_range_where_there_is_one(
    task: str, values: list[float], bad: list[str]
) -> None:
    deployment = plain(task=task, policy=REGRESSION if task == "regression" else {})
    validation = validate(predictions(value=values), prediction_expectations(deployment, 3))
    assert [request for failure in validation.failures for request in failure.requests] == bad


@pytest.mark.parametrize(
    ("frame", "rows", "expectation"),
    [
        (predictions(), 4, "expect_table_row_count_to_equal(value=4)"),
        (predictions(request_id=["a", "a", "c"]), 3, "expect_column_values_to_be_unique()"),
    ],
)
def test_predictions_must_be_complete_and_unique(frame: pd.DataFrame, rows: int, expectation: str) -> None:
    assert only_failure(validate(frame, prediction_expectations(plain(), rows))).expectation == expectation


@pytest.mark.parametrize(
    ("key", "expectations", "frame"),
    [
        ("inputs", input_expectations, inputs(dep_hour=[1.0, 2.0, 3.0, 4.0, 25.0])),
        ("predictions", prediction_expectations, predictions(dep_hour=[1.0, 2.0, 25.0])),
    ],
)
def test_a_suite_of_ones_own_adds_to_the_defaults(
    key: str, expectations: Callable[[Deployment, int], list[Any]], frame: pd.DataFrame, suite: WriteSuite
) -> None:
    own = one("expect_column_values_to_be_between", column="dep_hour", min_value=0, max_value=24)
    deployment = a_deployment(
        expectations={"inputs": None, "predictions": None}
        | {key: suite({"name": "own", "expectations": own, "meta": {}})}
    )
    found = expectations(deployment, len(frame))
    assert len(found) == len(expectations(plain(), len(frame))) + 1
    failure = only_failure(validate(frame, found))
    assert (failure.column, failure.requests) == ("dep_hour", [str(frame["request_id"].iloc[-1])])
    assert validate(frame, expectations(plain(), len(frame))).success


def test_an_expectation_that_cannot_be_evaluated_says_so_and_does_not_count_as_met() -> None:
    for broken in (
        one("expect_column_values_to_not_be_null", column="nowhere"),
        one("expect_column_mean_to_be_between", column="request_id", min_value=0, max_value=1),
    ):
        failure = only_failure(validate(inputs(), broken))
        assert failure.detail.startswith("could not be evaluated: ")
        assert failure.requests == []
    missed = only_failure(validate(inputs(), one("expect_column_mean_to_be_between", column="distance", max_value=1)))
    assert not missed.detail.startswith("could not be evaluated")


def test_each_broken_expectation_is_named_beside_those_that_hold_and_those_that_do_not() -> None:
    validation = validate(
        inputs(),
        [
            *one("expect_column_values_to_not_be_null", column="request_id"),
            *one("expect_column_values_to_not_be_null", column="nowhere"),
            *one("expect_column_values_to_not_be_null", column="dep_hour"),
        ],
    )
    assert validation.evaluated == 3
    assert {failure.column: failure.detail.split(":")[0] for failure in validation.failures} == {
        "nowhere": "could not be evaluated",
        "dep_hour": "1 of 5 rows (20.00%) do not meet it",
    }


def test_a_failure_lists_some_requests_and_no_values() -> None:
    rows = 100
    ids = [f"r{row:03d}" for row in range(rows)]
    frame = pd.DataFrame({"request_id": ids, "amount": [SECRET] * 50 + [0.0] * 50})
    validation = validate(frame, one("expect_column_values_to_be_between", column="amount", max_value=1))
    failure = only_failure(validation)
    assert failure.detail == "50 of 100 rows (50.00%) do not meet it"
    assert failure.requests == ids[:MOST_REQUESTS]
    assert str(failure).endswith("on amount: 50 of 100 rows (50.00%) do not meet it, such as r000, r001, r002")
    assert "98765" not in validation.failures_json() + str(failure) + repr(validation)


@pytest.mark.parametrize(
    ("kind", "value_set"),
    [
        ("expect_column_distinct_values_to_be_in_set", ["allowed"]),
        ("expect_column_distinct_values_to_equal_set", ["allowed"]),
        ("expect_column_distinct_values_to_contain_set", ["allowed"]),
        ("expect_column_most_common_value_to_be_in_set", ["allowed"]),
    ],
)
def test_a_failure_on_a_set_of_values_shows_none_of_them(kind: str, value_set: list[str]) -> None:
    names = ["ann", "bob", "cyd", "dan", "eve"]
    validation = validate(inputs(name=names), one(kind, column="name", value_set=value_set))
    failure = only_failure(validation)
    assert not failure.detail.startswith("could not be evaluated")
    assert not any(name in validation.failures_json() + str(failure) for name in names)


def test_requests_whose_ids_are_numbers_are_listed_zero_among_them() -> None:
    validation = validate(
        inputs(request_id=[0, 0, 1, 2, 3]), one("expect_column_values_to_be_unique", column="request_id")
    )
    assert only_failure(validation).requests == ["0"]


def test_a_failure_is_stored_as_json_with_all_that_it_says() -> None:
    validation = validate(inputs(request_id=["a", "b", "b", "d", "e"]), input_expectations(plain(), 5))
    assert json.loads(validation.failures_json()) == [
        {
            "expectation": "expect_column_values_to_be_unique()",
            "column": "request_id",
            "detail": "2 of 5 rows (40.00%) do not meet it",
            "requests": ["b"],
        }
    ]


def test_the_same_expectations_are_the_same_suite() -> None:
    first, again = (validate(inputs(), input_expectations(plain(), 5)) for _ in range(2))
    other = validate(inputs(), input_expectations(plain(), 6))
    assert first.suite == again.suite != other.suite


def test_a_frame_is_judged_by_itself_whatever_was_judged_before() -> None:
    assert not validate(inputs(champion=[9.0] * 5), input_expectations(plain(), 5)).success
    assert validate(inputs(), input_expectations(plain(), 5)).success


@pytest.mark.parametrize(
    "expectation",
    [
        one("expect_column_values_to_be_between", colum="dep_hour", min_value=0),
        one("expect_column_values_to_be_between", column="dep_hour"),
    ],
)
def test_an_expectation_that_great_expectations_cannot_build_is_refused(expectation: list[dict[str, Any]]) -> None:
    with pytest.raises(DeploymentError, match="expectations: "):
        validate(inputs(), expectation)


@pytest.mark.parametrize("beside", [[], one("expect_column_values_to_not_be_null", column="dep_hour")])
def test_an_expectation_that_does_not_exist_is_refused(beside: list[dict[str, Any]]) -> None:
    with pytest.raises(DeploymentError, match="expect_the_moon is no expectation of Great Expectations"):
        validate(inputs(), [*beside, *one("expect_the_moon")])


def test_no_suite_adds_nothing() -> None:
    assert read_suite(None, "expectations.inputs") == []


def test_a_suite_is_read_as_great_expectations_stores_one(suite: WriteSuite) -> None:
    path = suite({"name": "x", "id": None, "meta": {}, "expectations": [{"type": "expect_x", "severity": "critical"}]})
    assert read_suite(path, "expectations.inputs") == [{"type": "expect_x", "kwargs": {}}]


def test_a_suite_of_version_0_18_demands_what_it_did(suite: WriteSuite) -> None:
    kwargs = {"column": "dep_hour", "min_value": 0, "max_value": 5, "mostly": 1.0}
    old = {"auto": False, "result_format": "BASIC", "catch_exceptions": True, "parse_strings_as_datetimes": None}
    entry = {"expectation_type": "expect_column_values_to_be_between", "kwargs": kwargs | old, "meta": {}}
    path = suite({"expectation_suite_name": "x", "data_asset_type": None, "expectations": [entry], "meta": {}})
    expectations = read_suite(path, "expectations.inputs")
    assert expectations == one("expect_column_values_to_be_between", **kwargs)
    assert validate(inputs(), expectations).evaluated == 1


def test_what_cannot_be_read_of_an_old_suite_is_named(suite: WriteSuite) -> None:
    between, column = "expect_column_values_to_be_between", {"column": "dep_hour", "min_value": 0}
    entries = [
        {"expectation_type": between, "kwargs": column},
        {"expectation_type": between, "kwargs": column | {"parse_strings_as_datetimes": True}},
        {"expectation_type": between, "kwargs": {"column": "distance", "min_value": {"$PARAMETER": "least"}}},
    ]
    path = suite({"expectation_suite_name": "x", "expectations": entries})
    with pytest.raises(DeploymentError) as caught:
        validate(inputs(), read_suite(path, "expectations.inputs"))
    said = str(caught.value)
    assert f"{between} on dep_hour: parse_strings_as_datetimes extra fields not permitted" in said
    assert f"{between} on distance: No value found for $PARAMETER least" in said
    assert said.count("dep_hour") == 1


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "7",
        {},
        {"expectations": None},
        {"expectations": {"a": 1}},
        {"expectations": [1]},
        {"expectations": [{"kwargs": {}}]},
        {"expectations": [{"type": 1, "kwargs": {}}]},
        {"expectations": [{"type": "expect_x", "kwargs": []}]},
    ],
)
def test_a_file_that_is_no_suite_is_refused_with_its_key_and_path(content: Any, suite: WriteSuite) -> None:
    path = suite(content)
    with pytest.raises(DeploymentError) as caught:
        read_suite(path, "expectations.inputs")
    assert str(caught.value).startswith(f"expectations.inputs == {path!r}")
    assert str(caught.value).endswith(f"({path})")


@pytest.mark.parametrize("content", [None, b"\xff\xfe{}"])
def test_a_suite_that_cannot_be_read_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "suite.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DeploymentError, match=r"expectations\.predictions == .*suite\.json"):
        read_suite(str(path), "expectations.predictions")
