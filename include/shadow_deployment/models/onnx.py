"""ONNX models, run by onnxruntime on the CPU."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shadow_deployment.base.redaction import without_secrets
from shadow_deployment.data.predictor import Predictions
from shadow_deployment.errors import ModelError
from shadow_deployment.models.tensors import Inputs, TensorSpec, read_predictions

_NUMPY: dict[str, np.dtype[Any]] = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(double)": np.dtype(np.float64),
    "tensor(int64)": np.dtype(np.int64),
    "tensor(int32)": np.dtype(np.int32),
    "tensor(bool)": np.dtype(np.bool_),
    "tensor(string)": np.dtype(object),
}

_FOLDER = "session.model_external_initializers_file_folder_path"
_NOWHERE = "/nonexistent"


class OnnxPredictor:
    """An ONNX model with one input of shape (n, 1) for each feature, or one of shape (n, features) for all of them.

    Its predictions are the second column of an output with two columns (a classifier's probabilities), else its only
    floating-point output; with `classes`, the output with that many columns. It runs in one thread, so that the same
    input gives the same bits on every machine of a kind. `external` has the files that the model refers to, by the name
    that it gives them; `name` is the model's in errors.

    Raises:
        ModelError: The file is not an ONNX model, or its inputs and outputs are not these.
        ModuleNotFoundError: onnxruntime is not installed.
    """

    def __init__(
        self,
        model: bytes,
        features: Sequence[str],
        *,
        name: str = "the model",
        external: Mapping[str, bytes] = MappingProxyType({}),
        classes: int = 0,
    ) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry(_FOLDER, _NOWHERE)  # no file is opened: its bytes would be other ones
        try:
            if external:
                contents = list(external.values())
                options.add_external_initializers_from_files_in_memory(list(external), contents, [*map(len, contents)])
            self._session = onnxruntime.InferenceSession(
                model,
                options,
                providers=["CPUExecutionProvider"],
                enable_fallback=0,  # it would try the same a second time, and print that
            )
        except Exception as error:
            raise ModelError(f"{name} cannot be loaded as an ONNX model: {without_secrets(str(error))}") from error
        self._name = name
        self._classes = classes
        inputs = [
            TensorSpec(node.name, node.type, _NUMPY.get(node.type), node.shape) for node in self._session.get_inputs()
        ]
        self._inputs = Inputs(name, inputs, features)
        empty = _empty_outputs(self._session.get_outputs())
        if empty is not None:
            read_predictions(empty, classes, name)

    def predict(self, batch: pa.RecordBatch) -> Predictions:
        """Return a prediction for each row; a null where the model takes no missing value is an error of the row."""
        arrays, errors = self._inputs.arrays(batch)
        outputs = [np.asarray(output) for output in self._session.run(None, arrays)]
        return Predictions(read_predictions(outputs, self._classes, self._name), errors)


def _empty_outputs(outputs: Sequence[Any]) -> list[NDArray[Any]] | None:
    """Return a model's outputs for no rows at all; None where its declaration leaves their types or sizes open."""
    arrays = []
    for output in outputs:
        if not output.type.startswith("tensor("):
            arrays.append(np.empty(0, object))
            continue
        if output.type not in _NUMPY or not output.shape or any(type(size) is not int for size in output.shape[1:]):
            return None
        arrays.append(np.empty((0, *output.shape[1:]), _NUMPY[output.type]))
    return arrays
