"""An MLflow alias that follows the champion, so that production loads `models:/MODEL@ALIAS`."""

import logging
from typing import TYPE_CHECKING

from shadow_deployment.config.actions import RegisteredModel
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.context import DeploymentContext
from shadow_deployment.errors import CredentialsError, RegistryError
from shadow_deployment.ledger.registry.promotions import CurrentChampion
from shadow_deployment.models.mlflow_server import ALIAS, Purpose, open_client, registered_version, response_content

if TYPE_CHECKING:
    import httpx

logger = logging.getLogger(__name__)

SECONDS = 20.0


def follow(context: DeploymentContext, champion: CurrentChampion) -> list[str]:
    """Point the alias at the champion's version where `promotion.mlflow` is set; return a description of it.

    A champion that is not a challenger of the deployment, or whose version is not a number, has no known version in
    MLflow: the alias is then removed, and the log says so. A repeated call changes nothing.

    Raises:
        RegistryError: MLflow refuses.
        TransientError: MLflow does not answer.
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


def _version(deployment: Deployment, champion: CurrentChampion) -> str | None:
    """Return the champion's version in MLflow; None where it is not known."""
    is_declared = champion.name in {challenger.name for challenger in deployment.promotable}
    return str(int(champion.version)) if is_declared and champion.version.isdecimal() else None


def _point(
    client: "httpx.Client", declared: RegisteredModel, purpose: Purpose, version: str | None, champion: CurrentChampion
) -> str:
    key = {"name": declared.model, "alias": declared.alias}
    label = f"alias {declared.alias} of {declared.model} in MLflow"
    registered = registered_version(purpose, client, declared.model, declared.alias)
    present = registered and registered.version
    if version is None:
        if present is not None:
            response_content(purpose, client.request("DELETE", ALIAS, json=key))
        logger.warning("%s is removed: the champion, %s, is not a known version of that model", label, champion)
        return f"{label}, removed"
    if present != version:
        response_content(purpose, client.post(ALIAS, json={**key, "version": version}))
        logger.info("%s moved from version %s to %s", label, present or "none", version)
    return f"{label}, version {version}"
