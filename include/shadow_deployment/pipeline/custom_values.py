"""Custom metrics of a day: their functions in sandboxes, and the snapshot's columns that they are shown."""

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.context import DeploymentContext, RequestFunction
from shadow_deployment.data.rows import SnapshotRows
from shadow_deployment.ledger.batches.predictions_of_day import BATCH_ROWS
from shadow_deployment.ledger.snapshots import Snapshot
from shadow_deployment.metrics.losses import Array, Batch, Both
from shadow_deployment.models.sandbox.metric import SandboxedMetric, identity_of
from shadow_deployment.pipeline.sample import files_of

_NOT_A_COLUMN: Final = "\0"  # begins the names of what is shown beside features, which no column of Postgres has


def check_custom_metrics(context: DeploymentContext) -> None:
    """Load the functions of custom metrics; raise MetricError where one cannot be used."""
    _loaded(context)


def custom_values(context: DeploymentContext, snapshot: Snapshot) -> "Callable[[Batch], dict[str, Both]] | None":
    """Return what computes the custom metrics of a day, batch by batch; None where the deployment has none.

    Computing raises MetricError where a function fails or returns what is no value, and SnapshotError where a file of
    the snapshot is missing or was changed.

    Raises:
        MetricError: A function cannot be used.
        SnapshotError: The snapshot is not the registered one.
    """
    if not context.deployment.custom_metrics or not snapshot.rows:
        return None
    functions = _loaded(context)
    rows = SnapshotRows(context.store, snapshot.location, files_of(context, snapshot).parts)
    return _Values(context.deployment, functions, DayFeatures(rows, context.deployment.requests.features))


def _loaded(context: DeploymentContext) -> dict[str, RequestFunction]:
    """Return the functions by name; those of the context are loaded again where their source was changed."""
    deployment, known = context.deployment, context.functions
    for name, metric in deployment.custom_metrics.items():
        identity = identity_of(deployment, metric)
        if name not in known or not known[name].is_loaded(identity):
            known[name] = SandboxedMetric(deployment, metric, identity)
    return {name: known[name] for name in deployment.custom_metrics}


class _Values:
    """Calls each function twice: with the champion's usable predictions, and with the challenger's."""

    def __init__(
        self, deployment: Deployment, functions: Mapping[str, RequestFunction], features: "DayFeatures"
    ) -> None:
        self._metrics, self._functions, self._features = deployment.custom_metrics, functions, features

    def __call__(self, batch: Batch) -> dict[str, Both]:
        """Return both models' values of each metric, NaN where a prediction or a label that it needs is missing."""
        if not len(batch.ordinal):
            return dict.fromkeys(self._functions, (batch.champion, batch.challenger))
        features = self._features.of(batch.ordinal)

        def of_both(name: str) -> Both:
            champion = self._of(name, batch.champion, batch.champion_probabilities, batch.label, features)
            return champion, self._of(name, batch.challenger, batch.challenger_probabilities, batch.label, features)

        return {name: of_both(name) for name in self._functions}

    def _of(
        self, name: str, prediction: Array, probabilities: Array | None, label: Array, features: pa.RecordBatch
    ) -> Array:
        known = ~np.isnan(prediction)
        shown = [prediction] if probabilities is None else [*probabilities.T]
        if self._metrics[name].needs_label:
            known &= ~np.isnan(label)
            shown.append(label)
        columns = {f"{_NOT_A_COLUMN}{number}": pa.array(each[known]) for number, each in enumerate(shown)}
        of_requests = features.filter(pa.array(known))
        inputs = pa.RecordBatch.from_arrays(
            [*columns.values(), *of_requests.columns], names=[*columns, *of_requests.schema.names]
        )
        values = np.full(len(label), np.nan)
        values[known] = self._functions[name].values(inputs)
        return values


class DayFeatures:
    """The features of a day's requests by ordinal, BATCH_ROWS in memory: a day is read again for each challenger."""

    def __init__(self, rows: SnapshotRows, names: list[str]) -> None:
        known = set(rows.schema.names)
        self._rows, self._names = rows, [name for name in names if name in known]
        self._parts: Iterator[pa.Table] = iter(())
        self._number, self._part = -1, pa.table({})

    def of(self, ordinals: NDArray[np.int64]) -> pa.RecordBatch:
        """Return the features of some requests of one batch of the day; there is at least one."""
        number = int(ordinals[0]) // BATCH_ROWS
        if number < self._number or self._number < 0:
            self._parts, self._number = self._rows.read(self._names, BATCH_ROWS), -1
        while self._number < number:
            self._number, self._part = self._number + 1, next(self._parts)
        taken = self._part.take(pa.array(ordinals - number * BATCH_ROWS)).combine_chunks()
        return taken.to_batches()[0]
