"""Predictions that mirrored traffic has logged already: read them, do not compute them."""

import numpy as np
import pyarrow as pa

from include.shadow.models import Answers
from include.shadow.source.postgres import PostgresSource
from include.shadow.window import Window


class LoggedPredictor:
    """Reads the challenger's answers from `TABLE.COLUMN` of production, by request id."""

    def __init__(self, source: PostgresSource, column: str, window: Window) -> None:
        self._source = source
        self._column = column
        self._window = window

    def predict(self, batch: pa.RecordBatch) -> Answers:
        """Return the logged answers; a request without one is an error of that row."""
        requests = batch["request_id"].to_pylist()
        logged = self._source.logged(self._column, [one for one in requests if one is not None], self._window)
        found = [logged.get(request) for request in requests]
        values = np.array([np.nan if value is None else value for value in found], np.float64)
        return Answers(
            values, {row: f"{self._column} holds no prediction" for row, value in enumerate(found) if value is None}
        )
