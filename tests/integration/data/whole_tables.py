"""Tables, suites of expectations, and what Great Expectations says of all rows at once."""

import datetime as dt
import decimal
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import pandas as pd
import pyarrow as pa

from shadow_deployment.data.quality.expectations import MOST_REQUESTS, Failure, Validation
from shadow_deployment.data.sampling import digest

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
