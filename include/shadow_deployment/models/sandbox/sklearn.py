"""Estimators of scikit-learn as files: `skops:PATH`, and `sklearn:PATH` for a file of joblib or pickle that is trusted.

They are asked for probabilities where the task is one of classes and they have `predict_proba`, else for `predict`. The
bytes that are read are those whose digest was checked: they are handed to the child, which opens no file.
"""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from shadow_deployment.config.deployment import Challenger
from shadow_deployment.errors import ModelError
from shadow_deployment.models import files
from shadow_deployment.models.sandbox.predictor import SandboxProgram
from shadow_deployment.models.sandbox.process import environment
from shadow_deployment.models.sandbox.runtimes import interpreter, missing

if TYPE_CHECKING:
    from shadow_deployment.context import DeploymentContext


def program(context: "DeploymentContext", model: Challenger) -> SandboxProgram:
    """Return what a child runs for an estimator.

    Raises ModelError where the file is missing or not the one that is declared, where `sklearn:` lacks `digest` or
    `unpickle`, or where its interpreter cannot be had.
    """
    if model.kind == "sklearn" and not (model.unpickle and model.digest):
        raise ModelError(
            f"challenger {model.name}: model == {model.model!r} needs digest and unpickle: true: reading such a file "
            "runs whatever code is in it"
        )
    path = files.fetch(context, model)
    wanted = files.digest(model)
    deployment = context.deployment
    task = {"kind": model.kind, "task": deployment.task, "classes": deployment.classes, "trusted": model.trusted}
    return SandboxProgram(
        name=model.name,
        interpreter=interpreter(model),
        environment=environment(),
        task=task,
        read=lambda: _read(model, path, wanted),
        remedies=missing(model),
    )


def _read(model: Challenger, path: Path, wanted: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(f"challenger {model.name}: {path} cannot be read: {error.strerror or error}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != wanted:
        raise ModelError(
            f"challenger {model.name}: {path} has SHA-256 {found} and had {wanted} a moment ago: it was changed while "
            "it was read; run the step again"
        )
    return content
