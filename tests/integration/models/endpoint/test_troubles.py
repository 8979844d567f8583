"""Servers that are busy, slow, away, or of another version."""

import datetime as dt
import re
from email.utils import format_datetime
from typing import Any

import numpy as np
import pytest

from shadow_deployment.errors import CredentialsError, ModelError, ShadowError, TransientError
from shadow_deployment.models.remote import calls, endpoint
from shadow_deployment.models.remote.calls import RetryLimits
from tests.clock import Clock
from tests.integration.models.endpoint.asking import QUICK, answered, flights, predictor, refusal
from tests.integration.models.inference_server import Server, changed, drip, hang, reset, status


@pytest.mark.parametrize("code", [429, 503])
@pytest.mark.parametrize("retry_after", [None, "0", "0.2", "1", "soon", "date", "-1"])
def test_a_busy_server_is_waited_for(
    server: Server, code: int, retry_after: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(calls.time, "sleep", slept.append)
    monkeypatch.setattr(calls, "RETRY_LIMITS", RetryLimits(seconds=60, first=0.5, longest=2.0))
    when = format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=20), usegmt=True)
    headers = {"Retry_After": when if retry_after == "date" else retry_after} if retry_after else {}
    server.faults = [status(code, **headers)] * 2
    answers = predictor(server).predict(flights(3))
    assert (answered(answers), server.sizes, len(slept)) == ([0, 1, 2], [3, 3, 3], 2)
    low, high = {"1": (1.0, 1.0), "date": (15.0, 20.0)}.get(retry_after or "", (0.25, 0.5))
    assert low <= slept[0] <= high
    assert min(low, 1.0) <= slept[1] <= max(high, 1.0)


def test_patience_with_a_busy_server_ends(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(calls.time, "sleep", slept.append)
    monkeypatch.setattr(calls, "RETRY_LIMITS", RetryLimits(seconds=10, first=1.0, longest=2.0))
    model = predictor(server)
    server.always = status(503)
    message = refusal(lambda: model.predict(flights(3)), TransientError)
    assert re.search(r"HTTP 503 Service Unavailable, \d+ times$", message)
    assert 6 < sum(slept) <= 10
    slept.clear()
    server.always = status(429, Retry_After="3600")
    assert "HTTP 429 Too Many Requests, once, and asks for 3600 s more" in refusal(
        lambda: model.predict(flights(3)), TransientError
    )
    assert not slept


@pytest.mark.parametrize("fault", [reset, status(502), status(504)])
def test_what_breaks_is_tried_again_and_then_left_to_a_later_try(server: Server, fault: Any) -> None:
    model = predictor(server)
    server.faults = [fault, fault]
    assert answered(model.predict(flights(3))) == [0, 1, 2]
    server.asked.clear()
    server.always = fault
    message = refusal(lambda: model.predict(flights(3)), TransientError)
    assert message.startswith(f"challenger served: model == {server.model!r}: ")
    assert message.endswith("3 times")
    assert len(server.asked) == QUICK.attempts


def test_a_server_that_is_not_there_is_left_to_a_later_try(server: Server) -> None:
    server.port = 9  # nobody listens on it
    assert "the connection fails: ConnectError" in refusal(lambda: predictor(server), TransientError)


@pytest.mark.parametrize("fault", [hang, drip])
def test_a_row_that_takes_too_long_is_an_error_of_its_own(server: Server, fault: Any) -> None:
    server.faults = [None, fault, fault, fault]
    answers = predictor(server, limits={"rows": 4, "seconds": 1}).predict(flights(8))
    assert answers.errors == {4: "no response within 1 s"}


@pytest.mark.parametrize("fault", [hang, drip])
def test_a_server_that_hangs_is_left_to_a_later_try(server: Server, fault: Any) -> None:
    model = predictor(server, limits={"rows": 4})
    model._seconds = model._client.timeout = 0.1  # it has described itself at leisure
    server.always = fault
    assert "no response within 0.1 s, 3 times in a row" in refusal(lambda: model.predict(flights(2)), TransientError)
    assert "no response within 0.1 s, 8 times in a row" in refusal(lambda: model.predict(flights(64)), TransientError)
    server.when_described = [fault]
    assert "no response within" in refusal(lambda: predictor(server, limits={"seconds": 0.1}), TransientError)


def test_an_answer_without_end_is_not_read(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "LARGEST_RESPONSE", 1 << 20)
    model = predictor(server)
    server.always = status(200, b" " * (3 << 20))
    assert model.predict(flights(1)).errors == {0: "the response is larger than 1 MB"}


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        (401, CredentialsError, "put the credentials for this server into a connection, and name it as conn_id"),
        (403, CredentialsError, "put the credentials for this server into a connection, and name it as conn_id"),
        (301, ModelError, "it redirects, must be the address of the model itself"),
        (307, ModelError, "it redirects, must be the address of the model itself"),
        (404, ModelError, "load the model and this version there, or correct the address"),
        (415, ModelError, "is this a server of the Open Inference Protocol?"),
        (204, ModelError, "is this a server of the Open Inference Protocol?"),
    ],
)
def test_an_error_about_no_row_ends_the_task(server: Server, code: int, kind: type[ShadowError], text: str) -> None:
    model = predictor(server)
    server.faults = [None, status(code, b"", Location=f"http://127.0.0.1:{server.port}/v2/models/other")]
    message = refusal(lambda: model.predict(flights(600)), kind)
    assert f"HTTP {code}" in message
    assert text in message
    assert len(server.asked) == 2
    if code != 404:
        server.when_described = [status(code, b"")]
        assert text in refusal(lambda: predictor(server), kind)


