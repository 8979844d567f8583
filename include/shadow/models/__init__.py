"""Predictors: a batch of snapshot rows in, an answer or an error for each row out.

One file a kind of model, loaded only where it is used.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from include.shadow.deployment import Challenger
from include.shadow.errors import ModelError
from include.shadow.models import files
from include.shadow.window import Window

if TYPE_CHECKING:
    from include.shadow.surroundings import Shadow


@dataclass(frozen=True)
class Answers:
    """What a model said: `values` has one double for each row of the batch, `errors` says why where it has none.

    Where the task has classes, `values` has shape (rows, classes): a probability for each. `latency_ms` has the
    milliseconds of each row where the time of the call is not the model's own, as where the call has waited.
    """

    values: NDArray[np.float64]
    errors: Mapping[int, str] = field(default_factory=dict)
    latency_ms: NDArray[np.float64] | None = None


class Predictor(Protocol):
    """A loaded model. One that is better shown many rows at once says how many in `batch_rows`."""

    def predict(self, batch: pa.RecordBatch) -> Answers:
        """Answer each row of a snapshot's batch. May raise: the rows at fault are then found one by one."""
        ...


def model_digest(model: Challenger) -> str:
    """Return what tells one model from another: the SHA-256 of its file, or of its address where there is no file.

    Raises ModelError where the file is missing, or is not the one that `digest` declares.
    """
    if model.kind in ("onnx", "skops", "sklearn"):
        return files.digest(model)
    if model.kind == "python":
        from include.shadow.models import python

        return python.digest(model)
    if model.kind == "mlflow":
        from include.shadow.models import mlflow

        return mlflow.digest(model)
    return hashlib.sha256(model.model.encode()).hexdigest()


def load(shadow: "Shadow", model: Challenger, window: Window) -> Predictor:
    """Load a model for one window of its deployment.

    Raises ModelError where that fails or its inputs are not the deployment's features, SourceError or CredentialsError
    where a column of logged answers is missing, is no number or may not be read.
    """
    deployment = shadow.deployment
    features, classes = deployment.requests.features, len(deployment.classes)
    match model.kind:
        case "champion":
            from include.shadow.models.champion import ChampionPredictor

            return ChampionPredictor(classes)
        case "logged":
            from include.shadow.models.logged import LoggedPredictor

            shadow.source.logged(model.address, [], window)  # a column that is not there is no error of each row
            return LoggedPredictor(shadow.source, model.address, window)
        case "onnx" if model.limits is None:
            from include.shadow.models.onnx import OnnxPredictor

            return OnnxPredictor(files.fetch(shadow, model), features, classes=classes)
        case "endpoint":
            from include.shadow.models.endpoint import EndpointPredictor

            connection = shadow.connections(model.conn_id) if model.conn_id else None
            return EndpointPredictor(model, connection, features, classes=classes)
        case "sagemaker":
            return shadow.outside.sagemaker(model, deployment)
    return _contained(shadow, model)


def _contained(shadow: "Shadow", model: Challenger) -> Predictor:
    """Load a model in a process of its own."""
    from include.shadow.models import mlflow, onnx_apart, python, sklearn
    from include.shadow.models.contained import Contained

    programs = {
        "python": python.program,
        "mlflow": mlflow.program,
        "skops": sklearn.program,
        "sklearn": sklearn.program,
        "onnx": onnx_apart.program,
    }
    if model.kind not in programs:
        raise ModelError(f"challenger {model.name}: model == {model.model!r} cannot be loaded")
    program = programs[model.kind](shadow, model)
    deployment = shadow.deployment
    return Contained(program, model.limits, deployment.requests.features, classes=len(deployment.classes))
