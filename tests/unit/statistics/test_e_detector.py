"""When a mean has fallen below 0."""

import numpy as np
import pytest

from shadow_deployment.statistics.e_detector import fallen, falls


def evidence(weeks: np.ndarray) -> tuple[float, int]:
    """The mean of M over the bets, by the recursion, and the likeliest first week of a change."""
    bets, evidence_of, factors = np.array([0.25, 0.5, 1.0]), np.zeros(3), []
    for number in range(len(weeks)):
        if number < 8:
            continue
        deviation = np.sqrt((np.diff(weeks[: number + 1]) ** 2).sum() / (2 * number))
        z = max(weeks[number] / deviation, -3.0)
        factors.append(np.exp(-bets * z - bets**2 / 2 * (1 + 1 / (number + 1))))
        evidence_of = (1 + evidence_of) * factors[-1]
    since = max(range(len(factors)), key=lambda first: np.prod(factors[first:], axis=0).max())
    return float(evidence_of.mean()), since + 8


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("after", [-0.3, -1.0])
def test_the_alarm_is_that_of_the_recursion(seed: int, after: float) -> None:
    rng = np.random.default_rng(seed)
    weeks = rng.normal(0, 1, 60) + np.where(np.arange(60) < 30, 0.8, after)
    for end in range(9, 61):
        value, since = evidence(weeks[:end])
        assert fallen(weeks[:end], threshold=value * (1 - 1e-9)) is not None
        assert fallen(weeks[:end], threshold=value * (1 + 1e-9)) is None
        found = fallen(weeks[:end], threshold=50.0)
        assert (found is not None) == (value > 50)
        if found is not None:
            assert found.since == since


def test_many_series_at_once_are_each_by_itself() -> None:
    rng = np.random.default_rng(5)
    weeks = rng.normal(0, 0.3, (6, 40)) + np.where(np.arange(40) < 30, 1.0, np.array([[-1.0], [1.0]] * 3))
    weeks[1], weeks[2, :12] = -1.0, 0.5  # no alarm without a spread, none before there is one
    found = falls(weeks)
    assert found == [fallen(each) for each in weeks]
    assert [each is not None for each in found] == [True, False, True, False, True, False]


def test_it_names_the_week_of_a_clear_change_and_goes_out_where_the_mean_recovers() -> None:
    weeks = np.random.default_rng(1).normal(0, 0.3, 60) + np.where(np.arange(60) < 30, 1.0, -1.0)
    found = fallen(weeks[:38])
    assert found is not None
    assert found.since == 30
    recovered = np.concatenate([weeks[:38], 2 + np.random.default_rng(2).normal(0, 0.3, 40)])
    assert fallen(recovered) is None


@pytest.mark.parametrize("scale", [1e-150, 1.0, 1e150])
def test_it_does_not_depend_on_the_unit(scale: float) -> None:
    weeks = np.random.default_rng(1).normal(0, 0.3, 40) + np.where(np.arange(40) < 30, 1.0, -1.0)
    assert fallen(weeks * scale) == fallen(weeks) is not None


@pytest.mark.parametrize("weeks", [[], [-1.0], [-1.0] * 60, [-1.0, -2.0] * 4])
def test_few_or_equal_weeks_give_no_alarm(weeks: list[float]) -> None:
    assert fallen(weeks) is None


def test_one_bad_week_of_many_gives_no_alarm() -> None:
    weeks = np.random.default_rng(3).normal(0.3, 1.0, 100)
    weeks[-1] = -50.0
    assert fallen(weeks) is None


@pytest.mark.slow
def test_a_false_alarm_takes_ten_years_on_average() -> None:
    weeks = np.random.default_rng(4).standard_normal((200, 520))
    alarmed = [any(fallen(run[:end]) is not None for end in range(9, 521)) for run in weeks]
    assert np.mean(alarmed) < 1 - np.exp(-1) + 0.07
