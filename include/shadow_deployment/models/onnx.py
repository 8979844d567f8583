"""ONNX models, run by onnxruntime on the CPU."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shadow_deployment.data.predictor import Predictions
from shadow_deployment.errors import ModelError
from shadow_deployment.models.tensors import Inputs, Tensor, answer

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
            self._session = onnxruntime.InferenceSession(
                str(path),
                options,
                providers=["CPUExecutionProvider"],
                enable_fallback=0,  # it would try the same once more, and print that
            )
        except Exception as error:
            raise ModelError(f"{path} is no ONNX model that can be loaded: {error}") from error
        self._path = path
        self._classes = classes
        inputs = [Tensor(one.name, one.type, _NUMPY.get(one.type), one.shape) for one in self._session.get_inputs()]
        self._inputs = Inputs(str(path), inputs, features)
        empty = _of_no_rows(self._session.get_outputs())
        if empty is not None:
            answer(empty, classes, str(path))

    def predict(self, batch: pa.RecordBatch) -> Predictions:
        """Answer each row. A null where the model takes no missing value is an error of that row."""
        arrays, errors = self._inputs.arrays(batch)
        outputs = [np.asarray(one) for one in self._session.run(None, arrays)]
        return Predictions(answer(outputs, self._classes, str(self._path)), errors)


def _of_no_rows(outputs: Sequence[Any]) -> list[NDArray[Any]] | None:
    """Return a model's outputs for no rows at all; None where what it declares leaves their kinds or sizes open."""
    arrays = []
    for one in outputs:
        is_tensor = one.type.startswith("tensor(")
        if is_tensor and (
            one.type not in _NUMPY or not one.shape or any(type(size) is not int for size in one.shape[1:])
        ):
            return None
        arrays.append(np.empty((0, *one.shape[1:]), _NUMPY[one.type]) if is_tensor else np.empty(0, object))
    return arrays
