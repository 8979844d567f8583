"""The doctor: everything that can be missing is named, with what to do about it."""

import importlib.metadata
import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import psycopg
import pytest

from shadow_demo.postgres import SUPERUSER
from shadow_deployment.doctor.checks import Probe, SkippedError, examine
from shadow_deployment.doctor.packages import probes as package_probes
from shadow_deployment.errors import TransientError
from tests.conftest import Invoke, database, declare
from tests.integration.doctor.conftest import failed
from tests.production import OWNER, READER, SHADOW, World, day, linear_model
from tests.receivers import HOST

ELSEWHERE = {"Airflow", "pool", "isolation"}  # of an Airflow that no test here has
UNINDEXED = {"index requests.time", "index labels.id"}  # in this production, whose days are small


def test_where_all_is_there_all_is_ok(reading: World, examined: Callable[..., Any]) -> None:
    rule = {"metric": "brier_score", "is": "superior"}
    deployment = reading.deploy(policy={"burn_in": 28, "rules": [rule]})
    checks = examined()
    assert {name for name, one in checks.items() if one["state"] != "ok"} - ELSEWHERE == {"alert channels"} | UNINDEXED
    assert checks["alert channels"]["state"] == "warning"
    assert "nobody is told" in checks["alert channels"]["result"]
    wanted = {"ledger", "migrations", "ledger rights", "production", "production is read only", "tables and columns"}
    assert wanted | {f"model {one.name}" for one in deployment.challengers} | {"snapshots", "suites"} <= set(checks)
    assert READER in checks["production is read only"]["result"]
    assert [path.name for path in reading.snapshots.rglob("*") if path.is_file()] == ["doctor.json"]
    assert checks["labels join"]["result"] == f"50 of 60 requests of {day(3)} find a label (83.3%)"
    assert checks["logged version"]["result"] == "the newest 60 requests are of 7"
    assert checks["filtered log"]["result"].startswith("no sign in 60 requests")
    assert "has 19 of the 20 newest requests" in checks["model other"]["result"]


