"""Alerts without the ledger, the commands that show and send them, and that nobody changes their history."""

import functools
import json
import sys
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from shadow_deployment.alerting import deduplication, outbox
from shadow_deployment.cli.commands import alerts as cli_alerts
from shadow_deployment.context import DeploymentContext
from shadow_deployment.errors import LedgerError, TransientError
from shadow_deployment.ledger import alerts as ledger
from tests.conftest import Invoke
from tests.integration.alerting.outbox.sending import CHANNELS, NAMES, Recorder, failed, one, opened
from tests.production import SHADOW, World, day


def lost(shadow: DeploymentContext) -> DeploymentContext:
    """The same deployment with a ledger where nobody listens."""
    from dataclasses import replace

    found = shadow.connections
    return DeploymentContext(shadow.deployment, lambda conn_id: replace(found(conn_id), host="127.0.0.1", port=1))


def test_without_the_ledger_the_alert_holds_the_gates_own_words(shadow: DeploymentContext, send: Recorder) -> None:
    deliveries = failed(lost(shadow), 1, send, "connection shadow_db is lost")
    assert send.names == NAMES
    assert all(found.error is None for found in deliveries)
    alert = send.taken[0][1]
    assert alert.lines[0] == "connection shadow_db is lost"
    assert alert.lines[-1].startswith("The ledger cannot be read (connection shadow_db")
    assert alert.lines[-1].endswith("so this alert may be repeated.")


def test_without_the_ledger_a_channel_that_fails_keeps_no_other_from_its_alert(
    shadow: DeploymentContext, send: Recorder
) -> None:
    send.away = {NAMES[0]: ValueError("x")}
    deliveries = failed(lost(shadow), 1, send)
    assert [found.error for found in deliveries] == ["ValueError", None, None, None]


def test_a_ledger_that_is_lost_in_between_leaves_no_channel_out_and_repeats_none(
    shadow: DeploymentContext, send: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, left = ledger.record, [2]

    def gone(*arguments: Any) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise psycopg.OperationalError("the connection is lost")
        record(*arguments)

    monkeypatch.setattr(ledger, "record", gone)
    outbox.send_alert(shadow, one(shadow), send)
    assert send.names == NAMES


def test_a_ledger_that_is_lost_once_it_has_named_who_waits_reaches_these_only(
    shadow: DeploymentContext, send: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    send.away = {"slack:slack_default": TransientError("away")}
    outbox.send_alert(shadow, one(shadow), send)
    send.away = {}
    monkeypatch.setattr(outbox, "_selected", functools.partial(_once_lost, outbox._selected, [True]))
    outbox.send_alert(shadow, one(shadow), send)
    assert send.names == NAMES


def _once_lost(named: Callable[..., list[str]], first: list[bool], *arguments: Any) -> list[str]:
    if first.pop() if first else False:
        raise psycopg.OperationalError("the connection is lost")
    return named(*arguments)


def test_where_nothing_can_be_sent_without_the_ledger_its_error_is_raised(
    shadow: DeploymentContext, send: Recorder
) -> None:
    with pytest.raises(TransientError):
        opened(lost(shadow), 1, send)
    assert not send.taken


def test_an_alert_that_cannot_be_built_holds_the_gates_own_words(
    shadow: DeploymentContext, send: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deduplication, "gate_failed_alert", lambda *_, **__: 1 / 0)
    failed(shadow, 1, send)
    assert send.names == NAMES
    assert "ZeroDivisionError" in send.taken[0][1].lines[-1]


def test_history_cannot_be_changed(world: World, shadow: DeploymentContext, send: Recorder) -> None:
    outbox.send_alert(shadow, one(shadow), send)
    for table in ("alert", "delivery"):
        with (
            psycopg.connect(world.postgres.uri(world.ledger, SHADOW)) as session,
            pytest.raises(psycopg.errors.RaiseException),
        ):
            session.execute(f"DELETE FROM shadow.{table}")


def test_command_shows_which_channel_got_which_alert(shadow: DeploymentContext, send: Recorder, invoke: Invoke) -> None:
    assert invoke("alerts", "late") == (0, "late: no alerts yet\n", "")
    send.away = {"slack:slack_default": TransientError("Slack refuses it: HTTP 500")}
    outbox.send_alert(shadow, one(shadow, reason="[red]odd[/]"), send)
    code, shown, _ = invoke("alerts", "late")
    assert code == 0
    assert "other 1" in shown
    assert "email:a@example.org" in shown
    assert "slack:slack_default: Slack" in shown
    [line] = invoke("alerts", "late", "--json")[1].splitlines()
    found = json.loads(line)
    assert found["delivered"] == NAMES[:3]
    assert found["undelivered"] == {"slack:slack_default": "Slack refuses it: HTTP 500"}
    assert found["alert"]["details"]["reason"] == "[red]odd[/]"
    assert "channels" not in found["alert"]


def test_command_tries_again_and_fails_where_that_fails(
    shadow: DeploymentContext, send: Recorder, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli_alerts, "_sender", lambda: send)
    send.away = {"slack:slack_default": TransientError("away")}
    outbox.send_alert(shadow, one(shadow), send)
    assert invoke("alerts", "late", "--send")[0] == 1
    send.away = {}
    assert invoke("alerts", "late", "--send")[0] == 0
    assert send.names == NAMES
    calls = send.calls
    assert invoke("alerts", "late", "--send")[0] == 0
    assert send.calls == calls


def test_the_commands_sender_is_that_of_the_channels() -> None:
    from shadow_deployment.integrations.channels import send

    assert cli_alerts._sender() is send


def test_without_airflow_the_command_says_what_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "shadow_deployment.integrations.channels", None)
    with pytest.raises(LedgerError, match=r"shadow_deployment\.integrations\.channels is not installed"):
        cli_alerts._sender()


def test_running_days_on_the_command_line_sends_no_alert(world: World, invoke: Invoke) -> None:
    world.deploy(alerts={"channels": CHANNELS})
    assert invoke("run", "late", "--from", day(0))[0] == 0
    assert world.query("SELECT count(*) FROM shadow.alert") == [(0,)]
