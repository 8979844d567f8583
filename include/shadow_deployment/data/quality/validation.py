"""How expectations are checked: Great Expectations evaluates each on no more rows and columns than it is about.

- About single rows (between, not null, in a set, a pattern, two columns of a row): part by part, with the columns that
  it names; counts are added, and `mostly` is judged on the sums.
- About unique texts: only rows whose hash another row has too are shown, in buckets (see `uniqueness`). Rows that fit
  into one part are shown as they are.
- About the table: on its columns without rows, or on its number of rows without columns.
- All others (a mean, a quantile, an order, numbers that are unique, a row_condition, a column of lists or of a
  dictionary), and what fails to be evaluated in parts: at once on all rows of the columns that they name, with a
  row_condition of those whose name stands in it, and of all columns where no column is named. That is eight bytes a row
  for a column of numbers; expectations on the same columns share them, and those on others come after.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from shadow_deployment.data.quality.expectations import MOST_REQUESTS, Expectation, Failure, Validation
from shadow_deployment.data.quality.great_expectations import ExpectationResult, build_configurations, evaluate
from shadow_deployment.data.quality.uniqueness import TextHashes
from shadow_deployment.data.rows import PART_COLUMNS, PART_ROWS, FrameReader, Rows
from shadow_deployment.data.sampling import digest

_OF_ONE_ROW: Final = frozenset(  # what is observed is the value of a request
    f"expect_column_{one}_to_be_between" for one in ("max", "min", "median")
)
_UNIQUE: Final = "expect_column_values_to_be_unique"
_ABOUT_ROWS: Final = frozenset(
    {
        *(
            f"expect_column_{one}"
            for one in (
                "pair_values_a_to_be_greater_than_b",
                "pair_values_to_be_equal",
                "pair_values_to_be_in_set",
                "value_lengths_to_be_between",
                "value_lengths_to_equal",
                "values_to_be_between",
                "values_to_be_dateutil_parseable",
                "values_to_be_in_set",
                "values_to_be_json_parseable",
                "values_to_be_null",
                "values_to_match_json_schema",
                "values_to_match_regex",
                "values_to_match_regex_list",
                "values_to_match_strftime_format",
                "values_to_not_be_in_set",
                "values_to_not_be_null",
                "values_to_not_match_regex",
                "values_to_not_match_regex_list",
            )
        ),
        "expect_multicolumn_sum_to_equal",
        "expect_multicolumn_values_to_be_equal",
        "expect_select_column_values_to_be_unique_within_record",
    }
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
    """Check rows; raise DeploymentError for an expectation that does not exist or cannot be built.

    Memory is bounded by `part_rows` but for what needs all rows at once.
    """
    check = _Check(FrameReader(source, part_rows), {one.id: one for one in build_configurations(expectations)})
    findings = check.findings()
    wanted = {position for finding in findings.values() for position in finding.positions}
    names = _names(check.frames, wanted)
    failures = [
        _failure(check.configurations[number], finding, names)
        for number, finding in findings.items()
        if not finding.success
    ]
    return Validation(
        digest(list(expectations)),
        len(findings),
        sorted(failures, key=lambda failure: (failure.expectation, failure.column or "")),
    )


@dataclass
class _Tally:
    """What the parts so far say of one expectation; `counts` is false once one of them could not be evaluated."""

    elements: int = 0
    considered: int = 0
    unexpected: int = 0
    positions: Sequence[int] = ()
    counts: bool = True

    def add(self, finding: ExpectationResult) -> None:
        """Add what one more part says; parts may come in any order."""
        if finding.broken or finding.elements is None or finding.unexpected is None:
            self.counts = False
            return
        self.elements += finding.elements
        self.considered += finding.considered
        self.unexpected += finding.unexpected
        self.positions = sorted([*self.positions, *finding.positions])[:MOST_REQUESTS]

    def finding(self, mostly: float) -> ExpectationResult:
        """Return what all parts say together, judged as Great Expectations does: nulls aside, inclusively."""
        met = self.considered - self.unexpected
        return ExpectationResult(
            success=not self.considered or met / self.considered >= mostly,
            elements=self.elements,
            considered=self.considered,
            unexpected=self.unexpected,
            positions=self.positions,
        )


class _Check:
    """One check of some rows: which expectation is evaluated on what."""

    def __init__(self, frames: FrameReader, configurations: Mapping[str, Any]) -> None:
        self.frames = frames
        self.configurations = configurations
        self.rows: int | None = None

    def findings(self) -> dict[str, ExpectationResult]:
        """Return what was found, by the expectation's id."""
        of_columns = [one for one in self.configurations.values() if one.type in _ABOUT_COLUMNS]
        of_count = [one for one in self.configurations.values() if one.type in _ABOUT_COUNT and not _conditional(one)]
        in_parts = [one for one in self.configurations.values() if self._in_parts(one)]
        found: dict[str, ExpectationResult] = {}
        for group in _groups(in_parts):
            found |= self._part_by_part(group)
        if of_columns:
            found |= evaluate(self.frames.empty(self.frames.schema.names).to_pandas(), of_columns)
        if of_count:
            found |= self._by_count(of_count)
        rest = defaultdict(list)
        for number, one in self.configurations.items():
            if number not in found:
                rest[self._named(one)].append(one)
        for columns, group in rest.items():
            found |= evaluate(self.frames.whole(columns), group)
        return found

    def _part_by_part(self, group: Sequence[Any]) -> dict[str, ExpectationResult]:
        """Evaluate on one part after the other, and leave out what could not be evaluated."""
        tallies = {one.id: _Tally() for one in group}
        texts = {one.id: TextHashes(one.kwargs["column"]) for one in group if one.type == _UNIQUE}
        rows = parts = 0
        for frame in self.frames.parts(sorted({name for one in group for name in _columns(one)})):
            shown = [one for one in group if one.type != _UNIQUE and tallies[one.id].counts]
            for number, finding in (evaluate(frame, shown) if shown else {}).items():
                tallies[number].add(finding)
            for one in texts.values():
                one.see(frame)
            rows, parts = rows + len(frame), parts + 1
        self.rows = rows
        for number, one in texts.items():
            tallies[number] = self._unique(self.configurations[number], one) if parts > 1 else _Tally(counts=False)
        return {
            number: one.finding(_mostly(self.configurations[number])) for number, one in tallies.items() if one.counts
        }

    def _unique(self, configuration: Any, texts: TextHashes) -> _Tally:
        """Show the rows that may repeat, and count all others as met."""
        tally = _Tally()
        considered = texts.considered
        for frame in texts.repeated(self.frames):
            (finding,) = evaluate(frame, [configuration]).values()
            tally.add(finding)
        tally.elements, tally.considered = self.rows or 0, considered
        return tally

    def _by_count(self, group: Sequence[Any]) -> dict[str, ExpectationResult]:
        import pandas as pd

        if self.rows is None:
            self.rows = sum(len(frame) for frame in self.frames.parts([self.frames.schema.names[0]]))
        return evaluate(pd.DataFrame(index=pd.RangeIndex(self.rows)), group)

    def _in_parts(self, configuration: Any) -> bool:
        schema = self.frames.schema
        columns = _columns(configuration)
        if not columns or not all(name in schema.names and _plain(schema.field(name).type) for name in columns):
            return False
        if _conditional(configuration) or not isinstance(_mostly(configuration), int | float):
            return False
        text = _is_text(schema.field(columns[0]).type)
        return configuration.type in _ABOUT_ROWS or (configuration.type == _UNIQUE and text)

    def _named(self, configuration: Any) -> tuple[str, ...]:
        """Return the columns that an expectation may look at, among those there are; one at least."""
        names = self.frames.schema.names
        columns = _columns(configuration)
        if columns and not _conditional(configuration):
            return tuple(name for name in names if name in columns) or (names[0],)
        texts = list(_texts(configuration.to_json_dict()["kwargs"]))
        return tuple(name for name in names if any(name in text for text in texts)) or tuple(names)