def test_the_table_shows_what_to_do(reading: World, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    reading.deploy(requests={"table": "flights.prediction_logs"})
    code, out, _ = invoke("doctor", "late")
    assert code == 1
    text = " ".join(out.split())
    assert "tables and columns failed requests.table == 'flights.prediction_logs'" in text
    assert "remedy correct requests, labels and" in text


@pytest.mark.parametrize(
    ("grant", "said"),
    [
        ("GRANT INSERT ON flights.outcome TO {role}", "may INSERT flights.outcome"),
        ("GRANT DELETE, UPDATE ON flights.prediction_log TO {role}", "may UPDATE, DELETE flights.prediction_log"),
        ("GRANT TRUNCATE ON flights.outcome TO {role}", "may TRUNCATE flights.outcome"),
        ("GRANT CREATE ON SCHEMA flights TO {role}", "may make tables in schema flights"),
        ("CREATE SEQUENCE flights.s; GRANT USAGE ON SEQUENCE flights.s TO {role}", "the sequence flights.s"),
        ("CREATE TABLE public.other (a int); GRANT UPDATE ON public.other TO PUBLIC", "may UPDATE public.other"),
    ],
)
def test_a_role_that_could_write_production_is_refused(
    grant: str, said: str, world: World, examined: Callable[..., Any]
) -> None:
    world.deploy()
    with psycopg.connect(world.postgres.uri(world.production, SUPERUSER), autocommit=True) as session:
        for statement in grant.format(role=READER).split("; "):
            session.execute(statement.encode())
    failures = failed(examined())
    assert set(failures) == {"production is read only"}
    assert said in failures["production is read only"]


@pytest.mark.parametrize(("role", "said"), [(OWNER, "may INSERT, UPDATE"), (SUPERUSER, "is a superuser")])
def test_an_owner_or_superuser_is_no_reader(
    role: str, said: str, reading: World, examined: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading.deploy()
    monkeypatch.setenv("AIRFLOW_CONN_PRODUCTION_DB", reading.postgres.uri(reading.production, role))
    assert said in failed(examined())["production is read only"]


def test_a_ledger_that_is_not_there_or_not_migrated(
    reading: World, examined: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading.deploy()
    empty = database(reading.postgres, SHADOW)
    monkeypatch.setenv("AIRFLOW_CONN_SHADOW_DB", reading.postgres.uri(empty, SHADOW))
    checks = examined()
    assert set(failed(checks)) == {"migrations"}
    assert checks["migrations"]["remedy"] == "shadow migrate"
    assert checks["ledger rights"] == {**checks["ledger rights"], "state": "skipped", "result": "needs migrations"}
    monkeypatch.delenv("AIRFLOW_CONN_SHADOW_DB")
    checks = examined()
    assert set(failed(checks)) == {"ledger"}
    assert "connection shadow_db is not declared" in checks["ledger"]["result"]


def test_a_role_that_cannot_keep_evidence(
    reading: World, examined: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading.deploy()
    with psycopg.connect(reading.postgres.uri(reading.ledger, SUPERUSER), autocommit=True) as session:
        session.execute(f"GRANT USAGE ON SCHEMA shadow TO {READER}".encode())
        session.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA shadow TO {READER}".encode())
    monkeypatch.setenv("AIRFLOW_CONN_SHADOW_DB", reading.postgres.uri(reading.ledger, READER))
    failure = failed(examined())["ledger rights"]
    assert "may not call shadow.ensure_partitions" in failure
    assert "may not INSERT shadow.alert" in failure


def test_indexes_that_are_missing_are_created_by_the_remedy(world: World, examined: Callable[..., Any]) -> None:
    world.change_production("CREATE VIEW flights.seen AS SELECT * FROM flights.outcome")
    world.change_production(f"GRANT SELECT ON flights.seen TO {READER}")
    world.change_production(
        "CREATE TABLE flights.profile AS SELECT request_id, predicted_at AS known_at, dep_hour / 20 AS spend "
        "FROM flights.prediction_log"
    )
    wanted = {"conn_id": "production_db", "table": "flights.profile", "id": "request_id", "known_at": "known_at"}
    own = {
        "name": "own",
        "model": f"onnx:{linear_model(world.folder / 'own.onnx', {'spend': 1.0})}",
        "features_from": {**wanted, "features": ["spend"]},
    }
    logged = {"name": "other", "model": "logged:flights.prediction_log.other_probability"}
    world.deploy(labels={"table": "flights.seen"}, challengers=[logged, own])
    checks = examined()
    of_features = "index challengers[1].features_from"
    unindexed = UNINDEXED | {of_features}
    assert {
        name for name, check in checks.items() if name.startswith("index ") and check["state"] == "warning"
    } == unindexed
    assert "flights.profile has no index on request_id, known_at" in checks[of_features]["result"]
    assert "answers the 20 newest requests" in checks["model own"]["result"]
    assert "flights.seen and flights.profile have what" in checks["tables and columns"]["result"]
    assert "flights.prediction_log has no index on predicted_at" in checks["index requests.time"]["result"]
    assert checks["index requests.id"]["state"] == "ok"
    for name in unindexed:
        statement, _, of_views = checks[name]["remedy"].partition("; ")
        assert of_views == "where that is a view, on the table behind it"
        with psycopg.connect(world.postgres.uri(world.production, OWNER), autocommit=True) as session:
            session.execute(statement.replace('"seen"', '"outcome"').encode())
    assert {check["state"] for name, check in examined().items() if name.startswith("index ")} == {"ok"}


def test_each_model_is_called_with_the_newest_requests(world: World, examined: Callable[..., Any]) -> None:
    world.change_production(
        "UPDATE flights.prediction_log SET dep_hour = NULL WHERE request_id IN "
        "(SELECT request_id FROM flights.prediction_log ORDER BY predicted_at DESC LIMIT 3)"
    )
    linear = linear_model(world.folder / "linear.onnx", {"dep_hour": 0.1, "distance": -0.001})
    answers = "python:tests.integration.corpus.answers"
    models = {"windy": f"{answers}:asks_for_wind", "far": f"{answers}:sorted_by_value", "linear": f"onnx:{linear}"}
    world.deploy(challengers=[{"name": name, "model": model} for name, model in models.items()])
    checks = examined()
    assert set(failed(checks)) == {"model windy", "model far"}
    assert (
        "fails on all of the 20 newest requests: ModelCallError: KeyError: the model needs the column wind"
        in (checks["model windy"]["result"])
    )
    assert "must be probabilities from 0 to 1" in checks["model far"]["result"]
    assert (checks["model linear"]["state"], "fails on 3 of the 20 newest requests: the model predicted nan") == (
        "warning",
        checks["model linear"]["result"].partition(" ")[2].partition(";")[0],
    )


def test_a_log_without_requests_is_no_failure(
    worlds: Callable[..., World], empty_production: str, examined: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = declare(worlds(production=empty_production), monkeypatch)
    linear = linear_model(world.folder / "linear.onnx", {"dep_hour": 0.1})
    world.deploy(challengers=[{"name": "linear", "model": f"onnx:{linear}"}])
    checks = examined()
    assert failed(checks) == {}
    assert (checks["newest requests"]["state"], checks["labels join"]["result"]) == ("skipped", "needs newest requests")
    assert "not called, as there is no request to call it with" in checks["model linear"]["result"]


def test_every_other_check_goes_on_without_production(
    reading: World, examined: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading.deploy()
    monkeypatch.setenv("AIRFLOW_CONN_PRODUCTION_DB", "postgresql://nobody:s3cret@127.0.0.1:1/none")
    checks = examined()
    assert set(failed(checks)) == {"production"}
    assert "s3cret" not in json.dumps(checks)
    assert checks["model other"]["state"] == checks["tables and columns"]["state"] == "skipped"
    assert checks["ledger rights"]["state"] == checks["snapshots"]["state"] == "ok"


def test_models_suites_and_snapshots_that_are_missing(reading: World, examined: Callable[..., Any]) -> None:
    reading.folder.joinpath("file").write_text("in the way")
    reading.deploy(
        challengers=[{"name": "lost", "model": "onnx:include/models/lost.onnx"}],
        expectations={"inputs": "include/expectations/lost.json"},
        store={"snapshots": str(reading.folder / "file" / "snapshots")},
    )
    failures = failed(examined())
    assert set(failures) == {"model lost", "suites", "snapshots"}
    assert "lost.onnx does not exist" in failures["model lost"]
    assert "lost.json" in failures["suites"]
    assert "cannot be written" in failures["snapshots"]


def test_a_broken_deployment_file_is_its_only_check(reading: World, invoke: Invoke) -> None:
    reading.deploy()
    path = reading.deployments / "late.yaml"
    path.write_text(path.read_text().replace("task: binary", "task: binry"))
    code, out, _ = invoke("doctor", "--json")
    checks = [check for check in json.loads(out) if check["about"] == "late"]
    assert (code, [check["what"] for check in checks]) == (1, ["deployment file"])
    assert "task == 'binry'" in checks[0]["result"]


@pytest.mark.parametrize(("status", "state"), [(200, "ok"), (406, "ok"), (302, "ok"), (503, "failed")])
def test_a_dependency_must_answer(status: int, state: str, reading: World, examined: Callable[..., Any]) -> None:
    with answering(status) as address:
        reading.deploy(dependencies=[{"name": "mcp", "url": f"{address}/mcp"}])
        check = examined()["dependency mcp"]
    assert (check["state"], str(status) in check["result"]) == (state, True)
    assert failed(examined()) == {"dependency mcp": f"{address}/mcp does not answer: ConnectError"}


class answering:  # noqa: N801 (used as a context manager)
    def __init__(self, status: int, body: bytes = b"") -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: Any) -> None:
                pass

        self.server = ThreadingHTTPServer((HOST, 0), Handler)

    def __enter__(self) -> str:
        Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return f"http://{HOST}:{self.server.server_address[1]}"

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def test_the_health_of_airflow_is_checked(
    reading: World, examined: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    reading.deploy()
    well = {"metadatabase": {"status": "healthy"}, "scheduler": {"status": "healthy"}, "triggerer": {"status": None}}
    ill = {**well, "scheduler": {"status": "unhealthy"}}
    for health, state, words in (
        (well, "ok", "metadatabase, scheduler are healthy"),
        (ill, "failed", "scheduler is un"),
    ):
        with answering(200, json.dumps(health).encode()) as address:
            monkeypatch.setenv("AIRFLOW__CORE__EXECUTION_API_SERVER_URL", f"{address}/execution/")
            check = examined()["Airflow"]
        assert (check["state"], words in check["result"]) == (state, True), check
    assert "does not answer as Airflow does" in failed(examined())["Airflow"]


def test_packages_that_are_missing_or_old_are_named(tmp_path: Path) -> None:
    file = tmp_path / "pyproject.toml"
    wanted = ["no-such-package-here>=1", "numpy<1", "pyarrow>=10", 'nothing-at-all; python_version < "3"']
    file.write_text(f'[project]\nrequires-python = "<3.9"\ndependencies = {json.dumps(wanted)}\n')
    python, packages, _ = examine("here", package_probes(file))
    assert "must be <3.9" in python.result
    assert packages.result.startswith("no-such-package-here is not installed, must be >=1; numpy is ")
    assert packages.result.endswith("must be <1")
    file.unlink()
    assert {check.state for check in examine("here", package_probes(file))[:2]} == {"skipped"}


def test_the_mcp_server_is_optional_and_says_how_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def installed(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", installed)
    server = next(check for check in examine("here", package_probes()) if check.what == "MCP server")
    assert (server.state, server.result) == (
        "skipped",
        'only shadow mcp needs it: pip install "shadow-deployment[mcp]"',
    )
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "1.30.0")
    server = next(check for check in examine("here", package_probes()) if check.what == "MCP server")
    assert (server.state, server.result) == ("ok", "shadow mcp can serve, with mcp 1.30.0")


def test_one_check_does_not_keep_the_next_from_looking() -> None:
    def raises(error: Exception) -> Callable[[], str]:
        def look() -> str:
            raise error

        return look

    checks = examine(
        "late",
        [
            Probe("a", raises(TransientError("lost")), "find it"),
            Probe("b", raises(KeyError("x")), "report it"),
            Probe("c", raises(SkippedError("cannot tell")), "none"),
            Probe("d", lambda: "fine", "none", ("a", "c", "never probed")),
            Probe("e", lambda: "fine", "none"),
        ],
    )
    assert [(check.state, check.result, check.remedy) for check in checks] == [
        ("failed", "lost", "find it"),
        ("failed", "KeyError: 'x'", "report it"),
        ("skipped", "cannot tell", ""),
        ("skipped", "needs a and c", ""),
        ("ok", "fine", ""),
    ]
