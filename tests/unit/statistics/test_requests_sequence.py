"""A sequence of single requests, weighted or not, from sums of their days."""

import math
import warnings

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from shadow_deployment.statistics.confidence_sequence import (
    confidence_sequence,
    weighted_confidence_sequence,
)
from tests.unit.statistics.references import DESIGN, METHODS, boundary


def sums_of(days: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, np.ndarray]:
    return {
        "count": np.array([len(w) for w, _ in days]),
        "weight": np.array([w.sum() for w, _ in days]),
        "weight_difference": np.array([(w * d).sum() for w, d in days]),
        "weight2": np.array([(w**2).sum() for w, _ in days]),
        "weight2_difference": np.array([(w**2 * d).sum() for w, d in days]),
        "weight2_difference2": np.array([(w**2 * d**2).sum() for w, d in days]),
    }


def requests(weighted: bool, days: int = 20, seed: int = 5) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(3, 40, days)
    return [(rng.choice([1.0, 5.0, 40.0], n) if weighted else np.full(n, 7.0), rng.normal(0.3, 1, n)) for n in sizes]


@pytest.mark.parametrize("side", ["both", "lower", "upper"])
def test_equal_weights_give_the_plain_sequence_of_the_requests(side):
    days = requests(weighted=False)
    ends = np.cumsum([len(w) for w, _ in days]) - 1
    got = weighted_confidence_sequence(**sums_of(days), alpha=0.05, burn_in=4, tuned_for=200, side=side)
    raw = np.concatenate([d for _, d in days])
    want = confidence_sequence(raw, alpha=0.05, burn_in=2, tuned_for=200, side=side, method="plain")
    assert_allclose(got.lower[3:], want.lower[ends][3:], rtol=1e-9, atol=1e-9)
    assert_allclose(got.upper[3:], want.upper[ends][3:], rtol=1e-9, atol=1e-9)
    assert_allclose(got.estimate, want.estimate[ends], rtol=1e-9)
    assert np.isneginf(got.lower[:3]).all()


def test_unequal_weights_agree_with_the_requests_themselves():
    days = requests(weighted=True)
    got = weighted_confidence_sequence(**sums_of(days), alpha=0.05, burn_in=2, tuned_for=200, side="lower")
    for day in (2, 7, 20):
        w = np.concatenate([w for w, _ in days[:day]])
        d = np.concatenate([d for _, d in days[:day]])
        mean = np.average(d, weights=w)
        kish = w.sum() ** 2 / (w**2).sum()
        error = math.sqrt((w**2 * (d - mean) ** 2).sum() / w.sum() ** 2 * kish / (kish - 1))
        margin = error * math.sqrt(len(w)) * boundary(len(w), 0.05, 200)
        assert got.estimate[day - 1] == pytest.approx(mean, rel=1e-9)
        assert got.lower[day - 1] == pytest.approx(mean - margin, rel=1e-9)


def test_of_two_alphas_each_bound_of_requests_gets_its_own():
    sums = sums_of(requests(weighted=True))
    design = {"burn_in": 2, "tuned_for": 500}
    both = weighted_confidence_sequence(**sums, alpha=(0.01, 0.2), **design)
    assert np.isfinite(both.lower[-1])
    assert_array_equal(both.lower, weighted_confidence_sequence(**sums, alpha=0.01, side="lower", **design).lower)
    assert_array_equal(both.upper, weighted_confidence_sequence(**sums, alpha=0.2, side="upper", **design).upper)


def test_only_the_proportions_of_weights_matter():
    days = requests(weighted=True)
    scaled = [(1e3 * w, d) for w, d in days]
    got = weighted_confidence_sequence(**sums_of(days), **DESIGN | {"burn_in": 2})
    same = weighted_confidence_sequence(**sums_of(scaled), **DESIGN | {"burn_in": 2})
    assert_allclose(got.lower, same.lower, rtol=1e-9)


