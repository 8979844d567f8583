"""Aliases of MLflow models, which move: replaced by versions before a day begins, as evidence belongs to one version.

MLflow is called only for a deployment that declares an alias.
"""

import logging
from collections.abc import Callable
from dataclasses import replace

from shadow_deployment.config.deployment import Challenger
from shadow_deployment.context import DeploymentContext
from shadow_deployment.errors import ShadowError
from shadow_deployment.models.sandbox.mlflow import REGISTERED, current_version, has_alias

logger = logging.getLogger(__name__)


def resolve_aliases(context: DeploymentContext) -> DeploymentContext:
    """Return the deployment with each alias replaced by the version that it points at in MLflow now.

    An alias that cannot be looked up stays, with a line in the log. It then is an error where that challenger is scored
    or judged, and nowhere else.
    """
    return _with_versions(context, lambda model: current_version(context, model))


def last_versions(context: DeploymentContext) -> DeploymentContext:
    """Return the deployment with each alias replaced by the newest version in the ledger; MLflow is not called.

    An alias that was never resolved stays, as does any where the ledger cannot be read.
    """

    def newest(model: Challenger) -> str | None:
        prefix = f"mlflow:{REGISTERED}{_name(model)}/"
        with context.ledger() as session:
            row = session.execute(
                "SELECT m.uri FROM shadow.model_version AS m JOIN shadow.deployment AS d ON d.id = m.deployment_id "
                "WHERE d.name = %s AND m.name = %s AND m.version = %s AND starts_with(m.uri, %s) "
                "ORDER BY m.id DESC LIMIT 1",
                [context.deployment.name, model.name, model.version, prefix],
            ).fetchone()
        return str(row[0]).removeprefix(prefix) if row else None

    return _with_versions(context, newest)


def _with_versions(context: DeploymentContext, version_of: Callable[[Challenger], str | None]) -> DeploymentContext:
    declared = context.deployment
    champion = declared.champion
    models = [*declared.challengers, *([champion.as_challenger] if champion else [])]
    addresses = {model.name: _address(model, version_of) for model in models if has_alias(model)}
    if not addresses:
        return context
    changes: dict[str, object] = {
        "challengers": [
            model.model_copy(update={"model": addresses.get(model.name, model.model)}) for model in declared.challengers
        ]
    }
    if champion is not None:
        changes["champion"] = champion.model_copy(update={"model": addresses.get("champion", champion.model)})
    return replace(context, deployment=declared.model_copy(update=changes))


def _address(model: Challenger, version_of: Callable[[Challenger], str | None]) -> str:
    """Return the address with the alias's version; unchanged where that is not known."""
    try:
        version = version_of(model)
    except ShadowError as error:
        logger.warning("%s", error)
        return model.model
    return model.model if version is None else f"mlflow:{REGISTERED}{_name(model)}/{version}"


def _name(model: Challenger) -> str:
    return model.address.removeprefix(REGISTERED).partition("@")[0]
