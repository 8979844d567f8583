"""pg_dump and pg_restore: which ones are taken, what they are told, and what their errors mean."""

import os
from pathlib import Path

import pytest

from shadow_deployment.errors import LedgerError, TransientError
from shadow_deployment.ledger.backup import backup, contents, programs
from tests.integration.ledger.conftest import instead, script
from tests.production import World

SAID = [
    (
        "aborting because of server version mismatch\\npg_dump: detail: server version: 19.1; pg_dump version: 18.4",
        LedgerError,
        "must not be older than the server, which is of version 19",
    ),
    (
        'could not execute query: ERROR:  unrecognized configuration parameter "transaction_timeout"',
        LedgerError,
        "the server is older than it can write to; install .* of the version of the server",
    ),
    (
        "could not execute query: ERROR:  out of shared memory",
        LedgerError,
        "set the server's max_locks_per_transaction",
    ),
    ("unsupported version (1.99) in file header", LedgerError, "written by a newer pg_dump"),
    ('connection to server at "x" failed: timeout expired', TransientError, "timeout expired"),
    (
        'COPY failed for table "label": ERROR:  invalid input syntax for type integer: "s3cret"',
        LedgerError,
        "failed: invalid input syntax for type integer$",
    ),
    (
        "could not execute query: ERROR:  permission denied for database x\\nCommand was: CREATE SCHEMA shadow;",
        LedgerError,
        "failed: permission denied for database x$",
    ),
]


def test_the_password_is_in_no_command_line(copied: World, tools: Path, tmp_path: Path) -> None:
    instead(tools, f'echo "$PGPASSWORD" > {tmp_path}/password\necho "$@" > {tmp_path}/said\nREAL')
    connection = copied.connection("shadow_db")
    backup.backup(connection, tmp_path / "ledger.dump", tools)
    arguments = (tmp_path / "said").read_text()
    assert f"host={connection.host}" in arguments
    assert str(connection.password) not in arguments
    assert str(connection.password) in (tmp_path / "password").read_text()


def test_programs_that_are_older_than_the_server_or_missing_are_told(
    copied: World, tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = copied.connection("shadow_db")
    script(tools / "pg_dump", "echo 'pg_dump (PostgreSQL) 9.6.3'")
    older = r"is of version 9\.6\.3, must not be older than the server, which is of version 18; install .*--pg-bin"
    with pytest.raises(LedgerError, match=older):
        backup.backup(connection, tmp_path / "ledger.dump", tools)
    monkeypatch.setenv(programs.VARIABLE, str(tools))
    with pytest.raises(LedgerError, match=older):
        backup.backup(connection, tmp_path / "ledger.dump")
    with pytest.raises(LedgerError, match=r"pg_dump and pg_restore are not in .*; install .* or SHADOW_PG_BIN"):
        backup.backup(connection, tmp_path / "ledger.dump", tmp_path)


def test_the_oldest_programs_are_taken_that_are_not_older_than_the_server(
    tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tools / "pg_dump", "echo 'pg_dump (PostgreSQL) 16.9 (Debian 16.9-1)'")
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    assert programs.find(15) == programs.Programs(tools, "16.9")
    assert programs.find(15).restores_into(15)
    assert not programs.Programs(tools, "18.4").restores_into(16)
    assert programs.Programs(tools, "18.4").restores_into(17)
    assert programs.find(18).major == 18
    with pytest.raises(LedgerError, match="must not be older than the server, which is of version 99"):
        programs.find(99)


@pytest.mark.parametrize(("text", "kind", "meaning"), SAID)
def test_what_a_program_says_is_translated(
    copied: World, tools: Path, tmp_path: Path, text: str, kind: type[Exception], meaning: str
) -> None:
    instead(tools, f"printf '%b' 'pg_dump: error: {text}' >&2\nexit 1")
    with pytest.raises(kind, match=meaning):
        backup.backup(copied.connection("shadow_db"), tmp_path / "ledger.dump", tools)


def test_a_digest_of_rows_knows_no_order_and_every_row() -> None:
    rows = [b"a\t1", b"b\t2", b"b\t2"]
    assert contents.rows_of(rows) == contents.rows_of(reversed(rows))
    assert contents.rows_of(rows) != contents.rows_of([b"a\t1", b"a\t1", b"b\t2"])
    assert contents.rows_of(rows[:2]) != contents.rows_of([b"a\t2", b"b\t1"])
