"""Predictions that mirrored traffic has logged already: read them, do not compute them."""

import numpy as np
import pyarrow as pa

from shadow_deployment.config.window import Window
from shadow_deployment.data.ports import Source
from shadow_deployment.data.predictor import Predictions


class LoggedPredictor:
    """Reads the challenger's answers from production, by request id.

    They are in `TABLE.COLUMN`, or in `COLUMN` of the log itself; in a column for each class where there are classes.
    """

    def __init__(self, source: Source, column: str, window: Window) -> None:
        self._source = source
        self._column = column
        self._window = window

    def predict(self, batch: pa.RecordBatch) -> Predictions:
        """Return the logged answers; a request without one is an error of that row."""
        requests = batch["request_id"].to_pylist()
        logged = self._source.logged(self._column, [one for one in requests if one is not None], self._window)
        width = self._column.count(",") + 1
        found = [logged.get(request, (None,) * width) for request in requests]
        values = np.array([[np.nan if one is None else one for one in row] for row in found], np.float64)
        errors = {row: f"{self._column} holds no prediction" for row, one in enumerate(found) if None in one}
        return Predictions(values if width > 1 else values.reshape(-1), errors)
