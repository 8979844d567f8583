"""What the session that reads production is refused: by the role's rights, by being read only, or by both.

Whoever declares another role than the documentation's still has the session, and whoever opens another session with the
role still has its rights. What neither refuses is listed too, so that it is known.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import errors, sql

from shadow_deployment.data.db import connect
from shadow_deployment.data.sources.postgres import requests as source
from tests.conftest import connection_to
from tests.production import OWNER, READER, World

ADMINISTRATOR = "postgres"  # its rights refuse nothing, so that what is refused is refused by the session
READ_ONLY, RIGHTS = "by being read only", "by its rights"
BOTH = {READ_ONLY, RIGHTS}
REFUSED: dict[str, set[str]] = {
    "INSERT INTO flights.outcome VALUES ('f0000', 1, now())": BOTH,
    "UPDATE flights.outcome SET is_late = 1": BOTH,
    "DELETE FROM flights.prediction_log": BOTH,
    "MERGE INTO flights.outcome USING (SELECT 1) ON true WHEN MATCHED THEN DELETE": BOTH,
    "WITH gone AS (DELETE FROM flights.outcome RETURNING 1) SELECT count(*) FROM gone": BOTH,
    "TRUNCATE flights.outcome": BOTH,
    "COPY flights.outcome FROM STDIN": BOTH,
    "COPY flights.outcome FROM PROGRAM 'true'": BOTH,
    "SELECT pg_read_file('postgresql.conf')": {RIGHTS},
    "SELECT pg_ls_dir('.')": {RIGHTS},
    "SELECT FROM flights.outcome FOR UPDATE": BOTH,
    "SELECT FROM flights.outcome FOR KEY SHARE": BOTH,
    "LOCK TABLE flights.outcome IN ROW EXCLUSIVE MODE": {RIGHTS},
    "LOCK TABLE flights.outcome IN ACCESS EXCLUSIVE MODE": {RIGHTS},
    "CREATE TABLE flights.mine (a int)": BOTH,
    "CREATE TEMPORARY TABLE mine (a int)": BOTH,
    "CREATE TABLE flights.mine AS SELECT 1": BOTH,
    "SELECT 1 AS a INTO flights.mine": BOTH,
    "CREATE INDEX ON flights.outcome (is_late)": BOTH,
    "CREATE SCHEMA mine": BOTH,
    "CREATE FUNCTION public.mine() RETURNS int LANGUAGE sql AS 'SELECT 1'": BOTH,
    "CREATE RULE mine AS ON INSERT TO flights.outcome DO INSTEAD NOTHING": BOTH,
    "CREATE ROLE mine": BOTH,
    "CREATE FOREIGN DATA WRAPPER mine": BOTH,
    "ALTER TABLE flights.outcome ADD COLUMN a int": BOTH,
    "DROP TABLE flights.outcome": BOTH,
    "COMMENT ON TABLE flights.outcome IS 'mine'": BOTH,
    "GRANT SELECT ON flights.outcome TO PUBLIC": {READ_ONLY},  # the server warns, and grants nothing
    "ALTER ROLE CURRENT_USER PASSWORD 'mine'": {READ_ONLY},  # a role may change its own
    "REFRESH MATERIALIZED VIEW flights.counted": BOTH,
    "REINDEX TABLE flights.outcome": {RIGHTS},
    "SELECT nextval('flights.numbers')": BOTH,
    "SELECT setval('flights.numbers', 100)": BOTH,
    "SELECT lo_create(0)": {READ_ONLY},  # large objects belong to whoever makes them
    "SELECT lo_import('/etc/hostname')": BOTH,
    "SELECT flights.write()": BOTH,
    "SELECT flights.write_as_its_owner()": {READ_ONLY},  # so the doctor names such functions
    "CALL flights.write_as_its_owner_too()": {READ_ONLY},
    "DO 'BEGIN DELETE FROM flights.outcome; END'": BOTH,
    "SET ROLE production_owner": {RIGHTS},
    # What neither refuses changes no row: a lock that only those see who use it, a message, a setting of this session.
    "SELECT pg_advisory_xact_lock_shared(1)": set(),
    "NOTIFY mine": set(),
    "SELECT set_config('work_mem', '64MB', false)": set(),
    "LOCK TABLE flights.outcome IN ACCESS SHARE MODE": set(),
}
BEYOND_A_TRANSACTION = [  # so only the role tries them
    "ALTER SYSTEM SET work_mem = '1GB'",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    "COPY (SELECT 1) TO '/tmp/never_written_by_a_test'",
    "SELECT pg_terminate_backend({other})",
    "SELECT pg_cancel_backend({other})",
    "SELECT pg_reload_conf()",
    "SELECT pg_rotate_logfile()",
    "SELECT pg_switch_wal()",
    "SELECT pg_create_restore_point('mine')",
    "SELECT pg_stat_reset()",
    "SELECT pg_create_physical_replication_slot('mine')",
    "CHECKPOINT",
    "CREATE DATABASE mine",
    "CREATE TABLESPACE mine LOCATION '/tmp'",
]
PREPARED = """
CREATE SEQUENCE flights.numbers;
CREATE MATERIALIZED VIEW flights.counted AS SELECT count(*) FROM flights.outcome;
CREATE FUNCTION flights.write() RETURNS void LANGUAGE sql AS 'DELETE FROM flights.outcome';
CREATE FUNCTION flights.write_as_its_owner() RETURNS void SECURITY DEFINER LANGUAGE sql
    AS 'DELETE FROM flights.outcome';
