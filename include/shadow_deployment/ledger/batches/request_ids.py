"""The ids of a day's requests from the ledger, as Arrow, with when they were made."""

import datetime as dt
from typing import Any, Final

import numpy as np
import pyarrow as pa

from shadow_deployment.data.db import Session
from shadow_deployment.data.postgres_arrays import YEAR_2000, reading_arrays
from shadow_deployment.data.sources.identity import IdColumn
from shadow_deployment.ledger.batching import cut

SCHEMA: Final = pa.schema(
    [("ordinal", pa.int32()), ("request_id", pa.string()), ("requested_at", pa.timestamp("us", "UTC"))]
)


def request_ids(
    session: Session[Any], day: dt.date, snapshot: int, first: int, end: int, column: IdColumn = "request_id"
) -> pa.Table:
    """Return the requests between two ordinals as SCHEMA; request_id is what a `column` holds, null for nothing."""
    span = {"day": day, "snapshot": snapshot, "first": first, "end": end}
    parts = [SCHEMA.empty_table()]
    with reading_arrays(session) as cursor:
        for where, part in cut(cursor, "request_batch", [column, "requested_at"], span):
            ordinals = np.arange(first + where.start, first + where.stop, dtype=np.int32)
            requested_at = pa.array(part["requested_at"] + YEAR_2000, SCHEMA.field("requested_at").type)
            ids = pa.nulls(len(ordinals), pa.string()) if part[column] is None else pa.array(part[column], pa.string())
            parts.append(pa.table([ordinals, ids, requested_at], schema=SCHEMA))
    return pa.concat_tables(parts)
