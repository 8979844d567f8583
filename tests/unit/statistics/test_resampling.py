"""The stationary bootstrap: blocks of the published length, every day as often."""

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from shadow_deployment.statistics.resampling import block_length, resampled_days
from tests.unit.decision.histories import normal, remembering


def test_block_length_is_the_published_one() -> None:
    """The value that the tests of the package arch hold its optimal_block_length against, on the same series."""
    shocks = np.random.RandomState(0).standard_normal(10_100)
    for day in range(1, len(shocks)):
        shocks[day] += 0.3 * shocks[day - 1]
    assert block_length(shocks[100:]) == pytest.approx(13.635665, rel=1e-6)


def test_block_length_grows_with_dependence_as_theory_has_it() -> None:
    """For AR(1), Politis and White's optimum is (2 r / (1 - r²))^(2/3) n^(1/3)."""
    days = 50_000
    for memory in (0.2, 0.5, 0.8):
        expected = (2 * memory / (1 - memory**2)) ** (2 / 3) * days ** (1 / 3)
        assert block_length(remembering(days, memory)) == pytest.approx(expected, rel=0.25)


@pytest.mark.parametrize("days", [28, 60, 365])
@pytest.mark.parametrize("values", ["constant", "trend", "alternating", "noise"])
def test_block_length_is_bounded(days: int, values: str) -> None:
    x = {
        "constant": np.ones(days),
        "trend": np.arange(days),
        "alternating": np.arange(days) % 2,
        "noise": normal(days),
    }[values]
    assert 1 <= block_length(x) <= math.ceil(min(3 * math.sqrt(days), days / 3))
    if values == "trend":
        assert block_length(x) > 5


def test_resampled_days_come_in_blocks_of_whole_weeks_from_the_same_weekday() -> None:
    index = resampled_days(np.random.default_rng(0), 2000, 392, 28, 28.0)
    assert index.shape == (2000, 392)
    assert (index % 7 == np.arange(392) % 7).all()
    follows = np.diff(index, axis=1) % 28 == 1
    # A block begins in one week of four, and may by chance go on where the last one ended.
    assert 1 - follows.mean() == pytest.approx(1 / 28 * 3 / 4, abs=0.001)
    for run in follows:
        assert len({int(day) % 7 for day in np.flatnonzero(~run)}) <= 1
    begins = {int(day) % 7 for run in follows for day in np.flatnonzero(~run)}
    assert begins == set(range(7))


@pytest.mark.parametrize("length", [1.0, 7.0])
def test_blocks_are_at_least_a_week_long_and_every_day_is_drawn_as_often(length: float) -> None:
    index = resampled_days(np.random.default_rng(0), 2000, 392, 28, length)
    follows = np.diff(index, axis=1) % 28 == 1
    assert 1 - follows.mean() == pytest.approx(1 / 7 * 3 / 4, abs=0.002)
    assert_allclose(np.bincount(index.ravel()) / index.size, 1 / 28, rtol=0.03)
    assert_allclose(np.bincount(index[:, -1], minlength=28).reshape(4, 7)[:, -1] / 2000, 1 / 4, rtol=0.1)
