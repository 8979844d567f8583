"""Production is only read: by a role that may do nothing else, in sessions that are read only and bounded in time."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from psycopg import errors

from shadow_deployment.config.window import window_of
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.connections import Connection
from shadow_deployment.data.db import connect
from shadow_deployment.data.ports import all_labels
from shadow_deployment.data.sampling import allocate
from shadow_deployment.data.sources.postgres import requests as source
from shadow_deployment.data.sources.postgres.reading import PostgresReading
from shadow_deployment.errors import ShadowError, SourceError, TransientError
from shadow_deployment.pipeline import steps
from tests.builders import asked
from tests.production import OWNER, READER, World, day

# A view with the columns of the log, whose expressions the tests choose.
VIEW = """
CREATE VIEW flights.{name} AS SELECT request_id, predicted_at, {feature} AS dep_hour, distance, origin, carrier,
    champion_probability, {other} AS other_probability, model_version, latency_ms FROM flights.prediction_log {beside}
"""
NAP = """
CREATE FUNCTION flights.nap() RETURNS float8 STABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN 0; END $$
"""
SETTING = "(SELECT setting FROM pg_settings WHERE name = '{}')"
WRITES = {
    "INSERT": "INSERT INTO flights.outcome VALUES ('f0000', 1, now())",
    "UPDATE": "UPDATE flights.outcome SET is_late = 1",
    "DELETE": "DELETE FROM flights.prediction_log",
    "TRUNCATE": "TRUNCATE flights.outcome",
    "CREATE TABLE": "CREATE TABLE flights.mine (a int)",
    "CREATE TABLE in public": "CREATE TABLE public.mine (a int)",
    "CREATE TEMPORARY TABLE": "CREATE TEMPORARY TABLE mine (a int)",
    "CREATE SCHEMA": "CREATE SCHEMA mine",
    "ALTER": "ALTER TABLE flights.outcome ADD COLUMN a int",
    "DROP": "DROP TABLE flights.outcome",
    "LOCK": "LOCK TABLE flights.outcome IN EXCLUSIVE MODE",
}


@pytest.fixture(scope="module")
def ours(worlds: Callable[..., World]) -> World:
    """One production for all tests of this module, to which they only add views."""
    world = worlds(own=True)
    world.postgres.ensure_reader(world.production, READER, "flights")
    world.change_production(NAP)
    return world


def shadow_of(world: World, table: str, **changes: Any) -> DeploymentContext:
    return world.shadow(requests={"table": f"flights.{table}"}, name=table, **changes)


@pytest.mark.parametrize("write", WRITES)
def test_the_role_that_reads_is_refused_every_write(ours: World, write: str) -> None:
    """Whatever the session says of itself: the role has no such right."""
    with connect(ours.connection("production_db"), default_transaction_read_only="off") as session:
        assert session.execute("SELECT count(*) > 0 FROM flights.outcome").fetchone() == (True,)
        with pytest.raises(errors.InsufficientPrivilege):
            session.execute(WRITES[write])
        session.rollback()


def test_the_role_that_reads_is_read_only_and_bounded_by_itself(ours: World) -> None:
    with psycopg.connect(ours.postgres.uri(ours.production, READER)) as session:
        for name, expected in (("default_transaction_read_only", "on"), ("lock_timeout", "5s")):
            assert session.execute(f"SHOW {name}").fetchone() == (expected,)
        assert session.execute("SHOW statement_timeout").fetchone() != ("0",)


def test_every_session_of_the_source_is_read_only_and_bounded(ours: World) -> None:
    """Seen from inside: a view shows the settings of the session that draws, reads labels or logged predictions."""
    names = ["transaction_read_only", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"]
    shown = " || ' ' || ".join(SETTING.format(name) for name in names)
    one = f"({SETTING.format('transaction_read_only')} = 'on' AND {SETTING.format('statement_timeout')}::int > 0)::int"
    ours.change_production(VIEW.format(name="spy", feature=shown, other=one, beside=""))
    ours.change_production(
        f"CREATE VIEW flights.spied AS SELECT request_id, {one} AS is_late, known_at FROM flights.outcome"
    )
    spy = {"name": "spy", "model": "logged:flights.spy.other_probability"}
    shadow = shadow_of(ours, "spy", labels={"table": "flights.spied"}, challengers=[spy])
    steps.sample(shadow, day(0))
    (part, *_) = sorted((ours.snapshots / "spy").rglob("*.parquet"))
    (drawn,) = set(pq.read_table(part)["dep_hour"].to_pylist())
    milliseconds = [int(source.SETTINGS[name].removesuffix("s")) * 1000 for name in names[1:]]
    assert drawn.split() == ["on", *map(str, milliseconds)]
    arrived = all_labels(
        shadow.label_source, asked({0: "f0000", 1: "f0001"}), None, window_of(shadow.deployment, day(5)).end
    )
    assert set(arrived["value"].to_pylist()) == {1.0}
    steps.score(shadow, day(0), "spy", 0)
    logged = ours.query(
        "SELECT DISTINCT value FROM shadow.prediction "
        "JOIN shadow.model_version AS m ON m.id = challenger_id WHERE m.name = 'spy'"
    )
    assert logged == [(1.0,)]


def test_counting_and_drawing_see_the_same_rows(worlds: Callable[..., World]) -> None:
    """Requests that are written between the two statements belong to neither: the transaction is repeatable."""
    world = worlds(own=True)
    shadow = world.shadow()
    with shadow.request_source.reading(window_of(shadow.deployment, day(0))) as reading:
        counted = reading.population()
        world.change_production("DELETE FROM flights.prediction_log")
        draws = allocate(shadow.deployment.sample, counted)
        assert reading.sample(draws).read_all().num_rows == sum(draw.size for draw in draws)


@pytest.mark.parametrize("step", ["draw", "labels"])
def test_even_the_owner_of_production_cannot_write_through_the_source(worlds: Callable[..., World], step: str) -> None:
    """Where somebody declares the wrong role, the session's own setting still refuses."""
    world = worlds(own=True)
    world.change_production(
        "CREATE TABLE flights.written (a int);"
        "CREATE FUNCTION flights.write() RETURNS int LANGUAGE sql VOLATILE AS "
        "'INSERT INTO flights.written VALUES (1) RETURNING 1';"
        "CREATE VIEW flights.writing AS SELECT request_id, flights.write() AS is_late, known_at FROM flights.outcome;"
        + VIEW.format(name="log", feature="dep_hour", other="flights.write()", beside=", flights.write() AS w (w)")
    )
    found = world.postgres.conninfo(world.production, OWNER)
    owner = Connection("production_db", found.host, found.port, found.user, found.password, found.dbname)
    deployment = world.deploy(
        requests={"table": "flights.log" if step == "draw" else "flights.prediction_log"},
        labels={"table": "flights.writing"},
    )
    shadow = DeploymentContext(
        deployment, lambda conn_id: owner if conn_id == "production_db" else world.connection(conn_id)
    )
    read = steps.sample
    if step == "labels":
        steps.sample(shadow, day(0))
        read = steps.collect_labels
    with pytest.raises(ShadowError, match="cannot execute INSERT in a read-only transaction"):
        read(shadow, day(0))
    with psycopg.connect(world.postgres.uri(world.production, OWNER)) as session:
        assert session.execute("SELECT count(*) FROM flights.written").fetchone() == (0,)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(source.SETTINGS, "statement_timeout", "200ms")


