"""Roles of the embedded server: their passwords, their databases, and what a reader may do."""

import psycopg
import pytest
import sqlalchemy
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict

from shadow_demo.postgres import SUPERUSER, EmbeddedPostgres, EmbeddedPostgresError
from tests.integration.demo.postgres.asking import execute


def test_every_connection_needs_its_password(server):
    methods = execute(server, "SELECT DISTINCT auth_method FROM pg_hba_file_rules")
    assert methods == [("scram-sha-256",)]
    right = vars(server.conninfo("postgres", SUPERUSER))
    for wrong in ("wrong", ""):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(**{**right, "password": wrong}, passfile="/dev/null")


def test_role_keeps_its_generated_password(server):
    server.ensure_role("keeper")
    first = server.conninfo("postgres", "keeper")
    server.ensure_role("keeper")
    assert EmbeddedPostgres(server.folder).conninfo("postgres", "keeper") == first
    assert len(first.password) >= 32
    assert execute(server, "SELECT current_user::text", user="keeper") == [("keeper",)]


def test_role_takes_a_new_password(server):
    server.ensure_role("changer", "one")
    server.ensure_role("changer", "two")
    assert server.conninfo("postgres", "changer").password == "two"
    assert execute(server, "SELECT 1", user="changer") == [(1,)]


def test_role_whose_password_was_changed_behind_is_mended(server):
    server.ensure_role("drifter")
    execute(server, "ALTER ROLE drifter PASSWORD 'other'")
    server.ensure_role("drifter")
    assert execute(server, "SELECT 1", user="drifter") == [(1,)]


def test_superuser_password_is_not_replaced(server):
    with pytest.raises(EmbeddedPostgresError, match="must be another name"):
        server.ensure_role(SUPERUSER, "x")


def test_database_belongs_to_its_owner(server):
    server.ensure_role("first")
    server.ensure_role("second")
    server.ensure_database("owned", "first")
    execute(server, "CREATE TABLE made ()", "owned", "first")
    server.ensure_database("owned", "second")
    owners = execute(server, "SELECT pg_get_userbyid(datdba)::text FROM pg_database WHERE datname = 'owned'")
    assert owners == [("second",)]


def test_database_of_an_unknown_owner_is_refused(server):
    with pytest.raises(EmbeddedPostgresError, match='role "nobody here" does not exist'):
        server.ensure_database("orphan", "nobody here")


def test_odd_names_and_passwords_survive_the_uri(server):
    user, database, password = 'o\'dd "role" %s; é@:/', 'o\'dd "db" {} #?&=%41', "p@ss:/?#[]%20 '\"\\ü"
    server.ensure_role(user, password)
    server.ensure_database(database, user)
    uri = server.uri(database, user)
    with psycopg.connect(uri) as connection:
        row = connection.execute("SELECT current_user::text, current_database()::text").fetchone()
    assert row == (user, database)
    assert conninfo_to_dict(uri)["password"] == password
    parsed = sqlalchemy.make_url(uri)
    assert (parsed.username, parsed.password, parsed.port) == (user, password, server.port)


def test_unknown_role_is_named_with_the_known_ones(server):
    with pytest.raises(EmbeddedPostgresError, match=r"role 'missing' .* must be one of postgres"):
        server.conninfo("postgres", "missing")


def test_repr_masks_the_password(server):
    info = server.conninfo("postgres", SUPERUSER)
    assert info.password not in repr(info)


@pytest.fixture(scope="module")
def read(server: EmbeddedPostgres) -> EmbeddedPostgres:
    """Database ``production`` of role ``producer``, whose schema ``log`` role ``reader`` may read."""
    server.ensure_role("producer")
    server.ensure_database("production", "producer")
    execute(server, "CREATE SCHEMA log; CREATE TABLE log.existing AS SELECT 1 AS n", "production", "producer")
    execute(server, "CREATE SCHEMA private; CREATE TABLE private.secret ()", "production", "producer")
    # Elsewhere than in a new database, everyone may create in public and nobody may connect.
    execute(server, "GRANT CREATE ON SCHEMA public TO PUBLIC", "production", "producer")
    execute(server, "REVOKE CONNECT ON DATABASE production FROM PUBLIC", "production", "producer")
    for _ in range(2):
        server.ensure_reader("production", "reader", "log")
    execute(server, "CREATE TABLE log.future AS SELECT 2 AS n", "production", "producer")
    return server


def test_reader_reads_existing_and_future_tables(read):
    assert execute(read, "SELECT n FROM log.existing", "production", "reader") == [(1,)]
    assert execute(read, "SELECT n FROM log.future", "production", "reader") == [(2,)]


def test_reader_does_not_read_other_schemas(read):
    with pytest.raises(errors.InsufficientPrivilege):
        execute(read, "SELECT FROM private.secret", "production", "reader")


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO log.existing VALUES (2)",
        "UPDATE log.future SET n = 3",
        "DELETE FROM log.existing",
        "TRUNCATE log.existing",
        "DROP TABLE log.existing",
        "CREATE TABLE log.mine ()",
        "CREATE TABLE public.mine ()",
        "CREATE TEMPORARY TABLE mine ()",
        "CREATE SCHEMA mine",
    ],
)
def test_reader_changes_nothing(read, statement):
    # The setting is a first wall, which a session may take down; the privileges are the second.
    with psycopg.connect(read.uri("production", "reader"), autocommit=True) as connection:
        with pytest.raises(errors.ReadOnlySqlTransaction):
            connection.execute(statement)
        connection.execute("SET default_transaction_read_only = off")
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute(statement)


def test_reader_cannot_wait_or_run_for_ever(read):
    names = "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"
    values = [execute(read, f"SHOW {name}", "production", "reader")[0][0] for name in names]
    assert values == ["1min", "5s", "1min"]


def test_reader_loses_what_it_was_granted_before(read):
    read.ensure_role("former")
    for thing in ("DATABASE production", "SCHEMA log", "log.existing"):
        execute(read, f"GRANT ALL ON {thing} TO former", "production", "producer")
    read.ensure_reader("production", "former", "log")
    with psycopg.connect(read.uri("production", "former"), autocommit=True) as connection:
        connection.execute("SET default_transaction_read_only = off")
        for statement in ("DELETE FROM log.existing", "CREATE TABLE log.mine ()", "CREATE SCHEMA mine"):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(statement)


def test_owner_is_not_made_a_reader(read):
    with pytest.raises(EmbeddedPostgresError, match="must be another role"):
        read.ensure_reader("production", "producer", "log")
    assert execute(read, "SHOW default_transaction_read_only", "production", "producer") == [("off",)]


def test_reader_of_a_missing_schema_gets_nothing(read):
    with pytest.raises(EmbeddedPostgresError, match='schema "absent" does not exist'):
        read.ensure_reader("production", "stranger", "absent")
    assert execute(read, "SELECT rolconfig FROM pg_roles WHERE rolname = 'stranger'") == [(None,)]
    assert execute(read, "SELECT has_database_privilege('stranger', 'production', 'CONNECT')") == [(False,)]
