"""How many observations are needed, and which arguments are refused."""

import math

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from shadow_deployment.statistics.confidence_sequence import (
    confidence_sequence,
    observations_needed,
    weighted_confidence_sequence,
)
from tests.unit.statistics.references import (
    ALPHA,
    BURN_IN,
    DESIGN,
    METHODS,
    boundary,
    days_of,
    long_memory_reference,
    margin_of_independent_days,
)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("effect", "deviation"), [(0.3, 1.0), (-0.3, 1.0), (0.003, 0.008), (0.01, 0.2), (1.0, 3.5)])
def test_observations_needed_is_the_first_at_which_the_margin_is_below_the_effect(effect, deviation, method):
    needed = observations_needed(effect, deviation, **DESIGN, method=method)
    assert deviation * margin_of_independent_days(needed, method) < abs(effect)
    assert needed == BURN_IN or deviation * margin_of_independent_days(needed - 1, method) >= abs(effect)


def test_observations_needed_is_never_below_the_burn_in_nor_above_what_is_searched():
    assert observations_needed(5.0, 1.0, **DESIGN) == BURN_IN
    assert observations_needed(0.0, 1.0, **DESIGN) is None
    assert observations_needed(1e-4, 1.0, **DESIGN) is None
    assert observations_needed(1.0, 0.0, **DESIGN) is None
    last = margin_of_independent_days(100_000, "robust")
    assert observations_needed(last * (1 + 1e-12), 1.0, **DESIGN) == 100_000
    assert observations_needed(last * (1 - 1e-12), 1.0, **DESIGN) is None


@pytest.mark.parametrize("method", ["robust", "long_memory", "plain"])
def test_the_margin_of_days_that_happen_to_be_unrelated_is_that_of_independent_days(method):
    """Alternating days of equal size: no autocorrelation that widens, no skewness; cosines see their slow part only."""
    x = np.resize([1.0, -1.0], 60) * math.sqrt(59 / 60)
    got = confidence_sequence(x, **DESIGN, side="lower", method=method)
    margin = float((got.estimate - got.lower)[-1])
    if method == "long_memory":
        margin /= math.sqrt(long_memory_reference(x)[0])
    assert margin == pytest.approx(margin_of_independent_days(60, method), rel=1e-9)


SUMS = ("count", "weight", "weight_difference", "weight2", "weight2_difference", "weight2_difference2")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"alpha": 1.5}, "alpha == 1.5, must be > 0 and < 1"),
        ({"alpha": 0}, "alpha == 0, must be > 0 and < 1"),
        ({"alpha": 1.0}, "alpha == 1.0, must be > 0 and < 1"),
        ({"alpha": math.nan}, "alpha == nan, must be > 0 and < 1"),
        ({"alpha": (0.1, 0.0)}, "alpha == (0.1, 0.0), must be > 0 and < 1"),
        ({"alpha": (1.0, 0.1)}, "alpha == (1.0, 0.1), must be > 0 and < 1"),
        ({"burn_in": 1}, "burn_in == 1, must be an integer >= 2"),
        ({"burn_in": 2.5}, "burn_in == 2.5, must be an integer >= 2"),
        ({"burn_in": True}, "burn_in == True, must be an integer >= 2"),
        ({"tuned_for": 0}, "tuned_for == 0, must be > 0 and finite"),
        ({"tuned_for": math.inf}, "tuned_for == inf, must be > 0 and finite"),
        ({"side": "left"}, "side == 'left', must be one of both, lower, upper"),
        ({"method": "bayes"}, "method == 'bayes', must be one of robust, long_memory, plain, betting"),
        ({"observations": [0.0, math.nan]}, "observations[1] == nan, must be finite"),
        ({"observations": [[0.0, 1.0], [math.inf, 1.0]]}, "observations[1, 0] == inf, must be finite"),
        ({"observations": 3.0}, "observations == 3.0, must be an array with time as its last axis"),
        (
            {"observations": [0.0, 1.5], "method": "betting"},
            "observations[1] == 1.5, must be within bounds (-1.0, 1.0)",
        ),
        *(
            (
                {"method": "betting", "bounds": bounds},
                f"bounds == {bounds}, must be two finite numbers, the lower first",
            )
            for bounds in [(1.0, -1.0), (1.0, 1.0), (-math.inf, 1.0), (0.0, math.inf)]
        ),
    ],
)
def test_a_wrong_argument_is_named_with_what_is_allowed(change, message):
    with pytest.raises(ValueError, match="must be") as error:
        confidence_sequence(**{"observations": [0.0, 1.0], **DESIGN, **change})
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weight": [1.0, -2.0]}, "weight[1] == -2.0, must be >= 0"),
        *(({name: [1.0, math.nan]}, f"{name}[1] == nan, must be finite") for name in SUMS),
        *(({name: [-1.0, 1.0]}, f"{name}[0] == -1.0, must be >= 0") for name in ("count", "weight", "weight2")),
        ({"count": [math.nan, 1.0]}, "count[0] == nan, must be finite"),
        ({"weight2": [1.0]}, "weight2.shape == (1,), must be (2,) as count.shape"),
    ],
)
def test_wrong_sums_are_named_with_what_is_allowed(change, message):
    sums = {name: [1.0, 1.0] for name in SUMS}
    with pytest.raises(ValueError, match="must be") as error:
        weighted_confidence_sequence(**{**sums, **DESIGN, **change})
    assert str(error.value) == message


def test_a_forecast_from_what_is_not_a_number_is_refused():
    with pytest.raises(ValueError, match="effect == nan, must be finite"):
        observations_needed(math.nan, 1.0, **DESIGN)
    for spread in (-1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match=f"standard_deviation == {spread}, must be finite and >= 0"):
            observations_needed(1.0, spread, **DESIGN)
    with pytest.raises(ValueError, match="burn_in == 1, must be an integer >= 2"):
        observations_needed(1.0, 1.0, **DESIGN | {"burn_in": 1})


@pytest.mark.parametrize("method", METHODS)
def test_observations_may_be_whole_numbers_of_any_size(method):
    x = np.resize(np.array([-100, 100, 0, 60], np.int8), 60)
    got = confidence_sequence(x, **DESIGN, method=method, bounds=(-100, 100))
    want = confidence_sequence(x.astype(float), **DESIGN, method=method, bounds=(-100, 100))
    assert np.isfinite(got.lower[BURN_IN - 1 :]).all()
    assert_array_equal(got.lower, want.lower)
    assert_array_equal(got.upper, want.upper)


def test_bounds_may_be_tuned_for_less_than_one_observation():
    x = days_of("normal")
    margin = x.std(ddof=1) * boundary(len(x), ALPHA, 0.5)
    got = confidence_sequence(x, alpha=ALPHA, burn_in=BURN_IN, tuned_for=0.5, side="lower", method="plain")
    assert got.lower[-1] == pytest.approx(x.mean() - margin, abs=1e-12)


def test_a_burn_in_may_be_any_integer():
    x = days_of("normal")
    got = confidence_sequence(x, **DESIGN | {"burn_in": np.int64(BURN_IN)})
    assert_array_equal(got.lower, confidence_sequence(x, **DESIGN).lower)
