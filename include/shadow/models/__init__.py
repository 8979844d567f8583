"""Predictors: a batch of snapshot rows in, an answer or an error for each row out.

One file a kind of model, loaded only where it is used.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from include.shadow.deployment import Challenger, Deployment
from include.shadow.errors import ModelError
from include.shadow.source.postgres import PostgresSource
from include.shadow.store import PROJECT
from include.shadow.window import Window


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


def model_digest(challenger: Challenger) -> str:
    """Return what tells one model from another: the SHA-256 of its file, or of its address where there is no file.

    Raises ModelError where the file is missing.
    """
    if challenger.model.startswith("onnx:"):
        with _model_file(challenger).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return hashlib.sha256(challenger.model.encode()).hexdigest()


def load(deployment: Deployment, challenger: Challenger, source: PostgresSource, window: Window) -> Predictor:
    """Load a challenger's model.

    Raises ModelError where that fails or its inputs are not the deployment's features, SourceError or CredentialsError
    where a column of logged answers is missing, is no number or may not be read.
    """
    kind, _, address = challenger.model.partition(":")
    if kind == "champion":
        from include.shadow.models.champion import ChampionPredictor

        return ChampionPredictor(len(deployment.classes))
    if kind == "logged":
        from include.shadow.models.logged import LoggedPredictor

        source.logged(address, [], window)  # a column that is not there is no error of each row
        return LoggedPredictor(source, address, window)
    from include.shadow.models.onnx import OnnxPredictor

    return OnnxPredictor(_model_file(challenger), deployment.requests.features, classes=len(deployment.classes))


def _model_file(challenger: Challenger) -> Path:
    path = PROJECT / challenger.model.removeprefix("onnx:").removeprefix("file://")
    if not path.is_file():
        raise ModelError(
            f"challenger {challenger.name}: model == {challenger.model!r}, but there is no file {path}: "
            "put the model there, or mend challengers[].model; the models of the demo come from `make demo`"
        )
    return path
