"""The command `mcp`: what the command line shows, read only, for clients of the Model Context Protocol."""

import os
import stat
from pathlib import Path
from typing import Annotated, Final

import typer

from shadow_deployment.base.extras import requires_extra
from shadow_deployment.cli.context import context_of, every_context
from shadow_deployment.errors import CredentialsError

VARIABLE: Final = "SHADOW_MCP_TOKEN"
SHORTEST_TOKEN: Final = 32
PORT: Final = 8765
_NEW = 'python -c "import secrets; print(secrets.token_urlsafe(32))"'


def mcp(
    http: Annotated[
        bool, typer.Option("--http", help="Answer streamable HTTP on loopback instead of standard input and output.")
    ] = False,
    port: Annotated[int, typer.Option(min=0, max=65535, help="With --http: the port; 0 is any free one.")] = PORT,
    token_file: Annotated[
        Path | None,
        typer.Option(help=f"With --http: a file with the bearer token that clients send, instead of {VARIABLE}."),
    ] = None,
) -> None:
    """Serve deployments, verdicts, evidence and trials to MCP clients, read only and without single requests.

    Over HTTP a client must send the bearer token of SHADOW_MCP_TOKEN or of --token-file, of at least 32 characters.
    """
    with requires_extra("mcp", "shadow mcp"):
        from shadow_deployment.mcp import server
        from shadow_deployment.mcp.answers import Answers

    answers = Answers(context_of, every_context)
    if http:
        server.serve_http(answers, read_token(token_file), port)
    elif token_file is not None or port != PORT:
        raise typer.BadParameter("belongs to --http", param_hint="--port" if port != PORT else "--token-file")
    else:
        server.serve_stdio(answers)


def read_token(file: Path | None) -> str:
    """Return the bearer token of a file that only its owner can read, or of the environment.

    Raises:
        CredentialsError: there is none, others can read the file, or the token is too short to be secret.
    """
    where = f"--token-file {file}" if file else f"environment variable {VARIABLE}"
    token = _of_file(file) if file else os.environ.get(VARIABLE, "").strip()
    if len(token) < SHORTEST_TOKEN:
        problem = (
            f"has {len(token)} characters, must have at least {SHORTEST_TOKEN}" if token else "is empty or not set"
        )
        raise CredentialsError(f"{where}: the token {problem}; make one with: {_NEW}")
    return token


def _of_file(file: Path) -> str:
    try:
        with file.open(encoding="ascii") as opened:
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
            if mode & 0o077:
                raise CredentialsError(f"--token-file {file}: mode == {mode:04o}, must be 0600: chmod 600 {file}")
            return opened.read().strip()
    except (OSError, UnicodeError) as error:
        raise CredentialsError(f"--token-file {file}: {getattr(error, 'strerror', None) or 'must be ASCII'}") from None
