"""Mistakes that are named before anything is written: in files, connections, rights and models."""

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shadow_demo.postgres import EmbeddedPostgres
from tests.conftest import Invoke, database, declare
from tests.integration.cli.errors.messages import assert_message
from tests.production import READER, SHADOW, World, day, linear_model


@pytest.fixture
def refused(untouched: World, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Run a day that must end in an error before anything is written; return the message."""
    declare(untouched, monkeypatch)

    def call(name: str = "late", variables: dict[str, str] | None = None, **changes: Any) -> str:
        untouched.deploy(**changes)
        for variable, value in (variables or {}).items():
            monkeypatch.setenv(variable, value)
        before = untouched.dump()
        code, out, err = invoke("run", name, "--from", day(0))
        assert_message(untouched.postgres, code, out, err)
        assert untouched.dump() == before
        assert not untouched.snapshots.exists()
        return " ".join(err.split())

    return call


def uri(postgres: EmbeddedPostgres, role: str, name: str, **changes: Any) -> str:
    one = {**postgres.conninfo(name, role).__dict__, **changes}
    return f"postgresql://{one['user']}:{one['password']}@{one['host']}:{one['port']}/{one['dbname']}"


MISTAKES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a requests table that is missing": (
        {"requests": {"table": "flights.predictions_log"}},
        ["requests.table == 'flights.predictions_log'", "must be a table in production_db", "flights.outcome"],
    ),
    "a schema that is missing": (
        {"requests": {"table": "trains.prediction_log"}},
        ["requests.table == 'trains.prediction_log'", "did you mean flights.prediction_log?"],
    ),
    "a labels table that is missing": (
        {"labels": {"table": "flights.outcomes"}},
        ["labels.table == 'flights.outcomes'", "did you mean flights.outcome?"],
    ),
    "an id column that is missing": (
        {"requests": {"id": "request"}},
        ["requests.id == 'request'", "must be a column of flights.prediction_log", "did you mean request_id?"],
    ),
    "a time column that is missing": ({"requests": {"time": "at"}}, ["requests.time == 'at'", "predicted_at"]),
    "a feature that is missing": (
        {"requests": {"features": ["dep_hour", "distances"]}},
        ["requests.features == 'distances'", "did you mean distance?"],
    ),
    "a prediction column that is missing": (
        {"requests": {"prediction": "champion"}},
        ["requests.prediction == 'champion'", "champion_probability"],
    ),
    "a version column that is missing": ({"requests": {"version": "v"}}, ["requests.version == 'v'"]),
    "a latency column that is missing": ({"requests": {"latency": "ms"}}, ["requests.latency == 'ms'"]),
    "a slice that is missing": ({"slices": ["origin", "airport"]}, ["slices == 'airport'", "must be a column of"]),
    "a stratum that is missing": ({"sample": {"strata": ["airport"]}}, ["sample.strata == 'airport'"]),
    "a label column that is missing": ({"labels": {"value": "late"}}, ["labels.value == 'late'", "is_late"]),
    "a label time that is missing": ({"labels": {"time": "at"}}, ["labels.time == 'at'", "known_at"]),
    "a label id that is missing": ({"labels": {"id": "id"}}, ["labels.id == 'id'", "flights.outcome"]),
    "a prediction that is text": (
        {"requests": {"prediction": "origin"}},
        ["requests.prediction == 'origin' is of type text, must be a number or boolean"],
    ),
    "a time that is a number": (
        {"requests": {"time": "distance"}},
        ["requests.time == 'distance' is of type double precision, must be timestamptz, timestamp or date"],
    ),
    "a label that is a moment": (
        {"labels": {"value": "known_at"}},
        ["labels.value == 'known_at' is of type timestamp with time zone, must be a number or boolean"],
    ),
    "a label time that is a number": ({"labels": {"time": "is_late"}}, ["labels.time == 'is_late' is of type integer"]),
    "a connection that is not declared": (
        {"requests": {"conn_id": "elsewhere"}},
        ["connection elsewhere is not declared: set AIRFLOW_CONN_ELSEWHERE"],
    ),
    "a model file that is missing": (
        {"challengers": [{"name": "gone", "model": "onnx:/nowhere/model.onnx"}]},
        ["challenger gone: model == 'onnx:/nowhere/model.onnx', but /nowhere/model.onnx does not exist"],
    ),
    "a suite that is missing": (
        {"expectations": {"inputs": "/nowhere/suite.json"}},
        ["expectations.inputs == '/nowhere/suite.json'", "must be a Great Expectations suite in JSON"],
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_the_deployment_is_named_before_anything_is_written(
    refused: Callable[..., str], mistake: str
) -> None:
    changes, words = MISTAKES[mistake]
    message = refused(**changes)
    for one in words:
        assert one in message


def test_a_deployment_that_is_unknown_is_named_with_those_there_are(refused: Callable[..., str]) -> None:
    message = refused("lat")
    assert "there is no deployment 'lat' in" in message
    assert "must be one of late, did you mean late?" in message


def test_a_column_of_a_type_that_no_model_takes_is_named(refused: Callable[..., str], untouched: World) -> None:
    untouched.change_production("ALTER TABLE flights.prediction_log ADD COLUMN IF NOT EXISTS tags jsonb")
    message = refused(requests={"features": ["dep_hour", "tags"]})
    assert "requests.features: column 'tags' is of type jsonb, must be a number, boolean, text or time" in message


@pytest.mark.parametrize("which", ["production", "ledger"])
def test_a_wrong_password_is_reported_without_showing_one(
    refused: Callable[..., str], untouched: World, which: str
) -> None:
    variable, role = {
        "production": ("AIRFLOW_CONN_PRODUCTION_DB", READER),
        "ledger": ("AIRFLOW_CONN_SHADOW_DB", SHADOW),
    }[which]
    value = uri(untouched.postgres, role, getattr(untouched, which), password="not-the-password")
    message = refused(variables={variable: value})
    assert f'password authentication failed for user "{role}"' in message
    assert "check its login, password and database" in message
    assert "not-the-password" not in message


def test_a_connection_as_json_is_refused_in_the_same_way(refused: Callable[..., str], untouched: World) -> None:
    one = untouched.postgres.conninfo(untouched.production, READER)
    fields = {"conn_type": "postgres", "host": one.host, "port": one.port, "login": one.user, "schema": one.dbname}
    value = json.dumps(fields | {"password": "not-the-password"})
    message = refused(variables={"AIRFLOW_CONN_PRODUCTION_DB": value})
    assert "password authentication failed" in message
    assert "not-the-password" not in message


def test_a_connection_that_cannot_be_read_is_reported_without_its_value(refused: Callable[..., str]) -> None:
    for value in ("postgresql://reader:a-secret@host:port/db", "{a-secret", "a-secret"):
        message = refused(variables={"AIRFLOW_CONN_PRODUCTION_DB": value})
        assert "AIRFLOW_CONN_PRODUCTION_DB" in message
        assert "a-secret" not in message


def test_a_server_that_is_not_there_is_reported(refused: Callable[..., str], untouched: World) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound, so that nobody else listens there, and not listening
        port = nobody.getsockname()[1]
        value = uri(untouched.postgres, READER, untouched.production, port=port)
        message = refused(variables={"AIRFLOW_CONN_PRODUCTION_DB": value})
    assert (
        f"connection production_db ({READER}@127.0.0.1:{port}/{untouched.production}) is lost or not there" in message
    )


def test_a_database_that_is_missing_is_reported(refused: Callable[..., str], untouched: World) -> None:
    value = uri(untouched.postgres, READER, "nowhere")
    message = refused(variables={"AIRFLOW_CONN_PRODUCTION_DB": value})
    assert 'database "nowhere" does not exist; check its login, password and database' in message


@pytest.mark.parametrize(
    "command", [["run", "late", "--from", "2024-03-01"], ["verdict", "late"], ["evidence", "late"]]
)
def test_a_ledger_that_is_not_migrated_is_reported_with_the_command(
    untouched: World, invoke: Invoke, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    declare(untouched, monkeypatch)
    untouched.deploy()
    empty = database(untouched.postgres, SHADOW)
    monkeypatch.setenv("AIRFLOW_CONN_SHADOW_DB", untouched.postgres.uri(empty, SHADOW))
    code, out, err = invoke(*command)
    assert_message(untouched.postgres, code, out, err)
    assert "run shadow migrate" in " ".join(err.split())


@pytest.fixture
def revoked(untouched: World) -> Iterator[Callable[[str], None]]:
    """Take rights from the reader for one test."""
    yield lambda what: untouched.change_production(f"REVOKE {what} FROM {READER}")
    untouched.change_production(
        f"GRANT USAGE ON SCHEMA flights TO {READER}; GRANT SELECT ON ALL TABLES IN SCHEMA flights TO {READER}"
    )


def test_the_error_of_a_reader_that_may_not_select_names_the_grant(
    refused: Callable[..., str], revoked: Callable[[str], None]
) -> None:
    revoked("SELECT ON flights.outcome")
    assert f"GRANT SELECT ON flights.outcome TO {READER}, and nothing more" in refused()
    revoked("USAGE ON SCHEMA flights")
    assert "lacks a right: permission denied for schema flights" in refused()


def test_a_model_with_other_inputs_than_the_features_is_named(refused: Callable[..., str], tmp_path: Path) -> None:
    model = linear_model(tmp_path / "model.onnx", {"dep_hour": 1.0, "wind": 1.0})
    message = refused(challengers=[{"name": "windy", "model": f"onnx:{model}"}])
    assert f"{model}: inputs wind are not features; requests.features has dep_hour, distance" in message


def test_a_file_that_is_no_model_is_named(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_text("not a model")
    message = refused(challengers=[{"name": "broken", "model": f"onnx:{tmp_path}/model.onnx"}])
    assert f"{tmp_path}/model.onnx cannot be loaded as an ONNX model" in message


def test_a_model_that_takes_text_for_a_number_is_named_and_nothing_of_its_shard_is_stored(
    reading: World, invoke: Invoke
) -> None:
    model = linear_model(reading.folder / "model.onnx", {"origin": 1.0})
    reading.deploy(requests={"features": ["origin"]}, challengers=[{"name": "mixed", "model": f"onnx:{model}"}])
    code, out, err = invoke("run", "late", "--from", day(0))
    assert_message(reading.postgres, code, out, err)
    assert "feature origin is" in err
    assert "the model's input is tensor(float)" in " ".join(err.split())
    assert reading.query("SELECT FROM shadow.prediction") == reading.query("SELECT FROM shadow.scoring") == []
