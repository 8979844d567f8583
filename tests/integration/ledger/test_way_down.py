"""`migrate down` takes no row that is not in a backup, whoever calls it and however."""

import subprocess
from pathlib import Path
from typing import Any

import psycopg
import pytest

from shadow_demo.postgres import SUPERUSER
from shadow_deployment.errors import LedgerError
from shadow_deployment.ledger import migrations
from shadow_deployment.ledger.backup import backup
from tests.conftest import Invoke
from tests.integration.ledger.test_migrations import execute, nothing_left, psql, written
from tests.production import World


def test_down_refuses_a_ledger_with_rows_and_says_how(copied: World, invoke: Invoke) -> None:
    before = copied.dump()
    for command in (["down"], ["down", "--conn-id", "shadow_owner"]):
        code, _, err = invoke("migrate", *command)
        assert code == 1
        assert "the ledger has rows, which would be lost: alert 1, " in err
        assert "migrate down --drop-evidence --backup FILE" in err
    with pytest.raises(LedgerError, match=r"verdict \d+\. Make a backup"):
        migrations.migrate(copied.connection("shadow_owner"), "down")
    assert copied.dump() == before


def test_down_with_a_backup_of_now_takes_the_ledger_and_restore_brings_it_back(
    copied: World, invoke: Invoke, tmp_path: Path
) -> None:
    before, file = copied.dump(), tmp_path / "ledger.dump"
    assert invoke("backup", "--to", file)[0] == 0
    assert invoke("migrate", "down", "--drop-evidence", "--backup", file)[:2] == (
        0,
        f"shadow_owner: ledger at revision none, was at {migrations.head()}\n",
    )
    assert nothing_left(copied.connection("shadow_owner"))
    assert invoke("restore", file)[0] == 0
    assert copied.dump() == before


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("INSERT INTO shadow.deployment (name, task) VALUES ('later', 'binary')", "1 rows in the backup and 2 in"),
        (
            "UPDATE shadow.provisional_evidence SET computed_at = computed_at + interval '1 s'",
            "provisional_evidence has other rows",
        ),
        ("DELETE FROM shadow.quadrant", "quadrant has"),
        ("SELECT shadow.ensure_partitions('2030-01-01')", "label_arrival_20300101 is not in the backup"),
        ("UPDATE shadow.alembic_version SET version_num = '0003'", "alembic_version has other rows"),
        ("DROP TRIGGER verdict_is_append_only ON shadow.verdict", "it has other definitions"),
    ],
)
def test_down_refuses_a_backup_that_is_not_of_the_ledger_as_it_is(
    copied: World, kept: Path, invoke: Invoke, change: str, reason: str
) -> None:
    execute(copied.connection("shadow_owner"), change)
    before = copied.dump()
    code, _, err = invoke("migrate", "down", "--drop-evidence", "--backup", kept)
    assert code == 1
    assert "is not a backup of this ledger as it is now" in err
    assert reason in err
    assert copied.dump() == before


def test_down_refuses_a_backup_with_a_damaged_definition(copied: World, kept: Path, tmp_path: Path) -> None:
    whole, file = kept.read_bytes(), tmp_path / "damaged.dump"
    assert whole.count(b"is append-only: % is refused") == 1
    file.write_bytes(whole.replace(b"is append-only: % is refused", b"is append-only: % is permitted"[:28]))
    with pytest.raises(LedgerError, match="is not a backup of this ledger as it is now: it has other definitions"):
        migrations.migrate(
            copied.connection("shadow_owner"), "down", kept=backup.require_kept(copied.connection("shadow_owner"), file)
        )
    assert copied.query("SELECT count(*) > 0 FROM shadow.verdict") == [(True,)]


def test_down_refuses_a_damaged_backup_and_half_of_what_it_asks_for(
    copied: World, kept: Path, invoke: Invoke, tmp_path: Path
) -> None:
    before = copied.dump()
    damaged = tmp_path / "damaged.dump"
    damaged.write_bytes(kept.read_bytes()[:-50])
    assert invoke("migrate", "down", "--drop-evidence", "--backup", damaged)[0] == 1
    assert invoke("migrate", "down", "--drop-evidence")[0] == 2
    assert invoke("migrate", "down", "--backup", kept)[0] == 2
    assert invoke("migrate", "up", "--drop-evidence", "--backup", kept)[0] == 2
    assert invoke("migrate", "down", "--sql", "--drop-evidence", "--backup", kept)[0] == 2
    assert copied.dump() == before


def test_nobody_writes_between_the_look_at_the_backup_and_the_end_of_the_ledger(copied: World) -> None:
    def kept(session: psycopg.Connection[Any]) -> None:
        for table in ("deployment", "prediction", "verdict", "alert"):
            with pytest.raises(psycopg.errors.LockNotAvailable):
                execute(copied.connection("shadow_owner"), f"LOCK TABLE shadow.{table} IN ROW EXCLUSIVE MODE NOWAIT")
        raise LedgerError("looked")

    with pytest.raises(LedgerError, match="looked"):
        migrations.migrate(copied.connection("shadow_owner"), "down", kept=kept)
    assert copied.query("SELECT count(*) > 0 FROM shadow.verdict") == [(True,)]


def test_more_partitions_than_can_be_locked_are_told_with_a_remedy(copied: World) -> None:
    def kept(_: psycopg.Connection[Any]) -> None:
        raise psycopg.errors.OutOfMemory("out of shared memory\nHINT: ...")

    with pytest.raises(LedgerError, match=r"out of shared memory: .* set the server's max_locks_per_transaction"):
        migrations.migrate(copied.connection("shadow_owner"), "down", kept=kept)


def test_no_setting_of_the_database_takes_the_place_of_a_backup(copied: World) -> None:
    with psycopg.connect(copied.postgres.uri(copied.ledger, SUPERUSER), autocommit=True) as session:
        session.execute(f"ALTER DATABASE {copied.ledger} SET shadow.drop_evidence = 'yes'")
    assert copied.query("SHOW shadow.drop_evidence") == [("yes",)]
    with pytest.raises(LedgerError, match="which would be lost"):
        migrations.migrate(copied.connection("shadow_owner"), "down")


def test_plain_sql_down_stops_at_rows_unless_it_is_told(copied: World, tmp_path: Path) -> None:
    before = copied.dump()
    with pytest.raises(subprocess.CalledProcessError) as stopped:
        psql(copied.postgres, copied.ledger, written(tmp_path, migrations.as_sql("down")))
    assert "the ledger has rows, which would be lost: alert 1, " in stopped.value.stderr
    assert 'PGOPTIONS="-c shadow.drop_evidence=yes"' in stopped.value.stderr
    assert copied.dump() == before
    allowed = f"SET shadow.drop_evidence = yes;\n{migrations.as_sql('down')}"
    psql(copied.postgres, copied.ledger, written(tmp_path, allowed))
    assert nothing_left(copied.connection("shadow_owner"))
