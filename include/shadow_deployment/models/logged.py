"""Predictions that mirrored traffic has already logged: they are read, not computed."""

import numpy as np
import pyarrow as pa

from shadow_deployment.config.deployment import Challenger
from shadow_deployment.config.window import Window
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.ports import RequestSource
from shadow_deployment.data.predictor import Predictions


class LoggedPredictor:
    """Reads the challenger's predictions from production, by request id.

    They are in `TABLE.COLUMN`, or in `COLUMN` of the log itself; with classes, in one column for each.
    """

    def __init__(self, source: RequestSource, column: str, window: Window) -> None:
        self._source = source
        self._column = column
        self._window = window

    def predict(self, batch: pa.RecordBatch) -> Predictions:
        """Return the logged predictions; a request without one is an error of its row."""
        requests = batch["request_id"].to_pylist()
        logged = self._source.logged(self._column, [id_ for id_ in requests if id_ is not None], self._window)
        width = self._column.count(",") + 1
        rows = [logged.get(request, (None,) * width) for request in requests]
        values = np.array(rows, np.float64).reshape(-1, width)  # None becomes NaN
        errors = {number: f"{self._column} holds no prediction" for number, row in enumerate(rows) if None in row}
        return Predictions(values if width > 1 else values.reshape(-1), errors)


def load(context: DeploymentContext, model: Challenger, window: Window) -> LoggedPredictor:
    """Return a logged model; raise SourceError or CredentialsError where its columns cannot be read at all."""
    context.request_source.logged(model.address, [], window)
    return LoggedPredictor(context.request_source, model.address, window)
