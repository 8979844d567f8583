"""The test of memory beyond the day before: its formula, its false alarms and what it finds."""

import numpy as np
import pytest

from shadow_deployment.statistics.memory import memory_beyond_the_day_before
from tests import simulation

THRESHOLD = 2.326  # 1 % of a standard normal


def test_it_is_the_sum_of_autocorrelations_of_residuals() -> None:
    from statsmodels.tsa.stattools import acf

    x = simulation.SCENARIOS["AR 0.4"](np.random.default_rng(2), 1, 90)[0]
    r = (90 * acf(x, nlags=1, fft=False)[1] + 1) / 86
    residuals = (x - x.mean())[1:] - r * (x - x.mean())[:-1]
    total = acf(residuals, nlags=7, fft=False)[2:].sum() + 6 / 89
    assert memory_beyond_the_day_before(x) == pytest.approx(total * np.sqrt(89 / 6))
    assert memory_beyond_the_day_before(-3 * x + 5) == pytest.approx(total * np.sqrt(89 / 6))


@pytest.mark.parametrize("days", [60, 240])
@pytest.mark.parametrize("scenario", ["normal", "heavy tails (t, 3 df)", "5 % bad days", "AR 0.4", "AR 0.7"])
def test_days_that_resemble_the_day_before_are_warned_of_in_one_case_of_a_hundred(scenario: str, days: int) -> None:
    runs = simulation.SCENARIOS[scenario](np.random.default_rng(3), 2_000, days)
    assert np.mean([memory_beyond_the_day_before(x) > THRESHOLD for x in runs]) <= 0.01 + 3 * np.sqrt(0.0099 / 2_000)


@pytest.mark.parametrize(("scenario", "found"), [("ARMA 0.8, -0.5", 0.55), ("AR(2) 0.2, 0.2", 0.2)])
def test_a_long_memory_is_found_in_240_days(scenario: str, found: float) -> None:
    runs = simulation.SCENARIOS[scenario](np.random.default_rng(3), 1_000, 240)
    assert np.mean([memory_beyond_the_day_before(x) > THRESHOLD for x in runs]) > found
