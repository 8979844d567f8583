"""Features as tensors: which inputs a model may have, and which of its outputs holds the predictions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from shadow_deployment.errors import ModelError


@dataclass(frozen=True)
class TensorSpec:
    """An input or output as a model declares it.

    `kind` is the model's name of its type, `dtype` None where numpy has no such type. A size in `shape` that is not a
    number allows any.
    """

    name: str
    kind: str
    dtype: np.dtype[Any] | None
    shape: Sequence[Any]


class Inputs:
    """A model's inputs: one of shape (n, 1) or (n,) for each feature, or one of shape (n, features) for all of them.

    `model` names the model in errors. Raises ModelError for other inputs.
    """

    def __init__(self, model: str, specs: Sequence[TensorSpec], features: Sequence[str]) -> None:
        self._model = model
        self._features = list(features)
        self._specs = {spec.name: spec for spec in specs}
        self._is_matrix = self._takes_matrix()
        if not self._is_matrix:
            self._require_features()

    def arrays(self, batch: pa.RecordBatch) -> tuple[dict[str, NDArray[Any]], dict[int, str]]:
        """Return an array for each input, and errors of the rows that an input cannot hold.

        A null is NaN where the input is floating-point, and an error of the row elsewhere. Raises ModelError for a
        feature whose type is not the input's.
        """
        errors: dict[int, str] = {}
        if self._is_matrix:
            (spec,) = self._specs.values()
            columns = [self._column(batch, name, spec, errors) for name in self._features]
            return {spec.name: np.hstack(columns)}, errors
        return {name: self._column(batch, name, spec, errors) for name, spec in self._specs.items()}, errors

    def _takes_matrix(self) -> bool:
        if len(self._specs) != 1 or next(iter(self._specs)) in self._features:
            return False
        (spec,) = self._specs.values()
        is_number = spec.dtype is not None and spec.dtype.kind != "O"
        return is_number and len(spec.shape) == 2 and spec.shape[1] == len(self._features)

    def _require_features(self) -> None:
        unknown = [name for name in self._specs if name not in self._features]
        if len(self._specs) == 1 and unknown and len(self._specs[unknown[0]].shape) == 2:
            width = self._specs[unknown[0]].shape[1]
            if width not in (1, None):
                raise ModelError(
                    f"{self._model}: input {unknown[0]} takes {width} columns, must take {len(self._features)}, "
                    f"one for each of requests.features: {', '.join(self._features)}"
                )
        if unknown:
            raise ModelError(
                f"{self._model}: inputs {', '.join(unknown)} are not features; "
                f"requests.features has {', '.join(self._features)}"
            )
        for spec in self._specs.values():
            is_column = len(spec.shape) == 1 or (len(spec.shape) == 2 and spec.shape[1] in (1, None))
            if spec.dtype is None or not is_column:
                raise ModelError(
                    f"{self._model}: input {spec.name} is {spec.kind} of shape {list(spec.shape)}, must be a tensor of "
                    "shape (n, 1)"
                )

    def _column(self, batch: pa.RecordBatch, name: str, spec: TensorSpec, errors: dict[int, str]) -> NDArray[Any]:
        column, dtype = batch[name], spec.dtype
        assert dtype is not None  # noqa: S101 (such an input was refused)
        is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        if is_text != (dtype.kind == "O") or pa.types.is_temporal(column.type):
            raise ModelError(f"{self._model}: feature {name} is {column.type}, the model's input is {spec.kind}")
        if dtype.kind in "iub" and (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
            column = _whole_numbers(column, name, spec, errors)
        if column.null_count and dtype.kind != "f":
            for row in np.flatnonzero(pc.is_null(column).to_numpy(zero_copy_only=False)):
                errors.setdefault(int(row), f"feature {name} is null, the model's input is {spec.kind}")
            column = pc.fill_null(column, "" if is_text else False if pa.types.is_boolean(column.type) else 0)
        if dtype.kind == "f":
            column = column.cast(pa.float64())
        values: NDArray[Any] = column.to_numpy(zero_copy_only=False)  # a null number becomes NaN
        with np.errstate(over="ignore"):  # a number too large for the input becomes infinite
            return values.astype(dtype).reshape((-1,) if len(spec.shape) == 1 else (-1, 1))


def _whole_numbers(column: pa.Array, name: str, spec: TensorSpec, errors: dict[int, str]) -> pa.Array:
    """Make errors of the rows whose number an integer or boolean input cannot hold, and null of the number."""
    values = pc.fill_null(column, 0.0).to_numpy(zero_copy_only=False).astype(np.float64)
    assert spec.dtype is not None  # noqa: S101 (such an input was refused)
    limits = None if spec.dtype.kind == "b" else np.iinfo(spec.dtype)
    low, high = (0, 1) if limits is None else (limits.min, limits.max)
    with np.errstate(invalid="ignore"):
        fits = (values == np.floor(values)) & (values >= low) & (values <= high)
    for row in np.flatnonzero(~fits):
        errors.setdefault(
            int(row), f"feature {name} is not a whole number that the model's input, {spec.kind}, can hold"
        )
    return pc.if_else(pa.array(fits), column, None)


def read_predictions(outputs: Sequence[NDArray[Any]], classes: int, model: str) -> NDArray[np.float64]:
    """Return the output that holds the predictions.

    Args:
        outputs: All outputs of a model for n rows.
        classes: How many classes the task has; 0 for a binary task or a regression.
        model: What errors call the model.

    Returns:
        With classes, the floating-point output of shape (n, classes). Without, an array of shape (n,): the second
        column of an output with two columns (a classifier's probabilities), else the only one-column output.

    Raises:
        ModelError: There is no such output.
    """
    floats = [array for array in outputs if array.dtype.kind == "f"]
    for array in floats:
        if array.ndim == 2 and array.shape[1] == (classes or 2):
            return (array if classes else array[:, 1]).astype(np.float64)
    single = [array for array in floats if array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1)]
    if len(single) == 1 and not classes:
        return single[0].reshape(-1).astype(np.float64)
    shapes = ", ".join(f"{array.dtype} {array.shape}" for array in outputs) or "none"
    raise ModelError(
        f"{model} has outputs {shapes}: must have probabilities of shape (n, {classes or 2})"
        f"{'' if classes else ' or one float output'}; export a classifier without zipmap"
    )
