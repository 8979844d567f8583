"""Blocks of seven days, counted from the first: what each holds, and which are left out."""

import datetime as dt
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from shadow_deployment.config.policy import Policy
from shadow_deployment.decision.series import Series

FIRST = dt.date(2024, 3, 6)  # no Monday
LAST = FIRST + dt.timedelta(days=6)
DAYS = [0, 2, 6, 7, 13, 28]  # a whole week, another, two without a day, and the first day of a fifth
COUNTS = np.array([1, 2, 3, 4, 5, 6])


@pytest.fixture
def series() -> Series:
    return Series(
        metric="brier_score",
        slice="origin=EWR",
        days=tuple(FIRST + dt.timedelta(days=number) for number in DAYS),
        pairs=10 * COUNTS,
        identical=COUNTS,
        champion=np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6]),
        challenger=np.array([0.0, 0.1, 0.3, 0.5, 0.5, 0.6]),
        difference=np.array([0.1, 0.1, 0.0, -0.1, 0.0, 0.0]),
        weight=np.array([1.0, 2.0, 1.0, 3.0, 1.0, 9.0]),
        unanswered=2 * COUNTS,
        champion_missing=3 * COUNTS,
    )


def test_a_block_is_the_weighted_mean_of_its_days_and_the_sum_of_their_counts(series: Series) -> None:
    blocks = series.by_week()
    assert (blocks.metric, blocks.slice) == ("brier_score", "origin=EWR")
    assert blocks.days == (LAST, LAST + dt.timedelta(days=7))
    assert_allclose(blocks.champion, [(0.1 + 2 * 0.2 + 0.3) / 4, (3 * 0.4 + 0.5) / 4])
    assert_allclose(blocks.challenger, [(2 * 0.1 + 0.3) / 4, (3 * 0.5 + 0.5) / 4])
    assert_allclose(blocks.difference, [(0.1 + 2 * 0.1) / 4, -3 * 0.1 / 4])
    assert_allclose(blocks.weights, [4.0, 4.0])
    counts = (blocks.pairs, blocks.identical, blocks.unanswered, blocks.champion_missing)
    assert [each.tolist() for each in counts if each is not None] == [[60, 90], [6, 9], [12, 18], [18, 27]]
    assert {each.dtype for each in counts if each is not None} == {np.dtype(np.int64)}


def test_what_was_not_counted_of_days_is_not_counted_of_blocks(series: Series) -> None:
    blocks = replace(series, identical=None, unanswered=None, champion_missing=None).by_week()
    assert (blocks.identical, blocks.unanswered, blocks.champion_missing) == (None, None, None)


def test_the_newest_block_counts_once_its_seventh_day_is_there(series: Series) -> None:
    ends = [*series.days[:5], FIRST + dt.timedelta(days=34)]
    assert len(replace(series, days=tuple(ends)).by_week().days) == 3
    assert len(replace(series, days=(*series.days[:5], FIRST + dt.timedelta(days=33))).by_week().days) == 2


@pytest.mark.parametrize("method", ["robust", "betting"])
def test_weeks_that_are_bet_on_weigh_the_same_however_many_days_they_have(series: Series, method: str) -> None:
    rule = {"metric": "brier_score", "is": "superior"}
    policy = Policy.model_validate({"rules": [rule], "unit": "week", "weighting": "day", "method": method})
    assert series.observed(policy).weights.tolist() == ([1.0, 1.0] if method == "betting" else [3.0, 2.0])


def test_no_days_are_no_blocks() -> None:
    none, numbers = np.zeros(0), np.zeros(0, np.int64)
    assert Series("brier_score", "all", (), numbers, None, none, none, none).by_week().days == ()
