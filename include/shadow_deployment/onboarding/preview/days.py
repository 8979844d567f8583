"""Some requests of a few past days, drawn as a run draws them, with their labels: in memory, and never kept."""

import datetime as dt
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shadow_deployment.config.window import Window, window_of
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.ports import all_labels
from shadow_deployment.data.sampling import Draw, allocate
from shadow_deployment.data.sources.identity import label_column

ROWS: Final = 400  # requests that are looked at of a day
SECONDS: Final = 30.0  # after so many no further day is begun, once there are two
_DAY: Final = dt.timedelta(days=1)


@dataclass(frozen=True, eq=False)
class PreviewedDay:
    """A day: its population by stratum, the requests that were drawn, and their labels (NaN without one).

    `known_at` has the seconds since 1970 at which each label became known, NaN without one. `seconds` is what reading
    the requests took.
    """

    window: Window
    population: Mapping[str, int]
    requests: pa.Table
    labels: NDArray[np.float64]
    known_at: NDArray[np.float64]
    invalid: int
    seconds: float

    @property
    def total(self) -> int:
        """How many requests the day has."""
        return sum(self.population.values())

    @cached_property
    def has_label(self) -> NDArray[np.bool_]:
        """Whether each request has a label, valid or not."""
        return np.isfinite(self.known_at)

    @cached_property
    def delays(self) -> NDArray[np.float64]:
        """The days from each request to its label, of those that have one."""
        asked = self.requests["requested_at"].cast(pa.timestamp("us", "UTC")).cast(pa.int64()).to_numpy() / 1e6
        return np.asarray((self.known_at - asked)[self.has_label] / _DAY.total_seconds())

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """The inverse of each request's inclusion probability in this small draw."""
        counts = {row["values"]: row["counts"] for row in pc.value_counts(self.requests["stratum"]).to_pylist()}
        of_stratum = {name: self.population[name] / count for name, count in counts.items()}
        return np.array([of_stratum[name] for name in self.requests["stratum"].to_pylist()])


def read_days(context: DeploymentContext, days: Sequence[dt.date]) -> Iterator[PreviewedDay]:
    """Yield days that have requests, the newest first, two or as many as SECONDS allow: production is read slowly."""
    began = time.monotonic()
    for number, day in enumerate(days):
        if number > 1 and time.monotonic() - began > SECONDS:
            return
        read = _read(context, window_of(context.deployment, day))
        if read.requests.num_rows:
            yield read


def _read(context: DeploymentContext, window: Window) -> PreviewedDay:
    began = time.monotonic()
    sample = context.deployment.sample
    with context.request_source.reading(window) as reading:
        population = reading.population()
        few = sample.model_copy(update={"max_rows": min(max(ROWS, len(population)), sample.max_rows)})
        draws: list[Draw] = allocate(few, population)
        rows = reading.sample(draws).read_all() if draws else pa.table({})
    seconds = time.monotonic() - began
    labels, known_at, invalid = _labels(context, window, rows)
    return PreviewedDay(window, population, rows, labels, known_at, invalid, seconds)


def looked_up(context: DeploymentContext, rows: pa.Table) -> pa.Table:
    """Return the requests as their labels are looked up, in the order of their ids."""
    ids = rows[label_column(context.deployment)]
    ordinals = pa.array(np.arange(rows.num_rows, dtype=np.int32))
    return pa.table({"ordinal": ordinals, "request_id": ids}).filter(pc.is_valid(ids)).sort_by("request_id")


def known_until(context: DeploymentContext, window: Window) -> dt.datetime:
    """Return the moment by which the labels of a window are expected."""
    return window.end + context.deployment.labels.maturity_days * _DAY


def _labels(
    context: DeploymentContext, window: Window, rows: pa.Table
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    values, known_at = np.full(rows.num_rows, np.nan), np.full(rows.num_rows, np.nan)
    if not rows.num_rows:
        return values, known_at, 0
    labels = all_labels(context.label_source, looked_up(context, rows), None, known_until(context, window))
    ordinals = labels["ordinal"].to_numpy()
    values[ordinals] = labels["value"].to_numpy()
    known_at[ordinals] = labels["known_at"].cast(pa.int64()).to_numpy() / 1e6
    return values, known_at, len(labels) - labels["invalid"].null_count
