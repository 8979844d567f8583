"""ONNX models that have limits: the same predictor, in a process of its own with this interpreter."""

import sys
from typing import TYPE_CHECKING

from include.shadow.deployment import Challenger
from include.shadow.models import files
from include.shadow.models.child import environment
from include.shadow.models.contained import Program
from include.shadow.store import PROJECT

if TYPE_CHECKING:
    from include.shadow.surroundings import Shadow


def program(shadow: "Shadow", model: Challenger) -> Program:
    """Return what a child runs for an ONNX model; raise ModelError where its file is missing or is another."""
    deployment = shadow.deployment
    task = {
        "kind": "onnx",
        "task": deployment.task,
        "classes": deployment.classes,
        "path": [str(PROJECT)],
        "file": str(files.fetch(shadow, model)),
        "features": deployment.requests.features,
    }
    return Program(name=model.name, interpreter=sys.executable, environment=environment(), task=task)
