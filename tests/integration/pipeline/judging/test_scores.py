"""What the ledger keeps of a day is what scikit-learn and numpy work out, in every slice."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    f1_score,
    mean_absolute_error,
    mean_pinball_loss,
    precision_score,
    r2_score,
    recall_score,
    roc_auc_score,
)

from tests import production
from tests.integration.pipeline.judging.days import Produce, run
from tests.production import World, day, moment

EXACT = {"rtol": 1e-9, "atol": 1e-9}
BINARY = ["roc_auc", "f1", "precision", "recall", "average_precision", "accuracy"]
OF_THE_DAY = ["population_stability_index", "latency_ratio_p95", "label_coverage", "pairing_loss", "disagreement"]
NUMBERS = ["r2", "bias", "pinball_loss"]


def one_day(rows: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Requests of one day of which labels are known before it ends, but for some."""
    log, outcome = production.synthetic(days=1, per_day=rows, seed=seed)
    log.loc[:2, "origin"] = "TEB"  # three requests whose labels are all alike
    outcome["known_at"] = moment(0.999)
    outcome.loc[outcome.index < 3, "is_late"] = 0
    return log, outcome


def sampled(world: World, log: pd.DataFrame, outcome: pd.DataFrame) -> pd.DataFrame:
    """The day's sample with weights worked out anew; only how long the challenger took is the ledger's word."""
    rows = pd.DataFrame(
        world.query(
            "SELECT request_id, latency_ms FROM shadow.request JOIN shadow.prediction USING (day, snapshot_id, ordinal)"
        ),
        columns=["request_id", "shadow_ms"],
    ).merge(log, on="request_id")
    population, drawn = log.origin.value_counts(), rows.origin.value_counts()
    rows["weight"] = rows.origin.map(population / drawn)
    rows["label"] = rows.request_id.map(outcome.set_index("request_id").is_late).astype(float)
    rows["p"], rows["q"] = rows.champion_probability.astype(float), rows.other_probability.astype(float)
    return rows


@pytest.fixture(scope="module")
def measured(produce: Produce) -> tuple[World, pd.DataFrame]:
    """One day with every metric of binary answers, sampled by strata so that weights differ; and its rows."""
    log, outcome = one_day(400, seed=11)
    world = produce(log, outcome)
    sample = {"rate": 0.5, "strata": ["origin"], "rates": {"JFK": 0.9, "TEB": 1.0}}
    run(world, range(1), sample=sample, slices=["origin"], metrics=[*BINARY, *OF_THE_DAY])
    return world, sampled(world, log, outcome)


@pytest.fixture(scope="module")
def numbers(produce: Produce) -> tuple[World, pd.DataFrame]:
    """The same with answers and labels that are amounts."""
    log, outcome = one_day(300, seed=12)
    outcome["is_late"] = np.random.default_rng(3).normal(5, 3, len(outcome))
    log["champion_probability"] = 10 * log.champion_probability
    log["other_probability"] = 9 * log.other_probability + 1
    world = produce(log, outcome, "ALTER TABLE flights.outcome ALTER is_late TYPE float8")
    sample = {"rate": 0.5, "strata": ["origin"], "rates": {"JFK": 0.9, "TEB": 1.0}}
    rules = [{"metric": "squared_error", "is": "superior"}]
    amounts = {"task": "regression", "tolerance": 1.0, "quantile": 0.8, "policy": {"rules": rules}, "metrics": NUMBERS}
    run(world, range(1), sample=sample, slices=["origin"], **amounts)
    return world, sampled(world, log, outcome)


def means_of(world: World) -> dict[tuple[str, str], tuple[float, float, float]]:
    """Champion, challenger and difference of each slice and metric on the first day, as the ledger has them."""
    evidence = world.evidence()
    evidence = evidence[(evidence.day == day(0)) & (evidence.weight > 0)]
    names = evidence.slice_value.where(evidence.slice_column != "all", "all")
    sums = (evidence[f"{side}_sum"] / evidence.weight for side in ("champion", "challenger", "difference"))
    return dict(zip(zip(names, evidence.metric, strict=True), zip(*sums, strict=True), strict=True))


