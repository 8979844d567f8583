"""The ids of a day's requests from the ledger, as Arrow: no Python object is made of any."""

import datetime as dt
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa

from include.shadow.ledger.arrays import reading_arrays
from include.shadow.ledger.database import Session
from include.shadow.statements import parameterised

ROWS_AT_ONCE: Final = 32_768  # longer arrays take the server longer a row
_IDS: Final = Path(__file__).parent / "sql" / "request_ids.sql"


def request_ids(session: Session[Any], day: dt.date, snapshot: int, first: int, end: int) -> pa.Table:
    """Return ordinal (int32) and request_id (string, null where there is none) of the requests between two ordinals."""
    span = {"day": day, "snapshot": snapshot}
    starts = range(first, end, ROWS_AT_ONCE)
    with reading_arrays(session) as cursor:
        parts = [
            _table(*cursor.execute(parameterised(_IDS), span | {"first": one, "end": min(one + ROWS_AT_ONCE, end)}))
            for one in starts
        ]
    return pa.concat_tables([_NONE, *parts])


def _table(row: tuple[Any, Any, Any]) -> pa.Table:
    """Return ids as a table by ordinal, whatever order they come in."""
    ordinals, lengths, content = row
    if ordinals is None:
        return _NONE
    there = lengths >= 0
    offsets = np.concatenate(([0], np.cumsum(np.where(there, lengths, 0)))).astype(np.int32)
    valid = pa.array(there).buffers()[1]
    buffers = [valid, pa.py_buffer(offsets), pa.py_buffer(content or b"")]
    ids = pa.Array.from_buffers(pa.string(), len(ordinals), buffers)
    table = pa.table({"ordinal": pa.array(ordinals, pa.int32()), "request_id": ids})
    return table if (ordinals[1:] > ordinals[:-1]).all() else table.take(np.argsort(ordinals))


_NONE: Final = pa.schema([("ordinal", pa.int32()), ("request_id", pa.string())]).empty_table()
