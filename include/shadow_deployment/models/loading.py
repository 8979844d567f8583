"""Which predictor a challenger is, and the digest that tells one model from another."""

import hashlib
from typing import TYPE_CHECKING

from shadow_deployment.config.deployment import Challenger
from shadow_deployment.config.window import Window
from shadow_deployment.data.predictor import Predictor
from shadow_deployment.errors import ModelError
from shadow_deployment.models import files

if TYPE_CHECKING:
    from shadow_deployment.context import DeploymentContext


def model_digest(model: Challenger) -> str:
    """Return what tells one model from another: the SHA-256 of its file, or of its address where there is no file.

    Raises ModelError where the file is missing, or is not the one that `digest` declares.
    """
    if model.kind in ("onnx", "skops", "sklearn"):
        return files.digest(model)
    if model.kind == "python":
        from shadow_deployment.models.sandbox import python

        return python.digest(model)
    if model.kind == "mlflow":
        from shadow_deployment.models.sandbox import mlflow

        return mlflow.digest(model)
    return hashlib.sha256(model.model.encode()).hexdigest()


def load(context: "DeploymentContext", model: Challenger, window: Window) -> Predictor:
    """Load a model for one window of its deployment.

    Raises ModelError where that fails or its inputs are not the deployment's features, SourceError or CredentialsError
    where a column of logged answers is missing, is no number or may not be read.
    """
    deployment = context.deployment
    features, classes = deployment.requests.features, len(deployment.classes)
    match model.kind:
        case "champion":
            from shadow_deployment.models.champion import ChampionPredictor

            return ChampionPredictor(classes)
        case "logged":
            from shadow_deployment.models.logged import LoggedPredictor

            context.source.logged(model.address, [], window)  # a column that is not there is no error of each row
            return LoggedPredictor(context.source, model.address, window)
        case "onnx" if model.limits is None:
            from shadow_deployment.models.onnx import OnnxPredictor

            return OnnxPredictor(files.fetch(context, model), features, classes=classes)
        case "endpoint":
            from shadow_deployment.models.remote.endpoint import EndpointPredictor

            connection = context.connections(model.conn_id) if model.conn_id else None
            return EndpointPredictor(model, connection, features, classes=classes)
        case "sagemaker":
            return context.cloud.sagemaker(model, deployment)
    return _contained(context, model)


def _contained(context: "DeploymentContext", model: Challenger) -> Predictor:
    """Load a model in a process of its own."""
    from shadow_deployment.models.sandbox import mlflow, onnx, python, sklearn
    from shadow_deployment.models.sandbox.predictor import SandboxedPredictor

    programs = {
        "python": python.program,
        "mlflow": mlflow.program,
        "skops": sklearn.program,
        "sklearn": sklearn.program,
        "onnx": onnx.program,
    }
    if model.kind not in programs:
        raise ModelError(f"challenger {model.name}: model == {model.model!r} cannot be loaded")
    program = programs[model.kind](context, model)
    deployment = context.deployment
    return SandboxedPredictor(program, model.limits, deployment.requests.features, classes=len(deployment.classes))
