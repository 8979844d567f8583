"""Student's quantile in closed form, and the first day on which walks with a drift are decided."""

import math

import numpy as np
import pytest
from scipy.special import ndtr, stdtrit

from shadow_deployment.statistics.first_passage import decision_times
from shadow_deployment.statistics.margin import student_margin
from tests.unit.statistics.references import boundary

DESIGN = {"alpha": 0.05, "tuned_for": 60.0, "burn_in": 28}


def excess(degrees: float, normal: np.ndarray) -> np.ndarray:
    """How much wider the closed form is than Student's quantile of the same probability."""
    t = np.full_like(normal, 50.0)
    found = student_margin(normal / np.sqrt(t), t, np.full_like(normal, degrees)) * np.sqrt(t)
    return np.asarray(found / -stdtrit(degrees, ndtr(-normal)) - 1)


@pytest.mark.parametrize("degrees", [20, 27.5, 60, 365])
def test_the_closed_form_is_students_quantile_where_there_are_some_degrees_of_freedom(degrees: float) -> None:
    assert np.abs(excess(degrees, np.linspace(1, 5, 20))).max() < 0.003


@pytest.mark.parametrize("degrees", [1, 2, 3, 5, 10])
def test_the_closed_form_is_too_wide_rather_than_too_narrow_where_there_are_few(degrees: float) -> None:
    wider = excess(degrees, np.linspace(1, 5, 20))
    assert wider.min() > -0.004
    assert wider[-1] > 0.005


def walked(effect: float, runs: int = 4_000, days: int = 400) -> tuple[float, float]:
    """The median and the 90 % quantile of the first day of independent normal days against the plain margin."""
    looks = np.arange(1, days + 1)
    margin = np.array([boundary(t, 0.05, 60) if t >= 28 else math.inf for t in looks])
    means = np.cumsum(np.random.default_rng(1).standard_normal((runs, days)) + effect, axis=1) / looks
    decided = means > margin
    first = np.where(decided.any(axis=1), decided.argmax(axis=1) + 1, np.inf)
    median, most = np.quantile(first, (0.5, 0.9))
    return float(median), float(most)


@pytest.mark.parametrize("effect", [0.3, 0.5])
def test_half_and_nine_tenths_of_walks_are_decided_by_the_days_that_are_given(effect: float) -> None:
    assert decision_times(3 * effect, 3.0, **DESIGN, method="plain") == pytest.approx(walked(effect), rel=0.06)


def test_a_larger_effect_is_never_decided_later() -> None:
    found = [decision_times(effect, 1.0, **DESIGN, method="robust") for effect in np.geomspace(0.02, 2, 40)]
    for times in zip(*found, strict=True):
        days = [math.inf if day is None else day for day in times]
        assert days == sorted(days, reverse=True)
    assert found[-1] == (28, 28)
    assert found[0][1] is not None
    assert found[0][0] < found[0][1]  # type: ignore[operator]


def test_the_method_that_knows_its_variance_least_takes_longest() -> None:
    plain, robust, long_memory = (
        decision_times(0.3, 1.0, **DESIGN, method=method) for method in ("plain", "robust", "long_memory")
    )
    assert plain < robust < long_memory
    assert decision_times(0.3, 1.0, **DESIGN, method="betting") == plain


def test_what_is_never_decided_has_no_day() -> None:
    assert decision_times(0.1, 0.0, **DESIGN, method="robust") == (None, None)
    assert decision_times(1e-6, 1.0, **DESIGN, method="robust") == (None, None)
    late = decision_times(0.1, 1.0, alpha=0.05, tuned_for=60.0, burn_in=200_000, method="plain")
    assert late == (200_000, 200_000)


@pytest.mark.parametrize(
    ("effect", "deviation", "message"),
    [
        (0.0, 1.0, "effect == 0.0, must be > 0 and finite"),
        (math.inf, 1.0, "effect == inf, must be > 0 and finite"),
        (math.nan, 1.0, "effect == nan, must be > 0 and finite"),
        (1.0, -1.0, "standard_deviation == -1.0, must be >= 0 and finite"),
        (1.0, math.nan, "standard_deviation == nan, must be >= 0 and finite"),
    ],
)
def test_an_effect_or_a_spread_out_of_range_is_named(effect: float, deviation: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decision_times(effect, deviation, **DESIGN, method="robust")
