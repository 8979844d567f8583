"""Whether days differ by more than their requests explain."""

import numpy as np
import pytest
from scipy import stats

from shadow_deployment.statistics.design_effect import DesignEffect, design_effect


def effect_of(weights: list[np.ndarray], differences: list[np.ndarray], level: float = 0.99) -> DesignEffect | None:
    both = list(zip(weights, differences, strict=True))
    weight = np.array([w.sum() for w, _ in both])
    mean = np.array([w @ d for w, d in both]) / weight
    squares = np.array([[(w**2).sum(), (w**2 * d).sum(), (w**2 * d**2).sum()] for w, d in both])
    return design_effect(weight, mean, squares, level=level)


def test_of_equal_days_it_is_the_analysis_of_variance() -> None:
    days = np.random.default_rng(0).normal(size=(12, 30)) * 1.0
    found = effect_of([np.full(30, 2.5)] * 12, list(days))
    assert found is not None
    assert found.ratio == pytest.approx(stats.f_oneway(*days).statistic)


def test_of_days_of_one_variance_its_quantile_is_that_of_f() -> None:
    shape = np.resize([1.0, -1.0], 20)
    days = [shape + shift for shift in np.linspace(-1, 1, 9)]
    found = effect_of([np.ones(20)] * 9, days, level=0.95)
    assert found is not None
    assert found.explained == pytest.approx(stats.f.ppf(0.95, 8, 9 * 19))
    assert found.ratio == pytest.approx(stats.f_oneway(*days).statistic)


def test_of_unequal_days_it_is_brown_forsythe() -> None:
    rng = np.random.default_rng(1)
    days = [rng.normal(0, deviation, number) for deviation, number in ((1, 40), (5, 6), (2, 15), (0.5, 80))]
    found = effect_of([np.ones(len(day)) for day in days], days)
    number, total = np.array([len(day) for day in days]), np.concatenate(days)
    variance = np.array([day.var(ddof=1) for day in days])
    between = sum(len(day) * (day.mean() - total.mean()) ** 2 for day in days)
    assert found is not None
    assert found.ratio == pytest.approx(between / ((1 - number / number.sum()) * variance).sum())


@pytest.mark.parametrize("days", [[[1.0, 2.0]], [[1.0], [2.0], [3.0]], [[1.0, 1.0], [2.0, 2.0]], [[1.0], [2.0, 3.0]]])
def test_it_is_none_where_nothing_can_be_compared(days: list[list[float]]) -> None:
    assert effect_of([np.ones(len(day)) for day in days], [np.array(day) for day in days]) is None


def test_independent_requests_are_refused_about_as_rarely_as_the_level_says() -> None:
    rng, runs = np.random.default_rng(2), 400
    refused = 0
    for _ in range(runs):
        numbers = np.where(np.arange(60) % 7 < 5, 60, 6)
        days = [rng.normal(0, 1 if number == 60 else 5, number) for number in numbers]
        found = effect_of([np.ones(len(day)) for day in days], days, level=0.95)
        refused += found is not None and found.is_significant
    assert 0.01 < refused / runs < 0.09
