"""The ids of a day's requests from the ledger, as Arrow."""

import datetime as dt
from typing import Any, Final

import numpy as np
import pyarrow as pa

from shadow_deployment.data.db import Session
from shadow_deployment.data.postgres_arrays import reading_arrays
from shadow_deployment.ledger.batching import cut

_SCHEMA: Final = pa.schema([("ordinal", pa.int32()), ("request_id", pa.string())])


def request_ids(session: Session[Any], day: dt.date, snapshot: int, first: int, end: int) -> pa.Table:
    """Return ordinal (int32) and request_id (string, null where there is none) of the requests between two ordinals."""
    span = {"day": day, "snapshot": snapshot, "first": first, "end": end}
    parts = [_SCHEMA.empty_table()]
    with reading_arrays(session) as cursor:
        for where, part in cut(cursor, "request_batch", ["request_id"], span):
            ordinals = np.arange(first + where.start, first + where.stop, dtype=np.int32)
            parts.append(pa.table([ordinals, pa.array(part["request_id"], pa.string())], schema=_SCHEMA))
    return pa.concat_tables(parts)
