"""The Open Inference Protocol, version 2: what is asked and what is answered, as JSON.

https://github.com/kserve/open-inference-protocol: a model's metadata, and tensors whose data lie flat in row-major
order. Numbers are written so that they are read as the same double; JSON has neither NaN nor infinity.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shadow_deployment.errors import ModelError
from shadow_deployment.models.remote.calls import Refused
from shadow_deployment.models.tensors import Tensor

DATATYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    **{f"UINT{bits}": np.dtype(f"uint{bits}") for bits in (8, 16, 32, 64)},
    **{f"INT{bits}": np.dtype(f"int{bits}") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": np.dtype(f"float{bits}") for bits in (16, 32, 64)},
    "BYTES": np.dtype(object),
}
_ANY = -1
_PARTS = ("inputs", "outputs", "versions")
_ANSWERS = ("FP16", "FP32", "FP64")


@dataclass(frozen=True)
class Metadata:
    """What a server says of a model; all are empty where it says nothing."""

    inputs: Sequence[Tensor] = ()
    outputs: Sequence[Tensor] = ()
    versions: Sequence[str] = ()


def metadata(said: Any) -> Metadata:
    """Read a model's metadata; raise ValueError where it is none."""
    found: list[Any] = [said.get(name) or [] for name in _PARTS] if isinstance(said, dict) else [None]
    if not all(isinstance(one, list) for one in found):
        raise ValueError(f"must be an object with lists of {', '.join(_PARTS)}")
    inputs, results, versions = found
    return Metadata([_tensor(one) for one in inputs], [_tensor(one) for one in results], [str(one) for one in versions])


def guessed(schema: pa.Schema, features: Sequence[str]) -> list[Tensor]:
    """Return the inputs of a model whose server says nothing: one of shape (n, 1) for each feature, of its own type."""
    kinds = {name: _kind(schema.field(name).type) for name in features}
    return [Tensor(name, kind, DATATYPES.get(kind), (None, 1)) for name, kind in kinds.items()]


def request(arrays: Mapping[str, NDArray[Any]], kinds: Mapping[str, str], nulls: str | None = None) -> bytes:
    """Return the body that asks for an inference on these arrays; `nulls` is how NaN is written, null or NaN.

    Raises ValueError for a NaN without it, and for infinity.
    """
    inputs = [
        {"name": name, "shape": list(array.shape), "datatype": kinds[name], "data": _data(array, nulls)}
        for name, array in arrays.items()
    ]
    return json.dumps({"inputs": inputs}, allow_nan=nulls == "NaN").encode()


def _data(array: NDArray[Any], nulls: str | None) -> list[Any]:
    flat = array.reshape(-1)
    if nulls == "null" and flat.dtype.kind == "f":
        return [None if value != value else value for value in flat.tolist()]  # noqa: PLR0124 (NaN is not itself)
    values: list[Any] = flat.tolist()
    return values


def outputs(said: Any, rows: int) -> list[NDArray[Any]]:
    """Return the floating-point outputs of an answer; raise Refused where it is none to so many rows."""
    found = said.get("outputs") if isinstance(said, dict) else None
    if not isinstance(found, list):
        raise Refused("the server answers with something else than outputs")
    try:
        arrays = [_array(one, DATATYPES[one["datatype"]]) for one in found if one["datatype"] in _ANSWERS]
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
        raise Refused("the server answers with outputs whose data are not of their shape and datatype") from None
    for array in arrays:
        if not array.ndim or array.shape[0] != rows:
            raise Refused(f"the server answers {len(array) if array.ndim else 1} rows to {rows} requests")
    return arrays


def require_outputs(tensors: Sequence[Tensor]) -> list[NDArray[Any]] | None:
    """Return the outputs of no rows at all; None where the metadata leave their sizes open."""
    known = [one for one in tensors if one.dtype is not None]
    if not known or any(size is None for one in known for size in one.shape[1:]):
        return None
    return [np.empty((0, *one.shape[1:]), one.dtype) for one in known]


def _tensor(said: Any) -> Tensor:
    try:
        name, kind, shape = str(said["name"]), str(said["datatype"]), list(said["shape"])
        return Tensor(name, kind, DATATYPES.get(kind), [None if int(size) == _ANY else int(size) for size in shape])
    except (KeyError, TypeError, ValueError):
        raise ValueError("each input and output must have name, datatype and shape") from None


def _array(said: Mapping[str, Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    shape = said["shape"]
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError("shape")
    flat = _flat(said["data"])
    if not all(one is None or isinstance(one, int | float) for one in flat):
        raise ValueError("data")
    numbers = [math.nan if one is None else one for one in flat]
    with np.errstate(over="ignore"):
        return np.array(numbers).astype(dtype).reshape(shape)


def _flat(data: Any) -> list[Any]:
    if not isinstance(data, list):
        raise TypeError("data")
    return [one for part in data for one in _flat(part)] if data and isinstance(data[0], list) else data


def _kind(column: pa.DataType) -> str:
    """Return the datatype in which a column is sent; raise ModelError for one that is no number and no text."""
    if pa.types.is_float32(column):
        return "FP32"
    if pa.types.is_floating(column):
        return "FP64"
    if pa.types.is_integer(column):
        return "INT64"
    if pa.types.is_boolean(column):
        return "BOOL"
    if pa.types.is_string(column) or pa.types.is_large_string(column):
        return "BYTES"
    raise ModelError(f"a feature is {column}, must be a number, a boolean or text to be sent to an endpoint")
