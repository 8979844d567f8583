"""Great Expectations on a day's inputs and on each challenger's predictions.

The package's own expectations always apply: they say what a pairing needs. A deployment's suites add to them. A suite
is a JSON file as Great Expectations stores one: {"name": ..., "expectations": [{"type": ..., "kwargs": {...}}]}.
"""

import json
import logging
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from include.shadow.deployment import Deployment
from include.shadow.errors import DeploymentError
from include.shadow.sampling import digest
from include.shadow.store import PROJECT

if TYPE_CHECKING:
    import pandas as pd

MOST_REQUESTS = 20
_QUOTED = re.compile(r"""(?<=value )(["']).*?\1|\[[^]]*\]""")  # an exception may show the values that it failed on

Expectation = Mapping[str, Any]


@dataclass(frozen=True)
class Failure:
    """An expectation that does not hold: which, on what, how often, and up to twenty of the requests. No values."""

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
    """What a suite said about a day's inputs or predictions; `suite` is its digest."""

    suite: str
    evaluated: int
    failures: Sequence[Failure]

    @property
    def success(self) -> bool:
        """Whether every expectation holds."""
        return not self.failures

    def failures_json(self) -> str:
        """Return the failures as they are stored."""
        return json.dumps([asdict(failure) for failure in self.failures])


def input_expectations(deployment: Deployment, rows: int) -> list[Expectation]:
    """Return what must hold of a day's inputs, for `rows` sampled requests."""
    own = [
        _expect("expect_table_row_count_to_equal", value=rows),
        _expect("expect_column_values_to_not_be_null", column="request_id"),
        _expect("expect_column_values_to_be_unique", column="request_id"),
        *(_expect("expect_column_to_exist", column=name) for name in deployment.requests.features),
    ]
    if deployment.task == "binary":
        own.append(_expect("expect_column_values_to_be_between", column="champion", min_value=0, max_value=1))
    return [*own, *read_suite(deployment.expectations.inputs, "expectations.inputs")]


def prediction_expectations(deployment: Deployment, rows: int) -> list[Expectation]:
    """Return what must hold of one challenger's predictions to `rows` sampled requests: request_id, value, error."""
    own = [
        _expect("expect_table_row_count_to_equal", value=rows),
        _expect("expect_column_values_to_be_unique", column="request_id"),
        _expect(
            "expect_column_values_to_be_between",
            column="value",
            **({"min_value": 0, "max_value": 1} if deployment.task == "binary" else _FINITE),
        ),
    ]
    if deployment.classes:
        own[-1] = _expect("expect_column_values_to_be_between", column="lowest", min_value=0)
        own.append(_expect("expect_column_values_to_be_between", column="total", min_value=0.999, max_value=1.001))
    return [*own, *read_suite(deployment.expectations.predictions, "expectations.predictions")]


_FINITE = {"min_value": -1.7976931348623157e308, "max_value": 1.7976931348623157e308}


def read_suite(path: str | None, key: str) -> list[Expectation]:
    """Return the expectations of a suite; raise DeploymentError where the file is missing or no suite."""
    if path is None:
        return []
    file = PROJECT / path
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        expectations = content["expectations"]
        valid = all(
            isinstance(one.get("type"), str) and isinstance(one.get("kwargs", {}), dict) for one in expectations
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DeploymentError(
            f"{key} == {path!r}, must be a Great Expectations suite in JSON: {error} ({file})"
        ) from None
    if not valid:
        raise DeploymentError(f"{key} == {path!r}: each of its expectations must have type and kwargs ({file})")
    return [{"type": one["type"], "kwargs": one.get("kwargs", {})} for one in expectations]


def validate(frame: "pd.DataFrame", expectations: Sequence[Expectation]) -> Validation:
    """Check a frame with a column request_id; raise DeploymentError for an expectation that does not exist."""
    suite = digest(list(expectations))
    gx = _great_expectations()
    try:
        built = gx.ExpectationSuite(name=suite, expectations=[dict(one) for one in expectations])
    except Exception as error:
        raise DeploymentError(f"expectations: Great Expectations refuses the suite: {error}") from error
    known = {one.expectation_type for one in built.expectations}
    unknown = sorted({str(one["type"]) for one in expectations} - known)
    if unknown:  # Great Expectations leaves them out with a line in its log
        raise DeploymentError(f"expectations: {', '.join(unknown)} is no expectation of Great Expectations")
    result_format = {
        "result_format": "SUMMARY",
        "partial_unexpected_count": MOST_REQUESTS,
        "unexpected_index_column_names": ["request_id"],
    }
    results = _batch(frame).validate(built, result_format=result_format).results
    failures = [_failure(result.to_json_dict()) for result in results if not result.success]
    return Validation(
        suite, len(results), sorted(failures, key=lambda failure: (failure.expectation, failure.column or ""))
    )


def _expect(kind: str, **kwargs: Any) -> Expectation:
    return {"type": kind, "kwargs": kwargs}


def _failure(result: Mapping[str, Any]) -> Failure:
    configuration, found = result["expectation_config"], result["result"]
    broken = _exception(result["exception_info"])
    if broken:
        detail = f"could not be evaluated: {broken}"
    elif "unexpected_count" in found and "element_count" in found:
        share = found["unexpected_count"] / max(found["element_count"], 1)
        detail = f"{found['unexpected_count']} of {found['element_count']} rows ({share:.2%}) do not meet it"
    elif isinstance(found.get("observed_value"), int | float):
        detail = f"observed {found['observed_value']}"
    else:
        detail = "does not hold"
    bounds = {key: value for key, value in configuration["kwargs"].items() if key not in ("batch_id", "column")}
    limits = ", ".join(f"{key}={value}" for key, value in sorted(bounds.items()) if value is not None)
    index = found.get("partial_unexpected_index_list") or []
    requests = sorted(
        {str(row["request_id"]) for row in index if isinstance(row, dict) and row.get("request_id") is not None}
    )
    return Failure(
        expectation=f"{configuration['type']}({limits})",
        column=configuration["kwargs"].get("column"),
        detail=detail,
        requests=requests[:MOST_REQUESTS],
    )


def _exception(information: Mapping[str, Any]) -> str:
    """Return why an expectation could not be evaluated: GX keeps that flat, or by the metric that failed."""
    entries = [information] if "raised_exception" in information else list(information.values())
    for entry in entries:
        if entry.get("raised_exception"):
            message = str(entry["exception_message"]).strip().splitlines()[0]
            return _QUOTED.sub("...", message)[:300]
    return ""


@cache
def _great_expectations() -> Any:
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations

    for name in list(logging.root.manager.loggerDict):
        if name.startswith("great_expectations."):  # some set a level of their own
            logging.getLogger(name).setLevel(logging.WARNING)

    return great_expectations


@cache
def _definition() -> Any:
    context = _great_expectations().get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("shadow").add_dataframe_asset("day")
    return asset.add_batch_definition_whole_dataframe("all")


def _batch(frame: "pd.DataFrame") -> Any:
    return _definition().get_batch(batch_parameters={"dataframe": frame})
