"""Slow references of the sequences, written from the papers, and days of several kinds."""

import math

import numpy as np

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


def margin_of_independent_days(t: int, method: str) -> float:
    degrees = {"robust": t - 1, "long_memory": round(0.5 * t ** (2 / 3)) - 2}.get(method)
    if degrees is None:
        return boundary(t, ALPHA, EXPECTED)
    normal = (8 * degrees + 3) / (8 * degrees + 1) * boundary(t, ALPHA, EXPECTED)
    return math.sqrt(degrees / t * math.expm1(normal**2 * t / degrees))
