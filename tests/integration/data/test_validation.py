"""Expectations checked part by part: what is found is what Great Expectations finds in one frame of all rows.

The other implementation is Great Expectations itself, asked as its documentation does: one batch of the whole frame.
"""

import datetime as dt
import decimal
import gc
import re
import subprocess
import sys
import weakref
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from shadow_deployment.data.quality import validation as checking
from shadow_deployment.data.quality.expectations import MOST_REQUESTS, Failure, Validation
from shadow_deployment.data.quality.great_expectations import build_configurations, evaluate
from shadow_deployment.data.quality.uniqueness import BUCKET_PARTS
from shadow_deployment.data.quality.validation import validate
from shadow_deployment.data.rows import PART_COLUMNS, FrameReader, TableRows
from shadow_deployment.data.sampling import digest
from shadow_deployment.errors import DeploymentError

ROWS = 46
VALUES_OF_ONE_REQUEST = tuple(f"expect_column_{one}_to_be_between" for one in ("max", "min", "median"))
COLUMN = "expect_column_"
DAYS = [dt.datetime(2024, 1, 1 + number % 9, tzinfo=dt.UTC) for number in range(ROWS)]


def with_holes(values: Sequence[Any], kind: pa.DataType, holes: Sequence[int]) -> pa.Array:
    return pa.array([None if row in holes else value for row, value in enumerate(values)], kind)


def a_table() -> pa.Table:
    """All kinds of columns; nulls in the first parts alone, in the last alone, everywhere, nowhere."""
    numbers = range(ROWS)
    names = [f"r{number:02d}" for number in numbers]
    names[40], names[44], names[3] = names[2], names[2], names[5]
    return pa.table(
        {
            "request_id": with_holes(names, pa.string(), [7, 30]),
            "number": with_holes([number / 10 for number in numbers], pa.float64(), [0, 1, 33]),
            "twin": with_holes([number / 10 if number % 9 else 0.0 for number in numbers], pa.float64(), [1, 5]),
            "infinite": pa.array([float("inf") if number == 13 else float("nan") for number in numbers]),
            "small": with_holes([number / 4 for number in numbers], pa.float32(), [9]),
            "whole": pa.array([number % 5 for number in numbers], pa.int64()),
            "gaps": with_holes([number % 4 + 2**53 for number in numbers], pa.int64(), [45]),
            "flag": pa.array([number % 3 == 0 for number in numbers]),
            "maybe": with_holes([number % 3 == 0 for number in numbers], pa.bool_(), [44]),
            "text": with_holes(
                [["EWR", "jfk", "", "2024-01-01", "{}"][number % 5] for number in numbers], pa.string(), range(20)
            ),
            "blank": pa.nulls(ROWS, pa.string()),
            "nothing": pa.nulls(ROWS),
            "at": with_holes(DAYS, pa.timestamp("us", "UTC"), [2]),
            "date": with_holes([day.date() for day in DAYS], pa.date32(), [45]),
            "price": with_holes([decimal.Decimal(number) / 4 for number in numbers], pa.decimal128(9, 2), [4]),
            "code": with_holes(
                ["a" if number < 30 else "b" for number in numbers], pa.string(), [8]
            ).dictionary_encode(),
            "tags": with_holes([[number, number] for number in numbers], pa.list_(pa.int64()), [6]),
        }
    )


def on(column: str, kind: str, **kwargs: Any) -> dict[str, Any]:
    return {"type": f"{COLUMN}{kind}", "kwargs": {"column": column, **kwargs}}


def pair(kind: str, one: str, other: str, **kwargs: Any) -> dict[str, Any]:
    return {"type": f"{COLUMN}pair_values_{kind}", "kwargs": {"column_A": one, "column_B": other, **kwargs}}


def several(kind: str, *columns: str, **kwargs: Any) -> dict[str, Any]:
    return {"type": f"expect_{kind}", "kwargs": {"column_list": list(columns), **kwargs}}


def table(kind: str, **kwargs: Any) -> dict[str, Any]:
    return {"type": f"expect_table_{kind}", "kwargs": kwargs}


