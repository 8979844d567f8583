"""Sums, daily values, bins and the furthest answers of a day: beside pandas, however the day is cut into batches."""

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from shadow_deployment.errors import SourceError
from shadow_deployment.metrics.catalog import METRICS
from shadow_deployment.metrics.daily_values import DailyValues
from shadow_deployment.metrics.histograms import Grid, Histograms, LargestDisagreements
from shadow_deployment.metrics.losses import Batch, MetricSettings, losses_of
from shadow_deployment.metrics.possible_gains import POSSIBLE
from shadow_deployment.metrics.sums import FIELDS, Slices, Sums

BINARY = MetricSettings("binary", 0.5, math.nan, math.nan)
METRIC_NAMES = ("brier_score", "accuracy", "error_rate", "agreement")
CELLS = {0: {"plan": "a", "region": "x"}, 1: {"plan": "b", "region": "x"}, 2: {"plan": "a", "region": "y"}}


def some(count: int, seed: int = 0) -> Batch:
    random = np.random.default_rng(seed)
    champion, challenger, label = random.random((3, count))
    champion[random.random(count) < 0.1] = math.nan
    challenger[random.random(count) < 0.1] = math.nan
    challenger[:5] = champion[:5]
    return Batch(
        ordinal=np.arange(count),
        cell=random.integers(0, 3, count),
        version=random.integers(0, 2, count),
        weight=random.choice([1.0, 2.5, 4.0], count),
        champion=champion,
        challenger=challenger,
        label=np.where(random.random(count) < 0.2, math.nan, (label < 0.4).astype(float)),
        champion_latency_ms=random.random(count),
        latency_ms=random.random(count),
    )


def cut(requests: Batch, *where: int) -> list[Batch]:
    count = len(requests.ordinal)
    ends = [0, *sorted(min(one, count) for one in where), count]
    columns = {name: column for name, column in vars(requests).items() if column is not None}
    return [
        replace(requests, **{name: column[first:end] for name, column in columns.items()})
        for first, end in itertools.pairwise(ends)
    ]


def summed(batches: list[Batch]) -> dict[Any, dict[str, float]]:
    sums = Sums(METRIC_NAMES, BINARY, 2, Slices.of(CELLS))
    for one in batches:
        sums.add(one)
    return {row[:3]: dict(zip(FIELDS, row[3], strict=True)) for row in sums.rows()}


def with_charges(name: str, requests: Batch) -> tuple[list[float], list[float]]:
    """Return the values of each request, missing predictions row by row as the definitions say."""
    found = [each.tolist() for each in losses_of("binary")[name](requests, BINARY)]
    worst = {"brier_score": 1.0, "accuracy": 0.0}.get(name)
    for row, (champion, challenger, label) in enumerate(
        zip(requests.champion, requests.challenger, requests.label, strict=True)
    ):
        if name == "agreement" and math.isnan(challenger) and not math.isnan(champion):
            found[1][row] = 0.0
        if worst is None or math.isnan(label):
            continue
        if math.isnan(challenger):
            found[1][row] = worst
        if math.isnan(champion):
            found[0][row] = found[1][row]
    return found[0], found[1]


def test_sums_are_those_of_pandas_in_every_slice() -> None:
    requests = some(400)
    found = summed(cut(requests, 100, 101))
    frame = pd.DataFrame({name: getattr(requests, name) for name in ("cell", "version", "weight", "label")})
    frame["identical"] = requests.champion == requests.challenger
    frame["champion_missing"] = np.isnan(requests.champion)
    frame["unanswered"] = np.isnan(requests.challenger) & ~frame.champion_missing
    slices = {("all", ""): {0, 1, 2}, ("plan", "a"): {0, 2}, ("plan", "b"): {1}, ("region", "x"): {0, 1}}
    slices[("region", "y")] = {2}
    assert set(found) == {(version, key, name) for version in (0, 1) for key in slices for name in METRIC_NAMES}
    for (version, key, name), row in found.items():
        champion, challenger = with_charges(name, requests)
        inside = frame.assign(champion=champion, challenger=challenger)
        inside = inside[(inside.version == version) & inside.cell.isin(slices[key])]
        pairs = inside.dropna(subset=["champion", "challenger"])
        difference = METRICS[name].sign * (pairs.champion - pairs.challenger)
        needed = inside if name in ("error_rate", "agreement") else inside[inside.label.notna()]
        counts = [len(inside), inside.label.notna().sum(), needed.unanswered.sum(), needed.champion_missing.sum()]
        assert [row[field] for field in FIELDS[:6]] == [*counts, len(pairs), pairs.identical.sum()]
        expected = [pairs.weight.sum(), (pairs.weight**2).sum()]
        for values in (pairs.champion, pairs.challenger, difference):
            expected += [(pairs.weight * values).sum(), (pairs.weight * values**2).sum()]
        expected += [(pairs.weight**2 * difference).sum(), (pairs.weight**2 * difference**2).sum()]
        assert_allclose([row[field] for field in FIELDS[6 : -len(POSSIBLE)]], expected, rtol=1e-12, atol=1e-12)
        without_label = inside[inside.label.isna()]
        expected_weight = without_label.weight.sum() if name in ("brier_score", "accuracy") else 0
        assert row["unlabelled_weight"] == expected_weight