@pytest.mark.usefixtures("impatient")
def test_a_count_that_takes_too_long_is_worth_another_try(ours: World) -> None:
    ours.change_production(VIEW.format(name="slow_count", feature="dep_hour", other="0", beside=", pg_sleep(60)"))
    with pytest.raises(TransientError, match="canceling statement due to statement timeout"):
        steps.sample(shadow_of(ours, "slow_count"), day(0))
    assert ours.query("SELECT FROM shadow.deployment WHERE name = 'slow_count'") == []


@pytest.mark.usefixtures("impatient")
def test_a_draw_that_takes_too_long_is_worth_another_try(ours: World) -> None:
    """Rows are streamed, so that this time-out comes while they are read and not when the query is sent."""
    ours.change_production(VIEW.format(name="slow_draw", feature="flights.nap()", other="0", beside=""))
    with pytest.raises(TransientError, match="canceling statement due to statement timeout"):
        steps.sample(shadow_of(ours, "slow_draw"), day(0))
    assert not (ours.snapshots / "slow_draw").exists() or not list((ours.snapshots / "slow_draw").rglob("*.*"))


def test_a_draw_that_production_cannot_answer_is_an_error_of_the_source(ours: World) -> None:
    ours.change_production(VIEW.format(name="broken", feature="1 / (distance - distance)", other="0", beside=""))
    with pytest.raises(SourceError, match="division by zero"):
        steps.sample(shadow_of(ours, "broken"), day(0))


