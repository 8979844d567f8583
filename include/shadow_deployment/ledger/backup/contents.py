"""What the tables of a ledger hold, as numbers that a backup and a database can be compared by.

The rows of a table are compared as COPY writes them, whatever their order: by how many there are, and by the sum of
their SHA-256 digests modulo 2^256.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from shadow_deployment.data.db import Session

Tables = Mapping[str, "Rows"]
_AS_PG_DUMP_WRITES = "SET LOCAL DateStyle = ISO; SET LOCAL IntervalStyle = postgres; SET LOCAL extra_float_digits = 3"
_TABLES = (
    "SELECT relname, format('%I.%I', 'shadow', relname) FROM pg_class "
    "WHERE relnamespace = to_regnamespace('shadow') AND relkind = 'r' ORDER BY relname"
)


@dataclass(frozen=True)
class Rows:
    """How many rows a table holds, and a digest of them that does not depend on their order."""

    count: int
    digest: str


def rows_of(lines: Iterable[bytes]) -> Rows:
    """Return what lines of COPY's text format hold, one row each, without the end of the line."""
    count = total = 0
    for line in lines:
        total += int.from_bytes(hashlib.sha256(line).digest())
        count += 1
    return Rows(count, f"{total % (1 << 256):064x}")


def contents(session: Session[Any]) -> dict[str, Rows]:
    """Return what each table of the ledger holds, partitions by themselves, by its name as pg_dump writes it.

    The session's transaction must see the same in each statement: it is repeatable read, or holds the tables' locks.
    """
    session.execute(_AS_PG_DUMP_WRITES)
    tables = session.execute(_TABLES).fetchall()
    return {written: rows_of(_copied(session, name)) for name, written in tables}


def _copied(session: Session[Any], table: str) -> Iterator[bytes]:
    statement = sql.SQL("COPY {} TO STDOUT (ENCODING 'UTF8')").format(sql.Identifier("shadow", table))
    rest = b""
    with session.cursor() as cursor, cursor.copy(statement) as stream:
        for block in stream:
            *lines, rest = (rest + bytes(block)).split(b"\n")
            yield from lines


def differences(kept: Tables, held: Tables) -> list[str]:
    """Return in words where a backup and a ledger do not hold the same; empty where they do."""
    found = []
    for name in sorted({*kept, *held}):
        backup, ledger = kept.get(name), held.get(name)
        if backup == ledger:
            continue
        if backup is None or ledger is None:
            found.append(f"{name} is not in the {'backup' if backup is None else 'ledger'}")
        elif backup.count == ledger.count:
            found.append(f"{name} has other rows")
        else:
            found.append(f"{name} has {backup.count} rows in the backup and {ledger.count} in the ledger")
    return found
