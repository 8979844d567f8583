"""Backups of the ledger: what pg_dump writes of the schema `shadow`, read back and compared with the database.

What is compared are the definitions, as text, and of each table the number of rows and a digest of them. Sequences,
owners and privileges are not.
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any, Final

from psycopg import IsolationLevel, sql

from shadow_deployment.base.sql_templates import load_statement
from shadow_deployment.data.connections import Connection
from shadow_deployment.data.db import Session, connect, translated
from shadow_deployment.errors import LedgerError
from shadow_deployment.ledger import migrations
from shadow_deployment.ledger.backup import pg_tools
from shadow_deployment.ledger.backup.pg_tools import PgTools
from shadow_deployment.ledger.migrations import Kept

_REVISION: Final = "shadow.alembic_version"
_SCHEMA_CONTENT = Path(__file__).parents[1] / "sql" / "schema_content.sql"
_WITHOUT: Final = ("--no-owner", "--no-privileges", "--no-tablespaces", "--no-publications", "--no-security-labels")
_DUMP: Final = ("--schema=shadow", *_WITHOUT)
_OURS = re.compile(rb"\d+; \d+ \d+ (?:SCHEMA - shadow|(?:COMMENT|ACL) - SCHEMA shadow|[A-Z ]+ shadow) ")
_COPY = re.compile(rb"COPY (?P<table>.+) \([^()]*\) FROM stdin;\n")
_PARTITION = re.compile(r"_\d{8}$")
_AS_PG_DUMP = "SET LOCAL DateStyle = ISO; SET LOCAL IntervalStyle = postgres; SET LOCAL extra_float_digits = 3"
_TABLES = (
    "SELECT relname, format('%I.%I', 'shadow', relname) FROM pg_class "
    "WHERE relnamespace = to_regnamespace('shadow') AND relkind = 'r' ORDER BY relname"
)


@dataclass(frozen=True)
class TableContent:
    """How many rows a table has, and a digest of them that does not depend on their order."""

    count: int
    digest: int

    @classmethod
    def of(cls, lines: Iterable[bytes]) -> "TableContent":
        """Count and digest the lines of COPY's text format: the sum of their SHA-256 digests modulo 2^256."""
        count = total = 0
        for line in lines:
            count, total = count + 1, total + int.from_bytes(hashlib.sha256(line).digest())
        return cls(count, total % (1 << 256))


@dataclass(frozen=True)
class Backup:
    """A file with a whole ledger: its revision, its definitions as a digest, and its tables, each partition singly."""

    path: Path
    revision: str
    definitions: str
    tables: Mapping[str, TableContent]

    @property
    def rows(self) -> dict[str, int]:
        """The number of rows of each table, partitions added up; without the table of the revision."""
        total: dict[str, int] = {}
        for name, rows in self.tables.items():
            if name != _REVISION:
                table = _PARTITION.sub("", name.removeprefix("shadow."))
                total[table] = total.get(table, 0) + rows.count
        return total


def backup(connection: Connection, path: Path, pg_bin: Path | None = None) -> Backup:
    """Write the ledger as it is now to a new file, while days may run, and compare the file with the database.

    Args:
        connection: The ledger's database.
        path: A file that does not exist; it appears once it is complete, readable by its owner only.
        pg_bin: Folder of pg_dump, see pg_tools.find.

    Returns:
        What is in the file.

    Raises:
        LedgerError: There is no ledger, the file exists or cannot be written, or its content is not the database's.
    """
    if migrations.revision(connection) is None:
        raise LedgerError(f"connection {connection} has no ledger, so there is nothing to back up")
    tools = pg_tools.find(_server(connection), pg_bin)
    with translated(connection), connect(connection, idle_in_transaction_session_timeout="0") as session:
        session.isolation_level, session.read_only = IsolationLevel.REPEATABLE_READ, True
        ((snapshot,),) = session.execute("SELECT pg_export_snapshot()").fetchall()
        with _new_file(path) as draft:
            dump = (*_DUMP, "--format=custom", f"--snapshot={snapshot}", f"--file={draft}")
            tools.run("pg_dump", *dump, connection=connection)
            written = replace(_read(draft, tools), path=path)
            _require_same(session, written, _definitions(tools, connection, f"--snapshot={snapshot}"))
    return written


def restore(connection: Connection, path: Path, pg_bin: Path | None = None) -> Backup:
    """Restore the ledger from a backup into a database that has none, in one transaction; return what is in the file.

    The objects belong to whoever restores. Raises LedgerError where the file is not a backup of a ledger, or is of a
    newer package, and where schema `shadow` is not empty: the database is then unchanged.
    """
    tools = pg_tools.find(_server(connection), pg_bin)
    kept = _read(path, tools)
    if kept.revision not in migrations.revisions():
        raise LedgerError(
            f"{path} is at revision {kept.revision}, and this package knows up to {migrations.head()}: "
            "restore it with the package that wrote it, or a newer one"
        )
    with translated(connection), connect(connection) as session:
        ((has_schema,),) = session.execute("SELECT to_regnamespace('shadow') IS NOT NULL").fetchall()
        objects = [str(name) for (name,) in session.execute(load_statement(_SCHEMA_CONTENT))]
    if objects:
        raise LedgerError(
            f"connection {connection} has a schema shadow already, with {_first(objects)}: restore into an empty "
            "database, or drop that ledger first: shadow migrate down"
        )
    inside = ["--schema=shadow"] if has_schema else []  # an existing schema stays, and with it its privileges
    arguments = ("--single-transaction", "--exit-on-error", *_WITHOUT, *inside, str(path))
    tools.run("pg_restore", *arguments, connection=connection)
    return kept


