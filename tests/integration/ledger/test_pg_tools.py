"""pg_dump and pg_restore: which ones are taken, what they are given, and what their errors mean."""

import os
from pathlib import Path

import pytest

from shadow_deployment.errors import LedgerError, TransientError
from shadow_deployment.ledger.backup import backup, pg_tools
from tests.integration.ledger.conftest import instead, script
from tests.production import World

ERRORS = [
    (
        'could not execute query: ERROR:  unrecognized configuration parameter "transaction_timeout"',
        LedgerError,
        "the server is older than these programs can write to; install .* of the server's version",
    ),
    (
        "could not execute query: ERROR:  out of shared memory",
        LedgerError,
        "set the server's max_locks_per_transaction",
    ),
    ("unsupported version (1.99) in file header", LedgerError, "a newer pg_dump wrote the file; install"),
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
    instead(tools, f'echo "$PGPASSWORD" > {tmp_path}/password\necho "$@" > {tmp_path}/arguments\nREAL')
    connection = copied.connection("shadow_owner")
    backup.backup(connection, tmp_path / "ledger.dump", tools)
    arguments = (tmp_path / "arguments").read_text()
    assert f"host={connection.host}" in arguments
    assert str(connection.password) not in arguments
    assert str(connection.password) in (tmp_path / "password").read_text()


def test_programs_that_are_older_than_the_server_or_missing_are_named_with_a_remedy(
    copied: World, tools: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = copied.connection("shadow_owner")
    script(tools / "pg_dump", "echo 'pg_dump (PostgreSQL) 9.6.3'")
    older = r"not be older than the server, which is of version 18: found 9\.6\.3 in .*; install .*--pg-bin"
    with pytest.raises(LedgerError, match=older):
        backup.backup(connection, tmp_path / "ledger.dump", tools)
    monkeypatch.setenv(pg_tools.VARIABLE, str(tools))
    with pytest.raises(LedgerError, match=older):
        backup.backup(connection, tmp_path / "ledger.dump")
    with pytest.raises(LedgerError, match=rf"found none in {tmp_path}; install .* or SHADOW_PG_BIN"):
        backup.backup(connection, tmp_path / "ledger.dump", tmp_path)


def test_the_oldest_programs_are_taken_that_are_not_older_than_the_server(
    tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(tools / "pg_dump", "echo 'pg_dump (PostgreSQL) 14.9 (Debian 14.9-1)'")
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    assert pg_tools.find(14) == pg_tools.PgTools(tools, "14.9")
    assert pg_tools.find(18).major == 18
    with pytest.raises(LedgerError, match="must not be older than the server, which is of version 99"):
        pg_tools.find(99)


@pytest.mark.parametrize(("text", "kind", "meaning"), ERRORS)
def test_the_error_of_a_program_has_its_meaning_and_remedy_and_no_value(
    copied: World, tools: Path, tmp_path: Path, text: str, kind: type[Exception], meaning: str
) -> None:
    instead(tools, f"printf '%b' 'pg_dump: error: {text}' >&2\nexit 1")
    with pytest.raises(kind, match=meaning):
        backup.backup(copied.connection("shadow_owner"), tmp_path / "ledger.dump", tools)
