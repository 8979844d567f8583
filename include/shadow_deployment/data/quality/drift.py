"""Drift: how far a day's inputs have moved from those of the first sampled days, feature by feature.

A feature's values are put into bins of the reference: ten of equal weight for numbers, times as seconds; a bin a
category for texts and booleans, with one more for what is new or rare. The distance is the population stability index.
Missing values are in no bin; their share is kept beside it. Of a large day every n-th request is looked at.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shadow_deployment.data.snapshots import DayFiles, read_part
from shadow_deployment.data.storage import Store
from shadow_deployment.metrics.scores import Distribution, stability_index

BINS: Final = 10
MOST_CATEGORIES: Final = 100
MOST_REFERENCE_DAYS: Final = 14
MOST_REQUESTS: Final = 50_000  # that are looked at, of one day
_WEIGHT: Final = "inclusion_probability"

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class FeatureValues:
    """One feature of some requests: the values that are there, numbers or texts, with their weights, shape (n,).

    `missing` is the share of weight without a value, `requests` how many were looked at, with or without one.
    """

    values: NDArray[Any]
    weight: NDArray[np.float64]
    missing: float
    requests: int

    @property
    def is_number(self) -> bool:
        """Whether the values are numbers, or else texts."""
        return self.values.dtype.kind == "f"


@dataclass(frozen=True)
class Reference:
    """The reference's bins of one feature, each with its share of weight.

    Bins of numbers end at `ends`, the last without an end; bins of texts are `categories`, the last of all others. One
    of the two is None; there is no bin where the reference has no value.
    """

    feature: str
    ends: list[float] | None
    categories: list[str] | None
    expected: list[float]
    missing: float
    requests: int


@dataclass(frozen=True)
class FeatureDrift:
    """How far a day's values of one feature are from those of its reference; None where either has no value.

    `actual` is the day's share of weight in each of the reference's bins.
    """

    feature: str
    psi: float | None
    actual: list[float] | None
    missing: float
    requests: int
    reference: Reference | None


def first_days(earlier: Sequence[T], period: int = 1) -> Sequence[T]:
    """Return the reference of the day after `earlier` ones: the first 14 days, or as many as are half of all so far.

    Each of `earlier` is of so many days.
    """
    return earlier[: min(MOST_REFERENCE_DAYS // period, (len(earlier) + 1) // 2)]


def read_features(
    store: Store, days: Sequence[tuple[str, DayFiles]], features: Sequence[str]
) -> dict[str, FeatureValues]:
    """Return the features of the requests of some days, by name, without those of a type that has no bins.

    Args:
        store: Where the snapshots lie.
        days: The folder and the files of each.
        features: The names of columns.

    Raises:
        SnapshotError: A file is missing or was changed.
    """
    columns = [*dict.fromkeys(features)]
    tables = [looked_at for folder, files in days for looked_at in _looked_at(store, folder, files, columns)]
    if not tables:
        return {}
    weights = [1 / table[_WEIGHT].to_numpy() * step for table, step in tables]
    every = {name: _values([table[name] for table, _ in tables], weights) for name in columns}
    return {name: values for name, values in every.items() if values is not None}


def reference_of(feature: str, values: FeatureValues) -> Reference:
    """Return the bins of a feature and the share of each."""
    ends = categories = None
    if not len(values.values):
        return Reference(feature, None, None, [], values.missing, values.requests)
    if values.is_number:
        ends = Distribution(values.values, values.weight).bin_ends(BINS).tolist()
    else:
        names, places = np.unique(values.values, return_inverse=True)
        weight = np.bincount(places, values.weight)
        most = np.lexsort((names, -weight))[:MOST_CATEGORIES]
        categories = [str(name) for name in names[most]]
    return Reference(
        feature, ends, categories, _shares(values, ends, categories).tolist(), values.missing, values.requests
    )


def drift_from(reference: Reference | None, feature: str, values: FeatureValues) -> FeatureDrift:
    """Return how far values are from a reference, None for one before there is any."""
    psi = shares = None
    comparable = reference and len(values.values) and values.is_number == (reference.ends is not None)
    if reference and comparable and reference.expected:
        actual = _shares(values, reference.ends, reference.categories)
        psi, shares = stability_index(np.array(reference.expected), actual), actual.tolist()
    return FeatureDrift(feature, psi, shares, values.missing, values.requests, reference)


def _shares(values: FeatureValues, ends: list[float] | None, categories: list[str] | None) -> NDArray[np.float64]:
    if ends is not None:
        return Distribution(values.values, values.weight).shares(np.array(ends))
    places = {name: place for place, name in enumerate(categories or ())}
    names, of_name = np.unique(values.values, return_inverse=True)
    place = np.array([places.get(str(name), len(places)) for name in names])
    weight = np.bincount(place[of_name], values.weight, len(places) + 1)
    return np.asarray(weight / weight.sum(), np.float64)


def _looked_at(store: Store, folder: str, files: DayFiles, columns: list[str]) -> Iterator[tuple[pa.RecordBatch, int]]:
    """Yield the requests of a day that are looked at, and how many each of them stands for."""
    step = -(-files.rows // MOST_REQUESTS)
    for part in files.parts:
        ordinal = part.first_ordinal
        for batch in read_part(store, folder, part).iter_batches(columns=[_WEIGHT, *columns]):
            chosen = np.arange(-ordinal % step, batch.num_rows, step)
            ordinal += batch.num_rows
            if len(chosen):
                yield batch.take(pa.array(chosen)), step


def _values(arrays: Sequence[pa.Array], weights: Sequence[NDArray[np.float64]]) -> FeatureValues | None:
    """Return a column as numbers, or as texts where one part of it is no number."""
    types = {array.type for array in arrays}
    try:
        if all(map(_is_number, types)):
            values = np.concatenate([_numbers(array) for array in arrays])
            present = ~np.isnan(values)
        else:
            texts = pa.chunked_array([array.cast(pa.string()) for array in arrays])
            present = texts.is_valid().to_numpy()
            values = texts.fill_null("").to_numpy().astype(object)
    except pa.ArrowException:
        return None
    weight = np.concatenate(weights)
    missing = float(weight[~present].sum() / weight.sum())
    return FeatureValues(values[present], weight[present], missing, len(values))


def _is_number(type_: pa.DataType) -> bool:
    kinds = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_temporal)
    return any(is_kind(type_) for is_kind in kinds)


def _numbers(array: pa.Array) -> NDArray[np.float64]:
    """Return numbers, and seconds since 1970 for times, NaN for null."""
    if pa.types.is_date(array.type) or pa.types.is_timestamp(array.type):
        array = pc.divide(array.cast(pa.timestamp("us")).cast(pa.int64()).cast(pa.float64()), 1e6)
    return np.asarray(array.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64)
