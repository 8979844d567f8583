"""ONNX models: in this process, or with this interpreter in a process of its own where they have limits."""

from shadow_deployment.base.paths import SOURCE_ROOT
from shadow_deployment.config.deployment import Challenger
from shadow_deployment.config.window import Window
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.predictor import Predictor
from shadow_deployment.errors import ModelError
from shadow_deployment.models import files
from shadow_deployment.models.onnx import OnnxPredictor
from shadow_deployment.models.sandbox.predictor import SandboxedPredictor, SandboxProgram
from shadow_deployment.models.sandbox.runtimes import missing_packages


def load(context: DeploymentContext, model: Challenger, _: Window) -> Predictor:
    """Return an ONNX model; raise ModelError where its file or onnxruntime is missing."""
    deployment = context.deployment
    path, features = files.fetch(context, model), deployment.requests.features
    if model.limits is None:
        try:
            return OnnxPredictor(path, features, classes=len(deployment.classes))
        except ModuleNotFoundError as error:
            raise ModelError(f"challenger {model.name} {missing_packages(model)['onnxruntime']}") from error
    program = SandboxProgram.of(
        model,
        deployment,
        path=[str(SOURCE_ROOT)],
        file=str(path),
        features=features,
    )
    return SandboxedPredictor(program, deployment)