def test_a_stream_that_breaks_off_is_worth_another_try_and_leaves_no_snapshot(
    ours: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = PostgresReading.sample

    def breaking(*arguments: Any, **keywords: Any) -> pa.RecordBatchReader:
        reader = draw(*arguments, **keywords)

        def some() -> Iterator[pa.RecordBatch]:
            yield reader.read_next_batch().slice(0, 10)
            raise OSError("[libpq] Execution error: server closed the connection unexpectedly")

        return pa.RecordBatchReader.from_batches(reader.schema, some())

    monkeypatch.setattr(PostgresReading, "sample", breaking)
    with pytest.raises(TransientError, match="server closed the connection"):
        steps.sample(ours.shadow(name="broken_off"), day(0))
    assert not list((ours.snapshots / "broken_off").rglob("*.*"))
    assert ours.query("SELECT FROM shadow.deployment WHERE name = 'broken_off'") == []


def test_labels_and_logged_predictions_that_take_too_long_are_worth_another_try(
    ours: World, request: pytest.FixtureRequest
) -> None:
    ours.change_production("CREATE VIEW flights.slow_labels AS SELECT l.* FROM flights.outcome AS l, pg_sleep(60)")
    ours.change_production(VIEW.format(name="slow_log", feature="0", other="flights.nap()", beside=""))
    slow = {"name": "slow", "model": "logged:flights.slow_log.other_probability"}
    shadow = ours.shadow(name="slow", labels={"table": "flights.slow_labels"}, challengers=[slow])
    steps.sample(shadow, day(0))
    request.getfixturevalue("impatient")
    with pytest.raises(TransientError, match="the time-out bounds what one query may take"):
        steps.collect_labels(shadow, day(0))
    with pytest.raises(TransientError, match="canceling statement due to statement timeout"):
        steps.score(shadow, day(0), "slow", 0)


def test_a_session_that_is_lost_while_labels_are_read_is_worth_another_try(ours: World) -> None:
    found = ours.postgres.conninfo(ours.production, OWNER)
    ours.change_production(
        "CREATE VIEW flights.deadly AS SELECT request_id, "
        "pg_terminate_backend(pg_backend_pid())::int AS is_late, known_at FROM flights.outcome"
    )
    owner = Connection("production_db", found.host, found.port, found.user, found.password, found.dbname)
    shadow = DeploymentContext(ours.deploy(labels={"table": "flights.deadly"}), lambda _: owner)
    with pytest.raises(TransientError, match="is lost or not there"):
        all_labels(shadow.label_source, asked({0: "f0000"}), None, window_of(shadow.deployment, day(0)).end)


def test_a_lock_in_production_is_not_waited_for(ours: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(source.SETTINGS, "lock_timeout", "100ms")
    shadow = ours.shadow()
    with psycopg.connect(ours.postgres.uri(ours.production, OWNER)) as session:
        session.execute("LOCK TABLE flights.outcome IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(TransientError, match="canceling statement due to lock timeout"):
            all_labels(shadow.label_source, asked({0: "f0000"}), None, window_of(shadow.deployment, day(0)).end)
        session.rollback()


def test_the_source_holds_no_session_between_the_steps(ours: World) -> None:
    shadow = ours.shadow(name="brief", labels={"table": "flights.outcome"})
    steps.sample(shadow, day(0))
    steps.collect_labels(shadow, day(0))
    with psycopg.connect(ours.postgres.uri(ours.production, OWNER)) as session:
        sessions = "SELECT pg_stat_clear_snapshot(), count(*) FROM pg_stat_activity WHERE datname = %s AND usename = %s"
        for _ in range(1000):  # a server process ends a moment after its client has left
            (_, left), *_ = session.execute(sessions, [ours.production, READER]).fetchall()
            session.commit()
            if not left:
                break
        assert left == 0


@pytest.mark.parametrize("name", ["id", "place", "wanted", "ids"])
def test_a_label_may_have_any_name(ours: World, name: str) -> None:
    select = f"SELECT request_id, is_late AS {name}, known_at FROM flights.outcome"
    ours.change_production(f"CREATE OR REPLACE VIEW flights.named_{name} AS {select}")
    shadow = shadow_of(ours, "named", labels={"table": f"flights.named_{name}", "value": name})
    arrived = all_labels(
        shadow.label_source, asked({0: "f0000", 1: "f0001"}), None, window_of(shadow.deployment, day(5)).end
    )
    assert arrived.num_rows == 2
