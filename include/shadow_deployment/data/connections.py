"""Connections by id: what the engine knows of a database, and where the command line finds it."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from shadow_deployment.errors import CredentialsError


@dataclass(frozen=True)
class Connection:
    """One declared connection; the password is never part of its repr."""

    conn_id: str
    host: str | None = None
    port: int | None = None
    login: str | None = None
    password: str | None = field(default=None, repr=False)
    database: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def parameters(self) -> dict[str, Any]:
        """Return the keywords of libpq that are set, `extra` included where libpq knows the keyword."""
        known = {key: self.extra[key] for key in _LIBPQ_EXTRAS if key in self.extra}
        named = {
            "host": self.host,
            "port": self.port,
            "user": self.login,
            "password": self.password,
            "dbname": self.database,
        }
        return known | {key: value for key, value in named.items() if value not in (None, "")}

    def __str__(self) -> str:
        address = f"{self.host or 'localhost'}:{self.port or 5432}/{self.database or '?'}"
        return f"{self.conn_id} ({self.login or '?'}@{address})"


_LIBPQ_EXTRAS = (
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "application_name",
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "target_session_attrs",
)


class Connections(Protocol):
    """Finds a connection by its id. Airflow's and the environment's both do."""

    def __call__(self, conn_id: str) -> Connection:
        """Return the connection; raise CredentialsError where it is not declared."""
        ...


def environment(conn_id: str) -> Connection:
    """Read `AIRFLOW_CONN_<ID>`, as a URI or as JSON, the way Airflow does.

    Raises CredentialsError, without the value, where it is missing or cannot be read.
    """
    name = f"AIRFLOW_CONN_{conn_id.upper()}"
    value = os.environ.get(name, "").strip()
    if not value:
        raise CredentialsError(
            f"connection {conn_id} is not declared: set {name} to a URI "
            "(postgresql://user:password@host:5432/database) or to JSON, or declare it in Airflow"
        )
    return _from_json(conn_id, name, value) if value.startswith("{") else _from_uri(conn_id, name, value)


def _from_uri(conn_id: str, name: str, value: str) -> Connection:
    try:
        parts = urlsplit(value)
    except ValueError:  # its text may hold the password
        raise CredentialsError(
            f"connection {conn_id}: {name} is no URI; percent-encode what is not a letter or digit in the password"
        ) from None
    try:
        port = parts.port
    except ValueError:
        raise CredentialsError(f"connection {conn_id}: the port in {name} must be a number up to 65535") from None
    if not parts.scheme or not parts.netloc:
        raise CredentialsError(
            f"connection {conn_id}: {name} is no URI, must look like postgresql://user:password@host:5432/database"
        )
    extra: dict[str, Any] = dict(parse_qsl(parts.query))
    if "__extra__" in extra:
        extra |= _extra(conn_id, name, extra.pop("__extra__"))
    return Connection(
        conn_id=conn_id,
        host=unquote(parts.hostname) if parts.hostname else None,
        port=port,
        login=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        database=unquote(parts.path.removeprefix("/")) or None,
        extra=extra,
    )


def _from_json(conn_id: str, name: str, value: str) -> Connection:
    try:
        fields = json.loads(value)
    except ValueError:
        raise CredentialsError(f"connection {conn_id}: {name} starts with a brace but is no valid JSON") from None
    try:
        port = int(fields["port"]) if fields.get("port") not in (None, "") else None
    except (ValueError, TypeError):
        raise CredentialsError(f"connection {conn_id}: the port in {name} must be a number up to 65535") from None
    return Connection(
        conn_id=conn_id,
        host=fields.get("host"),
        port=port,
        login=fields.get("login"),
        password=fields.get("password"),
        database=fields.get("schema"),
        extra=_extra(conn_id, name, fields.get("extra") or {}),
    )


def _extra(conn_id: str, name: str, value: object) -> dict[str, Any]:
    try:
        extra = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        extra = None
    if not isinstance(extra, dict):
        raise CredentialsError(f"connection {conn_id}: extra in {name} must be a JSON object")
    return extra
