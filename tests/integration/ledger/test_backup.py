"""A backup holds the whole ledger or does not exist; a restore is the same ledger."""

import dataclasses
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from shadow_deployment.data.connections import Connection
from shadow_deployment.errors import LedgerError
from shadow_deployment.ledger import migrations
from shadow_deployment.ledger.backup import backup, pg_tools
from tests.conftest import Invoke, declare
from tests.integration.ledger.conftest import RAN, SETTINGS, instead
from tests.integration.ledger.test_migrations import catalogue, execute, nothing_left
from tests.production import SHADOW, World, day

CUT = 'REAL; cp "$FILE" "$FILE.all"; head -c $(($(wc -c < "$FILE.all") - 3000)) "$FILE.all" > "$FILE"; rm "$FILE.all"'
QUERIES = ("verdict", "evidence", "promotions", "alerts", "labels")
SEQUENCES = "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'shadow'"


def elsewhere(world: World, connection: Connection, folder: Path) -> World:
    """The same world with its ledger in another database, and snapshots of its own."""
    shutil.copytree(world.folder, folder)
    return dataclasses.replace(world, ledger=str(connection.database), folder=folder)


def printed(invoke: Invoke, world: World, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What the command line prints of a world, for machines."""
    declare(world, monkeypatch)
    found = {}
    for command in QUERIES:
        code, found[command], err = invoke(command, "late", "--json")
        assert (code, err) == (0, "")
        assert ('"labelled": ' if command == "labels" else "other") in found[command]
    return found


def dumped(connection: Connection, folder: Path, *arguments: str) -> Path:
    """What pg_dump writes with other arguments."""
    file = folder / "other.dump"
    pg_tools.find(18).run("pg_dump", *arguments, f"--file={file}", connection=connection)
    return file


# Backup and restore.


def test_a_restored_ledger_says_the_same_and_goes_on_the_same(
    copied: World, empty: Connection, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = printed(invoke, copied, monkeypatch)
    file = tmp_path / "ledger.dump"
    code, out, err = invoke("backup", "--to", file)
    assert (code, err) == (0, "")
    restored = elsewhere(copied, empty, tmp_path / "elsewhere")
    declare(restored, monkeypatch)
    restored.deploy(**SETTINGS)
    assert invoke("restore", file)[:2] == (0, out)  # the next step is not to migrate: it is at the head
    assert restored.dump() == copied.dump()
    assert printed(invoke, restored, monkeypatch) == before
    for world in (copied, restored):
        declare(world, monkeypatch)
        assert invoke("run", "late", "--from", day(RAN))[0] == 0
    assert restored.content() == copied.content()
    assert restored.verdicts() == copied.verdicts()
    assert sorted(restored.query(SEQUENCES)) == sorted(copied.query(SEQUENCES))
    for table in ("verdict", "promotion", "alert", "delivery"):
        for statement in (f"DELETE FROM shadow.{table}", f"TRUNCATE shadow.{table} CASCADE"):
            with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
                restored.query(statement)


def test_a_restored_ledger_has_every_trigger_function_partition_and_right_number(
    ran: World, kept: Path, empty: Connection
) -> None:
    found = backup.restore(empty, kept)
    assert catalogue(empty) == catalogue(ran.connection("shadow_owner"))
    assert sorted(execute(empty, SEQUENCES)) == sorted(ran.query(SEQUENCES))
    assert migrations.migrate(empty) == (found.revision, found.revision)


def test_a_backup_says_what_is_in_it_and_no_secret(copied: World, invoke: Invoke, tmp_path: Path) -> None:
    copied.deploy()
    file = tmp_path / "ledger.dump"
    code, out, _ = invoke("backup", "--to", file, "--conn-id", "shadow_owner", "--json")
    assert code == 0
    found = json.loads(out)
    assert found["rows"] == {name: len(rows) for name, rows in copied.dump("alembic_version").items()}
    assert found["rows"]["request_batch"] > 5
    assert (found["revision"], found["bytes"]) == (migrations.head(), file.stat().st_size)
    checked = subprocess.run(["sha256sum", file], capture_output=True, text=True, check=True).stdout
    assert checked.startswith(found["sha256"])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [file]
    assert copied.postgres.conninfo(copied.ledger, SHADOW).password.encode() not in file.read_bytes() + out.encode()


def test_what_is_not_committed_is_in_no_backup(copied: World, tmp_path: Path) -> None:
    with psycopg.connect(**copied.connection("shadow_owner").parameters()) as session:
        session.execute("INSERT INTO shadow.deployment (name, task) VALUES ('half', 'binary')")
        found = backup.backup(copied.connection("shadow_owner"), tmp_path / "ledger.dump")
        session.rollback()
    assert found.rows["deployment"] == 1


def test_what_else_the_database_has_is_in_no_backup(copied: World, tmp_path: Path) -> None:
    execute(copied.connection("shadow_owner"), "CREATE SCHEMA mine; CREATE TABLE mine.own AS SELECT 1 AS a")
    written = backup.backup(copied.connection("shadow_owner"), tmp_path / "ledger.dump")
    assert all(name.startswith("shadow.") for name in written.tables)
    assert len(written.tables) > len(written.rows)


def test_a_backup_is_never_written_over(copied: World, tmp_path: Path) -> None:
    file = tmp_path / "notes"
    file.write_text("kept")
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "nothing")
    for taken in (file, link):
        with pytest.raises(LedgerError, match="exists already, and a backup never replaces a file"):
            backup.backup(copied.connection("shadow_owner"), taken)
    assert file.read_text() == "kept"
    assert sorted(tmp_path.iterdir()) == [link, file]


def test_a_file_that_appears_while_a_backup_is_written_is_not_replaced(
    copied: World, tools: Path, tmp_path: Path
) -> None:
    file = tmp_path / "ledger.dump"
    instead(tools, f'REAL; echo kept > "{file}"')
    with pytest.raises(LedgerError, match="exists already"):
        backup.backup(copied.connection("shadow_owner"), file, tools)
    assert file.read_text() == "kept\n"
    assert sorted(tmp_path.iterdir()) == [file, tools]


def test_rows_that_are_written_while_a_backup_runs_are_in_none_of_its_tables(
    copied: World, tools: Path, tmp_path: Path
) -> None:
    """The file and what it is compared with are of one snapshot, which began before."""
    wait = tmp_path / "wait"
    script = f'case "$*" in *--format=custom*) touch "{wait}"; while [ -e "{wait}" ]; do sleep 0.05; done; esac; REAL'
    instead(tools, script)
    file = tmp_path / "ledger.dump"
    with ThreadPoolExecutor() as pool:
        written = pool.submit(backup.backup, copied.connection("shadow_owner"), file, tools)
        while not wait.exists():
            assert not written.done()
            time.sleep(0.02)
        execute(copied.connection("shadow_owner"), "INSERT INTO shadow.deployment (name, task) VALUES ('b', 'binary')")
        wait.unlink()
        assert written.result().rows["deployment"] == 1


def test_a_backup_to_where_nothing_can_be_written_and_of_no_ledger_are_told(
    copied: World, empty: Connection, tmp_path: Path
) -> None:
    with pytest.raises(
        LedgerError, match=r"cannot be written: No such file or directory; name a file in an existing folder"
    ):
        backup.backup(copied.connection("shadow_owner"), tmp_path / "nowhere" / "ledger.dump")
    with pytest.raises(LedgerError, match="has no ledger, so there is nothing to back up"):
        backup.backup(empty, tmp_path / "ledger.dump")
    assert list(tmp_path.iterdir()) == []


def test_a_backup_that_breaks_off_leaves_no_file(copied: World, tools: Path, tmp_path: Path) -> None:
    for text, reason in (
        ("exit 0", r"pg_restore 18.* failed: input file is too short"),
        (CUT, r"pg_restore 18.* failed: could not read from input file"),
        ("REAL --exclude-table-data=shadow.verdict", "shadow.verdict is not in the backup"),
        ("REAL --exclude-table=shadow.quadrant", "as it is now: shadow.quadrant is not in the backup"),
        ("echo 'pg_dump: error: out of room' >&2; exit 1", "pg_dump 18.* failed: out of room"),
    ):
        instead(tools, text)
        with pytest.raises(LedgerError, match=reason):
            backup.backup(copied.connection("shadow_owner"), tmp_path / "ledger.dump", tools)
        assert list(tmp_path.iterdir()) == [tools]


def test_a_killed_backup_leaves_nothing_that_looks_like_one_and_is_not_in_the_way(
    copied: World, tools: Path, tmp_path: Path
) -> None:
    instead(tools, 'printf PGDMP > "$FILE"; kill -9 $PPID')
    file = tmp_path / "kept" / "ledger.dump"
    file.parent.mkdir()
    command = [sys.executable, "-m", "shadow_deployment", "backup", "--to", file, "--conn-id", "shadow_owner"]
    ended = subprocess.run([*command, "--pg-bin", tools], check=False, capture_output=True)
    assert ended.returncode == -signal.SIGKILL
    (left,) = file.parent.iterdir()
    assert left.name.startswith(".ledger.dump.")
    assert left.suffix == ".partial"
    assert stat.S_IMODE(left.stat().st_mode) == 0o600
    backup.backup(copied.connection("shadow_owner"), file)
    assert sorted(file.parent.iterdir()) == [left, file]


# What restore refuses.


def test_a_schema_with_anything_in_it_is_left_as_it_is(copied: World, kept: Path, empty: Connection) -> None:
    before = copied.dump()
    with pytest.raises(LedgerError, match=r"has a schema shadow already, with .*restore into an empty database"):
        backup.restore(copied.connection("shadow_owner"), kept)
    assert copied.dump() == before
    execute(empty, "CREATE SCHEMA shadow; CREATE FUNCTION shadow.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    with pytest.raises(LedgerError, match=r"with function shadow.mine\(\): "):
        backup.restore(empty, kept)
    assert execute(empty, "SELECT shadow.mine()") == [(1,)]


def test_an_empty_schema_is_filled_and_keeps_its_rights(kept: Path, empty: Connection) -> None:
    execute(empty, "CREATE SCHEMA shadow; GRANT USAGE ON SCHEMA shadow TO PUBLIC")
    backup.restore(empty, kept)
    assert migrations.revision(empty) == migrations.head()
    assert "=U/" in str(execute(empty, "SELECT nspacl FROM pg_namespace WHERE nspname = 'shadow'"))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--format=plain", "--schema=shadow"], "input file appears to be a text format dump"),
        (["--format=custom"], "is not a backup of a ledger: it also holds .* SCHEMA - mine"),
        (["--format=custom", "--schema=mine"], "it also holds .* SCHEMA - mine"),
        (["--format=custom", "--schema=shadow", "--data-only"], "failed: schema .shadow. does not exist"),
        (["--format=custom", "--schema=shadow", "--schema-only"], "shadow.alembic_version in it has 0 rows"),
        (
            ["--format=custom", "--schema=shadow", "--exclude-table=*.alembic_version"],
            "alembic_version in it has 0 rows",
        ),
    ],
)
def test_a_file_that_is_no_backup_of_a_ledger_is_refused(
    copied: World, empty: Connection, tmp_path: Path, arguments: list[str], reason: str
) -> None:
    execute(copied.connection("shadow_owner"), "CREATE SCHEMA mine; CREATE TABLE mine.own AS SELECT 1 AS a")
    file = dumped(copied.connection("shadow_owner"), tmp_path, *arguments)
    with pytest.raises(LedgerError, match=reason):
        backup.restore(empty, file)
    assert nothing_left(empty)


def test_a_damaged_file_is_refused_and_changes_nothing(kept: Path, empty: Connection, tmp_path: Path) -> None:
    """Rows are compressed with a checksum; damage in a definition only changes the SHA-256 that `backup` printed."""
    whole = kept.read_bytes()
    file = tmp_path / "ledger.dump"
    middle = len(whole) * 2 // 3
    flipped = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in (0, len(whole) - 3000, len(whole) - 1)]
    for damaged in (b"", whole[:3], whole[:-100], whole[:middle], *flipped):
        file.write_bytes(damaged)
        with pytest.raises(LedgerError, match=r"pg_restore 18.* failed: "):
            backup.restore(empty, file)
    with pytest.raises(LedgerError, match=r"could not open input file .*No such file"):
        backup.restore(empty, tmp_path / "missing.dump")
    assert nothing_left(empty)


def test_a_backup_of_a_newer_package_is_refused(copied: World, empty: Connection, tmp_path: Path) -> None:
    copied.query("UPDATE shadow.alembic_version SET version_num = '9999' RETURNING 1")
    file = tmp_path / "ledger.dump"
    assert backup.backup(copied.connection("shadow_owner"), file).revision == "9999"
    with pytest.raises(LedgerError, match=f"is at revision 9999, and this package knows up to {migrations.head()}"):
        backup.restore(empty, file)
    assert nothing_left(empty)


def test_a_backup_of_an_older_revision_is_restored_and_migrated_next(
    copied: World, empty: Connection, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    copied.query("UPDATE shadow.alembic_version SET version_num = '0000' RETURNING 1")
    backup.backup(copied.connection("shadow_owner"), tmp_path / "old.dump")
    monkeypatch.setattr(migrations, "revisions", lambda: frozenset({"0000", migrations.head()}))
    monkeypatch.setenv("AIRFLOW_CONN_SHADOW_OWNER", copied.postgres.uri(str(empty.database), SHADOW))
    code, out, _ = invoke("restore", tmp_path / "old.dump", "--conn-id", "shadow_owner")
    assert code == 0
    assert "at revision 0000" in out
    assert f"next: shadow migrate --conn-id shadow_owner, to revision {migrations.head()}" in out


def test_a_restore_that_is_killed_leaves_the_database_as_it_was(kept: Path, empty: Connection, copied: World) -> None:
    """It is stopped in its middle by a table that another session is about to make."""
    execute(empty, "CREATE SCHEMA shadow")
    variables = os.environ | {"AIRFLOW_CONN_SHADOW_OWNER": copied.postgres.uri(str(empty.database), SHADOW)}
    command = [sys.executable, "-m", "shadow_deployment", "restore", kept, "--conn-id", "shadow_owner"]
    waiting = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with psycopg.connect(**empty.parameters()) as session:
        session.execute("CREATE TABLE shadow.verdict (a int)")
        restoring = subprocess.Popen(command, env=variables, start_new_session=True)
        until = time.monotonic() + 60
        while not (found := execute(empty, waiting)):
            assert restoring.poll() is None
            assert time.monotonic() < until
            time.sleep(0.05)
        os.killpg(restoring.pid, signal.SIGKILL)  # the session of this command and its pg_restore
        assert restoring.wait() == -signal.SIGKILL
        session.execute("SELECT pg_terminate_backend(%s)", found[0])  # as the server ends it by itself, later
        session.rollback()
    while execute(empty, f"SELECT 1 FROM pg_stat_activity WHERE pid = {found[0][0]}"):
        time.sleep(0.02)
    assert execute(empty, "SELECT relname FROM pg_class WHERE relnamespace = 'shadow'::regnamespace") == []
    assert backup.restore(empty, kept).rows["verdict"] > 0
    assert catalogue(empty) == catalogue(copied.connection("shadow_owner"))
