"""ONNX models that have limits: the same predictor, in a process of its own with this interpreter."""

import sys
from typing import TYPE_CHECKING

from shadow_deployment.base.paths import SOURCE_ROOT
from shadow_deployment.config.deployment import Challenger
from shadow_deployment.models import files
from shadow_deployment.models.sandbox.predictor import SandboxProgram
from shadow_deployment.models.sandbox.process import environment

if TYPE_CHECKING:
    from shadow_deployment.context import DeploymentContext


def program(context: "DeploymentContext", model: Challenger) -> SandboxProgram:
    """Return what a child runs for an ONNX model; raise ModelError where its file is missing or is another."""
    deployment = context.deployment
    task = {
        "kind": "onnx",
        "task": deployment.task,
        "classes": deployment.classes,
        "path": [str(SOURCE_ROOT)],
        "file": str(files.fetch(context, model)),
        "features": deployment.requests.features,
    }
    return SandboxProgram(name=model.name, interpreter=sys.executable, environment=environment(), task=task)
