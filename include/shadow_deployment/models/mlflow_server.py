"""An MLflow model registry over its REST API: how it is reached, with which credentials, and what a refusal means.

Calls GET, POST and DELETE of `/api/2.0/mlflow/registered-models/alias`, and GET of `model-versions/search`, as MLflow's
REST API reference documents them.
A failed call is not repeated here: it raises TransientError, and the task is retried.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shadow_deployment.data.connections import Connection
from shadow_deployment.errors import ShadowError, TransientError
from shadow_deployment.models.remote.http_access import login_options, parse_host

if TYPE_CHECKING:
    import httpx

ALIAS = "/api/2.0/mlflow/registered-models/alias"
SEARCH = "/api/2.0/mlflow/model-versions/search"
ORDER, NEWEST = "version_number DESC", 100  # of a search: how many versions are looked at
READY = "READY"
TRAINED_UNTIL = "trained_until"
SCHEMES = ("http", "https")
_LONGEST_MESSAGE = 300


@dataclass(frozen=True)
class Purpose:
    """What MLflow is called for, as errors put it.

    `problem` says what then fails. `conn_key`, `model_key` and `alias_key` are keys of the deployment file, `right` is
    what the login must be allowed, `error` is raised where a retry would end the same.
    """

    problem: str
    conn_id: str
    error: type[ShadowError]
    conn_key: str
    model_key: str
    alias_key: str
    right: str

    def refusal(self, text: str, kind: type[ShadowError] | None = None) -> ShadowError:
        """Return the error to raise."""
        return (kind or self.error)(f"{self.problem}: {text}")


@dataclass(frozen=True)
class RegisteredVersion:
    """A version of a registered model, with the text of its tag `trained_until`; None where it has no such tag."""

    version: str
    trained_until: str | None


@contextmanager
def open_client(purpose: Purpose, connection: Connection, *, seconds: float) -> Iterator["httpx.Client"]:
    """Open a client for the server of a connection, with a timeout in seconds.

    Inside the block, a server that cannot be reached raises TransientError, an invalid address the purpose's error.
    """
    import httpx

    conn_id = purpose.conn_id
    try:
        with httpx.Client(**server_options(purpose, connection), timeout=seconds) as client:
            yield client
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise purpose.refusal(f"{error}; correct host and port of connection {conn_id}") from error
    except httpx.HTTPError as error:
        text = str(error) or type(error).__name__
        if "SSL" in text:
            text += f"; if the server does not speak TLS, set the schema of connection {conn_id} to http"
        raise purpose.refusal(text, TransientError) from error


def server_options(purpose: Purpose, connection: Connection) -> dict[str, Any]:
    """Return base URL and credentials as httpx's keywords: a password alone is a token, with a login it is basic auth.

    The scheme is the connection's schema, or is part of its host; without either it is https.
    """
    scheme = connection.database or "https"
    if scheme not in SCHEMES:
        raise purpose.error(
            f"{purpose.conn_key} == {connection.conn_id!r}: its schema == {scheme!r}, must be http or https"
        )
    address = parse_host(connection.host or "localhost", scheme)
    if connection.port:
        address = address.copy_with(port=connection.port)
    return {"base_url": address, **login_options(connection)}


def registered_version(purpose: Purpose, client: "httpx.Client", name: str, alias: str) -> RegisteredVersion | None:
    """Return the version of a registered model that an alias points at; None where there is no such alias."""
    response = client.get(ALIAS, params={"name": name, "alias": alias})
    if response.status_code == 400 and (_json_object(response) or {}).get("error_code") == "INVALID_PARAMETER_VALUE":
        return None  # MLflow's way of saying that a model has no such alias
    version = response_content(purpose, response).get("model_version")
    return _registered(version) if isinstance(version, dict) and "version" in version else None


def ready_versions(purpose: Purpose, client: "httpx.Client", name: str) -> list[RegisteredVersion]:
    """Return the versions of a registered model that are ready, newest first, of its newest hundred."""
    newest: dict[str, str | int] = {"order_by": ORDER, "max_results": NEWEST}
    response = client.get(SEARCH, params={"filter": name_filter(name), **newest})
    versions = response_content(purpose, response).get("model_versions") or []
    return [_registered(version) for version in versions if version.get("status") == READY]


def name_filter(name: str) -> str:
    """Return the filter of a search for the versions of a model."""
    quote = '"' if "'" in name else "'"
    return f"name={quote}{name}{quote}"


def _registered(version: dict[str, Any]) -> RegisteredVersion:
    tags = {str(tag.get("key")): str(tag.get("value", "")) for tag in version.get("tags") or []}
    return RegisteredVersion(str(version["version"]), tags.get(TRAINED_UNTIL))


def response_content(purpose: Purpose, response: "httpx.Response") -> dict[str, Any]:
    """Return the JSON of MLflow's response; raise the purpose's error, or TransientError, where it refuses."""
    content, status = _json_object(response), response.status_code
    if status == 200 and content is not None:
        return content
    code, message = ((content or {}).get(key, "") for key in ("error_code", "message"))
    text = f"{status} {code or response.reason_phrase}{f': {message[:_LONGEST_MESSAGE]}' if message else ''}"
    if status == 429 or status >= 500:
        raise purpose.refusal(text, TransientError)
    if status in (401, 403):
        remedy = f"correct login and password of connection {purpose.conn_id}, or its right to {purpose.right}"
    elif code == "RESOURCE_DOES_NOT_EXIST":
        remedy = f"register that model or version in MLflow, or correct {purpose.model_key}"
    elif code == "INVALID_PARAMETER_VALUE":
        remedy = f"correct {purpose.alias_key}"
    else:
        remedy = f"is connection {purpose.conn_id} the address of an MLflow server?"
    raise purpose.refusal(f"{text}; {remedy}")


def _json_object(response: "httpx.Response") -> dict[str, Any] | None:
    """Return the JSON object of a response; None where it holds something else, as another server's would."""
    try:
        content = response.json()
    except ValueError:
        return None
    return content if isinstance(content, dict) else None
