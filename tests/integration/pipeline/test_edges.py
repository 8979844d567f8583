"""Edges of the day: what is not there, what breaks off, what changes while others look."""

import io
from collections.abc import Iterator
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.testing import assert_array_equal
from rich.console import Console

from shadow_deployment.config.window import window_of
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.connections import Connection
from shadow_deployment.data.sources.postgres.reading import PostgresReading
from shadow_deployment.errors import ShadowError, SourceError, TransientError
from shadow_deployment.ledger import migrations
from shadow_deployment.models import logged
from shadow_deployment.pipeline import steps
from shadow_deployment.pipeline.run import run_days
from tests.conftest import Invoke, connection_to, database
from tests.integration.cli.errors.messages import assert_message
from tests.production import OWNER, READER, World, day, moment

OTHER = {"name": "other", "model": "logged:flights.prediction_log.other_probability"}


def run(world: World, *numbers: int, **changes: Any) -> list[Any]:
    return list(run_days(world.shadow(**changes), [day(one) for one in numbers], Console(file=io.StringIO())))


def test_running_a_day_again_changes_no_row_in_any_table(reading: World) -> None:
    run(reading, 0)
    before = reading.dump()
    run(reading, 0)
    assert reading.dump() == before


def test_the_champion_after_a_change_is_the_one_that_served_last_whatever_its_name(world: World) -> None:
    world.change_production("UPDATE flights.prediction_log SET model_version = '9'")
    world.change_production(
        "UPDATE flights.prediction_log SET model_version = '10' WHERE predicted_at >= %s", [moment(2.5)]
    )
    world.change_production("DELETE FROM flights.prediction_log WHERE predicted_at >= %s", [moment(3)])
    lenient = {"burn_in": 2, "rules": [{"metric": "error_rate", "is": "at_most", "value": 0.5}]}
    run(world, 0, 1, 2, 3, challengers=[OTHER], policy=lenient)
    (last,) = [row for row in world.verdicts() if row[0] == day(3)]
    assert last[4] == "10"
    assert last[3] == "INCONCLUSIVE"


def test_showing_evidence_writes_nothing(reading: World, invoke: Invoke) -> None:
    reading.deploy()
    before = reading.dump()
    assert invoke("evidence", "late", "--json") == (0, "", "")
    assert reading.dump() == before


def test_another_feature_leaves_the_evidence_of_days_that_were_drawn_without_it(reading: World) -> None:
    run(reading, 0, challengers=[OTHER])
    before = reading.evidence()
    assert not before.empty
    more = {"features": ["dep_hour", "distance", "latency_ms"]}
    [problem] = run(reading, 0, challengers=[OTHER], requests=more)
    assert f"{day(0)} was sampled before requests.features listed latency_ms" in str(problem)
    assert reading.query("SELECT DISTINCT success FROM shadow.validation WHERE challenger_id IS NULL") == [(True,)]


LOGGED = {
    "flights.prediction_log.other_probabilty": [
        "must be a column of flights.prediction_log",
        "did you mean other_probability?",
    ],
    "flights.prediction_logs.other_probability": ["must be a table in production_db"],
    "flights.prediction_log.origin": ["is of type text, must be a number or boolean"],
}


@pytest.mark.parametrize("address", LOGGED)
def test_a_logged_prediction_that_is_not_there_is_named_before_anything_is_written(
    reading: World, invoke: Invoke, address: str
) -> None:
    reading.deploy(challengers=[{"name": "elsewhere", "model": f"logged:{address}"}])
    before = reading.dump()
    code, out, err = invoke("run", "late", "--from", day(0))
    assert_message(reading.postgres, code, out, err)
    for words in LOGGED[address]:
        assert words in " ".join(err.split())
    assert reading.dump() == before


def test_a_logged_prediction_of_the_log_comes_with_the_sample_and_is_what_a_look_up_finds(world: World) -> None:
    world.change_production("UPDATE flights.prediction_log SET other_probability = NULL WHERE request_id < 'f0003'")
    shadow = world.shadow(challengers=[OTHER], sample={"rate": 1, "shard_rows": 100})
    steps.sample(shadow, day(0))
    [path] = world.snapshots.rglob("*.parquet")
    file = pq.ParquetFile(path)
    [batch] = file.iter_batches()
    [challenger] = shadow.deployment.challengers
    looked_up = logged.load(shadow, challenger, window_of(shadow.deployment, day(0))).predict(batch)
    predictor = logged.sampled(shadow.deployment, challenger, file.schema_arrow.names)
    assert predictor is not None
    found = predictor.predict(batch)
    assert_array_equal(found.values, looked_up.values)
    assert found.errors == looked_up.errors
    assert len(found.errors) == 3
    world.change_production("DROP TABLE flights.prediction_log CASCADE")
    assert steps.score(shadow, day(0), "other", 0) == (batch.num_rows, len(found.errors))


def test_a_challenger_that_was_declared_after_the_sample_has_its_logged_predictions_looked_up(world: World) -> None:
    world.change_production("UPDATE flights.prediction_log SET other_probability = NULL WHERE request_id < 'f0003'")
    whole = {"rate": 1, "shard_rows": 100}
    steps.sample(world.shadow(challengers=[{"name": "a_a_check", "model": "champion"}], sample=whole), day(0))
    shadow = world.shadow(challengers=[OTHER], sample=whole)
    assert steps.score(shadow, day(0), "other", 0) == (60, 3)


