"""Autoregressions against statsmodels, theory and simulation."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from shadow_deployment.statistics.autoregression import (
    MOST_LAGS,
    SETTLING,
    Autoregression,
    autoregressions,
    least_squares,
    long_run_ratios,
    shock_index,
    stationary,
)
from tests.unit.decision.histories import normal, remembering


def test_least_squares_are_those_of_statsmodels_for_each_series() -> None:
    from statsmodels.tsa.ar_model import AutoReg

    x = np.stack([remembering(80, 0.5, seed) for seed in range(4)]).reshape(2, 2, 80)
    for order in (1, 3, 7):
        found = least_squares(x, order)
        for place in np.ndindex(2, 2):
            centred = x[place] - x[place].mean()
            assert_allclose(found[place], AutoReg(centred, order, trend="n").fit().params, rtol=1e-9)


def test_a_series_is_drawn_by_its_recursion_from_the_shocks_of_the_days_that_are_named() -> None:
    coefficients, shocks = np.array([0.5, -0.3]), normal(30)
    index = shock_index(np.random.default_rng(1), 3, 20, 30)
    assert index.shape == (3, SETTLING + 20)
    assert (index.min(), index.max()) == (MOST_LAGS, 29)
    found = Autoregression(coefficients, shocks).drawn(index)
    assert found.shape == (3, 20)
    for run, days in zip(found, index, strict=True):
        value, before = 0.0, 0.0
        expected = []
        for shock in shocks[days]:
            value, before = 0.5 * value - 0.3 * before + shock, value
            expected.append(value)
        assert_allclose(run, expected[SETTLING:])


def test_long_run_ratios_are_those_of_theory() -> None:
    found = long_run_ratios(np.array([[0.5, 0.0], [0.2, 0.2], [-0.3, 0.0]]))
    second = (1 - 0.2) / ((1 + 0.2) * ((1 - 0.2) ** 2 - 0.2**2))  # variance of AR(2) with shocks of variance 1
    assert_allclose(found, [1.5 / 0.5, 1 / (1 - 0.4) ** 2 / second, 0.7 / 1.3], rtol=1e-9)


def test_coefficients_are_shrunk_only_where_they_explode() -> None:
    given = np.array([[0.5, 0.2], [1.4, 0.2], [0.0, 1.2]])
    found = stationary(given)
    assert_allclose(found[0], given[0])
    for each in found[1:]:
        assert np.abs(np.roots([1, *(-each)])).max() == pytest.approx(0.97)


def test_coefficients_are_corrected_for_their_bias() -> None:
    """Least squares of 40 days fall short of 0.6 by about (1 + 3 * 0.6) / 40 on average; corrected they hardly do."""
    plain, corrected = [], []
    for seed in range(60):
        x = remembering(40, 0.6, seed)
        likeliest, _ = autoregressions(x - x.mean(), np.random.default_rng(seed))
        if len(likeliest.coefficients) == 1:
            plain.append(least_squares(x, 1)[0])
            corrected.append(likeliest.coefficients[0])
    assert len(plain) > 30
    assert 0.6 - np.mean(plain) > 0.05
    assert abs(0.6 - np.mean(corrected)) < 0.05


def test_the_order_is_that_of_the_memory() -> None:
    shocks = normal(3100)
    for day in range(3, 3100):
        shocks[day] += 0.3 * shocks[day - 1] + 0.3 * shocks[day - 3]
    likeliest, _ = autoregressions(shocks[100:], np.random.default_rng(0))
    assert 3 <= len(likeliest.coefficients) <= 5
    assert_allclose(likeliest.coefficients[:3], [0.3, 0.0, 0.3], atol=0.06)


def test_nine_tenths_of_histories_depend_less_than_the_upper_limit() -> None:
    """Of histories of AR 0.4, the limit covers the true ratio of 2.33 in about nine tenths."""
    covered = []
    for seed in range(60):
        x = remembering(120, 0.4, seed)
        _, upper = autoregressions(x, np.random.default_rng(seed))
        covered.append(long_run_ratios(upper.coefficients[np.newaxis])[0] > 1.4 / 0.6)
    assert 0.75 <= np.mean(covered) <= 1


def test_days_that_repeat_have_an_autoregression_too() -> None:
    likeliest, upper = autoregressions(np.resize([1.0, -1.0], 56), np.random.default_rng(0))
    assert np.isfinite(likeliest.coefficients).all()
    assert np.isfinite(upper.coefficients).all()
    assert np.abs(likeliest.shocks).max() < 0.05
