"""The former champion: a challenger for some days after a promotion, judged against its successor."""

import datetime as dt
import logging
import re
from dataclasses import replace

from shadow_deployment.config.actions import FORMER_CHAMPION
from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.config.model import ModelSettings as DeclaredModel
from shadow_deployment.context import DeploymentContext
from shadow_deployment.errors import ModelError
from shadow_deployment.ledger.registry import promotions
from shadow_deployment.ledger.registry.promotions import ModelVersion, PromotionRecord
from shadow_deployment.models.loading import model_digest

logger = logging.getLogger(__name__)
_REGISTERED = re.compile(r"^(mlflow:models:/[^/@]+)[/@].*$")


def with_former_champion(context: DeploymentContext, day: dt.date) -> DeploymentContext:
    """Return the deployment as of a day: with the former champion as a challenger while it is watched.

    It is watched for `promotion.watch_days` days after the day of the newest promotion, unless that was rolled back.
    A former champion whose model is unknown or has changed is not watched; the log says so.
    """
    deployment = context.deployment
    if not deployment.promotion.watch_days:
        return context
    with context.ledger() as session:
        promotion = watched_promotion(deployment, promotions.history(session, deployment), day)
    former = _former_champion(deployment, promotion.before) if promotion else None
    if former is None:
        return context
    challengers = [*deployment.challengers, former]
    return replace(context, deployment=deployment.model_copy(update={"challengers": challengers}))


def watched_promotion(deployment: Deployment, history: list[PromotionRecord], day: dt.date) -> PromotionRecord | None:
    """Return the promotion whose former champion is watched on a day; None where there is none."""
    if not history or history[-1].kind == "rollback":
        return None
    newest = history[-1]
    first = newest.day or newest.created_at.astimezone(deployment.zone).date()
    last = first + dt.timedelta(days=deployment.promotion.watch_days)
    return newest if first < day <= last else None


def _former_champion(deployment: Deployment, model: ModelVersion) -> Challenger | None:
    label = f"deployment {deployment.name}: the former champion, {model.name} {model.version}, is not watched"
    if model.uri is None:
        logger.warning("%s: its model is unknown; declare it as champion.model before a promotion", label)
        return None
    former = _as_challenger(deployment, model, model.uri)
    try:
        digest = model_digest(former)
    except ModelError as error:
        logger.warning("%s: %s", label, error)
        return None
    if model.digest not in (None, digest):
        logger.warning("%s: %s is another model than the one that was champion", label, model.uri)
        return None
    return former


def _as_challenger(deployment: Deployment, model: ModelVersion, uri: str) -> Challenger:
    """Return a model as a challenger, with the settings of a declared model at the same address."""
    declared = [*([deployment.champion] if deployment.champion else []), *deployment.challengers]
    same = next((other for other in declared if _unversioned(other.model) == _unversioned(uri)), None)
    fields = {name: getattr(same, name) for name in DeclaredModel.model_fields} if same else {}
    fields |= {"model": uri, "features_from": getattr(same, "features_from", None)}
    if same is None and uri.startswith("onnx:s3:"):
        fields["digest"] = model.digest
    return Challenger(name=FORMER_CHAMPION, version=model.version, **fields)


def _unversioned(uri: str) -> str:
    """Return the address of a registered MLflow model without version or alias, any other as it is."""
    return _REGISTERED.sub(r"\1", uri)
