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

    Where the task has classes, `values` has shape (rows, classes): a probability for each.
    """

    values: NDArray[np.float64]
    errors: Mapping[int, str] = field(default_factory=dict)


class Predictor(Protocol):
    """A loaded model."""

    def predict(self, batch: pa.RecordBatch) -> Answers:
        """Answer each row of a snapshot's batch. May raise: the rows at fault are then found one by one."""
        ...


def model_digest(model: Challenger) -> str:
    """Return what tells one model from another: the SHA-256 of its file, or of its address where there is no file.

    Raises ModelError where the file is missing, or is not the one that `digest` declares.
    """
    if model.kind == "onnx":
        return files.digest(model)
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
        case "onnx":
            from include.shadow.models.onnx import OnnxPredictor

            return OnnxPredictor(files.fetch(shadow, model), features, classes=classes)
    raise ModelError(f"challenger {model.name}: model == {model.model!r} cannot be loaded")
