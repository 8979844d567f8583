"""What a predictor is: a batch of rows in, predictions and errors out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


@dataclass(frozen=True)
class Predictions:
    """What a model said: `values` has one double for each row of the batch, `errors` says why where it has none.

    Where the task has classes, `values` has shape (rows, classes): a probability for each. `latency_ms` has the
    milliseconds of each row where the time of the call is not the model's own, as where the call has waited.
    """

    values: NDArray[np.float64]
    errors: Mapping[int, str] = field(default_factory=dict)
    latency_ms: NDArray[np.float64] | None = None


class Predictor(Protocol):
    """A loaded model.

    One that is better shown many rows at once says how many in `batch_rows`, and one that reads more of the snapshot
    than ids, features and the champion's predictions says which columns in `columns`.
    """

    def predict(self, batch: pa.RecordBatch) -> Predictions:
        """Answer each row of a snapshot's batch. May raise: the rows at fault are then found one by one."""
        ...