def test_a_logged_prediction_that_cannot_be_read_any_more_stops_and_is_no_error_of_each_row(
    world: World, invoke: Invoke
) -> None:
    world.change_production("CREATE TABLE flights.other AS SELECT * FROM flights.prediction_log")
    shadow = world.shadow(challengers=[{"name": "other", "model": "logged:flights.other.other_probability"}])
    steps.sample(shadow, day(0))
    world.change_production("ALTER TABLE flights.other DROP COLUMN other_probability")
    with pytest.raises(SourceError, match="must be a column of"):
        steps.score(shadow, day(0), "other", 0)
    assert world.query("SELECT FROM shadow.scoring") == []


def test_the_error_of_a_role_that_may_not_make_a_schema_says_so(
    world: World, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = database(world.postgres, OWNER)
    monkeypatch.setenv("AIRFLOW_CONN_SHADOW_DB", world.postgres.uri(name, READER))
    code, out, err = invoke("migrate", "--conn-id", "shadow_db")
    assert_message(world.postgres, code, out, err)
    assert f"shadow_db ({READER}@" in err


def test_a_ledger_of_an_unknown_revision_is_named(world: World, invoke: Invoke) -> None:
    connection = world.connection("shadow_owner")
    with psycopg.connect(**connection.parameters()) as session:
        session.execute("UPDATE shadow.alembic_version SET version_num = '9999'")
    world.deploy()
    for command in (["migrate"], ["migrate", "down"]):
        code, out, err = invoke(*command)
        assert_message(world.postgres, code, out, err)
        assert "9999" in err


@pytest.mark.parametrize("value", ["NaN", "Infinity"])
def test_a_label_that_is_no_number_is_set_aside_and_named_with_its_request(
    world: World, invoke: Invoke, value: str
) -> None:
    world.change_production("ALTER TABLE flights.outcome ALTER is_late TYPE float8")
    world.change_production(
        "UPDATE flights.outcome SET is_late = %s, known_at = %s WHERE request_id = 'f0003'", [value, moment(0.9)]
    )
    rules = [{"metric": "squared_error", "is": "superior"}]
    world.deploy(task="regression", policy={"rules": rules}, challengers=[OTHER])
    code, out, _ = invoke("run", "late", "--from", day(0))
    assert (code, f"'{value}'; flights.outcome.is_late must be finite" in " ".join(out.split())) == (
        0,
        True,
    )


def test_a_stream_that_breaks_off_is_worth_another_try_and_leaves_no_snapshot(
    reading: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = PostgresReading.sample

    def broken(*arguments: Any, **keywords: Any) -> pa.RecordBatchReader:
        reader = draw(*arguments, **keywords)
        batch = reader.read_next_batch()

        def some() -> Iterator[pa.RecordBatch]:
            yield batch.slice(0, 10)
            raise OSError("[libpq] Execution error: server closed the connection unexpectedly")

        return pa.RecordBatchReader.from_batches(reader.schema, some())

    monkeypatch.setattr(PostgresReading, "sample", broken)
    with pytest.raises(TransientError, match="server closed the connection"):
        steps.sample(reading.shadow(), day(0))
    assert not list(reading.snapshots.rglob("manifest.json"))
    assert reading.query("SELECT FROM shadow.snapshot") == []


def test_two_that_migrate_at_once_end_with_one_ledger(world: World) -> None:
    """As two services do that start together."""
    import os
    import subprocess
    import sys

    name = database(world.postgres, OWNER)
    connection = connection_to(world.postgres, name, OWNER)
    variables = os.environ | {"AIRFLOW_CONN_SHADOW_DB": world.postgres.uri(name, OWNER)}
    command = [sys.executable, "-m", "shadow_deployment", "migrate", "--conn-id", "shadow_db"]
    with psycopg.connect(**connection.parameters()) as session:  # both wait here, so that they meet
        session.execute("CREATE SCHEMA shadow")
        pair = [subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        waiting = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        while session.execute(waiting).fetchone() != (2,) and all(one.poll() is None for one in pair):
            session.execute("SELECT pg_stat_clear_snapshot()")
        session.rollback()
    ended = [(*one.communicate(), one.returncode) for one in pair]
    assert [code for *_, code in ended] == [0, 0], ended
    assert migrations.revision(connection) == migrations.head()


def test_not_even_the_owner_can_write_while_logged_predictions_are_read(world: World) -> None:
    world.change_production(
        "CREATE TABLE flights.written (a int);"
        "CREATE FUNCTION flights.write() RETURNS int LANGUAGE sql VOLATILE AS "
        "'INSERT INTO flights.written VALUES (1) RETURNING 1';"
        "CREATE VIEW flights.log AS SELECT request_id, flights.write() AS other FROM flights.prediction_log"
    )
    found = world.postgres.conninfo(world.production, OWNER)
    owner = Connection("production_db", found.host, found.port, found.user, found.password, found.dbname)
    deployment = world.deploy(challengers=[{"name": "writer", "model": "logged:flights.log.other"}])
    shadow = DeploymentContext(
        deployment, lambda conn_id: owner if conn_id == "production_db" else world.connection(conn_id)
    )
    steps.sample(shadow, day(0))
    with pytest.raises(ShadowError, match="cannot execute INSERT in a read-only transaction"):
        steps.score(shadow, day(0), "writer", 0)
