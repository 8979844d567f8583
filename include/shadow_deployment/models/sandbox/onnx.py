"""ONNX models: in this process, or with this interpreter in a process of its own where they have limits."""

from shadow_deployment.base.paths import SOURCE_ROOT
from shadow_deployment.config.deployment import Challenger
from shadow_deployment.config.window import Window
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.predictor import Predictor
from shadow_deployment.errors import ModelError
from shadow_deployment.models import files
from shadow_deployment.models.files import ModelBytes
from shadow_deployment.models.onnx import OnnxPredictor
from shadow_deployment.models.sandbox.predictor import SandboxedPredictor, SandboxProgram
from shadow_deployment.models.sandbox.runtimes import missing_packages


def load(context: DeploymentContext, model: Challenger, _: Window) -> Predictor:
    """Return an ONNX model; raise ModelError where a file or onnxruntime is missing."""
    deployment, read = context.deployment, files.read(context, model)
    features = deployment.requests.features
    if model.limits is None:
        try:
            return OnnxPredictor(
                read.content, features, name=model.address, external=read.external, classes=len(deployment.classes)
            )
        except ModuleNotFoundError as error:
            raise ModelError(f"challenger {model.name} {missing_packages(model)['onnxruntime']}") from error
    same = files.pinned(model, read)
    program = SandboxProgram.of(
        model,
        deployment,
        path=[str(SOURCE_ROOT)],
        file=model.address,
        sizes=[["", len(read.content)], *([name, len(content)] for name, content in read.external.items())],
        features=features,
        sha256=same.digest,
        read=lambda: _joined(files.read(context, same)),
    )
    return SandboxedPredictor(program, deployment, context.processes)


def _joined(read: ModelBytes) -> bytes:
    return b"".join([read.content, *read.external.values()])
