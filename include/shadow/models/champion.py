"""The control: the champion's own logged answer, as if it were a challenger's."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.shadow.models import Answers


class ChampionPredictor:
    """Repeats what the champion answered; measures what the pipe itself adds, which must be nothing."""

    def predict(self, batch: pa.RecordBatch) -> Answers:
        """Return the champion's logged predictions."""
        missing = np.flatnonzero(pc.is_null(batch["champion"]).to_numpy(zero_copy_only=False))
        values = pc.fill_null(batch["champion"], np.nan).to_numpy(zero_copy_only=False)
        return Answers(values, {int(row): "the champion logged no prediction" for row in missing})
