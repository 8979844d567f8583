"""What rows of labels make of a request: the first label, what contradicts it, what is invalid, what came too early."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shadow_deployment.ledger.batches.label_states import NEVER, LabelCounts, LabelRows, LabelStates, resolve

REQUESTED = 10  # when each request was made
INVALID = "much"
Row = tuple[int, float | str, int]  # ordinal, value, and when it became known
ROW = st.tuples(st.integers(0, 3), st.sampled_from([0.0, 1.0, 2.0, INVALID]), st.integers(8, 16))


def rows_of(rows: Sequence[Row]) -> LabelRows:
    return LabelRows(
        np.array([ordinal for ordinal, *_ in rows], np.int64),
        np.array([math.nan if isinstance(value, str) else value for _, value, _ in rows], np.float64),
        np.array([at for *_, at in rows], np.int64),
        np.array([value if isinstance(value, str) else None for _, value, _ in rows], object),
        np.array([at < REQUESTED for *_, at in rows], bool),
    )


def states_of(rows: Sequence[Row], requests: int = 1) -> LabelStates:
    return resolve(rows_of(rows), np.arange(requests))


def one(rows: Sequence[Row]) -> dict[str, Any]:
    """Return what is known of the only request, without what is not."""
    found = {name: column[0] for name, column in vars(states_of(rows)).items()}
    return {name: value for name, value in found.items() if value not in (None, NEVER) and str(value) != "nan"}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], {}),
        ([(0, 1.0, 12)], {"value": 1, "known_at": 12}),
        ([(0, 1.0, 14), (0, 1.0, 12)], {"value": 1, "known_at": 12}),
        ([(0, 1.0, 12), (0, 0.0, 14)], {"value": 1, "known_at": 12, "conflict": 0, "conflict_at": 14}),
        ([(0, 0.0, 15), (0, 2.0, 14), (0, 1.0, 12)], {"value": 1, "known_at": 12, "conflict": 2, "conflict_at": 14}),
        ([(0, 1.0, 12), (0, 0.0, 12)], {"value": 0, "known_at": 12, "conflict": 1, "conflict_at": 12}),
        ([(0, INVALID, 12)], {"invalid": INVALID, "invalid_at": 12}),
        ([(0, INVALID, 12), (0, 1.0, 14)], {"value": 1, "known_at": 14, "invalid": INVALID, "invalid_at": 12}),
        ([(0, 1.0, 9)], {"early_at": 9}),
        ([(0, 1.0, REQUESTED)], {"value": 1, "known_at": REQUESTED}),
        ([(0, 1.0, 9), (0, 0.0, 12)], {"value": 0, "known_at": 12, "early_at": 9}),
        ([(0, INVALID, 9)], {"invalid": INVALID, "invalid_at": 9}),
    ],
)
def test_what_is_known_of_a_request(rows: list[Row], expected: dict[str, Any]) -> None:
    assert one(rows) == expected


@given(rows=st.lists(ROW, max_size=10), cut=st.integers(0, 10))
def test_rows_that_come_in_two_parts_make_the_same_of_every_request(rows: list[Row], cut: int) -> None:
    """The first part is what became known first, as collections are; of one moment all rows come at once."""
    ordered, ordinals = sorted(rows, key=lambda row: row[2]), np.arange(4)
    until = ordered[cut - 1][2] if 0 < cut <= len(ordered) else 0
    first, rest = ([row for row in ordered if (row[2] <= until) is early] for early in (True, False))
    before = states_of(first, 4)
    again = resolve(before.rows(ordinals) + rows_of(rest), ordinals)
    assert not again.differ(states_of(rows, 4)).any()
    assert not before.differ(resolve(before.rows(ordinals), ordinals)).any()


@given(rows=st.lists(ROW, max_size=10), moment=st.integers(8, 16))
def test_what_was_known_at_a_moment_is_what_the_rows_known_by_then_make(rows: list[Row], moment: int) -> None:
    then, now = states_of([row for row in rows if row[2] <= moment], 4), states_of(rows, 4)
    np.testing.assert_array_equal(now.usable(moment), then.usable(NEVER))
    assert LabelCounts.of(now, moment) == LabelCounts.of(then, NEVER - 1)


def test_requests_are_counted_by_what_is_known_of_them() -> None:
    states = states_of([(0, 1.0, 12), (1, 1.0, 11), (1, 0.0, 13), (2, INVALID, 12), (3, 1.0, 9)], 4)
    assert LabelCounts.of(states, 16) == LabelCounts(labelled=1, contradicted=1, invalid=1, early=1, newest=12)
    assert LabelCounts.of(states, 11) == LabelCounts(labelled=1, contradicted=0, invalid=0, early=1, newest=11)
    assert LabelCounts.of(states, 16) + LabelCounts.of(states, 11) == LabelCounts(2, 1, 1, 2, 12)


def test_what_a_correction_takes_back_is_gone() -> None:
    contradicted, corrected = states_of([(0, 1.0, 12), (0, 0.0, 14)]), states_of([(0, 0.0, 14)])
    assert corrected.differ(contradicted).all()
    contradicted.put(np.array([0]), corrected)
    assert not contradicted.differ(corrected).any()
