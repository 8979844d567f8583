"""Which model each challenger is now: its digest, and its key in the ledger."""

import logging
from typing import Any

from shadow_deployment.config.deployment import Challenger
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.db import Session
from shadow_deployment.errors import ShadowError
from shadow_deployment.ledger import predictions
from shadow_deployment.models.loading import model_digest

logger = logging.getLogger(__name__)


def digest_of(context: DeploymentContext, model: Challenger) -> str:
    """Return a model's digest, computed once per context; raise ModelError where the model is missing."""
    known = context.digests.get((model.name, model.model))
    if known is None:
        known = context.digests[model.name, model.model] = model_digest(model)
    return known


def challenger_key(context: DeploymentContext, session: Session[Any], challenger: Challenger) -> int:
    """Return the ledger's key of a challenger's model; raise ModelError where the model is missing."""
    return predictions.challenger_id(session, context.deployment, challenger, digest_of(context, challenger))


def challenger_keys(context: DeploymentContext, session: Session[Any]) -> dict[str, int]:
    """Return the ledger's keys of all challengers' models by name, without those whose model is missing. Commits."""
    keys: dict[str, int] = {}
    for challenger in context.deployment.challengers:
        try:
            keys[challenger.name] = challenger_key(context, session, challenger)
        except ShadowError as error:
            logger.warning("%s", error)
    session.commit()
    return keys
