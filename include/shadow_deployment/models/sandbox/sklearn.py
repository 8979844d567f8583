"""Scikit-learn estimators as files: `skops:PATH`, and `sklearn:PATH` for a trusted file of joblib or pickle.

They predict probabilities where the task has classes and they have `predict_proba`, else whatever `predict` returns.
The bytes whose digest was checked go to the sandbox, which opens no file.
"""

from shadow_deployment.config.deployment import Challenger
from shadow_deployment.config.window import Window
from shadow_deployment.context import DeploymentContext
from shadow_deployment.errors import ModelError
from shadow_deployment.models import files
from shadow_deployment.models.sandbox.predictor import SandboxedPredictor, SandboxProgram


def load(context: DeploymentContext, model: Challenger, _: Window) -> SandboxedPredictor:
    """Return an estimator in a sandbox.

    Raises:
        ModelError: The file is missing or not the declared one, `sklearn:` lacks `digest` or `unpickle`, a library is
            missing, or the interpreter cannot be built.
    """
    if model.kind == "sklearn" and not (model.unpickle and model.digest):
        raise ModelError(
            f"{model.model_key} needs digest and unpickle: true: reading such a file runs whatever code is in it"
        )
    same = files.pinned(model, files.read(context, model))
    program = SandboxProgram.of(
        model,
        context.deployment,
        read=lambda: files.read(context, same).content,
        trusted=model.trusted,
        sha256=same.digest,
    )
    return SandboxedPredictor(program, context.deployment, context.processes)