def slices(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    return {"all": rows} | {str(name): part for name, part in rows.groupby("origin")}


def require(world: World, name: str, metric: str, expected: tuple[float, float] | None, sign: int) -> None:
    got = means_of(world).get((name, metric))
    if expected is None:
        assert got is None, (name, metric)
    else:
        assert got is not None, (name, metric)
        assert_allclose(got, [*expected, sign * (expected[0] - expected[1])], err_msg=f"{name} {metric}", **EXACT)


@pytest.mark.parametrize(
    ("metric", "score", "is_class"),
    [
        ("roc_auc", roc_auc_score, False),
        ("average_precision", average_precision_score, False),
        ("f1", f1_score, True),
        ("precision", precision_score, True),
        ("recall", recall_score, True),
        ("accuracy", accuracy_score, True),
    ],
)
def test_scores_of_a_day_are_those_of_scikit_learn_in_every_slice(
    metric: str, score: Callable[..., float], is_class: bool, measured: tuple[World, pd.DataFrame]
) -> None:
    world, rows = measured
    for name, part in slices(rows).items():
        pairs = part.dropna(subset=["p", "q", "label"])
        if metric == "accuracy":  # the only one that is a sum: what is missing is wrong, or makes no difference
            pairs = part.dropna(subset=["label"])
            pairs = pairs.assign(q=pairs.q.fillna(1 - pairs.label))
            pairs = pairs.assign(p=pairs.p.fillna(pairs.q))
        if name == "TEB" and metric in ("roc_auc", "average_precision", "recall"):
            require(world, name, metric, None, -1)
            continue
        champion, challenger = (
            score(pairs.label, side >= 0.5 if is_class else side, sample_weight=pairs.weight)
            for side in (pairs.p, pairs.q)
        )
        require(world, name, metric, (champion, challenger), -1)
    assert rows.weight.nunique() > 2, "all weights are alike: the test does not test them"


def stability(expected: pd.Series, got: pd.Series, weight: pd.Series) -> float:
    """The population stability index over the deciles of the expected values."""
    ends = np.quantile(expected, np.arange(1, 10) / 10, method="inverted_cdf", weights=weight)
    shares = [
        np.maximum(np.bincount(np.digitize(scores, ends, right=True), weight, 10) / weight.sum(), 1e-4)
        for scores in (expected, got)
    ]
    return float(((shares[1] - shares[0]) * np.log(shares[1] / shares[0])).sum())


def slow(latency: pd.Series, weight: pd.Series) -> float:
    return float(np.quantile(latency, 0.95, method="inverted_cdf", weights=weight))


def test_what_is_watched_of_a_day_is_what_numpy_works_out_in_every_slice(
    measured: tuple[World, pd.DataFrame],
) -> None:
    world, rows = measured
    assert rows.p.isna().any()
    assert rows.q.isna().any()
    for name, part in slices(rows).items():
        pairs = part.dropna(subset=["p", "q"])
        weight = part.weight
        ratio = slow(pairs.shadow_ms, pairs.weight) / slow(pairs.latency_ms, pairs.weight)
        coverage = float(np.average(part.label.notna(), weights=weight))
        lost = float(np.average(part.p.isna() | part.q.isna(), weights=weight))
        served = part.dropna(subset=["p"])
        apart = float(np.average((served.p - served.q).abs().fillna(1.0), weights=served.weight))
        if len(pairs) >= 10:  # with fewer there are not ten bins
            require(world, name, "population_stability_index", (0.0, stability(pairs.p, pairs.q, pairs.weight)), 1)
        require(world, name, "latency_ratio_p95", (1.0, ratio), 1)
        require(world, name, "label_coverage", (coverage, coverage), -1)
        require(world, name, "pairing_loss", (0.0, lost), 1)
        require(world, name, "disagreement", (0.0, apart), 1)


def test_scores_of_amounts_are_those_of_scikit_learn_in_every_slice(numbers: tuple[World, pd.DataFrame]) -> None:
    world, rows = numbers
    errors = pd.concat([rows.p - rows.label, rows.q - rows.label]).dropna()
    furthest = {
        "absolute_error": errors.abs().max(),
        "pinball_loss": np.maximum(0.2 * errors, -0.8 * errors).max() / 0.2,
    }
    for name, part in slices(rows).items():
        for metric in ("pinball_loss", "bias", "absolute_error", "r2"):
            pairs = part.dropna(subset=["p", "q", "label"])
            if metric in furthest:
                pairs = part.dropna(subset=["label"])
                pairs = pairs.assign(q=pairs.q.fillna(pairs.label + furthest[metric]))
                pairs = pairs.assign(p=pairs.p.fillna(pairs.q))
            label, weight = pairs.label, pairs.weight
            scores: dict[str, Callable[[pd.Series], float]] = {
                "pinball_loss": lambda side: mean_pinball_loss(label, side, alpha=0.8, sample_weight=weight),  # noqa: B023
                "bias": lambda side: float(np.average(side - label, weights=weight)),  # noqa: B023
                "absolute_error": lambda side: mean_absolute_error(label, side, sample_weight=weight),  # noqa: B023
                "r2": lambda side: r2_score(label, side, sample_weight=weight),  # noqa: B023
            }
            is_constant = metric == "r2" and label.nunique() == 1
            expected = None if is_constant else (scores[metric](pairs.p), scores[metric](pairs.q))
            require(world, name, metric, expected, -1 if metric == "r2" else 1)


def test_a_metric_that_becomes_undefined_loses_its_row(produce: Produce) -> None:
    log, outcome = production.synthetic(days=2, per_day=40, seed=5)
    log["origin"], log["carrier"] = np.where(np.arange(80) % 2, "EWR", "JFK"), "AA"
    log[["champion_probability", "other_probability"]] = log[["champion_probability", "other_probability"]].fillna(0.4)
    outcome = log[["request_id"]].assign(is_late=0, known_at=moment(0.99))[:40]
    outcome.loc[[3, 6, 8], "is_late"] = 1  # one late flight from EWR, two from JFK
    world = produce(log, outcome)
    run(world, range(1), metrics=["roc_auc", "recall"])

    def kept() -> set[tuple[str, str]]:
        return {key for key in means_of(world) if key[1] in ("roc_auc", "recall", "accuracy")}

    names = {"all", "AA", "EWR", "JFK"}
    assert kept() == {(name, metric) for name in names for metric in ("roc_auc", "recall")}
    before = means_of(world)
    world.change_production("INSERT INTO flights.outcome VALUES ('f0003', 0, %s)", [moment(1.5)])
    run(world, range(1, 2), metrics=["roc_auc", "recall"])
    assert kept() == {(name, metric) for name in names - {"EWR"} for metric in ("roc_auc", "recall")}
    after = means_of(world)
    assert after["all", "roc_auc"] != before["all", "roc_auc"]
    assert after["JFK", "roc_auc"] == before["JFK", "roc_auc"]
