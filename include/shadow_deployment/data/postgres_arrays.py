"""Arrays in Postgres's binary format, to numpy and from Arrow, without a Python object per element."""

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

YEAR_2000: Final = 946_684_800_000_000  # from which Postgres counts, in microseconds since 1970
_NUMBERS: Final = {"int4": ">i4", "int8": ">i8", "float8": ">f8", "timestamptz": ">i8"}
_ELEMENTS: Final[dict[pa.DataType, tuple[str, int]]] = {  # the element's type, and what is subtracted first
    pa.int32(): ("int4", 0),
    pa.float64(): ("float8", 0),
    pa.timestamp("us", "UTC"): ("timestamptz", YEAR_2000),
}
_BY_OID: Final = {types[name].oid: number for name, number in _NUMBERS.items()}


def sending_arrays(session: Session[Any]) -> Cursor[Any]:
    """Return a cursor that takes Arrow arrays, as `array_of` does, as parameters and in COPY."""
    cursor = session.cursor()
    cursor.adapters.register_dumper(pa.Array, _ArrayDumper)
    return cursor


def reading_arrays(session: Session[Any]) -> Cursor[Any]:
    """Return a cursor whose arrays of int4, int8, float8 and timestamptz are numpy's, of as many axes.

    Times are microseconds since the year 2000, as int64. An array with a null raises LedgerError. Arrow arrays may be
    parameters.
    """
    cursor = session.cursor(binary=True)
    cursor.adapters.register_dumper(pa.Array, _ArrayDumper)
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
    numbers: NDArray[Any] = np.frombuffer(b"".join(arrays), whole)["elements"]["value"]
    return numbers


def array_of(values: pa.Array) -> bytes:
    """Return an array in Postgres's binary format.

    Args:
        values: An array of int32, float64, timestamp of microseconds in UTC, or string; or of lists of float64 that
            are all as long, which has two axes. A null float64 or list is sent as NaN.

    Raises:
        ValueError: The type is another one, or an int32 or timestamp is null.
    """
    if pa.types.is_string(values.type):
        return _array_of_texts(values)
    if values.type == pa.list_(pa.float64()):
        return _array_of_numbers(_matrix(values), "float8")
    if values.type not in _ELEMENTS or (values.null_count and values.type != pa.float64()):
        raise ValueError(f"a list of {values.type} with {values.null_count} nulls cannot be sent")
    element, epoch = _ELEMENTS[values.type]
    plain = values.cast(pa.int64()) if epoch else values
    return _array_of_numbers(plain.to_numpy(zero_copy_only=False) - epoch, element)


def _array_of_numbers(values: NDArray[Any], element: str) -> bytes:
    elements = np.empty(values.size, [("length", ">i4"), ("value", _NUMBERS[element])])
    elements["length"], elements["value"] = elements["value"].itemsize, values.ravel()
    return _head(values.shape, 0, element) + elements.tobytes()


def _array_of_texts(values: pa.StringArray) -> bytes:
    lengths = pc.fill_null(pc.binary_length(values), -1).to_numpy(zero_copy_only=False).astype(">i4")
    prefixes = pa.Array.from_buffers(pa.binary(4), len(values), [None, pa.py_buffer(lengths)]).cast(pa.binary())
    texts = pc.fill_null(values.cast(pa.binary()), b"")
    elements = pc.binary_join_element_wise(prefixes, texts, pa.scalar(b"", pa.binary()))
    return b"".join(
        [_head([len(values)], int(values.null_count > 0), "text"), elements.buffers()[2] if len(values) else b""]
    )


def _matrix(rows: pa.ListArray) -> NDArray[np.float64]:
    """Return lists of numbers that are all as long as a matrix; a row of NaN where there is none."""
    there = rows.is_valid().to_numpy(zero_copy_only=False)
    known = rows.drop_null()
    matrix = np.full((len(rows), pc.list_value_length(known)[0].as_py() if len(known) else 0), np.nan)
    matrix[there] = known.flatten().to_numpy(zero_copy_only=False).reshape(len(known), -1)
    return matrix


def _head(shape: Sequence[int], has_nulls: int, element: str) -> bytes:
    """Return what stands before the elements: of each axis the length and the first index."""
    axes = [number for length in shape for number in (length, 1)]
    return np.array([len(shape), has_nulls, types[element].oid, *axes], ">i4").tobytes()


class _ArrayDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: pa.Array) -> Buffer:
        return array_of(obj)


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