SUITES: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "numbers": [
        *(
            on(name, "values_to_be_between", min_value=0.5, max_value=3)
            for name in ("number", "small", "whole", "gaps")
        ),
        on("infinite", "values_to_be_between", max_value=1e308),
        on("number", "values_to_be_between", min_value=0, max_value=3.1, strict_min=True, mostly=0.5),
        on("number", "values_to_be_between", min_value=0.2, max_value=4.0, mostly=39 / 43),
        on("number", "values_to_be_between", min_value=0.2, max_value=4.0, mostly=39.01 / 43),
        on("whole", "values_to_be_in_set", value_set=[0, 1, 2]),
        on("gaps", "values_to_be_in_set", value_set=[2**53, 2**53 + 1]),
        on("price", "values_to_be_between", min_value=0, max_value=5),
        on("flag", "values_to_be_in_set", value_set=[True]),
        on("maybe", "values_to_not_be_in_set", value_set=[True], mostly=0.6),
    ],
    "nulls": [
        *(
            on(name, f"values_to_{kind}null")
            for name in ("number", "infinite", "maybe", "text", "blank", "nothing", "tags")
            for kind in ("be_", "not_be_")
        ),
        on("text", "values_to_not_be_null", mostly=26 / 46),
        on("text", "values_to_not_be_null", mostly=0.6),
        on("blank", "values_to_be_between", min_value=0),
        on("blank", "values_to_match_regex", regex="x"),
        on("nothing", "values_to_be_in_set", value_set=[1]),
    ],
    "texts": [
        on("text", "values_to_match_regex", regex="^[a-zA-Z]", mostly=0.5),
        on("text", "values_to_not_match_regex", regex="^[a-z]"),
        on("text", "values_to_match_regex_list", regex_list=["^E", "W"], match_on="all"),
        on("text", "values_to_not_match_regex_list", regex_list=["^E", "x"]),
        on("text", "value_lengths_to_be_between", min_value=1, max_value=4),
        on("text", "value_lengths_to_equal", value=3),
        on("text", "values_to_be_dateutil_parseable"),
        on("text", "values_to_be_json_parseable"),
        on("text", "values_to_match_strftime_format", strftime_format="%Y-%m-%d"),
        on("text", "values_to_not_be_in_set", value_set=["EWR"]),
        on("code", "values_to_be_in_set", value_set=["a"]),
        on("text", "values_to_match_json_schema", json_schema={"type": "object"}),
    ],
    "unique": [
        on("request_id", "values_to_be_unique"),
        on("request_id", "values_to_be_unique", mostly=39 / 44),
        on("request_id", "values_to_be_unique", mostly=39.01 / 44),
        *(on(name, "values_to_be_unique") for name in ("text", "blank", "whole", "number", "at", "code")),
        several("compound_columns_to_be_unique", "whole", "flag"),
    ],
    "times": [
        on("at", "values_to_be_between", min_value="2024-01-02T00:00:00+00:00", max_value="2024-01-07T00:00:00+00:00"),
        on("date", "values_to_not_be_null"),
        on("date", "values_to_be_between", min_value="2024-01-02"),
    ],
    "several columns": [
        *(
            pair("a_to_be_greater_than_b", "number", "twin", or_equal=True, ignore_row_if=one)
            for one in ("both_values_are_missing", "either_value_is_missing", "neither")
        ),
        pair("to_be_equal", "number", "twin", mostly=0.8),
        pair("to_be_in_set", "whole", "flag", value_pairs_set=[[0, True], [1, False]]),
        *(
            several("multicolumn_sum_to_equal", "whole", "number", "twin", sum_total=4, ignore_row_if=one)
            for one in ("all_values_are_missing", "any_value_is_missing", "never")
        ),
        several("multicolumn_values_to_be_equal", "number", "twin", ignore_row_if="any_value_is_missing"),
        several("select_column_values_to_be_unique_within_record", "number", "twin", "whole"),
        on(
            "number",
            "values_to_be_between",
            max_value=2,
            row_condition="number > number.mean()",
            condition_parser="pandas",
        ),
        on(
            "number",
            "values_to_be_between",
            max_value=2,
            row_condition='col("whole") > 2',
            condition_parser="great_expectations",
        ),
    ],
    "all rows": [
        on("number", "mean_to_be_between", max_value=1),
        on("gaps", "max_to_be_between", max_value=1),
        on("number", "quantile_values_to_be_between", quantile_ranges={"quantiles": [0.5], "value_ranges": [[0, 1]]}),
        on("number", "value_z_scores_to_be_less_than", threshold=1.5, double_sided=True),
        on("number", "values_to_be_increasing"),
        on("twin", "values_to_be_increasing"),
        on("text", "distinct_values_to_be_in_set", value_set=["EWR"]),
        on("whole", "unique_value_count_to_be_between", max_value=3),
        *(on(name, "values_to_be_of_type", type_="float64") for name in ("number", "gaps", "whole", "maybe", "price")),
    ],
    "the table": [
        table("row_count_to_equal", value=ROWS),
        table("row_count_to_equal", value=7),
        table("row_count_to_be_between", max_value=5),
        table("column_count_to_equal", value=3),
        table("columns_to_match_set", column_set=["request_id", "number"]),
        table("columns_to_match_ordered_list", column_list=["request_id", "number"]),
        on("number", "to_exist"),
        on("nowhere", "to_exist"),
    ],
    "what cannot be evaluated": [
        on("nowhere", "values_to_not_be_null"),
        on("number", "values_to_be_dateutil_parseable"),
        on("text", "values_to_be_between", min_value=0),
        on("text", "mean_to_be_between", max_value=1),
        on("number", "values_to_be_between", min_value=3, max_value=1),
        on("tags", "values_to_be_in_set", value_set=[1]),
        on("text", "values_to_match_like_pattern", like_pattern="a%"),
        pair("to_be_equal", "number", "nowhere"),
    ],
}


