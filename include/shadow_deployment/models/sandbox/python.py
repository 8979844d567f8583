"""Python functions as models: `python:MODULE:FUNCTION`.

The function takes a pandas DataFrame whose columns are the deployment's features, in the order of `requests.features`,
and returns one number for each row: a sequence, an array, a Series or a DataFrame of one column. With classes it
returns a probability for each, of shape (n, classes), in the order of `classes` or as a DataFrame with their names; for
a binary task, two columns are those of the two classes. None and NaN are errors of their rows. Numbers are int64 or
float64, whole numbers with a null among them float64 with NaN; booleans are bool, with a null among them objects with
None; text, null included, is whatever the interpreter's pandas makes of it.
"""

import hashlib
import json

from shadow_deployment.base.modules import folders, source_of
from shadow_deployment.base.paths import PROJECT
from shadow_deployment.config.deployment import Challenger
from shadow_deployment.config.window import Window
from shadow_deployment.context import DeploymentContext
from shadow_deployment.errors import ModelError
from shadow_deployment.models.sandbox.predictor import SandboxedPredictor, SandboxProgram
from shadow_deployment.models.sandbox.runtimes import runtime_key


def load(context: DeploymentContext, model: Challenger, _: Window) -> SandboxedPredictor:
    """Return a function in a sandbox; raise ModelError where it cannot be loaded or its interpreter not be built."""
    module, function = model.address.split(":")
    source = _source(model, module)
    actual = _digest(model, source)
    if model.digest not in (None, actual):
        raise ModelError(
            f"{model.model_key} has digest {actual}, had {model.digest} a moment ago: its source was "
            "changed; run the step once more"
        )
    program = SandboxProgram.of(
        model,
        context.deployment,
        path=folders(is_ours=model.runtime is None),
        module=module,
        function=function,
        sha256=None if source is None else hashlib.sha256(source).hexdigest(),
    )
    return SandboxedPredictor(program, context.deployment, context.processes)


def digest(model: Challenger) -> str:
    """Return the SHA-256 of the module's source, the function's name and the runtime.

    A module that only the model's own interpreter has is identified by its address. Raises ModelError where this
    interpreter should have it and does not.
    """
    return _digest(model, _source(model, model.address.split(":")[0]))


def _digest(model: Challenger, source: bytes | None) -> str:
    module, function = model.address.split(":")
    parts = [function, runtime_key(model), module if source is None else hashlib.sha256(source).hexdigest()]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _source(model: Challenger, module: str) -> bytes | None:
    """Return a module's source; None for one that only the model's own interpreter has."""
    source = source_of(module, is_ours=model.runtime is None)
    if source is not None or model.runtime is not None:
        return source
    raise ModelError(
        f"{model.model_key}, but there is no module {module}: put it below {PROJECT} or on "
        "PYTHONPATH, or correct challengers[].model"
    )