CREATE PROCEDURE flights.write_as_its_owner_too() SECURITY DEFINER LANGUAGE sql AS 'DELETE FROM flights.outcome'
"""


@dataclass(frozen=True)
class Place:
    """One production, and a session of its owner's that others may try to end."""

    world: World
    other: int

    def tried(self, statement: str, role: str, **settings: str) -> psycopg.Error | None:
        """Return what a statement is refused with in a session of its own, None where it is not; nothing is kept."""
        with connect(connection_to(self.world.postgres, self.world.production, role), **settings) as session:
            try:
                if "STDIN" in statement:
                    with session.cursor().copy(statement.encode()):
                        pass
                else:
                    session.execute(statement.encode())
            except psycopg.Error as error:
                return error
            finally:
                session.rollback()
        return None

    def tried_beyond(self, statement: str) -> psycopg.Error | None:
        """Return what the role is refused a statement with that no transaction undoes, None where it is not."""
        with connect(connection_to(self.world.postgres, self.world.production, READER)) as session:
            session.autocommit = True
            session.execute("SET default_transaction_read_only = off")
            try:
                session.execute(statement.format(other=self.other).encode())
            except psycopg.Error as error:
                return error
        return None


@pytest.fixture(scope="module")
def place(worlds: Callable[..., World]) -> Iterator[Place]:
    world = worlds(own=True)
    world.change_production(PREPARED)
    world.postgres.ensure_reader(world.production, READER, "flights")
    with psycopg.connect(world.postgres.uri(world.production, OWNER)) as session:
        yield Place(world, session.info.backend_pid)
        assert session.execute("SELECT 1").fetchone() == (1,), "somebody else's session was ended"


@pytest.mark.parametrize("statement", REFUSED)
def test_it_is_known_what_refuses_a_change(place: Place, statement: str) -> None:
    found = set()
    if isinstance(place.tried(statement, ADMINISTRATOR, **source.SETTINGS), errors.ReadOnlySqlTransaction):
        found.add(READ_ONLY)
    error = place.tried(statement, READER, default_transaction_read_only="off", lock_timeout="5s")
    if isinstance(error, errors.InsufficientPrivilege):
        found.add(RIGHTS)
    assert found == REFUSED[statement], error
    refused = place.tried(statement, READER, **source.SETTINGS)
    assert (refused is not None) == bool(found)


@pytest.mark.parametrize("statement", BEYOND_A_TRANSACTION)
def test_the_role_is_refused_what_reaches_beyond_a_transaction(place: Place, statement: str) -> None:
    assert isinstance(place.tried_beyond(statement), errors.InsufficientPrivilege)


@pytest.fixture(scope="module", autouse=True)
def unchanged(place: Place) -> Iterator[None]:
    """After all that was tried every table has the rows that it had."""
    tables = ("flights.outcome", "flights.prediction_log")
    statement = sql.SQL("SELECT md5(string_agg(md5(t::text), '' ORDER BY t::text)) FROM {} AS t")

    def state() -> list[object]:
        with psycopg.connect(place.world.postgres.uri(place.world.production, OWNER)) as session:
            return [session.execute(statement.format(sql.Identifier(*name.split(".")))).fetchone() for name in tables]

    before = state()
    yield
    assert state() == before
