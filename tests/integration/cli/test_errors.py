"""What goes wrong at the command line: one message that says what to do, code 1, nothing half-written, no secret."""

import datetime as dt
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from shadow_demo.postgres import SUPERUSER, EmbeddedPostgres
from shadow_deployment.context import DeploymentContext
from shadow_deployment.pipeline import steps
from tests.conftest import PROJECT, Invoke, database, declare
from tests.production import OWNER, READER, SHADOW, World, day, linear_model

OTHER = {"name": "other", "model": "logged:flights.prediction_log.other_probability"}


@pytest.fixture(scope="module")
def untouched(worlds: Callable[..., World]) -> World:
    """A world in whose ledger nothing is ever written: each test here ends before."""
    return worlds(own=True)


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


def assert_message(postgres: EmbeddedPostgres, code: int, out: str, err: str) -> None:
    assert code == 1
    assert err.startswith("error ") or "\nerror " in err
    assert "Traceback" not in out + err
    for password in passwords(postgres):
        assert password not in out + err


def passwords(postgres: EmbeddedPostgres) -> list[str]:
    return [postgres.conninfo("postgres", role).password for role in (SUPERUSER, OWNER, READER, SHADOW)]


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


def test_a_snapshots_folder_that_cannot_be_written_is_named(reading: World, invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file and no folder")
    reading.deploy(store={"snapshots": (tmp_path / "file" / "snapshots").as_uri()})
    code, out, err = invoke("run", "late", "--from", day(0))
    assert_message(reading.postgres, code, out, err)
    assert f"{tmp_path}/file/snapshots/late/{day(0)}/" in "".join(err.split())
    assert "cannot be written: Not a directory; see store.snapshots" in " ".join(err.split())
    assert not any(reading.dump("alembic_version").values())


def test_a_corrupted_snapshot_is_refused_by_name_and_changes_nothing(reading: World, invoke: Invoke) -> None:
    reading.deploy(challengers=[OTHER])
    assert invoke("run", "late", "--from", day(0))[0] == 0
    before = reading.dump()
    (part, *_) = sorted(reading.snapshots.rglob("*.parquet"))
    content = part.read_bytes()
    part.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    code, out, err = invoke("run", "late", "--from", day(0))
    assert_message(reading.postgres, code, out, err)
    assert f"{part} has SHA-256" in " ".join(err.split())
    assert "the inputs were changed; restore them" in " ".join(err.split())
    assert reading.dump() == before
    part.unlink()
    code, out, err = invoke("run", "late", "--from", day(0))
    assert_message(reading.postgres, code, out, err)
    assert f"{part} is missing" in " ".join(err.split())
    part.write_bytes(content)
    assert invoke("run", "late", "--from", day(0))[0] == 0


def test_a_changed_manifest_is_refused(reading: World, invoke: Invoke) -> None:
    reading.deploy(challengers=[OTHER])
    assert invoke("run", "late", "--from", day(0))[0] == 0
    before = reading.dump()
    (manifest,) = reading.snapshots.rglob("manifest.json")
    manifest.write_text(manifest.read_text().replace('"champion_versions": [\n  "7"', '"champion_versions": [\n  "8"'))
    code, out, err = invoke("run", "late", "--from", day(0))
    assert_message(reading.postgres, code, out, err)
    assert "as registered: the inputs were changed; restore them from a backup" in " ".join(err.split())
    manifest.write_text("{")
    code, out, err = invoke("run", "late", "--from", day(0))
    assert_message(reading.postgres, code, out, err)
    assert f"{manifest} is no manifest" in " ".join(err.split())
    assert reading.dump() == before


def test_null_and_infinite_features_are_errors_of_their_rows_and_the_day_goes_on(world: World, invoke: Invoke) -> None:
    world.change_production("UPDATE flights.prediction_log SET dep_hour = NULL WHERE request_id IN ('f0001', 'f0002')")
    world.change_production("UPDATE flights.prediction_log SET distance = 'Infinity' WHERE request_id = 'f0003'")
    world.change_production("UPDATE flights.prediction_log SET distance = '-Infinity' WHERE request_id = 'f0004'")
    world.change_production("UPDATE flights.prediction_log SET dep_hour = 'NaN' WHERE request_id = 'f0005'")
    model = linear_model(world.folder / "model.onnx", {"dep_hour": 0.1, "distance": -0.001})
    world.deploy(challengers=[{"name": "linear", "model": f"onnx:{model}"}])
    code, _, err = invoke("run", "late", "--from", day(0))
    assert code == 0, err
    errors = world.query(
        "SELECT request_id, error FROM shadow.prediction JOIN shadow.request USING (day, snapshot_id, ordinal) "
        "WHERE value IS NULL ORDER BY 1"
    )
    assert errors == [
        ("f0001", "the model predicted nan; null features: dep_hour"),
        ("f0002", "the model predicted nan; null features: dep_hour"),
        ("f0003", "feature distance is infinite"),
        ("f0004", "feature distance is infinite"),
        ("f0005", "the model predicted nan"),
    ]
    assert world.query("SELECT count(*) FROM shadow.prediction") == [(60,)]
    _, out, _ = invoke("evidence", "late", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    (rate,) = [row for row in rows if row["metric"] == "error_rate" and row["slice"] == "all"]
    assert rate["challenger_value"] == pytest.approx(5 / 60)


def test_a_failing_input_expectation_stops_the_day_and_the_verdict_says_why(
    world: World, invoke: Invoke, tmp_path: Path
) -> None:
    suite = tmp_path / "inputs.json"
    kwargs = {"column": "distance", "min_value": 0, "max_value": 5000}
    expectation = {"type": "expect_column_values_to_be_between", "kwargs": kwargs}
    suite.write_text(json.dumps({"name": "inputs", "expectations": [expectation]}))
    world.change_production("UPDATE flights.prediction_log SET distance = 9999 WHERE request_id = 'f0063'")
    world.deploy(challengers=[OTHER], expectations={"inputs": str(suite)})
    code, out, err = invoke("run", "late", "--from", day(0), "--to", day(1))
    assert_message(world.postgres, code, out, err)
    message = " ".join(err.split())
    assert f"1 of 7 expectations are not met by the inputs of {day(1)}" in message
    assert "expect_column_values_to_be_between" in message
    assert "on distance: 1 of 60 rows (1.67%) do not meet it, such as f0063" in message
    assert world.query("SELECT DISTINCT day FROM shadow.prediction") == [(day(0),)]
    assert set(world.evidence().day) == {day(0)}
    _, out, _ = invoke("verdict", "late", "--json")
    (challenger,) = json.loads(out)["challengers"]
    assert (challenger["day"], challenger["outcome"]) == (str(day(1)), "INCONCLUSIVE")
    reason = f"the inputs of {day(1)} do not meet their expectations"
    assert challenger["reasons"][0] == reason
    code, _, err = invoke("run", "late", "--from", day(2))
    assert code == 0, err
    assert set(world.evidence().day) == {day(0), day(2)}


def test_a_request_that_was_logged_twice_stops_the_day(world: World, invoke: Invoke) -> None:
    world.change_production(
        "ALTER TABLE flights.prediction_log DROP CONSTRAINT prediction_log_pkey;"
        "UPDATE flights.prediction_log SET request_id = 'f0001' WHERE request_id = 'f0002';"
        "ALTER TABLE flights.prediction_log ALTER request_id DROP NOT NULL;"
        "UPDATE flights.prediction_log SET request_id = NULL WHERE request_id = 'f0003'"
    )
    world.deploy(challengers=[OTHER])
    code, out, err = invoke("run", "late", "--from", day(0))
    assert_message(world.postgres, code, out, err)
    message = " ".join(err.split())
    assert "expect_column_values_to_be_unique() on request_id: 2 of 60 rows" in message
    assert "expect_column_values_to_not_be_null() on request_id: 1 of 60 rows" in message
    assert world.evidence().empty


def test_bad_predictions_are_an_error_of_the_day_and_count_in_the_evidence(world: World, invoke: Invoke) -> None:
    world.change_production("UPDATE flights.prediction_log SET other_probability = 1.5 WHERE request_id = 'f0001'")
    world.deploy()
    code, out, err = invoke("run", "late", "--from", day(0))
    assert_message(world.postgres, code, out, err)
    assert f"expectations are not met by the predictions of other for {day(0)}" in " ".join(err.split())
    assert set(world.evidence().challenger) == {"a_a_check", "other"}
    _, out, _ = invoke("verdict", "late", "--json")
    warnings = {one["name"]: " ".join(one["warnings"]) for one in json.loads(out)["challengers"]}
    assert f"predictions do not meet their expectations on 1 day, which count: {day(0)}" in warnings["other"]
    assert "expectations" not in warnings["a_a_check"]


def test_an_unknown_day_or_order_of_days_is_a_usage_error(untouched: World, invoke: Invoke, monkeypatch: Any) -> None:
    declare(untouched, monkeypatch)
    untouched.deploy()
    for arguments in (["--from", "yesterday"], ["--from", "2024-03-02", "--to", "2024-03-01"]):
        code, out, err = invoke("run", "late", *arguments)
        assert code == 2
        assert "Traceback" not in out + err
        assert "must" in err


def test_an_interrupted_run_says_during_which_day_and_how_to_go_on(
    reading: World, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading.deploy(challengers=[OTHER])
    compare = steps.compare

    def interrupted(context: DeploymentContext, of: dt.date) -> int:
        if of == day(1):
            raise KeyboardInterrupt
        return compare(context, of)

    with monkeypatch.context() as patch:
        patch.setattr(steps, "compare", interrupted)
        code, out, err = invoke("run", "late", "--from", day(0), "--to", day(2))
    *_, said, command = err.splitlines()
    assert (code, out) == (130, "")
    assert said == f"warning interrupted during {day(1)}: what is complete is kept; go on with"
    assert command == f"shadow run late --from {day(1)} --to {day(2)}"
    assert invoke(*command.split()[1:])[0] == 0
    assert set(reading.evidence().day) == {day(0), day(1), day(2)}


def test_the_real_program_ends_with_code_1_and_one_message(untouched: World) -> None:
    untouched.deploy(requests={"table": "flights.nowhere"})
    ended = subprocess.run(
        [sys.executable, "-m", "shadow_deployment", "run", "late", "--from", str(day(0))],
        cwd=PROJECT,
        env=os.environ | untouched.variables(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert_message(untouched.postgres, ended.returncode, ended.stdout, ended.stderr)
    assert "requests.table == 'flights.nowhere'" in " ".join(ended.stderr.split())
    assert ended.stdout == ""


def test_validate_reads_a_file_without_any_connection(
    untouched: World, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    untouched.deploy()
    for name in untouched.variables():
        monkeypatch.delenv(name, raising=False)
    file = untouched.deployments / "late.yaml"
    code, out, _ = invoke("validate", file)
    assert code == 0
    assert "is a valid deployment: late, challengers other, a_a_check" in " ".join(out.split())
    file.write_text(file.read_text().replace("brier_score", "brier"))
    code, _, err = invoke("validate", file)
    assert code == 1
    assert "policy.rules[0].metric == 'brier', must be one of brier_score" in " ".join(err.split())


def test_no_password_is_in_what_a_day_logs(reading: World, invoke: Invoke, caplog: pytest.LogCaptureFixture) -> None:
    reading.deploy(challengers=[OTHER])
    with caplog.at_level("DEBUG"):
        code, out, err = invoke("run", "late", "--from", day(0))
    assert code == 0
    for password in passwords(reading.postgres):
        assert password not in out + err + caplog.text


def test_a_doubtful_policy_is_warned_of_and_refused_only_where_that_is_asked_for(
    untouched: World, invoke: Invoke
) -> None:
    untouched.deploy(policy={"alpha": 0.2})
    file = untouched.deployments / "late.yaml"
    code, out, err = invoke("validate", file)
    assert code == 0
    assert "is a valid deployment" in " ".join(out.split())
    assert "warning deployment late: policy.alpha == 0.2, above 0.1" in " ".join(err.split())
    assert "late.yaml:" in err
    assert invoke("validate", file, "--strict")[0] == 1
    untouched.deploy(policy={"alpha": 0.05, "burn_in": 28})
    assert invoke("validate", file, "--strict")[0] == 0
