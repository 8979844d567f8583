"""The alias of a registered model in MLflow that follows the champion, set through MLflow's REST API.

Production then loads `models:/MODEL@ALIAS`. What is called: GET, POST and DELETE of
`/api/2.0/mlflow/registered-models/alias`, as documented in MLflow's REST API reference.
"""

import logging
from typing import TYPE_CHECKING, Any

from include.shadow.connection import Connection
from include.shadow.consequences import RegisteredModel
from include.shadow.deployment import Deployment
from include.shadow.errors import CredentialsError, RegistryError, ShadowError, TransientError
from include.shadow.ledger.promotions import Champion
from include.shadow.surroundings import Shadow

if TYPE_CHECKING:
    import httpx

logger = logging.getLogger(__name__)

PATH = "/api/2.0/mlflow/registered-models/alias"
SCHEMES = ("http", "https")
SECONDS = 20.0
_LONGEST = 300


def follow(shadow: Shadow, champion: Champion) -> list[str]:
    """Point the alias at the champion's version, where `promotion.mlflow` is set; return which alias that is.

    A champion that is none of the deployment's challengers, or whose version is no number, has no version in MLflow as
    far as the registry knows: the alias is then taken away, and the log says so. Repeating it changes nothing. Raises
    RegistryError or TransientError where MLflow refuses or does not answer.
    """
    import httpx

    declared = shadow.deployment.promotion.mlflow
    if declared is None:
        return []
    try:
        connection = shadow.connections(declared.conn_id)
        with httpx.Client(**_access(connection), timeout=SECONDS) as client:
            return [_point(client, declared, _version(shadow.deployment, champion), champion)]
    except CredentialsError as error:
        raise CredentialsError(f"promotion.mlflow.conn_id == {declared.conn_id!r}: {error}") from error
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise _error(declared, f"{error}; correct host and port of connection {declared.conn_id}") from error
    except httpx.HTTPError as error:
        said = str(error) or type(error).__name__
        hint = f"; where it is not TLS that is spoken there, set the schema of connection {declared.conn_id} to http"
        raise _error(declared, f"{said}{hint if 'SSL' in said else ''}", kind=TransientError) from error


def _version(deployment: Deployment, champion: Champion) -> str | None:
    """Return the champion's version in MLflow; None where it has none that the registry knows of."""
    is_ours = champion.name in {one.name for one in deployment.promotable}
    return str(int(champion.version)) if is_ours and champion.version.isdecimal() else None


def _point(client: "httpx.Client", declared: RegisteredModel, wanted: str | None, champion: Champion) -> str:
    named = {"name": declared.model, "alias": declared.alias}
    label = f"alias {declared.alias} of {declared.model} in MLflow"
    present = _present(client, declared, named)
    if wanted is None:
        if present is not None:
            _answer(declared, client.request("DELETE", PATH, json=named))
        logger.warning(
            "%s is taken away: the champion, %s, is no version of that model that is known here", label, champion
        )
        return f"{label}, taken away"
    if present != wanted:
        _answer(declared, client.post(PATH, json={**named, "version": wanted}))
        logger.info("%s points at version %s, before at %s", label, wanted, present or "none")
    return f"{label}, version {wanted}"


def _present(client: "httpx.Client", declared: RegisteredModel, named: dict[str, str]) -> str | None:
    """Return the version that the alias points at now; None where there is no such alias."""
    answer = client.get(PATH, params=named)
    if answer.status_code == 400 and (_said(answer) or {}).get("error_code") == "INVALID_PARAMETER_VALUE":
        return None  # this is how MLflow says that a model has no such alias
    found = _answer(declared, answer).get("model_version")
    return str(found["version"]) if isinstance(found, dict) and "version" in found else None


def _answer(declared: RegisteredModel, answer: "httpx.Response") -> dict[str, Any]:
    """Return what MLflow answers; raise RegistryError or TransientError where that is a refusal."""
    said, status = _said(answer), answer.status_code
    if status == 200 and said is not None:
        return said
    code, message = ((said or {}).get(key, "") for key in ("error_code", "message"))
    text = f"{status} {code or answer.reason_phrase}{f': {message[:_LONGEST]}' if message else ''}"
    if status == 429 or status >= 500:
        raise _error(declared, text, kind=TransientError)
    if status in (401, 403):
        remedy = f"correct login and password of connection {declared.conn_id}, or its right to change the model"
    elif code == "RESOURCE_DOES_NOT_EXIST":
        remedy = "register that model or version in MLflow, or correct promotion.mlflow.model"
    elif code == "INVALID_PARAMETER_VALUE":
        remedy = "correct promotion.mlflow.alias or promotion.mlflow.model"
    else:
        remedy = f"is connection {declared.conn_id} the address of an MLflow server?"
    raise _error(declared, f"{text}; {remedy}")


def _said(answer: "httpx.Response") -> dict[str, Any] | None:
    """Return the JSON object that an answer holds; None where it holds something else, as another server's would."""
    try:
        said = answer.json()
    except ValueError:
        return None
    return said if isinstance(said, dict) else None


def _access(connection: Connection) -> dict[str, Any]:
    """Return address and credentials for a client: a password alone is a token, with a login it is basic auth.

    The scheme is the connection's schema, or stands in its host; without either it is https.
    """
    import httpx

    host, scheme = connection.host or "localhost", connection.database or "https"
    if scheme not in SCHEMES:
        raise RegistryError(
            f"promotion.mlflow.conn_id == {connection.conn_id!r}: its schema == {scheme!r}, must be http or https"
        )
    bare = f"[{host}]" if host.count(":") > 1 and "://" not in host else host  # an address of IPv6
    address = httpx.URL(bare if "://" in bare else f"{scheme}://{bare}")
    found: dict[str, Any] = {"base_url": address.copy_with(port=connection.port) if connection.port else address}
    if connection.password and connection.login:
        found["auth"] = (connection.login, connection.password)
    elif connection.password:
        found["headers"] = {"Authorization": f"Bearer {connection.password}"}
    return found


def _error(declared: RegisteredModel, text: str, kind: type[ShadowError] = RegistryError) -> ShadowError:
    return kind(f"promotion.mlflow: alias {declared.alias!r} of model {declared.model!r} is not set: {text}")
