"""The MCP server: the SDK's, with one tool for each answer, over standard input and output or over HTTP on loopback."""

import functools
import hmac
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable
from typing import Any, Final

import anyio.to_thread
import uvicorn
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from mcp.types import ToolAnnotations

from shadow_deployment.errors import PermanentError, ShadowError
from shadow_deployment.mcp.answers import Answers
from shadow_deployment.mcp.redaction import redacted

try:
    from mcp.server.mcpserver import MCPServer
    from mcp.server.mcpserver.exceptions import ToolError
except ModuleNotFoundError:  # the first major version, which managed Airflows still have
    from mcp.server.fastmcp import FastMCP as MCPServer
    from mcp.server.fastmcp.exceptions import ToolError

logger = logging.getLogger(__name__)

LOOPBACK: Final = "127.0.0.1"
PATH: Final = "/mcp"
_INSTRUCTIONS: Final = (
    "Shadow deployments: challenger models answer production's requests beside the serving champion, and a verdict "
    "(PASS, FAIL or INCONCLUSIVE) says whether one may be promoted. Start with `deployments`; ask `why_not` what keeps "
    "a challenger from passing. Everything is read only: nothing here runs a day, approves or promotes."
)


class ServingError(PermanentError):
    """The server cannot listen where it was asked to."""


class OneToken:
    """Admits whoever knows the token; comparing takes as long for any text of its length."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    async def verify_token(self, token: str) -> AccessToken | None:
        """Return who is admitted, None where the token is another one."""
        if not hmac.compare_digest(self._token, token.encode()):
            return None
        return AccessToken(token=token, client_id="shadow", scopes=[])


def build(answers: Answers, token: str | None = None) -> MCPServer:
    """Return the server with its tools; over HTTP it admits nobody without the token."""
    auth: dict[str, Any] = {}
    if token is not None:
        settings = AuthSettings(issuer_url=f"http://{LOOPBACK}", resource_server_url=None)
        auth = {"auth": settings, "token_verifier": OneToken(token)}
    server = MCPServer("shadow", instructions=_INSTRUCTIONS, log_level="WARNING", **auth)
    for tool in answers.tools:
        server.add_tool(_as_tool(tool), annotations=ToolAnnotations(readOnlyHint=True))
    return server


def serve_stdio(answers: Answers) -> None:
    """Answer on standard input and output until the client closes them."""
    if sys.stdin.isatty():
        sys.stderr.write("waiting for an MCP client on standard input; clients start this command themselves\n")
    # The SDK waits for input in a thread that an exception does not end; there is nothing to clean up.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    build(answers).run("stdio")


def serve_http(answers: Answers, token: str, port: int) -> None:
    """Answer streamable HTTP on loopback until interrupted; port 0 is one that the system chooses.

    The SDK refuses requests whose Host or Origin is not this machine's, as a page in a browser could send.

    Raises:
        ServingError: nobody can listen on this port.
    """
    app = build(answers, token).streamable_http_app()
    try:
        listening = socket.create_server((LOOPBACK, port))
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else error
        raise ServingError(f"--port == {port}: {why}; choose another one, or 0 for any free one") from None
    with listening:
        sys.stderr.write(f"listening on http://{LOOPBACK}:{listening.getsockname()[1]}{PATH}\n")
        uvicorn.Server(uvicorn.Config(app, log_level="warning")).run(sockets=[listening])


def _as_tool(answer: Callable[..., dict[str, Any]]) -> Callable[..., Awaitable[dict[str, Any]]]:
    """Return an answer as a tool: in a thread of its own, redacted, and with an error that says what was foreseen."""

    @functools.wraps(answer)
    async def tool(**arguments: Any) -> dict[str, Any]:
        try:
            content = await anyio.to_thread.run_sync(functools.partial(answer, **arguments))
        except ShadowError as error:
            raise ToolError(redacted(str(error))) from None
        except Exception as error:
            logger.exception("%s failed", answer.__name__)
            raise ToolError(f"{type(error).__name__}: the server's standard error says more") from None
        shown: dict[str, Any] = redacted(content)
        return shown

    return tool
