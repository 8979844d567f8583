"""HTTP clients with the credentials of a connection, which go to the host that it names and to no other."""

from typing import TYPE_CHECKING, Any

from shadow_deployment.data.connections import Connection
from shadow_deployment.errors import CredentialsError

if TYPE_CHECKING:
    import ssl

    import httpx

_PORTS = {"http": 80, "https": 443}
_TRUTH = {"true": True, "false": False}


def client_options(address: str, connection: Connection) -> dict[str, Any]:
    """Return httpx's keywords for an address: a password alone is a token, with a login it is basic auth.

    `headers` in the connection's extra are sent too; `verify` there is false or the path of a file with certificates to
    trust.

    Raises:
        CredentialsError: The connection names another host, port or scheme than the address, or no host, or holds a
            value that no header can. The text never shows the value.
    """
    import httpx

    _require_same_host(httpx.URL(address), connection)
    login = login_options(connection)
    headers = _headers(connection) | login.pop("headers", {})
    return {"headers": headers, "verify": _verify(connection), **login}


def login_options(connection: Connection) -> dict[str, Any]:
    """Return httpx's keywords for a connection's login: a password alone is a token, with a login it is basic auth."""
    if connection.password and connection.login:
        return {"auth": (connection.login, connection.password)}
    if connection.password:
        return {"headers": {"Authorization": _printable(connection, "the password", f"Bearer {connection.password}")}}
    return {}


def parse_host(host: str, scheme: str = "") -> "httpx.URL":
    """Return the URL of a host, which may be an IPv6 address or already a URL; raise InvalidURL for any other text."""
    import httpx

    if "://" in host:
        return httpx.URL(host)
    is_bare_ipv6 = host.count(":") > 1 and not host.startswith("[")
    return httpx.URL(f"{scheme and f'{scheme}:'}//{f'[{host}]' if is_bare_ipv6 else host}")


def _require_same_host(address: "httpx.URL", connection: Connection) -> None:
    """Make sure that the credentials are meant for this address."""
    import httpx

    scheme, port = connection.database or None, connection.port
    try:
        named = parse_host(connection.host or "")
    except httpx.InvalidURL:
        raise CredentialsError(f"connection {connection.conn_id}: its host cannot be parsed; correct it") from None
    scheme, port = named.scheme or scheme, named.port or port
    if not named.host:
        raise CredentialsError(
            f"connection {connection.conn_id} names no host, must name {address.host}: credentials are sent only "
            "to the host that their connection names"
        )
    differing = [
        f"{field} {value}, must be {allowed}"
        for field, value, allowed in (
            ("host", named.host, address.host),
            ("port", port, address.port or _PORTS[address.scheme]),
            ("schema", scheme, address.scheme),
        )
        if value and value != allowed
    ]
    if differing:
        raise CredentialsError(
            f"connection {connection.conn_id} has {'; '.join(differing)}, as in {address}: credentials are sent "
            "only to the host that their connection names; correct the connection or the address"
        )


def _headers(connection: Connection) -> dict[str, str]:
    headers = connection.extra.get("headers") or {}
    if not isinstance(headers, dict):
        raise CredentialsError(f"connection {connection.conn_id}: headers in its extra must be an object")
    return {str(name): _printable(connection, f"header {name}", value) for name, value in headers.items()}


def _verify(connection: Connection) -> "bool | ssl.SSLContext":
    import ssl

    verify = connection.extra.get("verify", True)
    verify = _TRUTH.get(str(verify).lower(), verify)
    if isinstance(verify, bool):
        return verify
    try:
        return ssl.create_default_context(cafile=str(verify))
    except (OSError, ssl.SSLError) as error:
        raise CredentialsError(
            f"connection {connection.conn_id}: verify in its extra must be true, false or the path of a file with "
            f"certificates, but {str(verify)!r} cannot be read: {error}"
        ) from error


def _printable(connection: Connection, what: str, value: object) -> str:
    text = str(value)
    if not (text.isascii() and text.isprintable()):  # httpx would show the value in its error
        raise CredentialsError(f"connection {connection.conn_id}: {what} holds characters that no header can hold")
    return text
