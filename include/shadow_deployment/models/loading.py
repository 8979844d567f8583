"""The kinds of model: how each is loaded, and the digest that tells one model from another.

A new kind is a file with a `load` function and a line in `KINDS`. Importing this module loads no model library.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from shadow_deployment.config.deployment import Challenger
from shadow_deployment.config.window import Window
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.predictor import Predictor
from shadow_deployment.models import champion, files, logged
from shadow_deployment.models.remote import endpoint
from shadow_deployment.models.sandbox import mlflow, onnx, python, sklearn


def _address_digest(model: Challenger) -> str:
    return hashlib.sha256(model.model.encode()).hexdigest()


def _load_sagemaker(context: DeploymentContext, model: Challenger, _: Window) -> Predictor:
    return context.cloud.sagemaker(model, context.deployment)


@dataclass(frozen=True)
class KindLoader:
    """How models of a kind are loaded for a window, and identified: by their address unless they have a file."""

    load: Callable[[DeploymentContext, Challenger, Window], Predictor]
    digest: Callable[[Challenger], str] = _address_digest


KINDS: Mapping[str, KindLoader] = {
    "champion": KindLoader(champion.load),
    "logged": KindLoader(logged.load),
    "onnx": KindLoader(onnx.load, files.digest),
    "skops": KindLoader(sklearn.load, files.digest),
    "sklearn": KindLoader(sklearn.load, files.digest),
    "python": KindLoader(python.load, python.digest),
    "mlflow": KindLoader(mlflow.load, mlflow.digest),
    "endpoint": KindLoader(endpoint.load),
    "sagemaker": KindLoader(_load_sagemaker),
}


def model_digest(model: Challenger) -> str:
    """Return what tells one model from another: the SHA-256 of its files or code, or of its address without either.

    Raises:
        ModelError: The file is missing, or its digest is not the declared one.
        TransientError: The model is an MLflow alias that has not been resolved.
    """
    return KINDS[model.kind].digest(model)


def load(context: DeploymentContext, model: Challenger, window: Window, digest: str | None = None) -> Predictor:
    """Load a model for one window of its deployment; with a digest, that of `model_digest`, no other bytes are loaded.

    Raises:
        ModelError: The model cannot be loaded, a library it needs is missing, or it does not take the features.
        SourceError, CredentialsError: A column of logged predictions is missing, not a number or not readable.
        TransientError: A server cannot be reached.
    """
    kind, context = KINDS[model.kind], _with_features(context, model)
    if digest is not None and kind.digest is not _address_digest:
        model = model.model_copy(update={"digest": digest})
    return kind.load(context, model, window)


def _with_features(context: DeploymentContext, model: Challenger) -> DeploymentContext:
    """Return the context of a model that takes features of its own."""
    return context if model.features_from is None else replace(context, deployment=context.deployment.seen_by(model))
