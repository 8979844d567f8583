"""Sessions that are kept between steps: used again, replaced where the server ended them, never after an error."""

from contextlib import closing, nullcontext

import psycopg
import pytest

from shadow_demo.postgres import SUPERUSER, EmbeddedPostgres
from shadow_deployment.data.connections import Connection
from shadow_deployment.data.db import Sessions
from tests.conftest import connection_to, database
from tests.production import SHADOW


@pytest.fixture(scope="module")
def connection(postgres: EmbeddedPostgres) -> Connection:
    return connection_to(postgres, database(postgres, SHADOW), SUPERUSER)


def process_of(sessions: Sessions, connection: Connection) -> int:
    with sessions.session(connection) as session:
        return session.info.backend_pid


def asked(connection: Connection, statement: str, value: object) -> list[tuple[object, ...]]:
    """Return what another session sees."""
    with psycopg.connect(**connection.parameters()) as session:
        return session.execute(statement, [value]).fetchall()


def test_a_kept_session_is_used_again_and_ends_with_the_block(connection: Connection) -> None:
    sessions = Sessions()
    with sessions.kept():
        first = process_of(sessions, connection)
        assert process_of(sessions, connection) == first
    assert process_of(sessions, connection) != first
    assert asked(connection, "SELECT FROM pg_stat_activity WHERE pid = %s", first) == []


def test_two_at_a_time_are_two(connection: Connection) -> None:
    sessions = Sessions()
    with sessions.kept(), sessions.session(connection) as one, sessions.session(connection) as other:
        assert one.info.backend_pid != other.info.backend_pid


def broken_off(sessions: Sessions, connection: Connection) -> None:
    with sessions.session(connection) as session:
        session.execute("DELETE FROM kept")
        raise ZeroDivisionError


def test_what_was_written_is_committed_and_after_an_error_rolled_back(connection: Connection) -> None:
    sessions = Sessions()
    with sessions.kept():
        with sessions.session(connection) as session:
            session.execute("CREATE TABLE kept AS SELECT 1 AS number")
        with pytest.raises(ZeroDivisionError):
            broken_off(sessions, connection)
        assert session.closed
        with sessions.session(connection) as session:
            assert session.execute("SELECT number FROM kept").fetchall() == [(1,)]


def test_one_that_the_server_has_ended_is_replaced(connection: Connection) -> None:
    sessions = Sessions()
    with sessions.kept():
        first = process_of(sessions, connection)
        with psycopg.connect(**connection.parameters()) as session:
            session.execute("SELECT pg_terminate_backend(%s, 10000)", [first])
        assert process_of(sessions, connection) != first


def test_a_block_inside_another_ends_none(connection: Connection) -> None:
    sessions = Sessions()
    with sessions.kept():
        with sessions.kept():
            first = process_of(sessions, connection)
        assert process_of(sessions, connection) == first


def test_one_with_other_settings_is_another_and_each_begins_with_its_own(connection: Connection) -> None:
    sessions = Sessions()
    seen = list[tuple[object, ...]]()
    with sessions.kept():
        for settings in ({"work_mem": "1MB"}, {"work_mem": "2MB"}, {"work_mem": "1MB"}):
            with sessions.session(connection, **settings) as session:
                seen += session.execute("SELECT current_setting('work_mem'), current_setting('jit')").fetchall()
                session.execute("SET work_mem TO '9MB'; SET jit TO off")
    assert seen == [("1MB", "on"), ("2MB", "on"), ("1MB", "on")]


def test_utc_stays_where_the_environment_has_another_zone(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGTZ", "Asia/Tokyo")
    sessions = Sessions()
    with sessions.kept():
        for _ in range(2):
            with sessions.session(connection) as session:
                assert session.execute("SHOW TimeZone").fetchall() == [("UTC",)]


@pytest.mark.parametrize("is_keeping", [False, True])
def test_a_stream_is_a_session_of_its_own_that_commits_each_statement(connection: Connection, is_keeping: bool) -> None:
    sessions = Sessions()
    seen = set[int]()
    with sessions.kept() if is_keeping else nullcontext():
        for _ in range(2):
            with sessions.stream(connection, work_mem="3MB") as stream, closing(stream.cursor()) as cursor:
                cursor.execute("SELECT pg_backend_pid(), current_setting('work_mem')")
                ((pid, memory),) = cursor.fetchall()
                state = "SELECT state FROM pg_stat_activity WHERE pid = %s"
                assert (memory, asked(connection, state, pid)) == ("3MB", [("idle",)])
                seen.add(pid)
    assert len(seen) == 2
    assert asked(connection, "SELECT FROM pg_stat_activity WHERE pid = ANY (%s)", list(seen)) == []
