"""Arrays as Postgres sends and takes them, from and to numpy: without a Python object for each number."""

from collections.abc import Sequence
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


def array_of_numbers(values: NDArray[np.float64]) -> bytes:
    """Return an array of float8 of any shape as Postgres takes it."""
    axes = np.array([(length, 1) for length in values.shape], ">i4")
    elements = np.empty(values.size, [("length", ">i4"), ("value", ">f8")])
    elements["length"], elements["value"] = 8, values.ravel()
    return _head(values.ndim, 0, "float8") + axes.tobytes() + elements.tobytes()


def array_of_texts(values: Sequence[str | None]) -> bytes:
    """Return an array of text with one axis as Postgres takes it."""
    parts = [_head(1, 1, "text"), np.array([len(values), 1], ">i4").tobytes()]
    for value in values:
        content = b"" if value is None else value.encode()
        parts += [(-1 if value is None else len(content)).to_bytes(4, "big", signed=True), content]
    return b"".join(parts)


def _head(axes: int, has_nulls: int, element: str) -> bytes:
    return np.array([axes, has_nulls, types[element].oid], ">i4").tobytes()


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
