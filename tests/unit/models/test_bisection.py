"""Bisection: which chunks of rows are tried, in which order, and when the search ends."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_deployment.models.bisection import Bisection


def tried(search: Bisection, bad: set[int]) -> tuple[list[list[int]], list[int]]:
    """Return the chunks that are tried where these rows are refused, and the rows that end as errors."""
    chunks, errors = [], []
    for chunk in search:
        chunks.append(chunk.tolist())
        if bad & set(chunk.tolist()) and not search.split(chunk):
            errors += chunk.tolist()
    return chunks, errors


def test_a_refused_chunk_is_halved_the_first_half_first() -> None:
    chunks, errors = tried(Bisection(np.arange(8)), {5})
    assert chunks == [list(range(8)), [0, 1, 2, 3], [4, 5, 6, 7], [4, 5], [4], [5], [6, 7]]
    assert errors == [5]


def test_rows_are_cut_into_chunks_of_the_most_that_a_call_takes() -> None:
    assert tried(Bisection(np.arange(7), 3), set())[0] == [[0, 1, 2], [3, 4, 5], [6]]
    assert tried(Bisection(np.arange(0), 3), set())[0] == []


def test_a_chunk_that_is_too_large_is_cut_and_costs_no_refusal() -> None:
    search, chunks = Bisection(np.arange(8), refusals=1), []
    for chunk in search:
        chunks.append(chunk.tolist())
        if len(chunk) > 2:
            search.most_rows = len(chunk) // 2
            search.retry(chunk)
    assert chunks == [list(range(8)), [0, 1, 2, 3], [0, 1], [2, 3], [4, 5], [6, 7]]
    assert search.is_last


@pytest.mark.parametrize(("refusals", "calls"), [(1, 1), (3, 3), (1000, 127)])
def test_the_search_costs_as_many_refusals_as_it_may(refusals: int, calls: int) -> None:
    chunks, errors = tried(Bisection(np.arange(64), refusals=refusals), set(range(64)))
    assert sorted(errors) == list(range(64))
    assert calls <= len(chunks) <= calls + 6  # the chunks that wait are each tried once


@given(rows=st.integers(1, 60), bad=st.sets(st.integers(0, 59), max_size=8), most=st.integers(1, 60))
def test_the_rows_at_fault_are_found_and_each_other_row_succeeds_once(rows: int, bad: set[int], most: int) -> None:
    chunks, errors = tried(Bisection(np.arange(rows), most), bad)
    assert sorted(errors) == sorted(row for row in bad if row < rows)
    succeeded = [row for chunk in chunks if not bad & set(chunk) for row in chunk]
    assert sorted(succeeded) == sorted(set(range(rows)) - bad)
