"""Columns from Postgres as numpy arrays: `array_agg` of a column is read without a Python object for each number."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from psycopg import Cursor
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.postgres import types
from psycopg.pq import Format

from include.shadow.errors import LedgerError
from include.shadow.ledger.database import Session

_NUMBERS: Final = {"int4": ">i4", "int8": ">i8", "float8": ">f8", "timestamptz": ">i8"}
_BY_OID: Final = {types[name].oid: number for name, number in _NUMBERS.items()}


def reading_arrays(session: Session[Any]) -> Cursor[Any]:
    """Return a cursor whose arrays of int4, int8, float8 and timestamptz are numpy's, of as many axes.

    Times are microseconds since the year 2000, as int64. An array with a null raises LedgerError.
    """
    cursor = session.cursor(binary=True)
    for name in _NUMBERS:
        cursor.adapters.register_loader(types[name].array_oid, _ArrayLoader)
    return cursor


class _ArrayLoader(Loader):
    """Postgres's own format: a head, for each axis its length, and for each element its length and its bytes."""

    format = Format.BINARY

    def load(self, data: Buffer) -> NDArray[Any]:
        axes, has_nulls, oid = (int(one) for one in np.frombuffer(data, ">i4", 3))
        if has_nulls:
            raise LedgerError(
                "the ledger holds a null where python -m include.shadow never writes one, such as a request without "
                "its champion's version: restore it from a backup"
            )
        number = _BY_OID[oid]
        shape = np.frombuffer(data, ">i4", 2 * axes, 12)[::2]
        elements = np.frombuffer(data, [("length", ">i4"), ("value", number)], offset=12 + 8 * axes)
        return elements["value"].astype(number[1:]).reshape(shape)
