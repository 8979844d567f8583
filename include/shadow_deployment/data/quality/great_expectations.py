"""Great Expectations: builds expectations, and evaluates them on one pandas frame.

Its execution engine is used directly. A data source would take a fingerprint of every frame, which costs many times
what most expectations do.
"""

import gc
import importlib.util
import logging
import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from shadow_deployment.base.redaction import first_line, one_line, without_failed_values
from shadow_deployment.data.quality.expectations import MOST_REQUESTS, Expectation
from shadow_deployment.errors import DeploymentError

if TYPE_CHECKING:
    import pandas as pd

_OPTIONAL: Final = ("azure", "boto3", "botocore", "google.cloud", "psycopg2", "pyspark", "snowflake", "sqlalchemy")
_evaluating: Final = threading.local()  # the configurations that an evaluation has built, by the id of an expectation


@dataclass(frozen=True)
class ExpectationResult:
    """The result of one expectation on some rows, without their values.

    `broken` is why it could not be evaluated, else empty. Where it is about single rows, `elements` counts all of them,
    `considered` those that are not ignored for a null, and `unexpected` those that do not meet it; `positions` is the
    index of the first twenty of these. Where it is about one number, `observed` is that number.
    """

    success: bool
    broken: str = ""
    elements: int | None = None
    considered: int = 0
    unexpected: int | None = None
    observed: float | None = None
    positions: Sequence[int] = ()


def build_configurations(expectations: Sequence[Expectation]) -> list[Any]:
    """Return configurations with the expectation's number as id; raise DeploymentError that names each invalid one."""
    great_expectations()
    from great_expectations.expectations.registry import list_registered_expectation_implementations

    known = set(list_registered_expectation_implementations())
    unknown = sorted({str(expectation["type"]) for expectation in expectations} - known)
    if unknown:  # Great Expectations skips them, with a line in its log
        raise DeploymentError(f"expectations: {', '.join(unknown)} is no expectation of Great Expectations")
    try:
        return _configurations(expectations)
    except Exception as error:
        refused = [line for expectation in expectations for line in _problems(expectation)]
        text = "; ".join(refused) or str(error)
        raise DeploymentError(f"expectations: Great Expectations refuses the suite: {text}") from error


def _configurations(expectations: Sequence[Expectation]) -> list[Any]:
    numbered = [dict(expectation) | {"id": str(number)} for number, expectation in enumerate(expectations)]
    suite = great_expectations().ExpectationSuite(name="shadow", expectations=numbered)
    for configuration in suite.expectation_configurations:
        configuration.process_suite_parameters(None, True, _context())
    return list(suite.expectation_configurations)


def _problems(expectation: Expectation) -> Iterator[str]:
    """Yield why one expectation is refused, with its type and column."""
    try:
        _configurations([expectation])
    except Exception as error:  # noqa: BLE001 (as above: whatever the library raises says why)
        column = expectation["kwargs"].get("column")
        reason = one_line(str(error).partition("\n")[2] or str(error))
        yield f"{expectation['type']}{f' on {column}' if column else ''}: {reason}"


def evaluate(frame: "pd.DataFrame", configurations: Sequence[Any]) -> dict[str, ExpectationResult]:
    """Evaluate expectations on a frame with an index of integers; return results by the expectation's id.

    Where rows do not meet one, it is evaluated again: only then is the search for their positions worth its time.
    """
    results = _evaluate(frame, configurations, "BASIC")
    unmet = [each for each in configurations if results[each.id].unexpected]
    return results | _evaluate(frame, unmet, "SUMMARY") if unmet else results


