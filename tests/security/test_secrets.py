"""A day that goes wrong in every way, and whatever it has said: no secret is in it, and no value of a feature."""

import html
import json
import logging
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from shadow_deployment.alerting.gate_alert import gate_failed_alert, problems_in
from shadow_deployment.alerting.outbox import send_alert
from shadow_deployment.errors import GateFailed
from shadow_deployment.integrations.channels import send
from shadow_deployment.pipeline import steps
from tests.conftest import Invoke, declare
from tests.integration.models.inference_server import Server, serving
from tests.production import OWNER, READER, SHADOW, World, day, linear_model
from tests.receivers import HOST, Posts, free_port, web_server
from tests.security.planted import HOOK, PASSWORD, SECRETS, TOKEN, VALUES, Heard, plant

MODELS = "python:tests.security.repeating_models:"
RULES = {
    "burn_in": 2,
    "rules": [
        {"metric": "brier_score", "is": "superior"},
        {"metric": "error_rate", "is": "at_most", "value": 0.0001, "slices": ["origin"]},
    ],
}


@pytest.fixture(scope="module")
def world(worlds: Callable[..., World]) -> Iterator[World]:
    """A production with one request that is like no other, and roles whose passwords are easily found again."""
    world = worlds(own=True)
    plant(world)
    world.change_production("DELETE FROM flights.prediction_log WHERE request_id > 'f0007'")
    before = {role: world.postgres.conninfo("postgres", role).password for role in (READER, SHADOW)}
    for role in before:
        world.postgres.ensure_role(role, PASSWORD)
    try:
        yield world
    finally:
        for role, password in before.items():
            world.postgres.ensure_role(role, password)


@pytest.fixture
def server(world: World) -> Iterator[Server]:
    """A model's server that refuses everything, and repeats it."""

    def refuse(handler: Any, asked: dict[str, Any]) -> None:
        handler.say(400, {"error": f"cannot take {[one['data'] for one in asked['inputs']]}, {asked}"})

    with serving(linear_model(world.folder / "m.onnx", {"dep_hour": 1.0})) as found:
        found.is_described = False
        found.always = refuse
        yield found


@pytest.fixture
def hook() -> Iterator[Posts]:
    with web_server() as posts:
        yield posts


