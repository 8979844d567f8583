"""The former champion, a challenger for some days after a promotion, judged in the other direction."""

import datetime as dt
import logging
import re
from dataclasses import replace

from shadow_deployment.config.actions import FORMER_CHAMPION
from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.config.model import Model as DeclaredModel
from shadow_deployment.context import DeploymentContext
from shadow_deployment.errors import ModelError
from shadow_deployment.ledger import promotions
from shadow_deployment.ledger.promotions import Model, Promotion
from shadow_deployment.models.loading import model_digest

logger = logging.getLogger(__name__)


_REGISTERED = re.compile(r"^(mlflow:models:/[^/@]+)[/@].*$")


def with_former_champion(context: DeploymentContext, day: dt.date) -> DeploymentContext:
    """Return the deployment as it is on a day: with the former champion among its challengers while it is watched.

    It is watched on the `promotion.watch_days` days after the one that the promotion rests on, while that promotion
    stands. A former champion whose model file is unknown or has changed cannot be watched, and the log says so.
    """
    if not context.deployment.promotion.watch_days:
        return context
    with context.ledger() as session:
        promotion = watched_promotion(context.deployment, promotions.history(session, context.deployment), day)
    if promotion is None:
        return context
    former = _former(context.deployment, promotion)
    if former is None:
        return context
    challengers = [*context.deployment.challengers, former]
    return replace(context, deployment=context.deployment.model_copy(update={"challengers": challengers}))


def watched_promotion(deployment: Deployment, history: list[Promotion], day: dt.date) -> Promotion | None:
    """Return the promotion whose former champion is watched on a day; None where there is none."""
    if not history or history[-1].kind == "rollback":
        return None
    newest = history[-1]
    since = newest.day or newest.created_at.astimezone(deployment.zone).date()
    until = since + dt.timedelta(days=deployment.promotion.watch_days)
    return newest if since < day <= until else None


def _declared(deployment: Deployment, before: Model) -> Challenger:
    """Return a former champion as a challenger, with what the file says of a model at the same address."""
    known = [*([deployment.champion] if deployment.champion else []), *deployment.challengers]
    same = next((one for one in known if _unversioned(one.model) == _unversioned(str(before.uri))), None)
    fields = {name: getattr(same, name) for name in DeclaredModel.model_fields} if same else {}
    fields["model"] = before.uri
    if same is None and str(before.uri).startswith("onnx:s3:"):
        fields["digest"] = before.digest
    return Challenger(name=FORMER_CHAMPION, version=before.version, **fields)


def _unversioned(uri: str) -> str:
    """Return an address without version or alias, where it is a model that is registered in MLflow."""
    return _REGISTERED.sub(r"\1", uri)


def _former(deployment: Deployment, promotion: Promotion) -> Challenger | None:
    before = promotion.before
    name = f"deployment {deployment.name}: the former champion, {before.name} {before.version}, is not watched"
    if before.uri is None:
        logger.warning("%s: its model is unknown; declare it as champion.model before a promotion", name)
        return None
    former = _declared(deployment, before)
    try:
        digest = model_digest(former)
    except ModelError as error:
        logger.warning("%s: %s", name, error)
        return None
    if before.digest not in (None, digest):
        logger.warning("%s: %s holds another model than the one that was champion", name, before.uri)
        return None
    return former
