"""A day of predictions and labels, of which some are missing."""

import math

import numpy as np

from shadow_deployment.metrics.scores import Pairs

NAN = math.nan
EXACT = {"rtol": 1e-9, "atol": 1e-9}
THRESHOLD = 0.4
BINARY = ("precision", "recall", "f1", "roc_auc", "average_precision", "calibration_error")
DISTANCES = ("population_stability_index", "kolmogorov_smirnov")
LATENCIES = ("latency_p50", "latency_p95", "latency_p99")
RATIOS = ("latency_ratio_p50", "latency_ratio_p95", "latency_ratio_p99")


def answers(champion, challenger, *, label=None, weight=None, champion_latency=None, latency=None) -> Pairs:
    n = len(champion)

    def given_or(column, default: float) -> np.ndarray:
        return np.full(n, default) if column is None else np.asarray(column, float)

    return Pairs(
        weight=given_or(weight, 1.0),
        champion=np.asarray(champion, float),
        challenger=np.asarray(challenger, float),
        label=given_or(label, NAN),
        champion_latency_ms=given_or(champion_latency, NAN),
        latency_ms=given_or(latency, NAN),
    )


def columns(of: Pairs) -> dict[str, np.ndarray]:
    return dict(vars(of))


def scores_of(kind: str, rng: np.random.Generator, n: int) -> np.ndarray:
    scores = rng.beta(2, 3, n)
    if kind == "tied":
        return np.round(scores, 1)
    if kind == "zeros and ones":
        return np.where(rng.random(n) < 0.3, rng.integers(0, 2, n), scores)
    return np.full(n, 0.4) if kind == "constant" else scores


def a_day(scores: str = "tied", weights: str = "random", n: int = 701, seed: int = 5) -> Pairs:
    """A day with ties, answers missing on either side, labels that have not come and latencies not logged."""
    rng = np.random.default_rng(seed)

    def holed(column: np.ndarray, share: float) -> np.ndarray:
        return np.where(rng.random(n) < share, NAN, column)

    label = (rng.random(n) < 0.35).astype(float)
    weight = {"none": np.ones(n), "whole": rng.integers(1, 6, n), "random": rng.exponential(size=n) + 0.01}[weights]
    return answers(
        holed(scores_of(scores, rng, n), 0.05),
        holed(np.clip(scores_of(scores, rng, n) * 0.9 + 0.1 * label * (scores != "constant"), 0, 1), 0.1),
        label=holed(label, 0.2),
        weight=weight,
        champion_latency=holed(np.round(rng.lognormal(1, 1, n), 1), 0.1),
        latency=holed(np.round(rng.lognormal(1.2, 1, n), 1), 0.1),
    )


def pairs(of: Pairs, *, label: bool = False, latency: bool = False) -> dict[str, np.ndarray]:
    keep = ~np.isnan(of.champion) & ~np.isnan(of.challenger)
    if label:
        keep &= ~np.isnan(of.label)
    if latency:
        keep &= ~np.isnan(of.champion_latency_ms) & ~np.isnan(of.latency_ms)
    return {name: column[keep] for name, column in columns(of).items()}