@settings(max_examples=30, derandomize=True)
@given(st.lists(st.integers(0, 120), max_size=4))
def test_batches_of_any_size_add_up_to_the_same(where: list[int]) -> None:
    whole, parts = summed([some(120)]), summed(cut(some(120), *where))
    assert whole.keys() == parts.keys()
    for key, row in whole.items():
        assert_allclose(list(parts[key].values()), list(row.values()), rtol=1e-12, atol=1e-12)


def test_a_slice_without_a_request_of_a_version_has_no_row() -> None:
    requests = some(50)
    found = summed([replace(requests, version=np.zeros(50, np.int64), cell=np.full(50, 1))])
    assert {key[:2] for key in found} == {(0, ("all", "")), (0, ("plan", "b")), (0, ("region", "x"))}


def test_a_value_too_large_to_be_summed_is_refused_by_the_name_of_its_metric() -> None:
    requests = replace(some(10), champion=np.full(10, 1e200), label=np.zeros(10))
    sums = Sums(["squared_error"], MetricSettings("regression", 0.5, math.nan, 0.5), 2, Slices.of(CELLS))
    with pytest.raises(SourceError, match="squared_error: a prediction or a label is so large"):
        sums.add(requests)


def test_daily_values_need_the_day_as_a_whole_and_not_its_batches() -> None:
    values = {}
    for where in ((), (10, 60)):
        daily = DailyValues(["roc_auc", "latency_p95"], BINARY, 2, Slices.of(CELLS))
        for one in cut(some(300), *where):
            daily.add(one)
        values[where] = list(daily.rows())
    assert values[()] == values[(10, 60)]
    assert len(values[()]) == 2 * 5 * 2
    assert not list(DailyValues(["roc_auc"], BINARY, 2, Slices.of(CELLS)).rows())


def test_nothing_is_held_where_no_daily_value_is_asked_for() -> None:
    daily = DailyValues([], BINARY, 2, Slices.of(CELLS))
    daily.add(some(10))
    assert daily._batches == []


@pytest.mark.parametrize("where", [(), (1,), (30, 31, 90)])
def test_the_furthest_are_those_of_a_sort_whatever_the_batches(where: tuple[int, ...]) -> None:
    requests = some(200)
    requests = replace(requests, challenger=np.round(requests.challenger, 1), champion=np.round(requests.champion, 1))
    furthest = LargestDisagreements(20)
    for one in cut(requests, *where):
        furthest.add(one)
    distance = np.abs(requests.champion - requests.challenger)
    order = [row for row in np.lexsort((requests.ordinal, -distance)) if distance[row] > 0][:20]
    assert furthest.ordinal.tolist() == order
    assert furthest.distance.tolist() == distance[order].tolist()


def test_requests_answered_alike_are_never_among_the_furthest() -> None:
    furthest = LargestDisagreements(20)
    furthest.add(replace(some(30), challenger=some(30).champion))
    assert furthest.ordinal.size == 0


@settings(max_examples=200, derandomize=True)
@given(*[st.floats(-1e9, 1e9, allow_nan=False)] * 2)
def test_a_grid_has_16_to_32_bins_of_a_power_of_two_between_two_answers(one: float, other: float) -> None:
    low, high = sorted((one, other))
    grid = Grid.of(low, high)
    assert math.frexp(grid.width)[0] == 0.5
    assert grid.place(np.array([low, high])).tolist() == [4, grid.count - 5]
    if high - low > 1e-6 * max(abs(low), abs(high), 1e-250):
        assert 15 <= grid.count - 8 <= 34  # 32, and those that the two ends lie in


@pytest.mark.parametrize(
    ("low", "high", "width"), [(0, 0, 1.0), (32, 32, 1.0), (-32, -32, 1.0), (0, 32, 1.0), (0, 33, 2.0), (0, 31, 1.0)]
)
def test_the_width_of_a_grid_is_the_next_power_of_two(low: float, high: float, width: float) -> None:
    assert Grid.of(low, high).width == width


def test_answers_beyond_a_grid_are_in_its_outermost_bins() -> None:
    grid = Grid.of(0, 32)
    assert grid.place(np.array([-1e300, 0, 31.9, 32, 1e300])).tolist() == [0, 4, 35, 36, grid.count - 1]


def test_quadrants_are_those_at_the_threshold_and_of_each_version() -> None:
    requests = some(300)
    bins = Histograms(Grid(0.05, 0, 19), 2, 0.3)
    for one in cut(requests, 100):
        bins.add(one)
    frame = pd.DataFrame(
        {name: getattr(requests, name) for name in ("champion", "challenger", "version", "label", "weight")}
    )
    frame = frame.dropna(subset=["champion", "challenger"])
    found = list(bins.quadrants())
    assert len(found) == 8
    for version, champion_yes, challenger_yes, sums in found:
        inside = frame[
            (frame.version == version)
            & ((frame.champion >= 0.3) == champion_yes)
            & ((frame.challenger >= 0.3) == challenger_yes)
        ]
        known = inside.dropna(subset=["label"])
        expected = [len(inside), len(known), (known.label == 1).sum(), inside.weight.sum()]
        expected += [known.weight.sum(), (known.weight * known.label).sum()]
        assert_allclose(sums, expected, rtol=1e-12)
    assert list(Histograms(Grid(0.05, 0, 19), 2, None).quadrants()) == []
