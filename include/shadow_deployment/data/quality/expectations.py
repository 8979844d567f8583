"""What must hold of a day's inputs and of each challenger's predictions, and the result of a check.

The package's own expectations always apply: without them rows cannot be paired. A deployment's suites add to them. A
suite is a JSON file as Great Expectations stores it: {"name": ..., "expectations": [{"type": ..., "kwargs": {...}}]}.
Its versions up to 0.18 wrote {"expectation_suite_name": ..., "expectations": [{"expectation_type": ..., ...}]}.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from shadow_deployment.base.paths import PROJECT
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.errors import DeploymentError
from shadow_deployment.metrics.validity import LEAST_TOTAL, MOST_TOTAL

MOST_REQUESTS = 20
UNIQUE = "expect_column_values_to_be_unique"
_RUN_OPTIONS = {"auto", "batch_id", "catch_exceptions", "include_config", "profiler_config", "result_format"}  # of 0.18
_OFF_BY_DEFAULT = {"allow_cross_type_comparisons", "output_strftime_format", "parse_strings_as_datetimes"}

Expectation = Mapping[str, Any]


@dataclass(frozen=True)
class Failure:
    """An expectation that does not hold: on which column, how often, and up to twenty of the requests. No values."""

    expectation: str
    column: str | None
    detail: str
    requests: Sequence[str]

    def __str__(self) -> str:
        where = f" on {self.column}" if self.column else ""
        examples = f", such as {', '.join(self.requests[:3])}" if self.requests else ""
        return f"{self.expectation}{where}: {self.detail}{examples}"


@dataclass(frozen=True)
class Validation:
    """The result of a suite on a day's inputs or predictions; `suite` is its digest."""

    suite: str
    evaluated: int
    failures: Sequence[Failure]

    @property
    def success(self) -> bool:
        """Whether every expectation holds."""
        return not self.failures

    def with_failures(self, failures: Sequence[Failure]) -> "Validation":
        """Return it with what else failed, before the others."""
        return replace(self, evaluated=self.evaluated + len(failures), failures=[*failures, *self.failures])

    def failures_json(self) -> str:
        """Return the failures as they are stored."""
        return json.dumps([asdict(failure) for failure in self.failures])


def input_expectations(deployment: Deployment, rows: int) -> list[Expectation]:
    """Return what must hold of a day's inputs, for `rows` sampled requests."""
    defaults = [
        _expect("expect_table_row_count_to_equal", value=rows),
        _expect("expect_column_values_to_not_be_null", column="request_id"),
        _expect(UNIQUE, column="request_id"),
        *(_expect("expect_column_to_exist", column=name) for name in deployment.requests.features),
    ]
    if deployment.task == "binary":
        defaults.append(_expect("expect_column_values_to_be_between", column="champion", min_value=0, max_value=1))
    return [*defaults, *read_suite(deployment.expectations.inputs, "expectations.inputs")]


def prediction_expectations(deployment: Deployment, rows: int) -> list[Expectation]:
    """Return what must hold of one challenger's predictions for `rows` sampled requests.

    Their columns are request_id, value and error; with classes, also the lowest and the total of the probabilities.
    """
    if deployment.classes:
        bounds: dict[str, dict[str, float]] = {
            "lowest": {"min_value": 0},
            "total": {"min_value": LEAST_TOTAL, "max_value": MOST_TOTAL},
        }
    else:
        bounds = {"value": {"min_value": 0, "max_value": 1} if deployment.task == "binary" else _FINITE}
    defaults = [
        _expect("expect_table_row_count_to_equal", value=rows),
        _expect(UNIQUE, column="request_id"),
        *(_expect("expect_column_values_to_be_between", column=name, **between) for name, between in bounds.items()),
    ]
    return [*defaults, *read_suite(deployment.expectations.predictions, "expectations.predictions")]


_FINITE = {"min_value": -1.7976931348623157e308, "max_value": 1.7976931348623157e308}


def read_suite(path: str | None, key: str) -> list[Expectation]:
    """Return the expectations of a suite; raise DeploymentError where the file is missing or no suite."""
    if path is None:
        return []
    file = PROJECT / path
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        expectations = content["expectations"]
        is_valid = all(
            isinstance(_type(each), str) and isinstance(each.get("kwargs", {}), dict) for each in expectations
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DeploymentError(
            f"{key} == {path!r}, must be a Great Expectations suite in JSON: {error} ({file})"
        ) from None
    if not is_valid:
        raise DeploymentError(
            f"{key} == {path!r}: each of its expectations must have type (or expectation_type) and kwargs ({file})"
        )
    return [{"type": _type(each), "kwargs": _kwargs(each)} for each in expectations]


def _type(entry: Mapping[str, Any]) -> Any:
    return entry.get("type", entry.get("expectation_type"))


def _kwargs(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an expectation demands; of one in the old form without what only said how it was to be run."""
    kwargs: dict[str, Any] = entry.get("kwargs", {})
    if "expectation_type" not in entry:
        return kwargs
    return {
        name: value
        for name, value in kwargs.items()
        if name not in _RUN_OPTIONS and not (name in _OFF_BY_DEFAULT and not value)
    }


def _expect(kind: str, **kwargs: Any) -> Expectation:
    return {"type": kind, "kwargs": kwargs}
