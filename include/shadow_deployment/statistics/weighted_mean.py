"""Intervals for a weighted mean that hold at all looks at once, where weights vary as observations do."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shadow_deployment.statistics.confidence_sequence import ConfidenceSequence, Looks, confidence_sequence, first_of

Array = NDArray[np.float64]


def weighted_mean_sequence(
    observations: Array, weight: Array, *, burn_in: int, looks: Looks = "all", **settings: Any
) -> ConfidenceSequence:
    """Bound Σ W x / Σ W at every time, for observations x of weight W such as days with their requests.

    The sequence is one of W (x - centre), the centre being the plain mean of x at the burn-in, and is divided by the
    mean weight so far. No bound depends on what came after it, and moving all x moves the bounds with them. (Around the
    weighted mean of the burn-in, its heaviest days would hide how much they vary: README.md.) With equal weights it is
    the sequence of x.

    Args:
        observations, weight: Shape (..., t), in order of time; weights above 0.
        burn_in, looks: As in `confidence_sequence`.
        settings: The rest as there; "betting" is for equal weights.
    """
    wanted = np.s_[..., first_of(looks, weight.shape[-1]) :]
    total, number = np.cumsum(weight, axis=-1)[wanted], np.arange(1.0, weight.shape[-1] + 1)[wanted]
    estimate = np.cumsum(weight * observations, axis=-1)[wanted] / total
    centre = observations[..., :burn_in].mean(axis=-1, keepdims=True)
    if settings.get("method") == "betting":  # on observations as they are, within their range
        centre = np.zeros_like(centre)
    bounds = confidence_sequence(weight * (observations - centre), burn_in=burn_in, looks=looks, **settings)
    scale = total / number
    return ConfidenceSequence(centre + bounds.lower / scale, centre + bounds.upper / scale, estimate)
