"""The A/A check: the champion's own logged predictions, as if they were a challenger's."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from shadow_deployment.config.deployment import Challenger
from shadow_deployment.config.window import Window
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.predictor import Predictions


class ChampionPredictor:
    """Repeats the champion's predictions: the differences it yields are those of the pipeline itself, and must be 0."""

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


def load(context: DeploymentContext, _: Challenger, __: Window) -> ChampionPredictor:
    """Return the A/A check of a deployment."""
    return ChampionPredictor(len(context.deployment.classes))
