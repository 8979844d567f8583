"""Functions of Python as models: `python:MODULE:FUNCTION`.

The function takes a pandas DataFrame with the deployment's features as its columns, in the order of
`requests.features`, and returns one number for each row: a sequence, an array, a Series or a DataFrame of one column.
Where the task has classes it returns a probability for each, of shape (n, classes), in the order of `classes` or as a
DataFrame with their names; where the task is binary, two columns are those of the two classes. None and NaN are errors
of their rows. Numbers are int64 or float64, whole numbers with a null among them float64 with NaN; booleans are bool,
with a null among them objects with None; text is what the pandas of its interpreter makes of it, null included.
"""

import hashlib
import json
import os
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

from shadow_deployment.base.paths import PROJECT
from shadow_deployment.config.deployment import Challenger
from shadow_deployment.errors import ModelError
from shadow_deployment.models.sandbox.predictor import SandboxProgram
from shadow_deployment.models.sandbox.process import environment
from shadow_deployment.models.sandbox.runtimes import described, interpreter, missing

if TYPE_CHECKING:
    from shadow_deployment.context import DeploymentContext


def program(context: "DeploymentContext", model: Challenger) -> SandboxProgram:
    """Return what a child runs for a function; raise ModelError where its interpreter cannot be had."""
    module, _, function = model.address.partition(":")
    deployment = context.deployment
    task = {"kind": "python", "task": deployment.task, "classes": deployment.classes, "path": _path(model)}
    return SandboxProgram(
        name=model.name,
        interpreter=interpreter(model),
        environment=environment(),
        task=task | {"module": module, "function": function},
        remedies=missing(model),
    )


def digest(model: Challenger) -> str:
    """Return the SHA-256 of the module's source with the function's name and the runtime.

    A module that only an interpreter of its own has is known by its address. Raises ModelError where there is none.
    """
    module, _, function = model.address.partition(":")
    source = _source(model, module)
    parts = [function, described(model), module if source is None else hashlib.sha256(source).hexdigest()]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _path(model: Challenger) -> list[str]:
    """Return where modules lie beside those of the interpreter: the project, and for our own what it was given."""
    given = os.environ.get("PYTHONPATH", "").split(os.pathsep) if model.runtime is None else []
    return list(
        dict.fromkeys([str(PROJECT / "include"), str(PROJECT), *(str(Path(one).absolute()) for one in given if one)])
    )


def _source(model: Challenger, module: str) -> bytes | None:
    """Return a module's source, found without running anything of it or of the packages around it."""
    paths: list[str] | None = _path(model)
    if model.runtime is None:
        import sys

        paths = [*(paths or []), *sys.path]
    spec = None
    for length in range(1, module.count(".") + 2):
        spec = PathFinder.find_spec(".".join(module.split(".")[:length]), paths)
        if spec is None:
            break
        paths = list(spec.submodule_search_locations or [])
    if spec is not None and spec.origin is not None and spec.has_location:
        return Path(spec.origin).read_bytes()
    if model.runtime is not None:
        return None
    raise ModelError(
        f"challenger {model.name}: model == {model.model!r}, but there is no module {module}: put it below {PROJECT} "
        "or on PYTHONPATH, or mend challengers[].model"
    )
