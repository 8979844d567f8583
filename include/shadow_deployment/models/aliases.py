"""Aliases of models in MLflow, which move: replaced by the version they point at before anything is made of them.

Evidence belongs to one version, so a day knows versions alone. Only a deployment that declares an alias asks MLflow.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from shadow_deployment.config.deployment import Challenger, ChampionSettings, Deployment
from shadow_deployment.errors import ShadowError
from shadow_deployment.models.sandbox.mlflow import REGISTERED, has_alias, version

if TYPE_CHECKING:
    from shadow_deployment.context import DeploymentContext

logger = logging.getLogger(__name__)


def resolved(context: "DeploymentContext") -> "DeploymentContext":
    """Return the deployment with the version instead of each alias, as MLflow has it now.

    One that cannot be looked up stays an alias, which is an error where that challenger is scored or judged and
    nowhere else; the log says why.
    """

    def now(model: Challenger) -> str | None:
        try:
            return version(context, model)
        except ShadowError as error:
            logger.warning("%s", error)
            return None

    return _with(context, now)


def known(context: "DeploymentContext") -> "DeploymentContext":
    """Return the deployment with the newest version that the ledger knows instead of each alias; asks nobody else.

    An alias that was never resolved stays one, as does each where the ledger cannot be read.
    """

    def before(model: Challenger) -> str | None:
        name = model.address.removeprefix(REGISTERED).partition("@")[0]
        prefix = f"mlflow:{REGISTERED}{name}/"
        try:
            with context.ledger() as session:
                row = session.execute(
                    "SELECT m.uri FROM shadow.model_version AS m JOIN shadow.deployment AS d ON d.id = m.deployment_id "
                    "WHERE d.name = %s AND m.name = %s AND m.version = %s AND starts_with(m.uri, %s) "
                    "ORDER BY m.id DESC LIMIT 1",
                    [context.deployment.name, model.name, model.version, prefix],
                ).fetchone()
        except ShadowError as error:
            logger.warning("%s", error)
            return None
        return str(row[0]).removeprefix(prefix) if row else None

    return _with(context, before)


def _with(context: "DeploymentContext", version_of: Callable[[Challenger], str | None]) -> "DeploymentContext":
    declared = context.deployment
    aliased = [one for one in [*declared.challengers, *_champion(declared)] if has_alias(one)]
    if not aliased:
        return context
    addresses = {one.name: _address(one, version_of(one)) for one in aliased}
    changes: dict[str, object] = {
        "challengers": [
            one.model_copy(update={"model": addresses[one.name]}) if has_alias(one) else one
            for one in declared.challengers
        ]
    }
    champion: ChampionSettings | None = declared.champion
    if champion is not None and has_alias(champion.as_challenger):
        changes["champion"] = champion.model_copy(update={"model": addresses["champion"]})
    return replace(context, deployment=declared.model_copy(update=changes))


def _champion(deployment: Deployment) -> list[Challenger]:
    return [deployment.champion.as_challenger] if deployment.champion else []


def _address(model: Challenger, found: str | None) -> str:
    if found is None:
        return model.model
    return f"mlflow:{REGISTERED}{model.address.removeprefix(REGISTERED).partition('@')[0]}/{found}"