@pytest.fixture
def heard(world: World, invoke: Invoke, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Heard:
    """Declare the world, and listen to every log there is."""
    declare(world, monkeypatch)
    caplog.set_level(logging.DEBUG)
    return Heard()


def with_models(world: World, server: Server, **changes: Any) -> Any:
    return world.shadow(
        requests={"features": ["dep_hour", "distance", "carrier"]},
        slices=["origin"],
        challengers=[
            {"name": "raises", "model": f"{MODELS}raises"},
            {"name": "leaves", "model": f"{MODELS}prints_and_leaves"},
            {"name": "server", "model": server.model, "conn_id": "model_api", "limits": {"rows": 64}},
            {"name": "a_a_check", "model": "champion"},
        ],
        policy=RULES,
        **changes,
    )


def ledger(world: World) -> str:
    """Return every row of every table, as text."""
    with psycopg.connect(world.postgres.uri(world.ledger, SHADOW)) as session:
        names = session.execute(
            "SELECT c.relname FROM pg_class AS c WHERE c.relnamespace = 'shadow'::regnamespace AND c.relkind = 'r'"
        ).fetchall()
        rows = [session.execute(f'SELECT t::text FROM shadow."{name}" AS t'.encode()).fetchall() for (name,) in names]
    return "\n".join(str(row) for table in rows for (row,) in table)


def require_silence(heard: Heard) -> None:
    found = [place for planted in [*SECRETS, *VALUES] for place in heard.found(planted)]
    assert not found, "\n".join(found)


def test_a_day_of_failing_models_repeats_no_value_and_no_secret(
    world: World,
    server: Server,
    hook: Posts,
    heard: Heard,
    invoke: Invoke,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    access = {"conn_type": "http", "host": HOST, "port": server.port, "schema": "http", "password": TOKEN}
    monkeypatch.setenv("AIRFLOW_CONN_MODEL_API", json.dumps(access))
    monkeypatch.setenv("AIRFLOW_CONN_HOOK", hook.connection(password=f"{hook.url}/{HOOK}"))
    alerts = {"channels": [{"kind": "webhook", "conn_id": "hook"}]}
    shadow = with_models(world, server, alerts=alerts)
    heard.add("run", *invoke("run", "late", "--from", day(0)))
    answered = world.query("SELECT error FROM shadow.prediction WHERE error IS NOT NULL")
    assert {str(error).partition(":")[0] for (error,) in answered} >= {"ModelCallError", "ModelDiedError"}
    assert any("HTTP 400" in str(error) for (error,) in answered)
    assert any("ValueError: cannot score" in str(error) and "'distance'" in str(error) for (error,) in answered)
    assert any("exit code 3; it had printed: " in str(error) for (error,) in answered)
    with pytest.raises(GateFailed) as closed:
        steps.gate(shadow, day(0))
    for status in (500, 200):
        hook.status = status
        send_alert(
            shadow, gate_failed_alert(shadow.deployment, day(0), problems=problems_in(closed.value), verdicts={}), send
        )
    assert hook.received, "no alert has arrived"
    heard.add("alert", json.dumps(hook.bodies, ensure_ascii=False))
    page = world.folder / "page.html"
    for command in (
        ("verdict", "late"),
        ("verdict", "late", "--json"),
        ("explain", "late", "--challenger", "raises"),
        ("evidence", "late", "--json"),
        ("labels", "late"),
        ("alerts", "late", "--json"),
        ("report", "late", "--out", page),
    ):
        heard.add(" ".join(map(str, command[:1])), *invoke(*command))
    heard.add("page", page.read_text(encoding="utf-8"))
    heard.add("logs", caplog.text, *(record.__dict__ for record in caplog.records))
    heard.add("ledger", ledger(world))
    assert "cannot be scored" in heard.texts["logs"]
    assert len(page.read_text()) > 10_000
    require_silence(heard)


def test_inputs_that_do_not_meet_their_expectations_are_told_without_their_values(
    world: World, heard: Heard, invoke: Invoke, caplog: pytest.LogCaptureFixture
) -> None:
    expectations = [
        {"type": "expect_column_values_to_be_between", "kwargs": {"column": "distance", "max_value": 5000}},
        {"type": "expect_column_values_to_be_in_set", "kwargs": {"column": "carrier", "value_set": ["AA", "UA"]}},
        {"type": "expect_column_values_to_be_between", "kwargs": {"column": "carrier", "max_value": 3}},
        {"type": "expect_column_values_to_match_regex", "kwargs": {"column": "carrier", "regex": "^..$"}},
    ]
    suite = world.folder / "suite.json"
    suite.write_text(json.dumps({"name": "planted", "expectations": expectations}))
    world.deploy(
        name="stopped",
        requests={"features": ["dep_hour", "distance", "carrier"]},
        slices=["origin"],
        expectations={"inputs": str(suite)},
    )
    code, out, err = invoke("run", "stopped", "--from", day(0))
    heard.add("run", out, err)
    assert code == 1
    assert " ".join(err.split()).count("on distance: 1 of 8 rows (12.50%) do not meet it, such as f0003") == 1
    heard.add("verdict", *invoke("verdict", "stopped", "--json"))
    page = world.folder / "stopped.html"
    heard.add("report", *invoke("report", "stopped", "--out", page))
    heard.add("page", page.read_text() if page.exists() else "")
    heard.add("logs", caplog.text)
    heard.add("ledger", ledger(world))
    require_silence(heard)


@pytest.mark.parametrize("which", ["PRODUCTION_DB", "SHADOW_DB"])
@pytest.mark.parametrize("fault", ["nobody there", "refused", "no such database", "no number", "broken JSON"])
def test_a_connection_that_cannot_be_used_keeps_its_password(
    world: World,
    heard: Heard,
    invoke: Invoke,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    which: str,
    fault: str,
) -> None:
    world.deploy()
    quoted = urllib.parse.quote(PASSWORD, safe="")
    port = world.postgres.port
    monkeypatch.setenv(
        f"AIRFLOW_CONN_{which}",
        {
            "nobody there": f"postgresql://{READER}:{quoted}@{HOST}:{free_port()}/none",
            "refused": f"postgresql://{OWNER}:{quoted}@{HOST}:{port}/{world.production}",
            "no such database": f"postgresql://{READER}:{quoted}@{HOST}:{port}/none",
            "no number": f"postgresql://{READER}:{PASSWORD}@{HOST}:{port}/none",
            "broken JSON": json.dumps({"host": HOST, "password": PASSWORD})[:-1],
        }[fault],
    )
    code, out, err = invoke("run", "late", "--from", day(0))
    assert code == 1
    assert f"connection {which.lower()}" in " ".join(err.split())
    heard.add("run", out, err)
    heard.add("doctor", *invoke("doctor", "late", "--json"))
    heard.add("logs", caplog.text)
    require_silence(heard)


@pytest.mark.parametrize("planted", [*SECRETS, *VALUES])
def test_what_was_planted_would_be_found(planted: str) -> None:
    """The search itself: each form in which a secret or a value may be written."""
    for written in (planted, urllib.parse.quote(planted, safe=""), json.dumps({"a": planted}), html.escape(planted)):
        heard = Heard()
        heard.add("somewhere", f"before {written} after")
        assert heard.found(planted)
