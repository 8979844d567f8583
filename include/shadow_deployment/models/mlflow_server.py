"""A model registry of MLflow, through its REST API: who is asked, with which credentials, and what a refusal means.

What is called: GET, POST and DELETE of `/api/2.0/mlflow/registered-models/alias`, as documented in MLflow's REST API
reference.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shadow_deployment.data.connections import Connection
from shadow_deployment.errors import ShadowError, TransientError

if TYPE_CHECKING:
    import httpx

ALIAS = "/api/2.0/mlflow/registered-models/alias"
SCHEMES = ("http", "https")
_LONGEST = 300


@dataclass(frozen=True)
class Purpose:
    """What MLflow is asked for, in the words of the errors that may come of it.

    `failed` says what is then not done. `key` is that of the connection in the deployment file, `model_key` and
    `alias_key` name what is to be corrected there, `right` what the login must be allowed; `error` is raised where
    trying again gives the same answer.
    """

    failed: str
    conn_id: str
    error: type[ShadowError]
    key: str
    model_key: str
    alias_key: str
    right: str

    def refusal(self, text: str, kind: type[ShadowError] | None = None) -> ShadowError:
        """Return the error to raise."""
        return (kind or self.error)(f"{self.failed}: {text}")


@contextmanager
def calling(purpose: Purpose, connection: Connection, *, seconds: float) -> Iterator["httpx.Client"]:
    """Open a client for the server of a connection.

    A server that cannot be reached raises TransientError, an address that cannot be one the purpose's own error.
    """
    import httpx

    conn_id = purpose.conn_id
    try:
        with httpx.Client(**access(purpose, connection), timeout=seconds) as client:
            yield client
    except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
        raise purpose.refusal(f"{error}; correct host and port of connection {conn_id}") from error
    except httpx.HTTPError as error:
        said = str(error) or type(error).__name__
        hint = f"; where it is not TLS that is spoken there, set the schema of connection {conn_id} to http"
        raise purpose.refusal(f"{said}{hint if 'SSL' in said else ''}", TransientError) from error


def access(purpose: Purpose, connection: Connection) -> dict[str, Any]:
    """Return address and credentials for a client: a password alone is a token, with a login it is basic auth.

    The scheme is the connection's schema, or stands in its host; without either it is https.
    """
    import httpx

    host, scheme = connection.host or "localhost", connection.database or "https"
    if scheme not in SCHEMES:
        raise purpose.error(f"{purpose.key} == {connection.conn_id!r}: its schema == {scheme!r}, must be http or https")
    bare = f"[{host}]" if host.count(":") > 1 and "://" not in host else host  # an address of IPv6
    address = httpx.URL(bare if "://" in bare else f"{scheme}://{bare}")
    found: dict[str, Any] = {"base_url": address.copy_with(port=connection.port) if connection.port else address}
    if connection.password and connection.login:
        found["auth"] = (connection.login, connection.password)
    elif connection.password:
        found["headers"] = {"Authorization": f"Bearer {connection.password}"}
    return found


def version_of(purpose: Purpose, client: "httpx.Client", name: str, alias: str) -> str | None:
    """Return the version that an alias of a registered model points at; None where there is no such alias."""
    answer = client.get(ALIAS, params={"name": name, "alias": alias})
    if answer.status_code == 400 and (_said(answer) or {}).get("error_code") == "INVALID_PARAMETER_VALUE":
        return None  # this is how MLflow says that a model has no such alias
    found = content(purpose, answer).get("model_version")
    return str(found["version"]) if isinstance(found, dict) and "version" in found else None


def content(purpose: Purpose, answer: "httpx.Response") -> dict[str, Any]:
    """Return what MLflow answers; raise the purpose's error, or TransientError, where that is a refusal."""
    said, status = _said(answer), answer.status_code
    if status == 200 and said is not None:
        return said
    code, message = ((said or {}).get(key, "") for key in ("error_code", "message"))
    text = f"{status} {code or answer.reason_phrase}{f': {message[:_LONGEST]}' if message else ''}"
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


def _said(answer: "httpx.Response") -> dict[str, Any] | None:
    """Return the JSON object that an answer holds; None where it holds something else, as another server's would."""
    try:
        said = answer.json()
    except ValueError:
        return None
    return said if isinstance(said, dict) else None
