"""Whether each model answers: it is called with production's newest requests, in its sandbox, as scoring does."""

import datetime as dt
from collections.abc import Iterator
from functools import partial

import numpy as np
import pyarrow as pa

from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.config.window import window_of
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.predictor import Predictor
from shadow_deployment.doctor.checks import ConcernError, Probe
from shadow_deployment.doctor.production.requests import KnownRequests
from shadow_deployment.errors import ModelError
from shadow_deployment.models.loading import load, model_digest
from shadow_deployment.pipeline.challengers.own_features import looked_up
from shadow_deployment.pipeline.challengers.scoring import score_table

ROWS = 20  # that a model is called with


def probes(context: DeploymentContext, known: KnownRequests, day: dt.date) -> Iterator[Probe]:
    """Yield a call of the champion's own model and of each challenger; `day` is today."""
    deployment = context.deployment
    models = [*([deployment.champion.as_challenger] if deployment.champion else []), *deployment.challengers]
    for model in models:
        yield Probe(
            f"model {model.name}",
            partial(_answers, context, known, model, day),
            "put the model where the deployment's file says, with the features it declares, or correct the file",
            ("production",) if model.kind == "logged" else (),
        )


def _answers(context: DeploymentContext, known: KnownRequests, model: Challenger, day: dt.date) -> str:
    result = _tried(context, known, model, day)
    if model.newer_versions:
        raise ConcernError(f"{result}; {model.newer_versions}")
    return result


def _tried(context: DeploymentContext, known: KnownRequests, model: Challenger, day: dt.date) -> str:
    digest = model_digest(model)
    predictor = load(context, model, known.newest_window or window_of(context.deployment, day))
    name = f"{model.model}, {digest[:12]},"
    if model.is_a_a_check:
        return f"{name} repeats the champion"
    if model.is_transform:
        return f"{name} is not called: each call would be a job"
    if not known.newest:
        return f"{name} takes the deployment's features; not called, as there is no request to call it with"
    requests = looked_up(context, model, known.newest[:ROWS])
    return f"{name} {_called(predictor, model, context.deployment.seen_by(model), requests)}"


def _called(predictor: Predictor, model: Challenger, deployment: Deployment, requests: pa.Table) -> str:
    """Return how many requests have an answer; raise ModelError where none has, ConcernError where only some have."""
    count, features = requests.num_rows, deployment.requests.features
    answers = score_table(predictor, requests, features, classes=len(deployment.classes))
    errors = [each for each in answers["error"].to_pylist() if each is not None]
    if model.kind == "logged" and len(errors) < count:
        return f"has {count - len(errors)} of the {count} newest requests"
    if errors:
        is_total = len(errors) == count
        text = (
            f"{model.model} fails on {'all' if is_total else len(errors)} of the {count} newest requests: {errors[0]}"
        )
        raise (ModelError if is_total and model.kind != "logged" else ConcernError)(text)
    values = np.asarray(answers["value"].to_numpy())
    if deployment.task == "binary" and ((values < 0) | (values > 1)).any():
        span = f"{values.min():g} to {values.max():g}"
        raise ModelError(f"{model.model} answers from {span}, must be probabilities from 0 to 1")
    return f"answers the {count} newest requests"
