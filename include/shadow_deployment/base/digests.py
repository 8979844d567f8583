"""Digests of figures, which are the same on every machine."""

import numpy as np
from numpy.typing import NDArray

_SIGNIFICANT_BITS = 40
_NOT_FINITE = 1 << 20  # no number has such an exponent


def rounded(figures: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return fraction and exponent of figures, rounded to some twelve digits; both of the shape of `figures`.

    The last bits of a sum depend on the order in which it was added up, and say nothing about what was summed.
    """
    fraction, exponent = np.frexp(figures)
    finite = np.isfinite(figures)
    if not finite.all():
        fraction, exponent = np.where(finite, fraction, 0.0), np.where(finite, exponent, _NOT_FINITE)
    return np.rint(fraction * 2.0**_SIGNIFICANT_BITS).astype("<i8"), exponent.astype("<i4")
