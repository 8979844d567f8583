"""The ids of a day's requests from the ledger, as Arrow, and when they were made."""

import datetime as dt
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shadow_deployment.data.db import Session
from shadow_deployment.data.postgres_arrays import reading_arrays
from shadow_deployment.data.sources.identity import IdColumn
from shadow_deployment.ledger.batching import cut

SCHEMA: Final = pa.schema([("ordinal", pa.int32()), ("request_id", pa.string())])


def request_ids(
    session: Session[Any], day: dt.date, snapshot: int, first: int, end: int, column: IdColumn = "request_id"
) -> pa.Table:
    """Return the requests between two ordinals as SCHEMA; request_id is what a `column` holds, null for nothing."""
    span = {"day": day, "snapshot": snapshot, "first": first, "end": end}
    parts = [SCHEMA.empty_table()]
    with reading_arrays(session) as cursor:
        for where, part in cut(cursor, "request_batch", [column], span):
            ordinals = np.arange(first + where.start, first + where.stop, dtype=np.int32)
            ids = pa.nulls(len(ordinals), pa.string()) if part[column] is None else pa.array(part[column], pa.string())
            parts.append(pa.table([ordinals, ids], schema=SCHEMA))
    return pa.concat_tables(parts)


def request_times(session: Session[Any], day: dt.date, snapshot: int, first: int, end: int) -> NDArray[np.int64]:
    """Return when the requests between two ordinals were made, in microseconds since the year 2000."""
    times = np.zeros(end - first, np.int64)
    span = {"day": day, "snapshot": snapshot, "first": first, "end": end}
    with reading_arrays(session) as cursor:
        for where, part in cut(cursor, "request_batch", ["requested_at"], span):
            times[where] = part["requested_at"]
    return times
