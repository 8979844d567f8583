"""Backup of the ledger, and the way back: the schema `shadow` by pg_dump and pg_restore, and nothing else.

A backup is written aside, read back to its last row, and only then given its name. A restore is one transaction.
"""

import fcntl
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from shadow_deployment.base.sql_templates import load_statement
from shadow_deployment.data.connections import Connection
from shadow_deployment.data.db import Session, connect, translated
from shadow_deployment.errors import LedgerError
from shadow_deployment.ledger import migrations
from shadow_deployment.ledger.backup import archive, programs
from shadow_deployment.ledger.backup.archive import Archive
from shadow_deployment.ledger.backup.contents import contents, differences

logger = logging.getLogger(__name__)

_DRAFT = ".shadow-backup-"
_NOT_OURS = ("--no-owner", "--no-privileges", "--no-tablespaces", "--no-publications", "--no-security-labels")
_SQL = Path(__file__).parents[1] / "sql"


def backup(connection: Connection, path: Path, folder: Path | None = None) -> Archive:
    """Write the ledger as it is at this moment to a new file, while days may run, and return what is in the file.

    `folder` is that of pg_dump, see programs.find. The file is readable by its owner only. Raises LedgerError where
    there is no ledger, the file is there already, or it cannot be written: there then is no such file.
    """
    if migrations.revision(connection) is None:
        raise LedgerError(f"connection {connection} has no ledger, so there is nothing to back up")
    server = _server(connection)
    tools = programs.find(server, folder)
    if not tools.restores_into(server):
        logger.warning(
            "pg_restore %s cannot write to a server of version %s: the backup is one for newer servers; for this one, "
            "name programs of its version by --pg-bin",
            tools.version,
            server,
        )
    with _writing(path), _draft(path) as draft:
        what = ("--format=custom", "--schema=shadow", *_NOT_OURS)
        tools.run("pg_dump", *what, f"--file={draft.name}", connection=connection, holding=draft)
        archive.seal(draft)
        os.fsync(draft.fileno())
        found = archive.read(Path(draft.name), tools)
        _require_new(path)
        Path(draft.name).rename(path)
        _sync(path.parent)
    return replace(found, path=path)


def restore(connection: Connection, path: Path, folder: Path | None = None) -> Archive:
    """Make the ledger in a database that has none as it is in a backup, in one transaction; return what is in it.

    Its objects belong to whoever restores. Raises LedgerError where the file is no backup of a ledger, or one of a
    newer package, and where the schema `shadow` holds anything: the database is then as it was.
    """
    tools = programs.find(_server(connection), folder)
    found = archive.read(path, tools)
    if found.revision not in migrations.revisions():
        raise LedgerError(
            f"{path} is at revision {found.revision}, and this package knows up to {migrations.head()}: "
            "restore it with the package that it is of, or a newer one"
        )
    with _entries_to_make(connection, found, tools) as selection:
        tools.run(
            "pg_restore",
            "--single-transaction",
            "--exit-on-error",
            *_NOT_OURS,
            *selection,
            str(path),
            connection=connection,
        )
    return found


def require_kept(session: Session[Any], kept: Archive) -> None:
    """Raise LedgerError unless a backup holds every row of the ledger, and no other, as the session sees it now."""
    found = differences(kept.tables, contents(session))
    if found:
        more = f", and {len(found) - 5} more" if len(found) > 5 else ""
        raise LedgerError(
            f"{kept.path} is not a backup of this ledger as it is now: {'; '.join(found[:5])}{more}. "
            "Make one: shadow backup --to FILE"
        )


def read(connection: Connection, path: Path, folder: Path | None = None) -> Archive:
    """Read a backup with the programs that fit a connection's server; raise LedgerError where it is none."""
    return archive.read(path, programs.find(_server(connection), folder))


def _server(connection: Connection) -> int:
    with connect(connection) as session:
        return session.info.server_version // 10_000


@contextmanager
def _entries_to_make(connection: Connection, found: Archive, tools: programs.Programs) -> Iterator[list[str]]:
    """Give pg_restore's option for all but the schema itself where there is an empty one, whose rights stay.

    Raises LedgerError where it is not empty.
    """
    with translated(connection), connect(connection) as session:
        row = session.execute("SELECT to_regnamespace('shadow') IS NOT NULL").fetchone()
        present = [str(name) for (name,) in session.execute(load_statement(_SQL / "schema_content.sql"))]
    if present:
        more = f" and {len(present) - 5} more" if len(present) > 5 else ""
        raise LedgerError(
            f"connection {connection} has a schema shadow already, with {', '.join(present[:5])}{more}: restore into "
            "an empty database, or take that ledger away first: shadow migrate down"
        )
    if not (row and row[0]):
        yield []
        return
    with tempfile.NamedTemporaryFile("w", suffix=".list") as file:
        file.writelines(f"{one}\n" for one in archive.entries(found.path, tools) if not archive.makes_schema(one))
        file.flush()
        yield [f"--use-list={file.name}"]


@contextmanager
def _draft(path: Path) -> Iterator[IO[bytes]]:
    """Give a locked file beside `path`, which is gone after the block unless it was renamed.

    pg_dump inherits the lock with the file: what a killed process leaves is swept once its pg_dump has ended too.
    """
    _require_new(path)
    _sweep(path.parent)
    with _locked(path.parent) as file:
        try:
            yield file
        finally:
            Path(file.name).unlink(missing_ok=True)


def _locked(folder: Path) -> "tempfile._TemporaryFileWrapper[bytes]":
    """Make a file with a lock on it, again where another process has swept it before it was locked."""
    while True:
        file = tempfile.NamedTemporaryFile(dir=folder, prefix=_DRAFT, delete=False)  # noqa: SIM115
        fcntl.flock(file, fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:
            return file
        file.close()


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LedgerError(
            f"{path} cannot be written: {error.strerror or error}; name a file in a folder that is there, that can be "
            "written, and that has room"
        ) from error


def _require_new(path: Path) -> None:
    if path.exists() or path.is_symlink():
        raise LedgerError(f"{path} is there already, and a backup is never written over: name another file")


def _sweep(folder: Path) -> None:
    """Remove what killed processes have left; what another one still writes is locked."""
    for leftover in folder.glob(f"{_DRAFT}*"):
        with suppress(OSError), leftover.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            leftover.unlink()


def _sync(folder: Path) -> None:
    """Make the new name last through a loss of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
