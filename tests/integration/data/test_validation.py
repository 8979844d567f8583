"""Expectations checked part by part: what is found is what Great Expectations finds in one frame of all rows.

The other implementation is Great Expectations itself, asked as its documentation does: one batch of the whole frame.
"""

import gc
import re
import subprocess
import sys
import weakref
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from shadow_deployment.data.quality import validation as checking
from shadow_deployment.data.quality.expectations import MOST_REQUESTS, Validation
from shadow_deployment.data.quality.great_expectations import build_configurations, evaluate
from shadow_deployment.data.quality.uniqueness import BUCKET_PARTS
from shadow_deployment.data.quality.validation import validate
from shadow_deployment.data.rows import PART_COLUMNS, FrameReader
from shadow_deployment.errors import DeploymentError
from tests.conftest import PROJECT
from tests.integration.data.whole_tables import ROWS, SUITES, a_table, at_once, on, several, table
from tests.rows import TableRows


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
        "from tests.rows import TableRows\n"
        "rows = TableRows(pa.table({'request_id': ['a', 'b'], 'text': ['x', 'y']}))\n"
        "expect = lambda kind, **about: {'type': f'expect_column_{kind}', 'kwargs': about}\n"
        "print(validate(rows, [expect('values_to_be_unique', column='request_id')]).success)\n"
        "print('scipy.stats._continuous_distns' in sys.modules, {'sqlalchemy', 'boto3'} & set(sys.modules))\n"
        "import boto3, sqlalchemy\n"
        "halves = {'values': ['x', 'y'], 'weights': [0.5, 0.5]}\n"
        "divergence = expect('kl_divergence_to_be_less_than', column='text', partition_object=halves, threshold=0.1)\n"
        "print(validate(rows, [divergence]).success, 'scipy.stats._continuous_distns' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=PROJECT)
    assert done.stdout.split() == ["True", "False", "set()", "True", "True"]
