"""The sequences against slow references written from the papers, and what must hold whatever the data."""

import math
import time
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from shadow_deployment.statistics.confidence_sequence import (
    confidence_sequence,
    observations_needed,
    weighted_confidence_sequence,
)
from shadow_deployment.statistics.long_run_variance import long_run_ratio
from tests import simulation

ALPHA, BURN_IN, EXPECTED = 0.05, 28, 60
DESIGN = {"alpha": ALPHA, "burn_in": BURN_IN, "tuned_for": EXPECTED}
METHODS = ("robust", "long_memory", "plain", "betting")


def days_of(kind: str, days: int = 120, seed: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if kind == "normal":
        return 0.1 + rng.standard_normal(days)
    if kind == "rare losses":
        return 0.3 - rng.exponential(size=days)
    if kind == "rare gains":
        return rng.exponential(size=days)
    if kind == "drifting":
        return np.cumsum(rng.standard_normal(days))
    memory = {"dependent": (0.6, 0.0), "every other day": (0.0, 0.6)}[kind]
    series = np.zeros(days)
    for day in range(2, days):
        series[day] = memory[0] * series[day - 1] + memory[1] * series[day - 2] + 1 - rng.exponential()
    return series


KINDS = ("normal", "rare losses", "rare gains", "dependent", "every other day", "drifting")


def boundary(t: int, alpha: float, expected: float) -> float:
    """The one-sided boundary of Waudby-Smith et al. at unit standard deviation, one time after the other."""
    rho2 = (-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) / expected
    return math.sqrt(2 * (t * rho2 + 1) / (t**2 * rho2) * math.log(1 + math.sqrt(t * rho2 + 1) / (2 * alpha)))


def short_memory_reference(x: np.ndarray) -> tuple[float, float]:
    """The long-run variance of one series by statsmodels, HAC and an autoregression, and its degrees of freedom."""
    import statsmodels.api as sm
    from statsmodels.tsa.stattools import acf

    t = len(x)
    lags = math.floor(1.3 * t ** (1 / 3) + 1e-9)
    fit = sm.OLS(x, np.ones(t)).fit(cov_type="HAC", cov_kwds={"maxlags": lags, "use_correction": False})
    hac = t * float(fit.bse[0]) ** 2 / (1 - min((lags + 1) / t, 0.5))
    r = (t * float(acf(x, nlags=1, fft=False)[1]) + 1) / max(t - 4, 1)
    r = min(max(r, 0.0), 1 - 1 / math.sqrt(t))
    variance = x.var(ddof=1)
    longer = max(hac, variance * (1 + r) / (1 - r))
    return longer, max(t / (2 * longer / variance - 1) - 1, 3)


def long_memory_reference(x: np.ndarray) -> tuple[float, float]:
    """The mean of the first squared coefficients of scipy's discrete cosine transform, and its degrees of freedom."""
    from scipy.fft import dct

    t = len(x)
    count = min(max(round(0.5 * t ** (2 / 3)), 2), t - 1)
    return float((dct(x, norm="ortho")[1 : count + 1] ** 2).mean()), max(count - 2, 1)


REFERENCES = {"robust": short_memory_reference, "long_memory": long_memory_reference}


def reference_bounds(x: np.ndarray, alpha: float, method: str = "robust") -> tuple[float, float]:
    """Both bounds after the last of x: Student's quantile by Wallace, and Hall's transformation by a root finder."""
    from scipy.optimize import brentq
    from scipy.stats import skew

    t = len(x)
    root_t = math.sqrt(t)
    longer, degrees = REFERENCES[method](x)
    normal = (8 * degrees + 3) / (8 * degrees + 1) * boundary(t, alpha, EXPECTED) * root_t
    z = math.sqrt(degrees * math.expm1(normal**2 / degrees)) * math.sqrt(longer / x.var(ddof=1))

    def distance(skewness: float) -> float:
        g = min(skewness, math.sqrt(6 / t))

        def hall(statistic: float) -> float:
            cubic = g**2 * statistic**3 / (27 * t)
            return statistic + g * (statistic**2 / 3 + 1 / 6) / root_t + cubic - z

        reach = 100 + 10 * z
        return float(brentq(hall, -reach, reach, xtol=1e-13, rtol=1e-14)) * x.std(ddof=1) / root_t

    skewness = float(skew(x, bias=False)) if t > 2 else 0.0
    return x.mean() - distance(skewness), x.mean() + distance(-skewness)


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


# What holds for any data.

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


# No decision from nothing.


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


# Many series at once.


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


# Requests, from the sums of each day.


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


# How long it may take.


def margin_of_independent_days(t: int, method: str) -> float:
    degrees = {"robust": t - 1, "long_memory": round(0.5 * t ** (2 / 3)) - 2}.get(method)
    if degrees is None:
        return boundary(t, ALPHA, EXPECTED)
    normal = (8 * degrees + 3) / (8 * degrees + 1) * boundary(t, ALPHA, EXPECTED)
    return math.sqrt(degrees / t * math.expm1(normal**2 * t / degrees))


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

# Errors say what was got and what is allowed.


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
