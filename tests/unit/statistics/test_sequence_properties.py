"""What holds of the bounds of any days: they move, stretch, mirror and enclose as they should."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from shadow_deployment.statistics.confidence_sequence import (
    confidence_sequence,
)
from tests.unit.statistics.references import ALPHA, BURN_IN, DESIGN, EXPECTED, METHODS, days_of

series = st.lists(st.integers(-1000, 1000), min_size=30, max_size=50).map(lambda values: np.array(values) / 1000)
varied = series.filter(lambda values: len(set(values[:28])) > 1)
methods = st.sampled_from(METHODS)
asymptotic = st.sampled_from(("robust", "long_memory", "plain"))
LIKE = {"rtol": 1e-6, "atol": 1e-9}


@given(x=varied, shift=st.integers(-100, 100), scale=st.floats(1e-6, 1e6), method=asymptotic)
@settings(max_examples=60)
def test_bounds_move_and_stretch_with_the_observations(x, shift, scale, method):
    before = confidence_sequence(x, **DESIGN, method=method)
    after = confidence_sequence(scale * (x + shift), **DESIGN, method=method)
    assert_allclose(after.lower / scale, before.lower + shift, **LIKE)
    assert_allclose(after.upper / scale, before.upper + shift, **LIKE)
    assert_allclose(after.estimate / scale, before.estimate + shift, **LIKE)


@given(x=series, method=methods)
@settings(max_examples=60)
def test_lower_bound_is_the_mirrored_upper_bound(x, method):
    lower = confidence_sequence(x, **DESIGN, side="lower", method=method)
    upper = confidence_sequence(-x, **DESIGN, side="upper", method=method)
    assert_allclose(lower.lower, -upper.upper, **LIKE)
    assert np.isposinf(lower.upper).all()
    assert np.isneginf(upper.lower).all()


@given(x=varied, alpha=st.floats(0.001, 0.1), factor=st.floats(1.05, 2.0), method=methods)
@settings(max_examples=60)
def test_a_smaller_alpha_gives_bounds_outside_those_of_a_larger_one(x, alpha, factor, method):
    wide = confidence_sequence(x, alpha=alpha, burn_in=28, tuned_for=40, method=method)
    tight = confidence_sequence(x, alpha=alpha * factor, burn_in=28, tuned_for=40, method=method)
    assert (wide.lower <= tight.lower).all()
    assert (wide.upper >= tight.upper).all()


@given(x=varied, method=asymptotic)
@settings(max_examples=60)
def test_bounds_enclose_the_estimate(x, method):
    got = confidence_sequence(x, **DESIGN, method=method)
    assert (got.lower < got.estimate).all()
    assert (got.estimate < got.upper).all()


@pytest.mark.parametrize("method", METHODS)
def test_of_two_alphas_each_bound_gets_its_own(method):
    x = np.stack([days_of("normal"), days_of("dependent")]) / 10
    design = {"burn_in": BURN_IN, "tuned_for": EXPECTED, "method": method}
    both = confidence_sequence(x, alpha=(0.01, 0.2), **design)
    lower = confidence_sequence(x, alpha=0.01, side="lower", **design)
    upper = confidence_sequence(x, alpha=0.2, side="upper", **design)
    assert np.isfinite(both.lower[:, -1]).all()
    assert_array_equal(both.lower, lower.lower)
    assert_array_equal(both.upper, upper.upper)


@given(x=varied)
@settings(max_examples=60)
def test_both_sides_are_each_side_at_half_of_alpha(x):
    both = confidence_sequence(x, **DESIGN)
    lower = confidence_sequence(x, alpha=ALPHA / 2, burn_in=BURN_IN, tuned_for=EXPECTED, side="lower")
    upper = confidence_sequence(x, alpha=ALPHA / 2, burn_in=BURN_IN, tuned_for=EXPECTED, side="upper")
    assert_array_equal(both.lower, lower.lower)
    assert_array_equal(both.upper, upper.upper)


@given(x=varied, later=st.integers(-10_000, 10_000), method=asymptotic)
@settings(max_examples=60)
def test_what_comes_later_does_not_change_a_bound(x, later, method):
    before = confidence_sequence(x, **DESIGN, method=method)
    after = confidence_sequence(np.append(x, later), **DESIGN, method=method)
    assert_allclose(after.lower[:-1], before.lower, rtol=1e-12)
    assert_allclose(after.upper[:-1], before.upper, rtol=1e-12)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [0.0, 0.1, -0.3])
def test_an_identical_or_constant_challenger_never_gets_a_bound(method, value):
    x = np.full(365, value) * (1 + 1e-15 * np.resize([0, 1, 3], 365))
    got = confidence_sequence(x, **DESIGN, method=method)
    assert np.isneginf(got.lower).all()
    assert np.isposinf(got.upper).all()
    assert_allclose(got.estimate, value)


@pytest.mark.parametrize("method", METHODS)
def test_bounds_begin_once_constant_observations_begin_to_differ(method):
    x = np.append(np.zeros(50), [0.5, 0.25])
    got = confidence_sequence(x, **DESIGN, method=method)
    assert np.isneginf(got.lower[:50]).all()
    assert np.isfinite(got.lower[50:]).all()
    assert (got.lower[50:] < 0).all()
