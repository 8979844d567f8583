"""How far a bound lies from the mean of standardised observations.

Sources, by the names used below:

- AsympCS: Waudby-Smith, Arbour, Sinha, Kennedy, Ramdas, "Time-uniform central limit theory and asymptotic confidence
  sequences", Annals of Statistics 52(6), 2024.
- Wallace: Wallace, "Bounds on normal approximations to Student's and the chi-square distributions", Annals of
  Mathematical Statistics 30(4), 1959.
- Hall: Hall, "On the removal of skewness by transformation", JRSS B 54(1), 1992. The monotone form of Johnson's (1978)
  modified t, which can be inverted into an interval.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.statistics.cosine_variance import cosine_degrees
from shadow_deployment.statistics.long_run_variance import FEWEST_DEGREES

Array = NDArray[np.float64]
Method = Literal["robust", "long_memory", "plain", "betting"]


def normal_margin(t: Array | np.float64, alpha: float, tuned_for: float) -> Array:
    """Return the margin at unit standard deviation after t observations.

    AsympCS, the one-sided form, with ρ² tuned at `tuned_for`.
    """
    rho2 = (-2 * np.log(alpha) + np.log1p(-2 * np.log(alpha))) / tuned_for
    clock = t * rho2 + 1
    return np.asarray(np.sqrt(2 * clock / (t * t * rho2) * np.log1p(np.sqrt(clock) / (2 * alpha))))


def student_margin(margin: Array, t: Array, degrees: Array) -> Array:
    """Widen a margin for a variance that is estimated with few degrees of freedom.

    margin √t is read as a normal quantile and replaced by Student's of the same probability, in Wallace's closed form:
    within 0.3 % from 20 degrees of freedom on, and too wide rather than too narrow below.
    """
    correction = (8 * degrees + 3) / (8 * degrees + 1)
    with np.errstate(over="ignore"):
        return np.asarray(np.sqrt(degrees / t * np.expm1((correction * margin) ** 2 * t / degrees)))


def skewed_margin(margin: Array, skewness: Array, t: Array) -> Array:
    """Correct for skewness g how far the lower bound lies below the mean; both margins in standard deviations.

    Inverts Hall's T + g (T² / 3 + 1 / 6) / sqrt(t) + g² T³ / (27 t), written so that nothing is divided by g. Left
    skewness (rare bad days) lowers the bound in full. Right skewness raises it by no more than its standard error on
    symmetric days, sqrt(6 / t), allows: noise in g costs no power, and a lucky day gains little.
    """
    g = np.minimum(skewness, np.sqrt(6 / t))
    moved = margin - g / (6 * t)
    root = np.cbrt(1 + g * moved)
    return np.asarray(3 * moved / (root**2 + root + 1))


def independent_margin(t: Array | np.float64, alpha: float, tuned_for: float, method: Method) -> Array:
    """Return the margin of a method at unit standard deviation after t independent observations without skewness.

    "betting" has none of this form: it gets that of "plain".
    """
    margin = normal_margin(t, alpha, tuned_for)
    if method == "robust":
        return student_margin(margin, np.asarray(t), np.maximum(np.asarray(t) - 1.0, FEWEST_DEGREES))
    return student_margin(margin, np.asarray(t), cosine_degrees(np.asarray(t))) if method == "long_memory" else margin
