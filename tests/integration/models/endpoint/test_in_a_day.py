"""Latency, credentials and evidence of a model behind a server."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from numpy.testing import assert_allclose

from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.connections import Connection
from shadow_deployment.errors import CredentialsError, TransientError
from shadow_deployment.pipeline import run
from tests.clock import Clock
from tests.integration.models.endpoint.asking import QUICK, SECRET, _Renamed, flights, predictor, refusal, scored_by
from tests.integration.models.inference_server import Server, changed, status
from tests.production import World, day


def test_latency_is_that_of_the_answer_and_goes_to_the_ledger(server: Server, clock: Clock) -> None:
    slow = changed(lambda message: clock.sleep(0.1))
    server.faults = [slow, None]
    model = predictor(server, limits={"rows": 2})
    server.faults = [slow, status(503), None]
    latency = scored_by(_Renamed(model), [1.0, 2.0, 3.0, 4.0])["latency_ms"].to_pylist()
    assert latency == pytest.approx([50, 50, 0, 0])
    assert clock.now > 0.1  # it has waited before its second try


def declared(server: Server, **changes: Any) -> Connection:
    fields = {"host": "127.0.0.1", "port": server.port, "database": "http", "password": SECRET, **changes}
    return Connection("inference", **fields)


@pytest.mark.parametrize(
    ("changes", "header", "expected"),
    [
        ({}, "Authorization", f"Bearer {SECRET}"),
        ({"login": "ada"}, "Authorization", "Basic YWRhOm5ldmVyVG9CZVNlZW5JbkFueVRleHQ="),
        ({"password": None, "extra": {"headers": {"X-Key": SECRET}}}, "X-Key", SECRET),
        ({"host": "http://127.0.0.1", "port": None, "database": None}, "Authorization", f"Bearer {SECRET}"),
    ],
)
def test_credentials_of_the_connection_are_sent(
    server: Server, changes: dict[str, Any], header: str, expected: str
) -> None:
    predictor(server, declared(server, **changes), conn_id="inference").predict(flights(1))
    assert server.headers[0][header] == expected
    assert "application/json" in server.headers[0]["Content-Type"]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"host": "other.example.org"}, "host other.example.org, must be 127.0.0.1"),
        ({"host": None}, "names no host, must name 127.0.0.1"),
        ({"port": 1}, "port 1, must be"),
        ({"database": "https"}, "schema https, must be http"),
        ({"host": "https://127.0.0.1"}, "schema https, must be http"),
        ({"password": f"{SECRET}\n"}, "the password holds characters that no header can hold"),
        ({"extra": {"headers": {"X": f"{SECRET}\r\nY: 1"}}}, "header X holds characters"),
        ({"extra": {"headers": SECRET}}, "headers in its extra must be an object"),
        ({"extra": {"verify": "/no/such/file"}}, "verify in its extra must be true, false or the path of a file"),
    ],
)
def test_credentials_go_to_the_host_that_their_connection_names_and_to_no_other(
    server: Server, changes: dict[str, Any], text: str
) -> None:
    server.headers.clear()
    assert text in refusal(lambda: predictor(server, declared(server, **changes)), CredentialsError)
    assert server.headers == []


def test_a_refusal_names_the_connection_and_neither_its_secret_nor_what_the_server_repeats(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.when_described = [status(401, b"no")]
    with caplog.at_level(logging.INFO):
        message = refusal(lambda: predictor(server, declared(server), conn_id="inference"), CredentialsError)
    assert "put the credentials for this server into connection inference" in message
    assert SECRET not in caplog.text


def test_the_evidence_is_that_of_the_file(
    server: Server, path: Path, worlds: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = worlds()
    server.poison = None
    shadow = world.shadow(
        challengers=[
            {"name": "filed", "model": f"onnx:{path}"},
            {"name": "served", "model": server.model, "limits": {"rows": 7}},
        ]
    )
    for number in range(2):
        assert not run.run_day(shadow, day(number))
    evidence = world.evidence()
    filed, served = (
        evidence[evidence["challenger"] == name].drop(columns=["challenger", "digest"]).reset_index(drop=True)
        for name in ("filed", "served")
    )
    assert len(filed) == len(served) > 20
    numbers = filed.select_dtypes("number").columns
    assert_allclose(served[numbers].to_numpy(float), filed[numbers].to_numpy(float), rtol=0, atol=1e-6)
    others = [name for name in filed.columns if name not in numbers]
    assert filed[others].equals(served[others])
    assert evidence["digest"].nunique() == 2
    assert max(server.sizes) == 7
    assert world.query("SELECT count(*) FROM shadow.prediction WHERE error IS NOT NULL")[0][0] == 0


def test_a_server_that_goes_away_leaves_nothing_half_written_and_the_next_try_ends_the_day(
    server: Server, worlds: Callable[..., World]
) -> None:
    world = worlds()
    shadow = world.shadow(challengers=[{"name": "served", "model": server.model, "limits": {"rows": 7}}])
    server.faults = [None] * 5 + [status(502)] * QUICK.attempts
    with pytest.raises(TransientError):
        run.run_day(shadow, day(0))
    stored = world.query("SELECT shard, rows, errors FROM shadow.scoring")
    assert stored == [(0, 25, 0)]
    assert world.query("SELECT count(*) FROM shadow.prediction") == [(25,)]
    assert not run.run_day(shadow, day(0))
    assert world.query("SELECT sum(rows)::int, sum(errors)::int FROM shadow.scoring") == [(60, 0)]


def test_the_connection_of_conn_id_is_the_one_that_is_used(server: Server, worlds: Callable[..., World]) -> None:
    from shadow_deployment.config.window import window_of
    from shadow_deployment.models.loading import load

    world = worlds()
    challenger = {"name": "served", "model": server.model, "conn_id": "inference"}
    deployment = world.deploy(challengers=[challenger])
    shadow = DeploymentContext(deployment, lambda conn_id: declared(server, password=f"{SECRET}{conn_id}"))
    model = load(shadow, deployment.challengers[0], window_of(deployment, day(0)))
    assert not model.predict(flights(2)).errors
    assert server.headers[0]["Authorization"] == f"Bearer {SECRET}inference"
    assert json.dumps(challenger).count(SECRET) == 0