def _evaluate(frame: "pd.DataFrame", configurations: Sequence[Any], detail: str) -> dict[str, ExpectationResult]:
    """Evaluate in one of Great Expectations' formats of a result; only SUMMARY has positions."""
    from great_expectations.execution_engine import PandasExecutionEngine
    from great_expectations.validator.validator import Validator

    engine = PandasExecutionEngine()
    engine.load_batch_data("rows", frame)
    with _configurations_built_once():
        results = Validator(execution_engine=engine, data_context=_context()).graph_validate(
            configurations=list(configurations),
            runtime_configuration={
                "result_format": {"result_format": detail, "partial_unexpected_count": MOST_REQUESTS}
            },
        )
    engine.batch_manager.batch_data_cache.clear()  # a cycle of references that would keep many parts alive
    return {result.expectation_config.id: _result(result.to_json_dict()) for result in results}


@contextmanager
def _configurations_built_once() -> Iterator[None]:
    """Let an expectation build its configuration once: it is read some eighty times, and built anew each time."""
    _evaluating.built = {}
    try:
        yield
    finally:
        _evaluating.built = None


def _remember_configurations() -> None:
    """Replace the property `configuration` of expectations by one that remembers it while one thread evaluates."""
    from great_expectations.expectations.expectation import Expectation

    build = Expectation.configuration.fget

    def configuration(self: Any) -> Any:
        built = getattr(_evaluating, "built", None)
        if built is None:
            return build(self)
        if id(self) not in built:
            built[id(self)] = self, build(self)  # with the expectation, lest another one get its id
        return built[id(self)][1]

    Expectation.configuration = property(configuration)


def _result(result: Mapping[str, Any]) -> ExpectationResult:
    details = result["result"]
    broken = _exception(result["exception_info"])
    if broken:
        return ExpectationResult(False, broken)
    if "unexpected_count" in details and "element_count" in details:
        elements = details["element_count"]
        return ExpectationResult(
            result["success"],
            elements=elements,
            considered=elements - (details.get("missing_count") or 0),
            unexpected=details["unexpected_count"],
            positions=details.get("partial_unexpected_index_list") or (),
        )
    observed = details.get("observed_value")
    return ExpectationResult(result["success"], observed=observed if isinstance(observed, int | float) else None)


def _exception(information: Mapping[str, Any]) -> str:
    """Return why an expectation could not be evaluated; the information is flat, or by the metric that failed."""
    entries = [information] if "raised_exception" in information else list(information.values())
    for entry in entries:
        if entry.get("raised_exception"):
            return without_failed_values(first_line(str(entry["exception_message"])))[:300]
    return ""


@cache
def great_expectations() -> Any:
    """Import Great Expectations with a log of warnings alone, and return it."""
    logging.getLogger("great_expectations").setLevel(logging.WARNING)
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    _defer_scipy_stats()
    with _without_collections(), _without_optional():
        import great_expectations
    for name in list(logging.root.manager.loggerDict):
        if name.startswith("great_expectations."):  # some set a level of their own
            logging.getLogger(name).setLevel(logging.WARNING)
    _remember_configurations()
    return great_expectations


@contextmanager
def _without_collections() -> Iterator[None]:
    """Collect no garbage: collections would scan, many times, all that the import creates and keeps."""
    is_collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_collecting:
            gc.enable()


@contextmanager
def _without_optional() -> Iterator[None]:
    """Let databases and clouds, all optional for Great Expectations, be as if not installed: only frames are checked.

    Their imports are a fifth of its own, and far more where a cloud's image has its libraries.
    """
    hidden = [name for name in _OPTIONAL if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment] # as the import system says that a module cannot be imported
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


def _defer_scipy_stats() -> None:
    """Let `scipy.stats` be imported when it is first used: by three expectations of distributions, and no other.

    Great Expectations imports it by `from scipy import stats`, and that is two fifths of the time of its own import.
    """
    if "scipy.stats" in sys.modules:
        return
    import scipy

    spec = importlib.util.find_spec("scipy.stats")
    if spec is None or spec.loader is None:
        return
    spec.loader = importlib.util.LazyLoader(spec.loader)
    stats = importlib.util.module_from_spec(spec)
    sys.modules["scipy.stats"] = stats
    spec.loader.exec_module(stats)
    scipy.stats = stats


@cache
def _context() -> Any:
    context = great_expectations().get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    return context
