"""Some real requests, for checks that need them: the newest ones, and those whose labels must have arrived."""

import datetime as dt
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shadow_deployment.config.window import Window, day_of, window_of
from shadow_deployment.context import DeploymentContext
from shadow_deployment.doctor.checks import SkippedError

MOST = 1000  # requests of a day to look at
LOOK_BACK = 7  # days that may have no requests


class KnownRequests:
    """Requests of a deployment's log; there are none until `look` has found some.

    `newest` are of the day of the newest request, `mature` of the newest day whose labels are all expected by then.
    """

    def __init__(self, context: DeploymentContext) -> None:
        self.context = context
        self.newest: pa.Table | None = None
        self.mature: pa.Table | None = None
        self.newest_window: Window | None = None
        self.mature_window: Window | None = None

    def look(self) -> str:
        """Read both; return how many there are. Raises SkippedError where the log is empty."""
        deployment, source = self.context.deployment, self.context.request_source
        newest = source.newest_time()
        if newest is None:
            raise SkippedError(f"there is no request in {deployment.requests.table} yet")
        self.newest_window = window_of(deployment, day_of(deployment, newest))
        self.newest = self._read(self.newest_window)
        before = day_of(deployment, newest - dt.timedelta(days=deployment.labels.maturity_days))
        for back in range(1, LOOK_BACK + 1):
            self.mature_window = window_of(deployment, before - dt.timedelta(days=back))
            self.mature = self._read(self.mature_window)
            if self.mature.num_rows:
                break
        return f"the newest is of {newest:%Y-%m-%d %H:%M} UTC"

    @cached_property
    def is_labelled(self) -> NDArray[np.bool_]:
        """Return which of the mature requests find a label."""
        deployment, mature, window = self.context.deployment, self.mature, self.mature_window
        if mature is None or window is None or not mature.num_rows:
            return np.zeros(0, bool)
        name = "request_id" if deployment.labels.key is None else "label_key"
        ids = pc.unique(mature[name]).drop_null()
        asked = pa.table({"ordinal": pa.array(range(len(ids)), pa.int32()), "request_id": ids})
        until = window.end + dt.timedelta(days=deployment.labels.maturity_days)
        labelled = self.context.label_source.labels(asked, None, until)["ordinal"]
        is_in = pc.is_in(mature[name], value_set=ids.take(pc.unique(labelled)))
        return np.asarray(is_in.to_numpy(zero_copy_only=False), np.bool_)

    def _read(self, window: Window) -> pa.Table:
        with self.context.request_source.reading(window) as reading:
            return reading.newest(MOST)
