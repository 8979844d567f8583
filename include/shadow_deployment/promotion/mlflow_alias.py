"""The alias of a registered model in MLflow that follows the champion, set through MLflow's REST API.

Production then loads `models:/MODEL@ALIAS`.
"""

import logging
from typing import TYPE_CHECKING

from shadow_deployment.config.actions import RegisteredModel
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.context import DeploymentContext
from shadow_deployment.errors import CredentialsError, RegistryError
from shadow_deployment.ledger.promotions import Champion
from shadow_deployment.models.mlflow_server import ALIAS, Purpose, open_client, response_content, version_of_alias

if TYPE_CHECKING:
    import httpx

logger = logging.getLogger(__name__)

SECONDS = 20.0


def follow(context: DeploymentContext, champion: Champion) -> list[str]:
    """Point the alias at the champion's version, where `promotion.mlflow` is set; return which alias that is.

    A champion that is none of the deployment's challengers, or whose version is no number, has no version in MLflow as
    far as the registry knows: the alias is then taken away, and the log says so. Repeating it changes nothing. Raises
    RegistryError or TransientError where MLflow refuses or does not answer.
    """
    declared = context.deployment.promotion.mlflow
    if declared is None:
        return []
    purpose = _purpose(declared)
    try:
        connection = context.connections(declared.conn_id)
    except CredentialsError as error:
        raise CredentialsError(f"promotion.mlflow.conn_id == {declared.conn_id!r}: {error}") from error
    with open_client(purpose, connection, seconds=SECONDS) as client:
        return [_point(client, declared, purpose, _version(context.deployment, champion), champion)]


def _purpose(declared: RegisteredModel) -> Purpose:
    return Purpose(
        problem=f"promotion.mlflow: alias {declared.alias!r} of model {declared.model!r} is not set",
        conn_id=declared.conn_id,
        error=RegistryError,
        conn_key="promotion.mlflow.conn_id",
        model_key="promotion.mlflow.model",
        alias_key="promotion.mlflow.alias or promotion.mlflow.model",
        right="change the model",
    )


def _version(deployment: Deployment, champion: Champion) -> str | None:
    """Return the champion's version in MLflow; None where it has none that the registry knows of."""
    is_ours = champion.name in {one.name for one in deployment.promotable}
    return str(int(champion.version)) if is_ours and champion.version.isdecimal() else None


def _point(
    client: "httpx.Client", declared: RegisteredModel, purpose: Purpose, wanted: str | None, champion: Champion
) -> str:
    named = {"name": declared.model, "alias": declared.alias}
    label = f"alias {declared.alias} of {declared.model} in MLflow"
    present = version_of_alias(purpose, client, declared.model, declared.alias)
    if wanted is None:
        if present is not None:
            response_content(purpose, client.request("DELETE", ALIAS, json=named))
        logger.warning(
            "%s is taken away: the champion, %s, is no version of that model that is known here", label, champion
        )
        return f"{label}, taken away"
    if present != wanted:
        response_content(purpose, client.post(ALIAS, json={**named, "version": wanted}))
        logger.info("%s points at version %s, before at %s", label, wanted, present or "none")
    return f"{label}, version {wanted}"
