"""MLflow models, as pyfunc: `mlflow:models:/NAME/VERSION`, `…/NAME@ALIAS`, `…/NAME/latest` and `mlflow:FOLDER`.

Their `predict` takes and returns what a `python:` function does. Only the model's interpreter needs MLflow, and it
usually is one of its own: MLflow rarely resolves beside Airflow's packages. The registry is the server of `conn_id`,
else MLFLOW_TRACKING_URI, which may also be a file store or a database of this machine.
"""

import hashlib
import os
import shutil
from functools import partial
from pathlib import Path

from shadow_deployment.base.paths import PROJECT
from shadow_deployment.config.deployment import Challenger
from shadow_deployment.config.window import Window
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.connections import Connection
from shadow_deployment.errors import CredentialsError, ModelError, TransientError
from shadow_deployment.models.files import require_declared
from shadow_deployment.models.mlflow_server import (
    NEWEST,
    ORDER,
    READY,
    Purpose,
    RegisteredVersion,
    name_filter,
    open_client,
    ready_versions,
    registered_version,
    server_options,
)
from shadow_deployment.models.sandbox.predictor import (
    LOAD_SECONDS,
    SandboxedPredictor,
    SandboxProgram,
    error_text,
    missing_package,
)
from shadow_deployment.models.sandbox.process import ModelDiedError, SandboxProcess
from shadow_deployment.models.sandbox.worker import ModelOutputError, folder_digest

VARIABLE = "MLFLOW_TRACKING_URI"
REGISTERED = "models:/"
LATEST = "/latest"
SECONDS = 10.0
_NO_TELEMETRY = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
_MOST_BYTES = 1 << 16


def load(context: DeploymentContext, model: Challenger, _: Window) -> SandboxedPredictor:
    """Return an MLflow model in a sandbox; raise as `program` does, and ModelError where it cannot be loaded."""
    return SandboxedPredictor(program(context, model), context.deployment, context.processes)


def program(context: DeploymentContext, model: Challenger) -> SandboxProgram:
    """Return what the sandbox of an MLflow model runs.

    Raises:
        ModelError: Its folder or its interpreter is missing.
        CredentialsError: `conn_id` is not declared.
        TransientError: The model is an alias that has not been resolved.
    """
    identity, is_registered = digest(model), model.address.startswith(REGISTERED)
    is_known = not is_registered or identity != _address_digest(model)
    return SandboxProgram.of(
        model,
        context.deployment,
        variables=_NO_TELEMETRY | (_registry_variables(context, model) if is_registered else {}),
        stage=_nothing if is_registered else partial(_copy, _folder(model)),
        uri=model.address if is_registered else None,
        source=None if is_registered else str(_folder(model)),
        sha256=identity if is_known else None,
    )


def digest(model: Challenger) -> str:
    """Return the SHA-256 of a folder's files and their names; of a registered version the declared one.

    The files of a registered version are known once they are fetched, and checked then; without a declared digest, it
    is that of the address.

    Raises:
        ModelError: There is no such folder, a link leaves it, the digest is not the declared one, or no registered
            version has a training date.
        TransientError: The model is an alias that has not been resolved: an alias may move.
    """
    if model.newer_versions and model.is_newest:
        raise ModelError(f"{model.model_key}: {model.newer_versions}")
    if model.is_alias:
        raise TransientError(
            f"{model.model_key} could not be resolved to a version; see the log of this step for "
            "MLflow's reason, then try again, or declare a version"
        )
    if model.address.startswith(REGISTERED):
        return model.digest or _address_digest(model)
    folder = _folder(model)
    try:
        actual = folder_digest(str(folder))
    except ModelOutputError as error:
        raise ModelError(f"{model.model_key}: {error}") from error
    require_declared(model, actual, ": its files have")
    return actual


def current_versions(context: DeploymentContext, model: Challenger) -> list[RegisteredVersion]:
    """Return the version that a model's alias points at now; of `latest` all that are ready, newest first.

    Asks the server's REST API, or the model's own interpreter where the registry is a file store or a database.

    Raises:
        ModelError: There is no such model or alias, or no version is ready.
        CredentialsError: `conn_id` is not declared.
        TransientError: The server does not respond.
    """
    name, alias = registered_name(model), model.address.partition("@")[2]
    connection, purpose = _connection(context, model), _purpose(model)
    if connection is None:
        versions = _versions_from_sandbox(context, model, name, alias)
    else:
        with open_client(purpose, connection, seconds=SECONDS) as client:
            if model.is_newest:
                versions = ready_versions(purpose, client, name)
            else:
                versions = [each for each in [registered_version(purpose, client, name, alias)] if each is not None]
    if versions:
        return versions
    lacks, remedy = ("version that is READY", "register one") if model.is_newest else (f"alias {alias}", "set it")
    raise purpose.refusal(f"model {name} has no {lacks}; {remedy} in MLflow, or correct {purpose.alias_key}")


