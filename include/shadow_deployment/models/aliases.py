"""Aliases and newest versions of MLflow models, which move: replaced by versions, to which evidence belongs.

MLflow is called only for a deployment that declares one.
"""

import datetime as dt
import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from shadow_deployment.base.numbers import quantity
from shadow_deployment.base.redaction import one_line
from shadow_deployment.config.deployment import Challenger
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.db import Session
from shadow_deployment.errors import ModelError, ShadowError
from shadow_deployment.ledger.checks import newer_versions
from shadow_deployment.models.mlflow_server import TRAINED_UNTIL, RegisteredVersion
from shadow_deployment.models.sandbox.mlflow import REGISTERED, current_versions, digest, registered_name

logger = logging.getLogger(__name__)
_LONGEST_TAG = 60


def resolve_aliases(context: DeploymentContext) -> DeploymentContext:
    """Return the deployment with each alias replaced by the version that it points at in MLflow now.

    Its training date is that of the file, for the version first seen with it, else that of the version's tag. `latest`
    is the newest version that is ready and whose tag is a date; newer ones wait for theirs, with a line in the log.

    An alias that cannot be looked up, or whose tag is no date, stays, with a line in the log. It then is an error where
    that challenger is scored or judged, and nowhere else.
    """

    def resolved(model: Challenger) -> Challenger:
        versions = current_versions(context, model)
        if model.is_newest:
            return _newest(model, versions)
        dated = _at(model, versions[0].version)
        if model.trained_until is not None and _holds(context, dated, model.trained_until):
            return dated
        return dated.model_copy(update={"trained_until": _tagged(model, versions[0])})

    return _with_versions(context, resolved)


def last_versions(context: DeploymentContext, session: Session[Any] | None = None) -> DeploymentContext:
    """Return the deployment with each alias replaced by the newest version in the ledger; MLflow is not called.

    Its training date is the one that the ledger has, so none is given. An alias that was never resolved stays, as does
    any where the ledger cannot be read. Without a session, each alias opens the ledger.
    """

    def newest(model: Challenger) -> Challenger:
        prefix = f"mlflow:{REGISTERED}{registered_name(model)}/"
        with context.ledger() if session is None else nullcontext(session) as ledger:
            row = ledger.execute(
                "SELECT m.uri, m.version FROM shadow.model_version AS m "
                "JOIN shadow.deployment AS d ON d.id = m.deployment_id "
                "WHERE d.name = %s AND m.name = %s AND coalesce(m.version = %s, true) AND starts_with(m.uri, %s) "
                "ORDER BY m.id DESC LIMIT 1",
                [context.deployment.name, model.name, None if model.is_newest else model.version, prefix],
            ).fetchone()
            waiting = newer_versions.newest(ledger, context.deployment.name, model.name) if model.is_newest else None
        known = {} if row is None else {"model": str(row[0]), "version": str(row[1]), "trained_until": None}
        return model.model_copy(update=known | {"newer_versions": waiting})

    return _with_versions(context, newest)


def _with_versions(context: DeploymentContext, resolve: Callable[[Challenger], Challenger]) -> DeploymentContext:
    declared = context.deployment
    champion = declared.champion
    models = [*declared.challengers, *([champion.as_challenger] if champion else [])]
    versions = {model.name: _resolved(model, resolve) for model in models if model.is_alias}
    if not versions:
        return context
    changes: dict[str, object] = {
        "challengers": [versions.get(model.name, model) for model in declared.challengers],
    }
    if champion is not None and "champion" in versions:
        changes["champion"] = champion.model_copy(update={"model": versions["champion"].model})
    return replace(context, deployment=declared.model_copy(update=changes))


def _resolved(model: Challenger, resolve: Callable[[Challenger], Challenger]) -> Challenger:
    """Return the model of an alias; the alias where that is not known."""
    try:
        return resolve(model)
    except ShadowError as error:
        logger.warning("%s", error)
        return model


def _at(model: Challenger, version: str) -> Challenger:
    return model.model_copy(update={"model": f"mlflow:{REGISTERED}{registered_name(model)}/{version}"})


def _newest(model: Challenger, versions: Sequence[RegisteredVersion]) -> Challenger:
    """Return the newest version whose tag says until when it was trained; the model as it is where none says so.

    `newer_versions` of it says which wait for a tag, newest first.
    """
    dates = [_date(version) for version in versions]
    place = next((place for place, day in enumerate(dates) if day is not None), len(versions))
    waiting = [f"version {version.version} in MLflow waits: {_why(version)}" for version in versions[:place]]
    more = [f"{quantity(more, 'older one')} wait{'s' * (more == 1)} too"] if (more := len(waiting) - 1) > 0 else []
    known: dict[str, object] = {"newer_versions": "; ".join([*waiting[:1], *more])}
    if waiting:
        logger.warning("challenger %s: %s", model.name, known["newer_versions"])
    if place == len(versions):
        return model.model_copy(update=known | {"version": versions[0].version})
    followed = versions[place].version
    return _at(model, followed).model_copy(update=known | {"version": followed, "trained_until": dates[place]})


def _holds(context: DeploymentContext, model: Challenger, trained_until: dt.date) -> bool:
    """Return whether the file's training date is of this version: it was entered for it first, or for none yet."""
    with context.ledger() as session:
        row = session.execute(
            "SELECT m.digest FROM shadow.trial_training AS n JOIN shadow.trial AS t ON t.id = n.trial_id "
            "JOIN shadow.model_version AS m ON m.id = t.challenger_id "
            "JOIN shadow.deployment AS d ON d.id = m.deployment_id "
            "WHERE d.name = %s AND m.name = %s AND m.version = %s AND n.trained_until = %s "
            "ORDER BY n.declared_at LIMIT 1",
            [context.deployment.name, model.name, model.version, trained_until],
        ).fetchone()
    return row is None or row[0] == digest(model)


def _tagged(model: Challenger, version: RegisteredVersion) -> dt.date | None:
    """Return the training date of a version's tag, None where it has none; raise ModelError where it is no date."""
    day = _date(version)
    if day is None and version.trained_until is not None:
        raise ModelError(f"{model.model_key}: version {version.version}: {_why(version)}")
    return day


def _date(version: RegisteredVersion) -> dt.date | None:
    """Return the training date of a version's tag, None where it has none or it is no date."""
    try:
        day = dt.date.fromisoformat(version.trained_until or "")
    except ValueError:
        return None
    return day if day.isoformat() == version.trained_until else None


def _why(version: RegisteredVersion) -> str:
    """Return why a version has no training date."""
    if version.trained_until is None:
        return f"it has no tag {TRAINED_UNTIL}"
    got = one_line(version.trained_until, _LONGEST_TAG)
    return f"its tag {TRAINED_UNTIL} == {got!r}, must be a date as YYYY-MM-DD"