def test_days_without_requests_and_identical_requests_give_no_bound():
    days = [(np.empty(0), np.empty(0))] * 2 + [(np.full(9, 3.0), np.full(9, 0.1))] * 3 + requests(weighted=True)[:1]
    got = weighted_confidence_sequence(**sums_of(days), alpha=0.05, burn_in=2, tuned_for=200)
    assert np.isnan(got.estimate[:2]).all()
    assert np.isneginf(got.lower[:5]).all()
    assert np.isposinf(got.upper[:5]).all()
    assert np.isfinite(got.lower[5])


@pytest.mark.parametrize(("share", "is_known"), [(0.0, False), (1e-7, False), (1.2e-6, False), (1.7e-6, True)])
@pytest.mark.parametrize("value", [0.1, -300.0])
def test_requests_that_differ_by_rounding_only_give_no_bound(share, is_known, value):
    days = [(np.full(20, 2.0), value * (1 + share * np.resize([-1.0, 1.0], 20)))] * 4
    got = weighted_confidence_sequence(**sums_of(days), alpha=0.05, burn_in=2, tuned_for=200)
    assert np.isfinite(got.lower[1:]).all() == np.isfinite(got.upper[1:]).all() == is_known
    assert np.isneginf(got.lower).all() != is_known
    assert_allclose(got.estimate, value)


def test_few_effective_requests_are_enough_for_a_bound():
    days = [(np.array([3.0]), np.array([0.2])), (np.array([1.0]), np.array([0.5]))]
    got = weighted_confidence_sequence(**sums_of(days), alpha=0.05, burn_in=2, tuned_for=200, side="lower")
    mean, kish = 1.1 / 4, 16 / 10
    error = math.sqrt((9 * (0.2 - mean) ** 2 + (0.5 - mean) ** 2) / 16 * kish / (kish - 1))
    assert got.lower[1] == pytest.approx(mean - error * math.sqrt(2) * boundary(2, 0.05, 200), rel=1e-12)


def test_sums_of_many_slices_give_what_each_gives_alone():
    slices = [sums_of(requests(weighted=True, seed=seed)) for seed in range(6)]
    stacked = {name: np.stack([one[name] for one in slices]).reshape(2, 3, -1) for name in slices[0]}
    got = weighted_confidence_sequence(**stacked, alpha=0.05, burn_in=4, tuned_for=200)
    for index, one in zip(np.ndindex(2, 3), slices, strict=True):
        alone = weighted_confidence_sequence(**one, alpha=0.05, burn_in=4, tuned_for=200)
        assert_allclose(got.lower[index], alone.lower, rtol=1e-12)
        assert_allclose(got.upper[index], alone.upper, rtol=1e-12)
        assert_allclose(got.estimate[index], alone.estimate, rtol=1e-12)


def test_requests_that_do_not_differ_from_zero_give_no_bound():
    got = weighted_confidence_sequence(**sums_of([(np.ones(9), np.zeros(9))] * 4), alpha=0.05, burn_in=2, tuned_for=200)
    assert np.isneginf(got.lower).all()
    assert np.isposinf(got.upper).all()


def test_a_request_that_outweighs_all_others_gives_no_bound():
    days = [(np.array([1.0]), np.array([0.3])), (np.array([0.0, 0.0]), np.array([0.5, 0.7])), *requests(weighted=True)]
    got = weighted_confidence_sequence(**sums_of(days), alpha=0.05, burn_in=2, tuned_for=200)
    assert np.isneginf(got.lower[1])
    assert np.isposinf(got.upper[1])
    assert np.isfinite(got.lower[2])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("x", [np.zeros(40), np.append(np.zeros(35), [0.5, 0.25])])
def test_nothing_is_warned_of_where_days_do_not_differ(method, x):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        confidence_sequence(x, **DESIGN, method=method)


def test_nothing_is_warned_of_where_days_have_no_requests_or_one():
    days = [(np.empty(0), np.empty(0)), (np.ones(1), np.ones(1)), (np.zeros(2), np.ones(2)), *requests(weighted=True)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        weighted_confidence_sequence(**sums_of(days), alpha=0.05, burn_in=2, tuned_for=200)
