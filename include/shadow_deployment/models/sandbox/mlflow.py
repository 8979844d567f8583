"""Models of MLflow, as pyfunc: `mlflow:models:/NAME/VERSION`, `mlflow:models:/NAME@ALIAS` and `mlflow:FOLDER`.

Their `predict` takes a DataFrame as a function of `python:` does, and answers as one. MLflow itself is needed in the
model's interpreter alone, which usually is one of its own: it does not resolve beside Airflow's packages. A registry is
found by `conn_id`, else by MLFLOW_TRACKING_URI, which may be a file store or a database of this machine.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

from shadow_deployment.base.paths import PROJECT
from shadow_deployment.config.deployment import Challenger
from shadow_deployment.data.connections import Connection
from shadow_deployment.errors import CredentialsError, ModelError, TransientError
from shadow_deployment.models.mlflow_server import Purpose, access, calling, version_of
from shadow_deployment.models.sandbox.predictor import LOAD_SECONDS, SandboxProgram
from shadow_deployment.models.sandbox.process import ModelDiedError, SandboxProcess, environment
from shadow_deployment.models.sandbox.runtimes import interpreter, missing

if TYPE_CHECKING:
    from shadow_deployment.context import DeploymentContext

VARIABLE = "MLFLOW_TRACKING_URI"
REGISTERED = "models:/"
SECONDS = 10.0
_PACKAGE = "mlflow-skinny"
_QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
_MOST = 1 << 16


def program(context: "DeploymentContext", model: Challenger) -> SandboxProgram:
    """Return what a child runs for a model of MLflow.

    Raises ModelError where its folder or its interpreter is missing, CredentialsError where `conn_id` is not declared,
    TransientError for an alias: that is resolved before, or could not be.
    """
    digest(model)
    deployment = context.deployment
    is_registered = model.address.startswith(REGISTERED)
    uri = model.address if is_registered else str(_folder(model))
    return SandboxProgram(
        name=model.name,
        interpreter=interpreter(model),
        environment=environment(**_QUIET, **(_registry(context, model) if is_registered else {})),
        task={"kind": "mlflow", "task": deployment.task, "classes": deployment.classes, "uri": uri},
        remedies=missing(model, mlflow=_PACKAGE),
    )


def digest(model: Challenger) -> str:
    """Return the SHA-256 of a folder's files and their names, or of the address of a registered version.

    Raises ModelError where there is no such folder, TransientError for an alias that was not resolved: it moves.
    """
    if has_alias(model):
        raise TransientError(
            f"challenger {model.name}: model == {model.model!r} points at no version that is known here: MLflow did "
            "not say, and the log of this step has the reason; declare a version, or try again"
        )
    if model.address.startswith(REGISTERED):
        return hashlib.sha256(model.model.encode()).hexdigest()
    folder, found = _folder(model), []
    for path in sorted(one for one in folder.rglob("*") if one.is_file() and "__pycache__" not in one.parts):
        with path.open("rb") as file:
            found.append([path.relative_to(folder).as_posix(), hashlib.file_digest(file, "sha256").hexdigest()])
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()


def has_alias(model: Challenger) -> bool:
    """Whether the address is an alias, which may point at another version tomorrow."""
    return model.kind == "mlflow" and model.address.startswith(REGISTERED) and "@" in model.address


def version(context: "DeploymentContext", model: Challenger) -> str:
    """Return the version that the alias of a model points at now.

    Asks the server's REST API, or the model's own interpreter where the registry is a file store or a database. Raises
    ModelError where there is no such model or alias, CredentialsError where `conn_id` is not declared, TransientError
    where the server does not answer.
    """
    name, _, alias = model.address.removeprefix(REGISTERED).partition("@")
    connection, purpose = _connection(context, model), _purpose(model)
    if connection is None:
        return _asked_in_a_child(context, model, name, alias)
    with calling(purpose, connection, seconds=SECONDS) as client:
        found = version_of(purpose, client, name, alias)
    if found is None:
        raise purpose.refusal(f"model {name} has no alias {alias}; set it in MLflow, or correct {purpose.alias_key}")
    return found


def _folder(model: Challenger) -> Path:
    folder = PROJECT / model.address.removeprefix("file://")
    if not (folder / "MLmodel").is_file():
        raise ModelError(
            f"challenger {model.name}: model == {model.model!r}, but there is no file {folder / 'MLmodel'}: put a "
            "model that MLflow has saved there, or mend challengers[].model"
        )
    return folder


def _asked_in_a_child(context: "DeploymentContext", model: Challenger, name: str, alias: str) -> str:
    variables = environment(**_QUIET, **_registry(context, model))
    child = SandboxProcess(interpreter(model), variables, memory_mb=2048)
    purpose = _purpose(model)
    try:
        answer, _ = child.ask({"do": "version", "name": name, "alias": alias}, seconds=LOAD_SECONDS, most=_MOST)
    except ModelDiedError as error:
        raise purpose.refusal(str(error)) from error
    finally:
        child.kill()
    if answer["is"] != "version":
        remedy = missing(model, mlflow=_PACKAGE).get(str(answer.get("missing") or "").partition(".")[0], "")
        raise purpose.refusal(f"{answer['text']}{remedy}")
    return str(answer["version"])


def _registry(context: "DeploymentContext", model: Challenger) -> dict[str, str]:
    """Return the variables by which MLflow's library finds the registry and its credentials."""
    connection = _connection(context, model)
    if connection is None:
        return {VARIABLE: os.environ[VARIABLE], "MLFLOW_ALLOW_FILE_STORE": "true"}
    found = {VARIABLE: str(access(_purpose(model), connection)["base_url"])}
    if connection.login and connection.password:
        return found | {
            "MLFLOW_TRACKING_USERNAME": connection.login,
            "MLFLOW_TRACKING_PASSWORD": connection.password,
        }
    return found | ({"MLFLOW_TRACKING_TOKEN": connection.password} if connection.password else {})


def _connection(context: "DeploymentContext", model: Challenger) -> Connection | None:
    """Return the server's connection; None where the registry is a file store or a database."""
    if model.conn_id is not None:
        try:
            return context.connections(model.conn_id)
        except CredentialsError as error:
            raise CredentialsError(f"challenger {model.name}: conn_id == {model.conn_id!r}: {error}") from error
    uri = os.environ.get(VARIABLE, "").strip()
    if not uri:
        raise ModelError(
            f"challenger {model.name}: model == {model.model!r} needs conn_id, the connection of the MLflow server, or "
            f"{VARIABLE} in the environment"
        )
    if not uri.startswith(("http://", "https://")):
        return None
    login, password = os.environ.get("MLFLOW_TRACKING_USERNAME"), os.environ.get("MLFLOW_TRACKING_PASSWORD")
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    return Connection(VARIABLE, host=uri, login=login, password=password if login else token)


def _purpose(model: Challenger) -> Purpose:
    return Purpose(
        failed=f"challenger {model.name}: model == {model.model!r} cannot be looked up",
        conn_id=model.conn_id or VARIABLE,
        error=ModelError,
        key=f"challenger {model.name}: conn_id",
        model_key="challengers[].model",
        alias_key="challengers[].model",
        right="read the model",
    )