@pytest.mark.parametrize(
    ("fault", "text"),
    [(status(200, b"<html>"), "not JSON"), (status(400, {"error": "unknown model"}), "HTTP 400 Bad Request: unknown")],
)
def test_metadata_that_are_none_are_refused(server: Server, fault: Any, text: str) -> None:
    server.when_described = [fault]
    message = refusal(lambda: predictor(server), ModelError)
    assert text in message
    assert "is this a server of the Open Inference Protocol?" in message


def test_another_version_is_refused(server: Server) -> None:
    assert not predictor(server).predict(flights(1)).errors
    assert not predictor(server, suffix="/versions/1", version="of spring").predict(flights(1)).errors
    for changes in ({"version": "2"}, {"suffix": "/versions/2"}):
        message = refusal(lambda changes=changes: predictor(server, **changes), ModelError)  # type: ignore[misc]
        assert "the server has version 1, must have 2" in message
    server.is_described = False
    message = refusal(lambda: predictor(server, version="2").predict(flights(1)), ModelError)
    assert "the server has version 1, must have 2, the challenger's version: evidence is of one version" in message


def test_a_version_that_changes_in_the_middle_of_a_day_ends_the_task(server: Server) -> None:
    server.faults = [None, changed(lambda message: message | {"model_version": "2"})]
    message = refusal(lambda: predictor(server, limits={"rows": 2}).predict(flights(8)), ModelError)
    assert "the server has version 2, must have 1" in message
    assert len(server.asked) == 2


def test_a_server_that_does_not_tell_its_version_is_believed_once_it_has_only_one(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    server.version = None
    model = predictor(server, version="of spring", limits={"rows": 2})
    assert answered(model.predict(flights(6))) == list(range(6))
    assert caplog.text.count("the server does not say which version predicts") == 1
    server.metadata = server.described() | {"versions": ["1", "2"]}
    message = refusal(lambda: predictor(server).predict(flights(1)), ModelError)
    assert "the server has versions 1, 2 and does not say which of them predicts; put /versions/VERSION into" in message
    assert not predictor(server, suffix="/versions/2").predict(flights(1)).errors


def test_calls_keep_to_the_rate_that_is_allowed(server: Server, clock: Clock) -> None:
    model = predictor(server, limits={"rows": 1, "calls_per_second": 2})
    server.faults = [None, status(503)]
    answers = model.predict(flights(5))
    assert np.diff(server.moments).tolist() == pytest.approx([0.5] * 5)
    assert answers.latency_ms is not None
    assert answers.latency_ms.tolist() == [0.0] * 5  # the time of the answer, not of the wait before it
