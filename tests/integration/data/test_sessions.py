"""Sessions that are kept between steps: used again, replaced where the server ended them, never after an error."""

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


def test_a_kept_session_is_used_again_and_ends_with_the_block(connection: Connection) -> None:
    sessions = Sessions()
    with sessions.kept():
        first = process_of(sessions, connection)
        assert process_of(sessions, connection) == first
    assert process_of(sessions, connection) != first
    assert sessions._idle == []


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
