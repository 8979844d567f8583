"""Predictions that mirrored traffic has already logged: they are read, not computed.

Columns of the log itself come with the sample. Those of other tables, and of days that were sampled before a challenger
was declared, are looked up by request id, a shard at a time: each look-up may read the whole table.
"""

from collections.abc import Collection, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.config.fields import LOGGED
from shadow_deployment.config.window import Window
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.ports import RequestSource
from shadow_deployment.data.predictor import Predictions

_LOOKUP_ROWS: Final = 131_072


class SampledPredictor:
    """Reads the challenger's predictions from the columns of the snapshot that hold them."""

    def __init__(self, address: str, columns: Sequence[str]) -> None:
        self.columns = [f"{LOGGED}{name}" for name in columns]
        self._address = address

    def predict(self, batch: pa.RecordBatch) -> Predictions:
        """Return the logged predictions; a request without one is an error of its row."""
        columns = [pc.fill_null(batch[name], np.nan).to_numpy(zero_copy_only=False) for name in self.columns]
        missing = np.any([pc.is_null(batch[name]).to_numpy(zero_copy_only=False) for name in self.columns], axis=0)
        return _predictions(self._address, np.stack(columns, axis=1), np.flatnonzero(missing).tolist())


class LoggedPredictor:
    """Looks the challenger's predictions up in production, by request id.

    They are in `TABLE.COLUMN`, or in `COLUMN` of the log itself; with classes, in one column for each.
    """

    batch_rows = _LOOKUP_ROWS

    def __init__(self, source: RequestSource, address: str, window: Window) -> None:
        self._source = source
        self._address = address
        self._window = window

    def predict(self, batch: pa.RecordBatch) -> Predictions:
        """Return the logged predictions; a request without one is an error of its row."""
        requests = batch["request_id"].to_pylist()
        logged = self._source.logged(self._address, [id_ for id_ in requests if id_ is not None], self._window)
        width = self._address.count(",") + 1
        rows = [logged.get(request, (None,) * width) for request in requests]
        values = np.array(rows, np.float64).reshape(-1, width)  # None becomes NaN
        return _predictions(self._address, values, [number for number, row in enumerate(rows) if None in row])


def sampled(deployment: Deployment, model: Challenger, names: Collection[str]) -> SampledPredictor | None:
    """Return a logged model whose predictions are among these columns of a snapshot; None for any other."""
    columns = model.logged_columns(deployment.requests.table)
    are_there = columns and all(f"{LOGGED}{name}" in names for name in columns)
    return SampledPredictor(model.address, columns) if are_there else None


def load(context: DeploymentContext, model: Challenger, window: Window) -> LoggedPredictor:
    """Return a logged model; raise SourceError or CredentialsError where its columns cannot be read at all."""
    context.request_source.logged(model.address, [], window)
    return LoggedPredictor(context.request_source, model.address, window)


def _predictions(address: str, values: NDArray[np.float64], missing: Sequence[int]) -> Predictions:
    """Return predictions of shape (rows, columns), or (rows,) of one column."""
    errors = dict.fromkeys(missing, f"{address} holds no prediction")
    return Predictions(values if values.shape[1] > 1 else values.reshape(-1), errors)
