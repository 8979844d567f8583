"""ONNX models, run by onnxruntime on the CPU."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from include.shadow.errors import ModelError
from include.shadow.models import Answers

_NUMPY: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(double)": np.dtype(np.float64),
    "tensor(int64)": np.dtype(np.int64),
    "tensor(int32)": np.dtype(np.int32),
    "tensor(bool)": np.dtype(np.bool_),
    "tensor(string)": np.dtype(object),
}


class OnnxPredictor:
    """An ONNX model with one input of shape (n, 1) for each feature, or one of shape (n, features) for all of them.

    Its answer is the second column of an output with two columns (a classifier's probabilities), else its only
    floating-point output; with `classes`, the output with so many columns. One thread, so that the same input gives
    the same bits on every machine of a kind.
    """

    def __init__(self, path: Path, features: Sequence[str], *, classes: int = 0) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise ModelError(f"{path} is no ONNX model that can be loaded: {error}") from error
        self._path = path
        self._features = list(features)
        self._classes = classes
        self._inputs = {one.name: (one.type, one.shape) for one in self._session.get_inputs()}
        self._matrix = self._is_matrix()
        if not self._matrix:
            self._require_features()

    def predict(self, batch: pa.RecordBatch) -> Answers:
        """Answer each row. A null where the model takes no missing value is an error of that row."""
        errors: dict[int, str] = {}
        if self._matrix:
            (name,) = self._inputs
            columns = [self._column(batch, feature, self._inputs[name][0], errors) for feature in self._features]
            feed = {name: np.hstack(columns)}
        else:
            feed = {name: self._column(batch, name, kind, errors) for name, (kind, _) in self._inputs.items()}
        return Answers(self._answer(self._session.run(None, feed)), errors)

    def _is_matrix(self) -> bool:
        if len(self._inputs) != 1 or next(iter(self._inputs)) in self._features:
            return False
        (kind, shape) = next(iter(self._inputs.values()))
        return kind != "tensor(string)" and len(shape) == 2 and shape[1] == len(self._features)

    def _require_features(self) -> None:
        missing = [name for name in self._inputs if name not in self._features]
        if len(self._inputs) == 1 and missing and len(self._inputs[missing[0]][1]) == 2:
            width = self._inputs[missing[0]][1][1]
            if width not in (1, None):
                raise ModelError(
                    f"{self._path}: input {missing[0]} takes {width} columns, must take {len(self._features)}, "
                    f"one for each of requests.features: {', '.join(self._features)}"
                )
        if missing:
            raise ModelError(
                f"{self._path} wants inputs that are no features: {', '.join(missing)}; "
                f"requests.features has {', '.join(self._features)}"
            )
        for name, (kind, shape) in self._inputs.items():
            if kind not in _NUMPY or len(shape) not in (1, 2) or (len(shape) == 2 and shape[1] not in (1, None)):
                raise ModelError(
                    f"{self._path}: input {name} is {kind} of shape {shape}, must be a tensor of shape (n, 1)"
                )

    def _column(self, batch: pa.RecordBatch, name: str, kind: str, errors: dict[int, str]) -> NDArray[Any]:
        column, dtype = batch[name], _NUMPY[kind]
        is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
        if is_text != (kind == "tensor(string)") or pa.types.is_temporal(column.type):
            raise ModelError(f"{self._path}: feature {name} is {column.type}, the model's input is {kind}")
        if dtype.kind in "ib" and (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
            column = self._whole(column, name, kind, errors)
        if column.null_count and dtype.kind != "f":
            for row in np.flatnonzero(pc.is_null(column).to_numpy(zero_copy_only=False)):
                errors.setdefault(int(row), f"feature {name} is null, the model's input is {kind}")
            column = pc.fill_null(column, "" if is_text else False if pa.types.is_boolean(column.type) else 0)
        if dtype.kind == "f":
            column = column.cast(pa.float64())
        values: NDArray[Any] = column.to_numpy(zero_copy_only=False)  # a null number becomes NaN
        shape = (-1,) if len(self._inputs.get(name, ("", (1, 1)))[1]) == 1 else (-1, 1)
        converted: NDArray[Any] = values.astype(dtype).reshape(shape)
        return converted

    def _whole(self, column: pa.Array, name: str, kind: str, errors: dict[int, str]) -> pa.Array:
        """Make errors of the rows whose number an integer or boolean input cannot hold, and null of the number."""
        values = pc.fill_null(column, 0.0).to_numpy(zero_copy_only=False).astype(np.float64)
        dtype = _NUMPY[kind]
        low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        with np.errstate(invalid="ignore"):
            fits = (values == np.floor(values)) & (values >= low) & (values <= high)
        for row in np.flatnonzero(~fits):
            errors.setdefault(
                int(row), f"feature {name} is not a whole number that the model's input, {kind}, can hold"
            )
        return pc.if_else(pa.array(fits), column, None)

    def _answer(self, outputs: Sequence[Any]) -> NDArray[np.float64]:
        arrays = [np.asarray(one) for one in outputs]
        floats = [array for array in arrays if array.dtype.kind == "f"]
        if self._classes:
            for array in floats:
                if array.ndim == 2 and array.shape[1] == self._classes:
                    return array.astype(np.float64)
            floats = []
        for array in floats:
            if array.ndim == 2 and array.shape[1] == 2:
                return array[:, 1].astype(np.float64)
        single = [array for array in floats if array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1)]
        if len(single) == 1:
            return single[0].reshape(-1).astype(np.float64)
        shapes = ", ".join(f"{array.dtype} {array.shape}" for array in arrays)
        raise ModelError(
            f"{self._path} has outputs {shapes}: must have probabilities of shape (n, {self._classes or 2})"
            f"{'' if self._classes else ' or one float output'}; "
            "export a classifier without zipmap"
        )