def require_kept(connection: Connection, path: Path, pg_bin: Path | None = None) -> Kept:
    """Read a backup; return a check that it holds the ledger as a session then sees it, for migrations.migrate.

    The check raises LedgerError where definitions or rows differ. Definitions are compared as they are now: pg_dump
    could not read them once the tables are locked.
    """
    tools = pg_tools.find(_server(connection), pg_bin)
    return partial(_require_same, kept=_read(path, tools), definitions=_definitions(tools, connection))


def _server(connection: Connection) -> int:
    with connect(connection) as session:
        return session.info.server_version // 10_000


@contextmanager
def _new_file(path: Path) -> Iterator[str]:
    """Give a temporary file beside `path`, which becomes `path` unless the block raises."""
    exists = LedgerError(f"{path} exists already, and a backup never replaces a file: name another one")
    if os.path.lexists(path):
        raise exists
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", suffix=".partial") as file:
            yield file.name
            os.fsync(file.fileno())
            os.link(file.name, path)  # unlike a rename it never replaces a file
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
    except FileExistsError as error:
        raise exists from error
    except OSError as error:
        raise LedgerError(
            f"{path} cannot be written: {error.strerror or error}; name a file in an existing folder that is writable "
            "and has room"
        ) from error


def _read(path: Path | str, tools: PgTools) -> Backup:
    """Read a file to its last row; raise LedgerError where it is damaged, or not a backup of a ledger alone."""
    with tools.output("pg_restore", "--list", str(path)) as entries:
        foreign = [entry.decode().strip() for entry in entries if not entry.startswith(b";") and not _OURS.match(entry)]
    tables: dict[str, TableContent] = {}
    revisions: list[bytes] = []
    with tools.output("pg_restore", "--data-only", "--file=-", str(path)) as lines:
        for line in lines:
            if match := _COPY.fullmatch(line):
                name, rows = match["table"].decode(), takewhile(lambda row: row != b"\\.\n", lines)
                if name == _REVISION:
                    revisions = list(rows)
                tables[name] = TableContent.of(revisions if name == _REVISION else rows)
    if foreign or len(revisions) != 1:
        reason = f"it also holds {_first(foreign)}" if foreign else f"{_REVISION} in it has {len(revisions)} rows"
        raise LedgerError(f"{path} is not a backup of a ledger: {reason}; name a file that `shadow backup` wrote")
    with tools.output("pg_restore", "--schema-only", *_WITHOUT, "--file=-", str(path)) as lines:
        return Backup(Path(path), revisions[0].decode().strip(), _digest(lines), tables)


def _definitions(tools: PgTools, connection: Connection, *arguments: str) -> str:
    with tools.output("pg_dump", *_DUMP, "--schema-only", *arguments, connection=connection) as lines:
        return _digest(lines)


def _digest(lines: Iterable[bytes]) -> str:
    """Return a digest of a script without its comments, which name versions, and psql's commands, which are random."""
    digest = hashlib.sha256()
    for line in lines:
        if not line.startswith((b"--", b"\\")):
            digest.update(line)
    return digest.hexdigest()


def _contents(session: Session[Any]) -> dict[str, TableContent]:
    """Return what each table of the ledger holds, by its name as pg_dump writes it."""
    session.execute(_AS_PG_DUMP)
    tables = session.execute(_TABLES).fetchall()
    return {written: TableContent.of(_copied(session, name)) for name, written in tables}


def _copied(session: Session[Any], table: str) -> Iterator[bytes]:
    statement = sql.SQL("COPY {} TO STDOUT (ENCODING 'UTF8')").format(sql.Identifier("shadow", table))
    with session.cursor() as cursor, cursor.copy(statement) as stream:
        yield from map(bytes, stream)


def _require_same(session: Session[Any], kept: Backup, definitions: str) -> None:
    """Raise LedgerError unless a backup holds these definitions, every row that the session sees, and no others."""
    held = _contents(session)
    differences = ["it has other definitions"] if kept.definitions != definitions else []
    for name in sorted({*kept.tables, *held}):
        backup, ledger = kept.tables.get(name), held.get(name)
        if backup is None or ledger is None:
            differences.append(f"{name} is not in the {'backup' if backup is None else 'ledger'}")
        elif backup.count != ledger.count:
            differences.append(f"{name} has {backup.count} rows in the backup and {ledger.count} in the ledger")
        elif backup != ledger:
            differences.append(f"{name} has other rows")
    if differences:
        raise LedgerError(
            f"{kept.path} is not a backup of this ledger as it is now: {_first(differences)}. "
            "Make one: shadow backup --to FILE"
        )


def _first(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
