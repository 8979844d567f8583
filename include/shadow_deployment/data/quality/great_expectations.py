"""Great Expectations itself: expectations as it knows them, evaluated on one pandas frame.

It is asked for through its execution engine, not through a data source: that would take a fingerprint of every frame,
which costs many times what most expectations do.
"""

import gc
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from shadow_deployment.base.redaction import first_line, without_failed_values
from shadow_deployment.data.quality.expectations import MOST_REQUESTS, Expectation
from shadow_deployment.errors import DeploymentError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class ExpectationResult:
    """What Great Expectations says of one expectation on some rows, without their values.

    `broken` is why it could not be evaluated, else empty. Where it is about single rows, `elements` are all of them,
    `considered` those that are not passed over for a null, and `unexpected` those that do not meet it; `positions` are
    the index of the first twenty of these. `observed` is the number that was found where it is about one number.
    """

    success: bool
    broken: str = ""
    elements: int | None = None
    considered: int = 0
    unexpected: int | None = None
    observed: float | None = None
    positions: Sequence[int] = ()


def built(expectations: Sequence[Expectation]) -> list[Any]:
    """Return configurations whose id is the number of the expectation; raise DeploymentError where one is refused."""
    numbered = [dict(one) | {"id": str(number)} for number, one in enumerate(expectations)]
    try:
        suite = great_expectations().ExpectationSuite(name="shadow", expectations=numbered)
        configurations = suite.expectation_configurations
        for one in configurations:
            one.process_suite_parameters(None, True, _context())
    except Exception as error:
        raise DeploymentError(f"expectations: Great Expectations refuses the suite: {error}") from error
    known = {one.type for one in configurations}
    unknown = sorted({str(one["type"]) for one in expectations} - known)
    if unknown:  # Great Expectations leaves them out with a line in its log
        raise DeploymentError(f"expectations: {', '.join(unknown)} is no expectation of Great Expectations")
    return list(configurations)


def evaluate(frame: "pd.DataFrame", configurations: Sequence[Any]) -> dict[str, ExpectationResult]:
    """Evaluate expectations on a frame with an index of integers; return what was found by the expectation's id."""
    from great_expectations.execution_engine import PandasExecutionEngine
    from great_expectations.validator.validator import Validator

    engine = PandasExecutionEngine()
    engine.load_batch_data("rows", frame)
    results = Validator(execution_engine=engine, data_context=_context()).graph_validate(
        configurations=list(configurations),
        runtime_configuration={
            "result_format": {"result_format": "SUMMARY", "partial_unexpected_count": MOST_REQUESTS}
        },
    )
    engine.batch_manager.batch_data_cache.clear()  # it and its data know each other, and would outlive many parts
    return {result.expectation_config.id: _finding(result.to_json_dict()) for result in results}


def _finding(result: Mapping[str, Any]) -> ExpectationResult:
    found = result["result"]
    broken = _exception(result["exception_info"])
    if broken:
        return ExpectationResult(False, broken)
    if "unexpected_count" in found and "element_count" in found:
        elements = found["element_count"]
        return ExpectationResult(
            result["success"],
            elements=elements,
            considered=elements - (found.get("missing_count") or 0),
            unexpected=found["unexpected_count"],
            positions=found.get("partial_unexpected_index_list") or (),
        )
    observed = found.get("observed_value")
    return ExpectationResult(result["success"], observed=observed if isinstance(observed, int | float) else None)


def _exception(information: Mapping[str, Any]) -> str:
    """Return why an expectation could not be evaluated: GX keeps that flat, or by the metric that failed."""
    entries = [information] if "raised_exception" in information else list(information.values())
    for entry in entries:
        if entry.get("raised_exception"):
            return without_failed_values(first_line(str(entry["exception_message"])))[:300]
    return ""


@contextmanager
def _without_collection() -> Iterator[None]:
    """Keep the collector of garbage from looking, many times, through all that an import makes and keeps."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@cache
def great_expectations() -> Any:
    """Import Great Expectations, which then logs no more than warnings; return it."""
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    with _without_collection():
        import great_expectations

    for name in list(logging.root.manager.loggerDict):
        if name.startswith("great_expectations."):  # some set a level of their own
            logging.getLogger(name).setLevel(logging.WARNING)

    return great_expectations


@cache
def _context() -> Any:
    context = great_expectations().get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    return context