@cache
def _batches() -> Any:
    import great_expectations

    context = great_expectations.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    return (
        context.data_sources.add_pandas("tests").add_dataframe_asset("all").add_batch_definition_whole_dataframe("all")
    )


def at_once(frame: pd.DataFrame, expectations: Sequence[Mapping[str, Any]]) -> Validation:
    """Ask Great Expectations about one frame, in its own words, with the requests by their column."""
    from great_expectations import ExpectationSuite

    results = (
        _batches()
        .get_batch(batch_parameters={"dataframe": frame})
        .validate(
            ExpectationSuite(name="tests", expectations=[dict(one) for one in expectations]),
            result_format={
                "result_format": "SUMMARY",
                "partial_unexpected_count": MOST_REQUESTS,
                "unexpected_index_column_names": ["request_id"],
            },
        )
        .results
    )
    failures = [_failure(one.to_json_dict()) for one in results if not one.success]
    failures.sort(key=lambda failure: (failure.expectation, failure.column or ""))
    return Validation(digest(list(expectations)), len(results), failures)


def _failure(result: Mapping[str, Any]) -> Failure:
    type_, kwargs = result["expectation_config"]["type"], result["expectation_config"]["kwargs"]
    found = result["result"]
    information = result["exception_info"]
    entries = [information] if "raised_exception" in information else list(information.values())
    broken = next((one["exception_message"].strip().splitlines()[0] for one in entries if one["raised_exception"]), "")
    if broken:
        detail = f"could not be evaluated: {broken}"
    elif {"unexpected_count", "element_count"} <= found.keys():
        share = found["unexpected_count"] / found["element_count"]
        detail = f"{found['unexpected_count']} of {found['element_count']} rows ({share:.2%}) do not meet it"
    elif isinstance(found.get("observed_value"), int | float) and type_ not in VALUES_OF_ONE_REQUEST:
        detail = f"observed {found['observed_value']}"
    else:
        detail = "does not hold"
    limits = ", ".join(f"{key}={kwargs[key]}" for key in sorted(kwargs) if key not in ("batch_id", "column"))
    requests = {row["request_id"] for row in found.get("partial_unexpected_index_list") or []} - {None}
    return Failure(f"{type_}({limits})", kwargs.get("column"), detail, sorted(requests))


@cache
def expected(suite: str) -> Validation:
    return at_once(a_table().to_pandas(), SUITES[suite])


@pytest.mark.parametrize("suite", SUITES)
def test_what_is_found_in_parts_is_what_great_expectations_finds_in_all_rows_at_once(suite: str) -> None:
    found = validate(TableRows(a_table()), SUITES[suite], part_rows=10)
    assert [str(one) for one in found.failures] == [str(one) for one in expected(suite).failures]
    assert found == expected(suite)


@pytest.mark.parametrize("suite", SUITES)
def test_rows_that_fit_into_one_part_are_judged_the_same(suite: str) -> None:
    assert validate(TableRows(a_table()), SUITES[suite]) == expected(suite)


