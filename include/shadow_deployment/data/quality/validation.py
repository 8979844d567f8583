"""How expectations are checked: Great Expectations evaluates each on only the rows and columns that it needs.

- About single rows (between, not null, in a set, a pattern, two columns of a row): part by part, on the columns that it
  names; counts are added up, and `mostly` is judged on the sums.
- About unique texts: on the rows whose hash another row has too, in buckets (see `uniqueness`). Rows that fit into one
  part are evaluated at once.
- About the table: on its columns without rows, or on its number of rows without columns.
- All others (a mean, a quantile, an order, unique numbers, a row_condition, a column of lists or of a dictionary), and
  what cannot be evaluated in parts: at once on all rows of the columns that they name, or of all columns where they
  name none. With a row_condition, those are the columns whose name stands in it. That is eight bytes a row for a column
  of numbers; expectations on the same columns share them, and those on others come after.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from shadow_deployment.data.quality.expectations import MOST_REQUESTS, UNIQUE, Expectation, Failure, Validation
from shadow_deployment.data.quality.great_expectations import ExpectationResult, build_configurations, evaluate
from shadow_deployment.data.quality.uniqueness import TextHashes
from shadow_deployment.data.rows import PART_COLUMNS, PART_ROWS, FrameReader, Rows
from shadow_deployment.data.sampling import digest

_OBSERVES_A_VALUE: Final = frozenset(  # of a single request
    f"expect_column_{statistic}_to_be_between" for statistic in ("max", "min", "median")
)
_ABOUT_ROWS: Final = frozenset(
    f"expect_{name}"
    for name in (
        "column_pair_values_a_to_be_greater_than_b",
        "column_pair_values_to_be_equal",
        "column_pair_values_to_be_in_set",
        "column_value_lengths_to_be_between",
        "column_value_lengths_to_equal",
        "column_values_to_be_between",
        "column_values_to_be_dateutil_parseable",
        "column_values_to_be_in_set",
        "column_values_to_be_json_parseable",
        "column_values_to_be_null",
        "column_values_to_match_json_schema",
        "column_values_to_match_regex",
        "column_values_to_match_regex_list",
        "column_values_to_match_strftime_format",
        "column_values_to_not_be_in_set",
        "column_values_to_not_be_null",
        "column_values_to_not_match_regex",
        "column_values_to_not_match_regex_list",
        "multicolumn_sum_to_equal",
        "multicolumn_values_to_be_equal",
        "select_column_values_to_be_unique_within_record",
    )
)
_ABOUT_COLUMNS: Final = frozenset(
    {
        "expect_column_to_exist",
        "expect_table_column_count_to_be_between",
        "expect_table_column_count_to_equal",
        "expect_table_columns_to_match_ordered_list",
        "expect_table_columns_to_match_set",
    }
)
_ABOUT_COUNT: Final = frozenset({"expect_table_row_count_to_be_between", "expect_table_row_count_to_equal"})


def validate(source: Rows, expectations: Sequence[Expectation], *, part_rows: int = PART_ROWS) -> Validation:
    """Check rows; memory is bounded by `part_rows` but for what needs all rows at once.

    Raises DeploymentError for an expectation that does not exist or cannot be built.
    """
    frames = FrameReader(source, part_rows)
    configurations = {configuration.id: configuration for configuration in build_configurations(expectations)}
    results = _Check(frames, list(configurations.values())).results()
    requests = _request_ids(frames, {position for result in results.values() for position in result.positions})
    failures = [
        _failure(configurations[id_], result, requests) for id_, result in results.items() if not result.success
    ]
    failures.sort(key=lambda failure: (failure.expectation, failure.column or ""))
    return Validation(digest(list(expectations)), len(results), failures)


class _Check:
    """One check of some rows: which expectation is evaluated on which of them."""

    def __init__(self, frames: FrameReader, configurations: Sequence[Any]) -> None:
        self._frames = frames
        self._configurations = configurations
        self._rows: int | None = None

    def results(self) -> dict[str, ExpectationResult]:
        """Return the result of each expectation, by its id."""
        results: dict[str, ExpectationResult] = {}
        for group in _groups([each for each in self._configurations if self._can_be_divided(each)]):
            results |= self._evaluate_in_parts(group)
        of_columns = [each for each in self._configurations if each.type in _ABOUT_COLUMNS]
        if of_columns:
            results |= evaluate(self._frames.empty(self._frames.schema.names).to_pandas(), of_columns)
        of_count = [each for each in self._configurations if each.type in _ABOUT_COUNT and not _has_condition(each)]
        if of_count:
            results |= self._evaluate_on_count(of_count)
        rest = defaultdict(list)
        for configuration in self._configurations:
            if configuration.id not in results:
                rest[self._columns_needed(configuration)].append(configuration)
        for columns, group in rest.items():
            results |= evaluate(self._frames.whole(columns), group)
        return results

    def _evaluate_in_parts(self, group: Sequence[Any]) -> dict[str, ExpectationResult]:
        """Evaluate on one part after the other, and leave out what cannot be evaluated so."""
        results = {each.id: list[ExpectationResult]() for each in group if each.type != UNIQUE}
        hashes = {each.id: TextHashes(each.kwargs["column"]) for each in group if each.type == UNIQUE}
        rows = parts = 0
        for frame in self._frames.parts(sorted({name for each in group for name in _columns(each)})):
            divisible = [each for each in group if each.id in results]
            for id_, result in (evaluate(frame, divisible) if divisible else {}).items():
                if result.unexpected is None:
                    del results[id_]
                else:
                    results[id_].append(result)
            for texts in hashes.values():
                texts.add(frame)
            rows, parts = rows + len(frame), parts + 1
        self._rows = rows
        merged = {each.id: _merge(results[each.id], each) for each in group if each.id in results}
        if parts > 1:
            for configuration in (each for each in group if each.type == UNIQUE):
                texts, considered = hashes[configuration.id], hashes[configuration.id].considered
                suspects = [evaluate(frame, [configuration]) for frame in texts.repeated(self._frames)]
                repeated = [result for by_id in suspects for result in by_id.values()]
                if all(result.unexpected is not None for result in repeated):
                    merged[configuration.id] = _merge(repeated, configuration, rows, considered)
        return merged

    def _evaluate_on_count(self, group: Sequence[Any]) -> dict[str, ExpectationResult]:
        import pandas as pd

        if self._rows is None:
            self._rows = sum(len(frame) for frame in self._frames.parts([self._frames.schema.names[0]]))
        return evaluate(pd.DataFrame(index=pd.RangeIndex(self._rows)), group)

    def _can_be_divided(self, configuration: Any) -> bool:
        schema = self._frames.schema
        columns = _columns(configuration)
        if not columns or not all(name in schema.names and _is_scalar(schema.field(name).type) for name in columns):
            return False
        if _has_condition(configuration) or not isinstance(_mostly(configuration), int | float):
            return False
        type_ = schema.field(columns[0]).type
        is_text = pa.types.is_string(type_) or pa.types.is_large_string(type_)
        return configuration.type in _ABOUT_ROWS or (configuration.type == UNIQUE and is_text)

    def _columns_needed(self, configuration: Any) -> tuple[str, ...]:
        """Return the columns that an expectation may look at, among those there are; one at least."""
        names = self._frames.schema.names
        columns = _columns(configuration)
        if columns and not _has_condition(configuration):
            return tuple(name for name in names if name in columns) or (names[0],)
        strings = list(_strings(configuration.to_json_dict()["kwargs"]))
        return tuple(name for name in names if any(name in text for text in strings)) or tuple(names)


def _merge(
    results: Sequence[ExpectationResult], configuration: Any, elements: int | None = None, considered: int | None = None
) -> ExpectationResult:
    """Return what the results of parts say together, judged as Great Expectations does: nulls aside, inclusively.

    `elements` and `considered` count rows where the parts are not all there are; the others are as expected.
    """
    elements = sum(result.elements or 0 for result in results) if elements is None else elements
    considered = sum(result.considered for result in results) if considered is None else considered
    unexpected = sum(result.unexpected or 0 for result in results)
    return ExpectationResult(
        success=not considered or (considered - unexpected) / considered >= _mostly(configuration),
        elements=elements,
        considered=considered,
        unexpected=unexpected,
        positions=sorted(position for result in results for position in result.positions)[:MOST_REQUESTS],
    )


def _groups(configurations: Sequence[Any]) -> Iterator[list[Any]]:
    """Yield expectations that share at most PART_COLUMNS columns, or one that has more."""
    group: list[Any] = []
    columns: set[str] = set()
    for configuration in configurations:
        if group and len(columns.union(_columns(configuration))) > PART_COLUMNS:
            yield group
            group, columns = [], set()
        group.append(configuration)
        columns.update(_columns(configuration))
    if group:
        yield group


def _columns(configuration: Any) -> list[str]:
    """Return the columns that an expectation is about: one, two or a list."""
    kwargs = configuration.kwargs
    named = [kwargs[key] for key in ("column", "column_A", "column_B") if key in kwargs]
    return [name for name in [*named, *kwargs.get("column_list", [])] if isinstance(name, str)]


def _has_condition(configuration: Any) -> bool:
    return configuration.kwargs.get("row_condition") is not None


def _mostly(configuration: Any) -> Any:
    return configuration.kwargs.get("mostly", 1)


def _is_scalar(type_: pa.DataType) -> bool:
    """Return whether pandas converts a value in the same way whatever values stand beside it."""
    return not (pa.types.is_nested(type_) or pa.types.is_dictionary(type_) or isinstance(type_, pa.BaseExtensionType))


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | Sequence):
        for item in [*value, *value.values()] if isinstance(value, Mapping) else value:
            yield from _strings(item)


def _request_ids(frames: FrameReader, positions: set[int]) -> dict[int, str]:
    """Return the ids of the requests in some positions; those without one are left out."""
    ids: dict[int, str] = {}
    last = max(positions, default=-1)
    if "request_id" not in frames.schema.names or last < 0:
        return ids
    for frame in frames.parts(["request_id"]):
        requests = frame[frame.index.isin(positions)]["request_id"].dropna()
        ids |= {int(position): str(request) for position, request in requests.items()}
        if frame.index[-1] >= last:
            break
    return ids


def _failure(configuration: Any, result: ExpectationResult, request_ids: Mapping[int, str]) -> Failure:
    if result.broken:
        detail = f"could not be evaluated: {result.broken}"
    elif result.unexpected is not None and result.elements is not None:
        share = result.unexpected / max(result.elements, 1)
        detail = f"{result.unexpected} of {result.elements} rows ({share:.2%}) do not meet it"
    elif result.observed is not None and configuration.type not in _OBSERVES_A_VALUE:
        detail = f"observed {result.observed}"
    else:
        detail = "does not hold"
    kwargs = configuration.to_json_dict()["kwargs"]
    bounds = {key: value for key, value in kwargs.items() if key not in ("batch_id", "column")}
    limits = ", ".join(f"{key}={value}" for key, value in sorted(bounds.items()) if value is not None)
    requests = sorted({request_ids[position] for position in result.positions if position in request_ids})
    return Failure(f"{configuration.type}({limits})", kwargs.get("column"), detail, requests)
