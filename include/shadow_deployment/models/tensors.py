"""Features as tensors: what the inputs of a model must be to take them, and which of its outputs is the answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shadow_deployment.errors import ModelError


@dataclass(frozen=True)
class Tensor:
    """What a model says of an input or output: `kind` is its type's name there, `dtype` None where it has none here.

    A size in `shape` is no number where any will do.
    """

    name: str
    kind: str
    dtype: np.dtype[Any] | None
    shape: Sequence[Any]


class Inputs:
    """A model's inputs: one of shape (n, 1) or (n,) for each feature, or one of shape (n, features) for all of them.

    `model` names the model in errors. Raises ModelError where the inputs are not those.
    """

    def __init__(self, model: str, tensors: Sequence[Tensor], features: Sequence[str]) -> None:
        self._model = model
        self._features = list(features)
        self._tensors = {one.name: one for one in tensors}
        self._matrix = self._is_matrix()
        if not self._matrix:
            self._require_features()

    def arrays(self, batch: pa.RecordBatch) -> tuple[dict[str, NDArray[Any]], dict[int, str]]:
        """Return an array for each input, and errors of the rows that an input cannot hold; raise ModelError for types.

        A null is NaN where the input has floating-point numbers, and an error of the row elsewhere.
        """
        errors: dict[int, str] = {}
        if self._matrix:
            (tensor,) = self._tensors.values()
            columns = [self._column(batch, name, tensor, errors) for name in self._features]
            return {tensor.name: np.hstack(columns)}, errors
        return {name: self._column(batch, name, one, errors) for name, one in self._tensors.items()}, errors

    def _is_matrix(self) -> bool:
        if len(self._tensors) != 1 or next(iter(self._tensors)) in self._features:
            return False
        (tensor,) = self._tensors.values()
        is_number = tensor.dtype is not None and tensor.dtype.kind != "O"
        return is_number and len(tensor.shape) == 2 and tensor.shape[1] == len(self._features)

    def _require_features(self) -> None:
        missing = [name for name in self._tensors if name not in self._features]
        if len(self._tensors) == 1 and missing and len(self._tensors[missing[0]].shape) == 2:
            width = self._tensors[missing[0]].shape[1]
            if width not in (1, None):
                raise ModelError(
                    f"{self._model}: input {missing[0]} takes {width} columns, must take {len(self._features)}, "
                    f"one for each of requests.features: {', '.join(self._features)}"
                )
        if missing:
            raise ModelError(
                f"{self._model} wants inputs that are no features: {', '.join(missing)}; "
                f"requests.features has {', '.join(self._features)}"
            )
        for one in self._tensors.values():
            if one.dtype is None or len(one.shape) not in (1, 2) or (len(one.shape) == 2 and one.shape[1] not in _ONE):
                raise ModelError(
                    f"{self._model}: input {one.name} is {one.kind} of shape {list(one.shape)}, must be a tensor of "
                    "shape (n, 1)"
                )

    def _column(self, batch: pa.RecordBatch, name: str, tensor: Tensor, errors: dict[int, str]) -> NDArray[Any]:
        column, dtype = batch[name], tensor.dtype
        assert dtype is not None  # noqa: S101 (such a tensor was refused)
        is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        if is_text != (dtype.kind == "O") or pa.types.is_temporal(column.type):
            raise ModelError(f"{self._model}: feature {name} is {column.type}, the model's input is {tensor.kind}")
        if dtype.kind in "iub" and (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
            column = _whole(column, name, tensor, errors)
        if column.null_count and dtype.kind != "f":
            for row in np.flatnonzero(pc.is_null(column).to_numpy(zero_copy_only=False)):
                errors.setdefault(int(row), f"feature {name} is null, the model's input is {tensor.kind}")
            column = pc.fill_null(column, "" if is_text else False if pa.types.is_boolean(column.type) else 0)
        if dtype.kind == "f":
            column = column.cast(pa.float64())
        values: NDArray[Any] = column.to_numpy(zero_copy_only=False)  # a null number becomes NaN
        with np.errstate(over="ignore"):  # a number too large for the input becomes infinite
            return values.astype(dtype).reshape((-1,) if len(tensor.shape) == 1 else (-1, 1))


_ONE = (1, None)


def _whole(column: pa.Array, name: str, tensor: Tensor, errors: dict[int, str]) -> pa.Array:
    """Make errors of the rows whose number an integer or boolean input cannot hold, and null of the number."""
    values = pc.fill_null(column, 0.0).to_numpy(zero_copy_only=False).astype(np.float64)
    assert tensor.dtype is not None  # noqa: S101 (such a tensor was refused)
    limits = None if tensor.dtype.kind == "b" else np.iinfo(tensor.dtype)
    low, high = (0, 1) if limits is None else (limits.min, limits.max)
    with np.errstate(invalid="ignore"):
        fits = (values == np.floor(values)) & (values >= low) & (values <= high)
    for row in np.flatnonzero(~fits):
        errors.setdefault(
            int(row), f"feature {name} is not a whole number that the model's input, {tensor.kind}, can hold"
        )
    return pc.if_else(pa.array(fits), column, None)


def answer(outputs: Sequence[NDArray[Any]], classes: int, model: str) -> NDArray[np.float64]:
    """Return a number for each row, or with `classes` a probability for each class; raise ModelError without one.

    It is the second column of an output with two columns (a classifier's probabilities), else the only floating-point
    output of one column; with `classes`, the output with so many columns.
    """
    floats = [array for array in outputs if array.dtype.kind == "f"]
    if classes:
        for array in floats:
            if array.ndim == 2 and array.shape[1] == classes:
                return array.astype(np.float64)
        floats = []
    for array in floats:
        if array.ndim == 2 and array.shape[1] == 2:
            return array[:, 1].astype(np.float64)
    single = [array for array in floats if array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1)]
    if len(single) == 1:
        return single[0].reshape(-1).astype(np.float64)
    shapes = ", ".join(f"{array.dtype} {array.shape}" for array in outputs) or "none"
    raise ModelError(
        f"{model} has outputs {shapes}: must have probabilities of shape (n, {classes or 2})"
        f"{'' if classes else ' or one float output'}; export a classifier without zipmap"
    )