@pytest.mark.parametrize("suite", ["numbers", "unique", "the table", "what cannot be evaluated"])
def test_no_row_at_all_is_judged_as_great_expectations_does(suite: str) -> None:
    nothing = a_table().slice(0, 0)
    assert validate(TableRows(nothing), SUITES[suite], part_rows=5) == at_once(nothing.to_pandas(), SUITES[suite])


def test_a_share_is_judged_over_all_parts_and_not_in_each() -> None:
    rows = TableRows(pa.table({"request_id": [f"r{row}" for row in range(20)], "x": [9.0] * 2 + [0.0] * 18}))
    assert validate(rows, [on("x", "values_to_be_between", max_value=1, mostly=0.9)], part_rows=4).success
    assert not validate(rows, [on("x", "values_to_be_between", max_value=1, mostly=0.91)], part_rows=4).success


def test_the_first_twenty_requests_in_their_order_are_shown_wherever_they_are() -> None:
    bad = [*range(5, 9), *range(30, 70, 2)]
    names = [f"r{99 - row:02d}" for row in range(100)]
    rows = pa.table({"request_id": names, "x": [9.0 if row in bad else 0.0 for row in range(100)]})
    (failure,) = validate(TableRows(rows), [on("x", "values_to_be_between", max_value=1)], part_rows=8).failures
    assert failure.detail == "24 of 100 rows (24.00%) do not meet it"
    assert failure.requests == sorted(names[row] for row in bad[:MOST_REQUESTS])


class Watched(TableRows):
    """Remembers what was read at once: the columns and the rows."""

    def __init__(self, table: pa.Table) -> None:
        super().__init__(table)
        self.reads: list[tuple[set[str], int]] = []

    def read(self, columns: Sequence[str], rows: int) -> Iterator[pa.Table]:
        for part in super().read(columns, rows):
            self.reads.append((set(columns), part.num_rows))
            yield part


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[pd.DataFrame]:
    """What Great Expectations was shown, frame by frame."""
    frames: list[pd.DataFrame] = []
    usual = checking.evaluate

    def evaluate(frame: pd.DataFrame, configurations: Sequence[Any]) -> Any:
        frames.append(frame)
        return usual(frame, configurations)

    monkeypatch.setattr(checking, "evaluate", evaluate)
    return frames


def test_texts_that_repeat_come_together_in_buckets_and_others_are_not_shown(shown: list[pd.DataFrame]) -> None:
    names = [f"r{row}" for row in range(400)] + [f"twice{row % 100}" for row in range(200)]
    unique = [on("request_id", "values_to_be_unique")]
    (failure,) = validate(TableRows(pa.table({"request_id": names})), unique, part_rows=10).failures
    assert failure.detail == "200 of 600 rows (33.33%) do not meet it"
    assert failure.requests == sorted(f"twice{row}" for row in range(20))
    assert sum(map(len, shown)) == 200
    assert max(map(len, shown)) < 2 * 10 * BUCKET_PARTS
    assert len(shown) > 1
    shown.clear()
    assert validate(TableRows(pa.table({"request_id": names[:500]})), unique, part_rows=10).success
    assert shown == []


def test_texts_of_one_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shadow_deployment.data.quality.uniqueness.hash", len, raising=False)
    names = pa.table({"request_id": ["a", "b", "ccc", "d", "ccc", "ee", "e", None]})
    (failure,) = validate(TableRows(names), [on("request_id", "values_to_be_unique")], part_rows=2).failures
    assert (failure.detail, failure.requests) == ("2 of 8 rows (25.00%) do not meet it", ["ccc"])


def test_only_columns_that_are_named_are_read_and_in_parts(shown: list[pd.DataFrame]) -> None:
    rows = Watched(a_table())
    suite = [
        on("number", "values_to_be_between", min_value=0, max_value=9),
        on("whole", "values_to_not_be_null"),
        on("request_id", "values_to_be_unique", mostly=0.1),
        table("row_count_to_equal", value=ROWS),
        on("text", "to_exist"),
    ]
    assert validate(rows, suite, part_rows=10).success
    assert set().union(*(columns for columns, _ in rows.reads)) == {"number", "whole", "request_id"}
    assert max(read for _, read in rows.reads) == 20  # of so few columns
    assert max(len(frame) for frame in shown if len(frame.columns)) <= 20


