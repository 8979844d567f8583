"""The A/A check: the champion's own logged answer, as if it were a challenger's."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shadow_deployment.data.predictor import Predictions


class ChampionPredictor:
    """Repeats what the champion answered; measures what the pipe itself adds, which must be nothing."""

    def __init__(self, classes: int = 0) -> None:
        self._classes = classes

    def predict(self, batch: pa.RecordBatch) -> Predictions:
        """Return the champion's logged predictions."""
        missing = np.flatnonzero(pc.is_null(batch["champion"]).to_numpy(zero_copy_only=False))
        errors = {int(row): "the champion logged no prediction" for row in missing}
        if self._classes:
            nothing = [np.nan] * self._classes
            rows = [row or nothing for row in batch["champion_probabilities"].to_pylist()]
            return Predictions(np.array(rows, np.float64), errors)
        return Predictions(pc.fill_null(batch["champion"], np.nan).to_numpy(zero_copy_only=False), errors)
