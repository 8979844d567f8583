"""The Open Inference Protocol, version 2: requests and responses as JSON.

https://github.com/kserve/open-inference-protocol: a model's metadata, and tensors whose data lie flat in row-major
order. A number is read as the same double that was written; JSON has neither NaN nor infinity.
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
from shadow_deployment.models.remote.calls import RowsRefused
from shadow_deployment.models.tensors import TensorSpec

DATATYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    **{f"UINT{bits}": np.dtype(f"uint{bits}") for bits in (8, 16, 32, 64)},
    **{f"INT{bits}": np.dtype(f"int{bits}") for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": np.dtype(f"float{bits}") for bits in (16, 32, 64)},
    "BYTES": np.dtype(object),
}
_ANY = -1
_PARTS = ("inputs", "outputs", "versions")
_FLOATS = ("FP16", "FP32", "FP64")


@dataclass(frozen=True)
class Metadata:
    """A model's metadata as its server gives them; all empty where it gives none."""

    inputs: Sequence[TensorSpec] = ()
    outputs: Sequence[TensorSpec] = ()
    versions: Sequence[str] = ()


def parse_metadata(content: Any) -> Metadata:
    """Return a model's metadata from their JSON; raise ValueError where they are malformed."""
    parts: list[Any] = [content.get(name) or [] for name in _PARTS] if isinstance(content, dict) else [None]
    if not all(isinstance(part, list) for part in parts):
        raise ValueError(f"must be an object with lists of {', '.join(_PARTS)}")
    inputs, outputs, versions = parts
    return Metadata([_spec(item) for item in inputs], [_spec(item) for item in outputs], [str(v) for v in versions])


def default_inputs(schema: pa.Schema, features: Sequence[str]) -> list[TensorSpec]:
    """Return the inputs of a model without metadata: one of shape (n, 1) for each feature, of the feature's type."""
    kinds = {name: _kind(schema.field(name).type) for name in features}
    return [TensorSpec(name, kind, DATATYPES.get(kind), (None, 1)) for name, kind in kinds.items()]


def inference_request(arrays: Mapping[str, NDArray[Any]], kinds: Mapping[str, str], nulls: str | None = None) -> bytes:
    """Return the body of an inference request for these arrays; `nulls` is how NaN is written, null or NaN.

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


def parse_outputs(content: Any, rows: int) -> list[NDArray[Any]]:
    """Return the floating-point outputs of a response; raise RowsRefused unless each has this many rows."""
    tensors = content.get("outputs") if isinstance(content, dict) else None
    if not isinstance(tensors, list):
        raise RowsRefused("the response has no outputs")
    try:
        arrays = [_array(item, DATATYPES[item["datatype"]]) for item in tensors if item["datatype"] in _FLOATS]
    except (KeyError, TypeError, ValueError, OverflowError, RecursionError):
        raise RowsRefused("the response has outputs whose data are not of their shape and datatype") from None
    for array in arrays:
        if not array.ndim or array.shape[0] != rows:
            raise RowsRefused(f"the response has {len(array) if array.ndim else 1} rows for {rows} requests")
    return arrays


def empty_outputs(specs: Sequence[TensorSpec]) -> list[NDArray[Any]] | None:
    """Return the outputs for no rows at all; None where the metadata leave their sizes open."""
    known = [spec for spec in specs if spec.dtype is not None]
    if not known or any(size is None for spec in known for size in spec.shape[1:]):
        return None
    return [np.empty((0, *spec.shape[1:]), spec.dtype) for spec in known]


def _spec(content: Any) -> TensorSpec:
    try:
        name, kind, sizes = str(content["name"]), str(content["datatype"]), [int(size) for size in content["shape"]]
    except (KeyError, TypeError, ValueError):
        raise ValueError("each input and output must have name, datatype and shape") from None
    return TensorSpec(name, kind, DATATYPES.get(kind), [None if size == _ANY else size for size in sizes])


def _array(content: Mapping[str, Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    shape = content["shape"]
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise ValueError("shape")
    flat = _flat(content["data"])
    if not all(item is None or isinstance(item, int | float) for item in flat):
        raise ValueError("data")
    numbers = [math.nan if item is None else item for item in flat]
    with np.errstate(over="ignore"):
        return np.array(numbers).astype(dtype).reshape(shape)


def _flat(data: Any) -> list[Any]:
    if not isinstance(data, list):
        raise TypeError("data")
    return [item for part in data for item in _flat(part)] if data and isinstance(data[0], list) else data


def _kind(column: pa.DataType) -> str:
    """Return the datatype in which a column is sent; raise ModelError where it is neither number, boolean nor text."""
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
