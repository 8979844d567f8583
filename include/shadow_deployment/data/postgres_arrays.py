"""Arrays as Postgres sends and takes them, from and to numpy and Arrow: without a Python object for each element."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from psycopg import Cursor
from psycopg.abc import Buffer
from psycopg.adapt import Dumper, Loader
from psycopg.postgres import types
from psycopg.pq import Format

from shadow_deployment.data.db import Session
from shadow_deployment.errors import LedgerError

Bytes = NDArray[np.uint8]  # of shape (rows, bytes of a row)

YEAR_2000: Final = 946_684_800_000_000  # from which Postgres counts, in microseconds since 1970
_NUMBERS: Final = {"int4": ">i4", "int8": ">i8", "float8": ">f8", "timestamptz": ">i8"}
_BY_OID: Final = {types[name].oid: number for name, number in _NUMBERS.items()}


def reading_arrays(session: Session[Any]) -> Cursor[Any]:
    """Return a cursor whose arrays of int4, int8, float8 and timestamptz are numpy's, of as many axes.

    Times are microseconds since the year 2000, as int64. An array with a null raises LedgerError. An Arrow array of
    texts may be a parameter, and is sent as text[].
    """
    cursor = session.cursor(binary=True)
    cursor.adapters.register_dumper(pa.StringArray, _TextsDumper)
    for name in _NUMBERS:
        cursor.adapters.register_loader(types[name].array_oid, _ArrayLoader)
    return cursor


def reading_many(session: Session[Any]) -> Cursor[Any]:
    """Return a cursor whose arrays stay bytes as Postgres sends them, for `stacked`, which reads many at once."""
    cursor = session.cursor(binary=True)
    for name in _NUMBERS:
        cursor.adapters.register_loader(types[name].array_oid, _BytesLoader)
    return cursor


def stacked(arrays: Sequence[bytes]) -> NDArray[Any]:
    """Return arrays of one shape as one, of an axis more, in Postgres's order of bytes; there is at least one.

    An array with a null raises LedgerError.
    """
    head, number, shape = _read_head(arrays[0])
    element = np.dtype([("length", ">i4"), ("value", number)])
    whole = np.dtype([("head", np.void, head), ("elements", element, shape)])
    found: NDArray[Any] = np.frombuffer(b"".join(arrays), whole)["elements"]["value"]
    return found


def array_of_numbers(values: NDArray[np.float64]) -> bytes:
    """Return an array of float8 of any shape as Postgres takes it."""
    return array_of(values.astype(">f8").view(np.uint8).reshape(values.size, 8), "float8", values.shape)


def array_of(values: Bytes, element: str, shape: Sequence[int] | None = None) -> bytes:
    """Return an array as Postgres takes it, of the bytes of elements such as int4; one axis without `shape`."""
    rows, width = values.shape
    elements = np.hstack([repeated(width, ">i4", rows), values])
    return _head([rows] if shape is None else shape, 0, element) + elements.tobytes()


def array_of_texts(values: pa.StringArray) -> bytes:
    """Return an array of text with one axis as Postgres takes it."""
    lengths = fixed(pc.fill_null(pc.binary_length(values), -1), ">i4")
    elements = side_by_side([lengths, pc.fill_null(values.cast(pa.binary()), b"")])
    return b"".join([_head([len(values)], int(values.null_count > 0), "text"), elements])


def fixed(column: pa.Array, number: str) -> Bytes:
    """Return a column's numbers as bytes in numpy's type `number`; zeros where there is none."""
    filled = pc.fill_null(column, 0) if column.null_count else column
    numbers: NDArray[Any] = filled.to_numpy(zero_copy_only=False).astype(number)
    return numbers.view(np.uint8).reshape(len(column), numbers.itemsize)


def repeated(value: int, number: str, rows: int) -> Bytes:
    """Return the bytes of one number for each row."""
    one = np.array([value], number).view(np.uint8)
    return np.broadcast_to(one, (rows, len(one)))


def side_by_side(pieces: Sequence[Bytes | pa.Array]) -> memoryview:
    """Return the bytes of rows one behind the other, each row made of its part of every piece."""
    if not len(pieces[0]):
        return memoryview(b"")
    joined = pc.binary_join_element_wise(*map(binary, pieces), pa.scalar(b"", pa.binary()))
    _, _, content = joined.buffers()
    return memoryview(content)


def binary(piece: Bytes | pa.Array) -> pa.Array:
    """Return bytes of a fixed width as an Arrow array; what is one already stays it."""
    if not isinstance(piece, np.ndarray):
        return piece
    rows, width = piece.shape
    offsets = np.arange(0, (rows + 1) * width, width, dtype=np.int32)
    content = pa.py_buffer(np.ascontiguousarray(piece))
    return pa.Array.from_buffers(pa.binary(), rows, [None, pa.py_buffer(offsets), content])


def _head(shape: Sequence[int], has_nulls: int, element: str) -> bytes:
    """Return what stands before the elements: of each axis the length and the first index."""
    axes = [number for length in shape for number in (length, 1)]
    return np.array([len(shape), has_nulls, types[element].oid, *axes], ">i4").tobytes()


class _TextsDumper(Dumper):
    format = Format.BINARY
    oid = types["text"].array_oid

    def dump(self, obj: pa.StringArray) -> Buffer:
        return array_of_texts(obj)


class _ArrayLoader(Loader):
    """Postgres's own format: a head, for each axis its length, and for each element its length and its bytes."""

    format = Format.BINARY

    def load(self, data: Buffer) -> NDArray[Any]:
        head, number, shape = _read_head(data)
        elements = np.frombuffer(data, [("length", ">i4"), ("value", number)], offset=head)
        return elements["value"].astype(number[1:]).reshape(shape)


class _BytesLoader(Loader):
    format = Format.BINARY

    def load(self, data: Buffer) -> bytes:
        return bytes(data)


def _read_head(data: Buffer) -> tuple[int, str, tuple[int, ...]]:
    """Return how long the head is, the type of the elements and the length of each axis."""
    axes, has_nulls, oid = np.frombuffer(data, ">i4", 3).tolist()
    if has_nulls:
        raise LedgerError(
            "the ledger holds a null where shadow never writes one, such as a request without "
            "its champion's version: restore it from a backup"
        )
    return 12 + 8 * axes, _BY_OID[oid], tuple(np.frombuffer(data, ">i4", 2 * axes, 12)[::2].tolist())
