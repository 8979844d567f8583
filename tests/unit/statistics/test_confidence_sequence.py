"""The sequences against slow references, at the days on which they are read."""

import math
import time

import numpy as np
import pytest
from numpy.testing import assert_allclose

from shadow_deployment.statistics.confidence_sequence import (
    confidence_sequence,
)
from shadow_deployment.statistics.long_run_variance import long_run_ratio
from tests import simulation
from tests.unit.statistics.references import (
    ALPHA,
    BURN_IN,
    DESIGN,
    EXPECTED,
    KINDS,
    METHODS,
    REFERENCES,
    boundary,
    days_of,
    reference_bounds,
    short_memory_reference,
)


@pytest.mark.parametrize("method", REFERENCES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("side", "alpha"), [("both", 0.1), ("lower", 0.05), ("upper", 0.05)])
def test_it_agrees_with_statsmodels_scipy_and_a_root_finder(kind, side, alpha, method):
    x = days_of(kind)
    got = confidence_sequence(x, alpha=alpha, burn_in=BURN_IN, tuned_for=EXPECTED, side=side, method=method)
    for t in (28, 29, 60, 99, 120):
        lower, upper = reference_bounds(x[:t], 0.05, method)
        assert got.lower[t - 1] == pytest.approx(-math.inf if side == "upper" else lower, rel=1e-9, abs=1e-9)
        assert got.upper[t - 1] == pytest.approx(math.inf if side == "lower" else upper, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("method", REFERENCES)
@pytest.mark.parametrize("kind", KINDS)
def test_it_agrees_with_them_from_the_second_day_on(kind, method):
    x = days_of(kind, 40)[5:]
    got = confidence_sequence(x, alpha=0.1, burn_in=2, tuned_for=EXPECTED, method=method)
    for t in (2, 3, 4, 5, 6, 7, 8, 9, 12, 27, 28):
        want = reference_bounds(x[:t], 0.05, method)
        assert (got.lower[t - 1], got.upper[t - 1]) == pytest.approx(want, rel=1e-7)


def test_long_memory_is_estimated_anew_whenever_there_is_a_hundredth_more_days():
    x = days_of("dependent", 420)
    got = confidence_sequence(x, **DESIGN, side="lower", method="long_memory")
    for t in (198, 199, 200, 202, 300, 398, 399, 400, 420):
        want = reference_bounds(x[:t], ALPHA, "long_memory")[0]
        assert (got.lower[t - 1] == pytest.approx(want, rel=1e-9)) == (t != 398)
    first = confidence_sequence(x[:398], **DESIGN | {"burn_in": 398}, side="lower", method="long_memory")
    assert first.lower[-1] == pytest.approx(reference_bounds(x[:398], ALPHA, "long_memory")[0], rel=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_the_ratio_of_one_series_is_that_of_statsmodels(kind):
    x = days_of(kind, 35)
    assert long_run_ratio(x) == pytest.approx(max(short_memory_reference(x)[0] / x.var(ddof=1), 1.0), rel=1e-9)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("days", [0, 1, 27, 28, 29, 120, 305])
def test_the_newest_look_alone_is_the_last_of_all(days, method):
    x = np.clip(np.stack([days_of(kind, 305)[:days] for kind in KINDS] + [np.full(days, 0.3)]), -1, 1)
    for side in ("both", "lower", "upper"):
        every = confidence_sequence(x, **DESIGN, side=side, method=method)
        newest = confidence_sequence(x, **DESIGN, side=side, method=method, looks="newest")
        for name in ("lower", "upper", "estimate"):
            assert getattr(newest, name).shape == (len(x), min(days, 1))
            assert_allclose(getattr(newest, name), getattr(every, name)[:, -1:], rtol=1e-12, atol=1e-13)


def test_long_memory_is_blind_to_a_weekly_pattern():
    """Its margin stays that of the days without the pattern; the default's grows with the pattern's variance."""
    x, pattern = days_of("normal", 364), np.resize([3.0, 2.0, 0.0, 0.0, 0.0, -2.0, -3.0], 364)
    wider = {}
    for method in REFERENCES:
        bounds = [confidence_sequence(y, **DESIGN, side="lower", method=method) for y in (x, x + pattern)]
        before, after = ((one.estimate - one.lower)[-1] for one in bounds)
        wider[method] = after / before
    assert wider["long_memory"] == pytest.approx(1, abs=0.1)
    assert wider["robust"] > 1.8


def test_bandwidth_is_not_lost_to_rounding_where_t_is_a_cube():
    x = days_of("every other day", 1_000)
    got = confidence_sequence(x, **DESIGN, side="lower")
    assert got.lower[-1] == pytest.approx(reference_bounds(x, ALPHA)[0], rel=1e-9)


def test_plain_agrees_with_the_formula_day_by_day():
    x = days_of("normal")
    got = confidence_sequence(x, **DESIGN, side="both", method="plain")
    for t in range(BURN_IN, len(x) + 1):
        margin = x[:t].std(ddof=1) * boundary(t, ALPHA / 2, EXPECTED)
        assert got.lower[t - 1] == pytest.approx(x[:t].mean() - margin, abs=1e-12)
        assert got.upper[t - 1] == pytest.approx(x[:t].mean() + margin, abs=1e-12)


@pytest.mark.parametrize("t", [28, 60, 365])
def test_at_the_bound_the_mixture_of_likelihood_ratios_has_won_one_over_alpha(t):
    """Ville's inequality: a half-normal mixture of exp(λS - λ²t/2) exceeds 1/alpha with probability alpha at most."""
    from scipy.integrate import quad

    x = np.resize([1.0, -1.0], t) * math.sqrt((t - 1) / t) if t % 2 == 0 else days_of("normal", t)
    got = confidence_sequence(x, **DESIGN, side="lower", method="plain")
    total = t * (got.estimate[-1] - got.lower[-1]) / x.std(ddof=1)
    rho = math.sqrt((-2 * math.log(ALPHA) + math.log(1 - 2 * math.log(ALPHA))) / EXPECTED)

    def bet(size: float) -> float:
        prior = 2 / (rho * math.sqrt(2 * math.pi)) * math.exp(-(size**2) / (2 * rho**2))
        return prior * math.exp(size * total - size**2 * t / 2)

    won = quad(bet, 0, 10 * rho, epsabs=1e-10, limit=200)[0]
    assert 1 / ALPHA <= won < 1.1 / ALPHA


@pytest.mark.parametrize("expected", [60, 200])
def test_bounds_are_tightest_when_tuned_for_the_time_they_are_read(expected):
    x = days_of("normal", 400)
    widths = {
        tuned: -confidence_sequence(x - x[:expected].mean(), alpha=ALPHA, burn_in=28, tuned_for=tuned, side="lower")
        .lower[expected - 1]
        .item()
        for tuned in (expected / 4, expected, expected * 4)
    }
    assert min(widths, key=widths.__getitem__) == expected


@pytest.mark.parametrize("alpha", [0.05, 0.9])
def test_betting_agrees_with_the_paper_step_by_step(alpha):
    x = np.clip(days_of("rare losses") / 4, -1, 1)
    design = {"alpha": alpha, "burn_in": BURN_IN, "tuned_for": EXPECTED, "method": "betting"}
    got = confidence_sequence(x, **design, side="lower")
    mirrored = confidence_sequence(-x, **design, side="upper")
    seen, mean, variance = [], 0.5, 0.25
    stake = staked = lost = 0.0
    for n, raw in enumerate(x, start=1):
        value = (raw + 1) / 2
        bet = min(math.sqrt(2 * math.log(1 / alpha) / (variance * n * math.log(1 + n))), 0.75)
        staked, stake = staked + bet, stake + bet * value
        lost += 4 * (value - mean) ** 2 * (-math.log(1 - bet) - bet) / 4
        seen.append((value, (0.5 + sum(v for v, _ in seen) + value) / (n + 1)))
        mean = seen[-1][1]
        variance = (0.25 + sum((v - m) ** 2 for v, m in seen)) / (n + 1)
        if n >= BURN_IN:
            lower = 2 * max(0.0, (stake - math.log(1 / alpha) - lost) / staked) - 1
            assert got.lower[n - 1] == pytest.approx(lower, abs=1e-12)
            assert mirrored.upper[n - 1] == pytest.approx(-lower, abs=1e-12)


def test_betting_bounds_stay_within_what_the_observations_can_be():
    x = np.resize([0.9, 1.0, 1.0], 40)
    high = confidence_sequence(x, **DESIGN, method="betting", bounds=(0.0, 1.0))
    low = confidence_sequence(1 - x, **DESIGN, method="betting", bounds=(0.0, 1.0))
    assert (high.upper[BURN_IN - 1 :] == 1).all()
    assert (low.lower[BURN_IN - 1 :] == 0).all()


@pytest.mark.parametrize("kind", ["rare losses", "dependent", "every other day", "drifting"])
def test_robust_is_more_cautious_than_plain_where_days_are_dependent_or_rarely_bad(kind):
    x = days_of(kind)
    robust = confidence_sequence(x, **DESIGN, side="lower").lower
    plain = confidence_sequence(x, **DESIGN, side="lower", method="plain").lower
    assert (robust[BURN_IN:] < plain[BURN_IN:]).all()


def test_numbers_too_far_apart_for_arithmetic_give_no_bound():
    x = np.append(np.resize([0.0, 5e-324], 40), 1e300)
    with np.errstate(all="ignore"):
        got = confidence_sequence(x, **DESIGN)
    assert not np.isnan(got.lower).any()
    assert np.isneginf(got.lower[-1])


@pytest.mark.parametrize("sign", [1, -1])
def test_where_one_bound_is_too_large_for_arithmetic_the_other_is_not_given_either(sign):
    x = sign * np.array([1.0, -2.0, 1.0, 0.0])
    usual = confidence_sequence(x, alpha=0.1, burn_in=2, tuned_for=60)
    far = usual.lower[3] if sign == 1 else usual.upper[3]
    near = usual.upper[3] if sign == 1 else usual.lower[3]
    assert abs(far) > 1.5 * abs(near)
    size = np.finfo(np.float64).max / abs(far) * 1.01
    with np.errstate(over="ignore"):
        got = confidence_sequence(size * x, alpha=0.1, burn_in=2, tuned_for=60)
    assert (got.lower[3], got.upper[3]) == (-math.inf, math.inf)


def test_an_extreme_skewness_gives_a_finite_and_ordered_bound():
    """Johnson's own quadratic has no solution here; Hall's always has one."""
    x = np.full(60, 0.5) + np.tile([0.01, -0.01], 30)
    x[10] = -20.0
    got = confidence_sequence(x, **DESIGN)
    assert np.isfinite(got.lower[BURN_IN - 1 :]).all()
    assert (got.lower[BURN_IN - 1 :] < got.estimate[BURN_IN - 1 :]).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("burn_in", [2, 3, 5, 28])
def test_the_first_bound_is_given_at_the_burn_in(method, burn_in):
    x = np.clip(days_of("normal") / 5, -1, 1)
    got = confidence_sequence(x, alpha=ALPHA, burn_in=burn_in, tuned_for=EXPECTED, method=method)
    assert np.isneginf(got.lower[: burn_in - 1]).all()
    assert np.isposinf(got.upper[: burn_in - 1]).all()
    assert np.isfinite(got.lower[burn_in - 1 :]).all()
    assert np.isfinite(got.upper[burn_in - 1 :]).all()
    assert_allclose(got.estimate, np.cumsum(x) / np.arange(1, 121))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("length", [0, 1, 27])
def test_fewer_observations_than_the_burn_in_give_no_bounds(method, length):
    got = confidence_sequence(np.linspace(-1, 1, length), **DESIGN, method=method)
    assert got.lower.shape == got.upper.shape == got.estimate.shape == (length,)
    assert np.isneginf(got.lower).all()
    assert np.isposinf(got.upper).all()


@pytest.mark.parametrize("method", METHODS)
def test_an_array_of_series_gives_what_each_gives_alone(method):
    x = np.clip(np.stack([days_of(kind) for kind in KINDS]).reshape(3, 2, -1) / 6, -1, 1)
    x[1, 0] = 0.0
    got = confidence_sequence(x, **DESIGN, method=method)
    assert got.lower.shape == x.shape
    for index in np.ndindex(3, 2):
        alone = confidence_sequence(x[index], **DESIGN, method=method)
        assert_allclose(got.lower[index], alone.lower, rtol=1e-12)
        assert_allclose(got.upper[index], alone.upper, rtol=1e-12)
        assert_allclose(got.estimate[index], alone.estimate, rtol=1e-12)


@pytest.mark.parametrize("method", ["robust", "long_memory", "plain"])
def test_series_of_very_different_sizes_do_not_disturb_each_other(method):
    x = days_of("rare losses")
    sizes = np.array([1e-120, 1e-5, 1.0, 1e120])
    got = confidence_sequence(sizes[:, np.newaxis] * (x + 3), **DESIGN, method=method)
    alone = confidence_sequence(x + 3, **DESIGN, method=method)
    for number, size in enumerate(sizes):
        assert_allclose(got.lower[number] / size, alone.lower, rtol=1e-9)
        assert_allclose(got.upper[number] / size, alone.upper, rtol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_a_year_of_2500_series_is_judged_while_one_waits(method):
    x = np.random.default_rng(0).uniform(-1, 1, size=(2500, 365))
    started = time.process_time()
    confidence_sequence(x, **DESIGN, method=method)
    assert time.process_time() - started < 4  # about half a second; a loop over times takes minutes


@pytest.mark.parametrize("method", ["robust", "long_memory"])
@pytest.mark.parametrize("scenario", ["normal", "5 % bad days", "AR 0.7"])
def test_alpha_holds_within_what_a_few_years_can_show(scenario, method):
    """The slow tests of test_confidence_simulation.py say more; these take a second."""
    promoted = simulation.decisions(
        simulation.SCENARIOS[scenario], runs=600, seed=5, alphas=(0.05, 0.01), methods=(method,)
    )
    for (alpha, _), days in promoted.items():
        assert np.isfinite(days).mean() <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / 600)