def test_what_needs_all_rows_is_shown_no_column_but_its_own(shown: list[pd.DataFrame]) -> None:
    suite = [
        on("number", "mean_to_be_between", max_value=9),
        on("whole", "max_to_be_between", max_value=9),
        on("code", "values_to_be_in_set", value_set=["a", "b"]),
    ]
    assert validate(TableRows(a_table()), suite, part_rows=10).success
    assert [(*frame.columns, len(frame)) for frame in shown] == [("number", ROWS), ("whole", ROWS), ("code", ROWS)]


def test_many_columns_are_looked_at_a_few_at_a_time() -> None:
    wide = {f"x{number}": pa.array([float(number)] * 40) for number in range(3 * PART_COLUMNS)}
    rows = Watched(pa.table({"request_id": [f"r{row}" for row in range(40)], **wide}))
    suite = [on(name, "values_to_be_between", max_value=PART_COLUMNS) for name in wide]
    assert len(validate(rows, suite, part_rows=20).failures) == 2 * PART_COLUMNS - 1
    assert max(len(columns) * read for columns, read in rows.reads) <= 20 * PART_COLUMNS
    together = Watched(pa.table({"request_id": [f"r{row}" for row in range(40)], **wide}))
    assert not validate(together, [several("multicolumn_sum_to_equal", *wide, sum_total=1)], part_rows=20).success
    assert max(len(columns) * read for columns, read in together.reads) <= 20 * PART_COLUMNS


@pytest.mark.parametrize("part_rows", [1, 7, 100])
def test_a_column_has_one_type_in_every_part_and_the_one_that_it_has_as_a_whole(part_rows: int) -> None:
    whole = a_table().to_pandas()
    names = [name for name in whole.columns if name != "code"]
    parts = list(FrameReader(TableRows(a_table()), part_rows).parts(names))
    assert {tuple(part.dtypes) for part in parts} == {tuple(whole[names].dtypes)}
    joined = pd.concat(parts)
    plain = [name for name in names if name != "tags"]
    pd.testing.assert_frame_equal(joined[plain], whole[plain], check_index_type=False)


def test_a_parameter_that_nothing_was_given_for_is_refused() -> None:
    broken = on("number", "values_to_be_between", max_value={"$PARAMETER": "limit"})
    with pytest.raises(DeploymentError, match=re.escape("expectations: Great Expectations refuses the suite: ")):
        validate(TableRows(a_table()), [broken])


def test_no_value_of_a_row_is_shown_where_an_expectation_cannot_be_evaluated_in_parts() -> None:
    rows = pa.table({"request_id": ["a", "b", "c"], "text": [None, "{}", "secret-4711"]})
    suite = [on("text", "values_to_match_json_schema", json_schema={"type": "object"})]
    (failure,) = validate(TableRows(rows), suite, part_rows=1).failures
    assert failure.detail.startswith("could not be evaluated: ")
    assert "4711" not in str(failure)


def test_a_part_is_let_go_as_soon_as_it_was_judged() -> None:
    configurations = build_configurations(
        [on("x", "values_to_be_between", max_value=1), on("x", "values_to_not_be_null")]
    )
    frame = pd.DataFrame({"x": [0.0, 2.0]})
    kept = weakref.ref(frame)
    gc.disable()
    try:
        assert not evaluate(frame, configurations)["0"].success
        del frame
        assert kept() is None
    finally:
        gc.enable()


def test_what_a_day_validates_loads_no_database_or_cloud_and_scipy_stats_where_distributions_are_compared() -> None:
    program = (
        "import sys, pyarrow as pa\n"
        "from shadow_deployment.data.quality.validation import validate\n"
        "from shadow_deployment.data.rows import TableRows\n"
        "rows = TableRows(pa.table({'request_id': ['a', 'b'], 'text': ['x', 'y']}))\n"
        "expect = lambda kind, **about: {'type': f'expect_column_{kind}', 'kwargs': about}\n"
        "print(validate(rows, [expect('values_to_be_unique', column='request_id')]).success)\n"
        "print('scipy.stats._continuous_distns' in sys.modules, {'sqlalchemy', 'boto3'} & set(sys.modules))\n"
        "import boto3, sqlalchemy\n"
        "halves = {'values': ['x', 'y'], 'weights': [0.5, 0.5]}\n"
        "divergence = expect('kl_divergence_to_be_less_than', column='text', partition_object=halves, threshold=0.1)\n"
        "print(validate(rows, [divergence]).success, 'scipy.stats._continuous_distns' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False", "set()", "True", "True"]
