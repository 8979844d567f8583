"""The least and most that requests without a label can gain: beside every labelling there is, tried one by one."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from shadow_deployment.metrics.losses import Batch, MetricSettings
from shadow_deployment.metrics.sums import FIELDS, Slices, Sums

NAN = math.nan
UNKNOWN = 5
BINARY = MetricSettings("binary", 0.4, NAN, NAN)
CLASSES = MetricSettings("multiclass", 0.5, NAN, NAN)
LOSSES = ("brier_score", "log_loss", "accuracy")


def some(classes: int = 2, *, known: int = 6, seed: int = 3) -> Batch:
    """Requests of which the last five have no label."""
    random = np.random.default_rng(seed)
    count = known + UNKNOWN
    label = np.where(np.arange(count) < known, random.integers(0, classes, count), NAN)
    numbers = {"champion": random.random(count), "challenger": random.random(count)}
    if classes > 2:
        shares = {f"{name}_probabilities": random.dirichlet(np.ones(classes), count) for name in numbers}
        numbers = {name: shares[f"{name}_probabilities"].argmax(axis=1).astype(float) for name in numbers} | shares
    return Batch(
        ordinal=np.arange(count),
        cell=np.arange(count) % 2,
        version=np.zeros(count, np.int64),
        weight=random.choice([1.0, 2.5, 4.0], count),
        label=label,
        champion_latency_ms=np.ones(count),
        latency_ms=np.ones(count),
        **numbers,
    )


def summed(name: str, settings: MetricSettings, *batches: Batch) -> dict[str, float]:
    sums = Sums([name], settings, 1, Slices.of({0: {"plan": "a"}, 1: {"plan": "b"}}))
    for one in batches:
        sums.add(one)
    rows = {key: dict(zip(FIELDS, row, strict=True)) for _, key, _, row in sums.rows()}
    for field in ("unlabelled_weight", "unlabelled_least", "unlabelled_most"):
        parts = rows["plan", "a"][field] + rows["plan", "b"][field]
        assert rows["all", ""][field] == pytest.approx(parts, abs=1e-12)
    return rows["all", ""]


def labellings(requests: Batch, classes: int = 2) -> Iterator[Batch]:
    unknown = np.isnan(requests.label)
    for labels in itertools.product(range(classes), repeat=int(unknown.sum())):
        label = requests.label.copy()
        label[unknown] = labels
        yield replace(requests, label=label)


def gains_of_every_labelling(name: str, settings: MetricSettings, requests: Batch, classes: int = 2) -> list[float]:
    """Return the sum of gains under every labelling, less that of the requests that have a label."""
    known = summed(name, settings, requests)["difference_sum"]
    return [summed(name, settings, each)["difference_sum"] - known for each in labellings(requests, classes)]


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(("settings", "classes"), [(BINARY, 2), (CLASSES, 3)])
def test_no_labelling_gains_less_or_more_and_one_gains_each(name: str, settings: MetricSettings, classes: int) -> None:
    requests = some(classes)
    found, every = summed(name, settings, requests), gains_of_every_labelling(name, settings, requests, classes)
    assert found["unlabelled_weight"] == requests.weight[-UNKNOWN:].sum()
    assert_allclose([found["unlabelled_least"], found["unlabelled_most"]], [min(every), max(every)], atol=1e-12)
    assert min(every) < max(every)


@pytest.mark.parametrize("name", LOSSES)
def test_batches_add_up(name: str) -> None:
    requests = some()
    parts = [requests.at(np.arange(11) % 3 == part) for part in range(3)]
    assert_allclose(list(summed(name, BINARY, *parts).values()), list(summed(name, BINARY, requests).values()))


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("falls_back", [False, True])
@pytest.mark.parametrize("known", [0, 1, 6])
def test_missing_predictions_are_charged_as_they_would_be_with_a_label(
    name: str, known: int, *, falls_back: bool
) -> None:
    requests = some(known=known)
    challenger, champion = requests.challenger.copy(), requests.champion.copy()
    challenger[[0, -1, -2]], champion[[-2, -3]] = NAN, NAN
    requests = replace(requests, champion=champion, challenger=challenger)
    settings = replace(BINARY, falls_back=falls_back)
    found, every = summed(name, settings, requests), gains_of_every_labelling(name, settings, requests)
    least, most = found["unlabelled_least"], found["unlabelled_most"]
    if name == "log_loss" and not falls_back:  # the largest loss of the day depends on the labels too
        assert least <= min(every) + 1e-12
        assert most >= max(every) - 1e-12
    else:
        assert_allclose([least, most], [min(every), max(every)], atol=1e-12)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("squared_error", MetricSettings("regression", 0.5, 0.5, 0.5)),
        ("error_rate", BINARY),
        ("certainly_wrong", BINARY),
        ("agreement", BINARY),
    ],
)
def test_what_has_no_bounds_or_needs_no_label_has_no_range(name: str, settings: MetricSettings) -> None:
    found: dict[str, Any] = summed(name, settings, some())
    assert [found[field] for field in FIELDS[-3:]] == [0, 0, 0]


def test_a_day_without_a_missing_label_has_no_range() -> None:
    requests = some()
    found = summed("brier_score", BINARY, replace(requests, label=np.ones(len(requests.label))))
    assert [found[field] for field in FIELDS[-3:]] == [0, 0, 0]