def _groups(configurations: Sequence[Any]) -> Iterator[list[Any]]:
    """Yield expectations that share at most PART_COLUMNS columns, or one that has more."""
    group: list[Any] = []
    columns: set[str] = set()
    for one in configurations:
        if group and len(columns.union(_columns(one))) > PART_COLUMNS:
            yield group
            group, columns = [], set()
        group.append(one)
        columns.update(_columns(one))
    if group:
        yield group


def _columns(configuration: Any) -> list[str]:
    """Return the columns that an expectation is about: one, two or a list."""
    kwargs = configuration.kwargs
    named = [kwargs[key] for key in ("column", "column_A", "column_B") if key in kwargs]
    return [name for name in [*named, *kwargs.get("column_list", [])] if isinstance(name, str)]


def _conditional(configuration: Any) -> bool:
    return configuration.kwargs.get("row_condition") is not None


def _mostly(configuration: Any) -> Any:
    return configuration.kwargs.get("mostly", 1)


def _plain(kind: pa.DataType) -> bool:
    """Whether pandas makes the same of a value whatever values stand beside it."""
    return not (pa.types.is_nested(kind) or pa.types.is_dictionary(kind) or isinstance(kind, pa.BaseExtensionType))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, one in value.items():
            yield from _texts(key)
            yield from _texts(one)
    elif isinstance(value, Sequence):
        for one in value:
            yield from _texts(one)


def _names(frames: FrameReader, positions: set[int]) -> dict[int, str]:
    """Return the ids of the requests in some places; one that has none is left out."""
    names: dict[int, str] = {}
    last = max(positions, default=-1)
    if "request_id" not in frames.schema.names or last < 0:
        return names
    for frame in frames.parts(["request_id"]):
        shown = frame[frame.index.isin(positions)]["request_id"].dropna()
        names |= {int(place): str(name) for place, name in shown.items()}
        if frame.index[-1] >= last:
            break
    return names


def _failure(configuration: Any, finding: ExpectationResult, names: Mapping[int, str]) -> Failure:
    if finding.broken:
        detail = f"could not be evaluated: {finding.broken}"
    elif finding.unexpected is not None and finding.elements is not None:
        share = finding.unexpected / max(finding.elements, 1)
        detail = f"{finding.unexpected} of {finding.elements} rows ({share:.2%}) do not meet it"
    elif finding.observed is not None and configuration.type not in _OF_ONE_ROW:
        detail = f"observed {finding.observed}"
    else:
        detail = "does not hold"
    kwargs = configuration.to_json_dict()["kwargs"]
    bounds = {key: value for key, value in kwargs.items() if key not in ("batch_id", "column")}
    limits = ", ".join(f"{key}={value}" for key, value in sorted(bounds.items()) if value is not None)
    requests = sorted({names[place] for place in finding.positions if place in names})
    return Failure(f"{configuration.type}({limits})", kwargs.get("column"), detail, requests)
