"""A backup as a file: what is in it is read from the file itself, to the last row, never from a note beside it.

It is what pg_dump writes, which pg_restore can read by itself, and behind that, where pg_restore does not look, the
SHA-256 digest of all before it: definitions that were damaged would else be restored as they are.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from shadow_deployment.errors import LedgerError
from shadow_deployment.ledger.backup.contents import Rows, Tables, rows_of
from shadow_deployment.ledger.backup.programs import Programs

VERSIONS = "shadow.alembic_version"
_MAGIC = b"PGDMP"
_SEAL = b"\nSHA-256 of this backup "
_SEAL_SIZE = len(_SEAL) + 64
_BLOCK = 1 << 20
_ENTRY = re.compile(
    r"^\d+; \d+ \d+ (?P<kind>[A-Z]+(?: [A-Z]+)*) (?P<schema>\S+) (?P<name>.*) (?P<owner>\S*)$", re.ASCII
)
_COPY = re.compile(rb"^COPY (?P<table>.+) \([^()]*\) FROM stdin;$")
_OF_NO_SCHEMA = {("SCHEMA", "shadow"), ("COMMENT", "SCHEMA shadow")}
_PARTITION = re.compile(r"_\d{8}$")


@dataclass(frozen=True)
class Archive:
    """A file that holds a whole ledger: at which revision, and what each of its tables holds, partitions singly."""

    path: Path
    revision: str
    tables: Tables
    size: int
    sha256: str

    @property
    def rows(self) -> dict[str, int]:
        """How many rows each table holds, its partitions summed up; without the table of the revision."""
        found: dict[str, int] = {}
        for name, rows in self.tables.items():
            if name != VERSIONS:
                table = _PARTITION.sub("", name.removeprefix("shadow."))
                found[table] = found.get(table, 0) + rows.count
        return found


def read(path: Path, programs: Programs) -> Archive:
    """Read a backup from its first to its last row.

    Raises LedgerError where it is not there, is not whole, or is no backup of a ledger and nothing else.
    """
    sha256, size = _unsealed(path)
    _check_entries(path, entries(path, programs))
    with programs.lines(path, "--data-only", "--file=-") as lines:
        tables, revisions = _tables(line.rstrip(b"\n") for line in lines)
    if len(revisions) != 1:
        raise _no_backup(path, f"{VERSIONS} in it has {len(revisions)} rows, must have one")
    return Archive(path, revisions[0].decode(), tables, size, sha256)


def seal(file: IO[bytes]) -> None:
    """Write behind what pg_dump has written the digest of it."""
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
    file.seek(0, os.SEEK_END)
    file.write(_SEAL + digest.encode())
    file.flush()


def _unsealed(path: Path) -> tuple[str, int]:
    """Return the SHA-256 of a whole file and its size; raise LedgerError where it is not as it was sealed."""
    try:
        with path.open("rb") as file:
            left = size = os.fstat(file.fileno()).st_size
            magic, digest = file.read(len(_MAGIC)), hashlib.sha256()
            file.seek(0)
            while left > _SEAL_SIZE:
                block = file.read(min(_BLOCK, left - _SEAL_SIZE))
                digest.update(block)
                left -= len(block)
            end = file.read()
    except OSError as error:
        raise LedgerError(f"{path} cannot be read: {error.strerror or error}; name a backup") from error
    if magic != _MAGIC:
        raise _no_backup(path, "it is not of the format that pg_dump --format=custom writes")
    if not end.startswith(_SEAL):
        raise _no_backup(path, "it is cut off, or was not written by `backup`")
    if end != _SEAL + digest.hexdigest().encode():
        raise _no_backup(path, "it is damaged: its SHA-256 is not the one at its end")
    digest.update(end)
    return digest.hexdigest(), size


def entries(path: Path, programs: Programs) -> list[str]:
    """Return the lines of the file's table of contents, as `pg_restore --use-list` takes them."""
    with programs.lines(path, "--list") as lines:
        return [line for line in (raw.decode().rstrip("\n") for raw in lines) if not line.startswith(";")]


def makes_schema(entry: str) -> bool:
    """Whether an entry of the table of contents makes the schema itself, or says what it is for."""
    match = _ENTRY.match(entry)
    return match is not None and match["schema"] == "-"


def _check_entries(path: Path, lines: Iterable[str]) -> None:
    """Raise LedgerError unless the entries are those of the schema `shadow`, tables and rows, and nothing else."""
    found = {(one["kind"], one["schema"], one["name"]) for one in map(_ENTRY.match, lines) if one}
    foreign = sorted(
        f"{kind} {name if schema == '-' else f'{schema}.{name}'}"
        for kind, schema, name in found
        if schema != "shadow" and (schema != "-" or (kind, name) not in _OF_NO_SCHEMA)
    )
    if foreign:
        raise _no_backup(path, f"it holds what is not the ledger's: {', '.join(foreign[:5])}")
    made = {name for kind, _, name in found if kind == "TABLE"}
    filled = {name for kind, _, name in found if kind == "TABLE DATA"}
    if ("SCHEMA", "-", "shadow") not in found or "alembic_version" not in made & filled or not filled <= made:
        raise _no_backup(path, "the schema shadow is not in it with its tables and their rows")


def _tables(lines: Iterator[bytes]) -> tuple[dict[str, Rows], list[bytes]]:
    """Return what each COPY of a script holds, and the rows of the table of the revision."""
    tables: dict[str, Rows] = {}
    revisions: list[bytes] = []
    for line in lines:
        if match := _COPY.match(line):
            name = match["table"].decode()
            if name == VERSIONS:
                revisions = list(_until_end(lines))
            tables[name] = rows_of(revisions if name == VERSIONS else _until_end(lines))
    return tables, revisions


def _until_end(lines: Iterator[bytes]) -> Iterator[bytes]:
    for line in lines:
        if line == rb"\.":
            return
        yield line


def _no_backup(path: Path, reason: str) -> LedgerError:
    return LedgerError(f"{path} is no backup of a ledger: {reason}; name a file that `shadow backup` has written")