def registered_name(model: Challenger) -> str:
    """Return the name of the registered model that an alias, or `latest`, is of."""
    return model.address.removeprefix(REGISTERED).removesuffix(LATEST).partition("@")[0]


def _address_digest(model: Challenger) -> str:
    return hashlib.sha256(model.model.encode()).hexdigest()


def _nothing(_: Path) -> None:
    """Stage nothing: the sandbox fetches the files itself."""


def _copy(source: Path, target: Path) -> None:
    """Copy a model's files to where nobody changes them, without Python's compiled files, which no digest covers."""
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(source, target, symlinks=True, ignore=ignored, copy_function=shutil.copyfile, dirs_exist_ok=True)


def _folder(model: Challenger) -> Path:
    folder = PROJECT / model.address.removeprefix("file://")
    if not (folder / "MLmodel").is_file():
        raise ModelError(
            f"{model.model_key}, but {folder / 'MLmodel'} does not exist: put a model that MLflow saved "
            "there, or correct challengers[].model"
        )
    return folder


def _versions_from_sandbox(
    context: DeploymentContext, model: Challenger, name: str, alias: str
) -> list[RegisteredVersion]:
    sandbox = SandboxProgram.of(
        model,
        context.deployment,
        variables=_NO_TELEMETRY | _registry_variables(context, model),
    )
    process = SandboxProcess(sandbox.interpreter, sandbox.environment, memory_mb=2048)
    purpose, search = _purpose(model), [name_filter(name), NEWEST, [ORDER]]
    header = {"do": "versions", "alias": [name, alias] if alias else None, "search": search}
    try:
        reply, _ = process.call(header, seconds=LOAD_SECONDS, most_bytes=_MOST_BYTES)
    except ModelDiedError as error:
        raise purpose.refusal(error.reason) from None
    finally:
        process.kill()
    if reply["is"] != "versions":
        raise purpose.refusal(missing_package(sandbox, reply) or error_text(sandbox, reply))
    ready = [(version, tag) for version, status, tag in reply["versions"] if alias or status == READY]
    return [RegisteredVersion(str(version), trained_until) for version, trained_until in ready]


def _registry_variables(context: DeploymentContext, model: Challenger) -> dict[str, str]:
    """Return the variables by which MLflow's library finds the registry and its credentials."""
    connection = _connection(context, model)
    if connection is None:
        return {VARIABLE: os.environ[VARIABLE], "MLFLOW_ALLOW_FILE_STORE": "true"}
    variables = {VARIABLE: str(server_options(_purpose(model), connection)["base_url"])}
    if connection.login and connection.password:
        return variables | {
            "MLFLOW_TRACKING_USERNAME": connection.login,
            "MLFLOW_TRACKING_PASSWORD": connection.password,
        }
    return variables | ({"MLFLOW_TRACKING_TOKEN": connection.password} if connection.password else {})


def _connection(context: DeploymentContext, model: Challenger) -> Connection | None:
    """Return the server's connection; None where the registry is a file store or a database."""
    if model.conn_id is not None:
        try:
            return context.connections(model.conn_id)
        except CredentialsError as error:
            raise CredentialsError(f"challenger {model.name}: conn_id == {model.conn_id!r}: {error}") from error
    uri = os.environ.get(VARIABLE, "").strip()
    if not uri:
        raise ModelError(
            f"{model.model_key} needs conn_id, the connection of the MLflow server, or {VARIABLE} in the environment"
        )
    if not uri.startswith(("http://", "https://")):
        return None
    login, password = os.environ.get("MLFLOW_TRACKING_USERNAME"), os.environ.get("MLFLOW_TRACKING_PASSWORD")
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    return Connection(VARIABLE, host=uri, login=login, password=password if login else token)


def _purpose(model: Challenger) -> Purpose:
    return Purpose(
        problem=f"{model.model_key} cannot be looked up",
        conn_id=model.conn_id or VARIABLE,
        error=ModelError,
        conn_key=f"challenger {model.name}: conn_id",
        model_key="challengers[].model",
        alias_key="challengers[].model",
        right="read the model",
    )
