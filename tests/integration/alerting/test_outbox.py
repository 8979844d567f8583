"""What is told is told once: by the ledger, over retries, failures of channels, killed processes and a lost ledger."""

import datetime as dt
import functools
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import psycopg
import pytest

from shadow_deployment.alerting import deduplication, gate_alert, outbox
from shadow_deployment.alerting import messages as alerts
from shadow_deployment.cli.commands import alerts as cli_alerts
from shadow_deployment.config import discovery
from shadow_deployment.config.actions import Channel
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.connections import environment
from shadow_deployment.decision.words.finding import Outcome
from shadow_deployment.errors import LedgerError, TransientError
from shadow_deployment.ledger import alerts as ledger
from shadow_deployment.ledger.alerts import Alert
from tests.conftest import Invoke, declare
from tests.integration.promotion.test_registry import judge
from tests.production import SHADOW, World, day

CHANNELS = [
    {"kind": "webhook", "conn_id": "hook"},
    {"kind": "email", "to": ["a@example.org", "b@example.org"]},
    {"kind": "slack"},
]
NAMES = ["webhook:hook", "email:a@example.org", "email:b@example.org", "slack:slack_default"]


class Recorder:
    """Stands for the channels: keeps what each takes, and lets those fail that are away."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, Alert]] = []
        self.away: dict[str, Exception] = {}
        self.calls = 0

    def __call__(self, channel: Channel, alert: Alert) -> None:
        self.calls += 1
        name = f"email:{channel.to[0]}" if channel.kind == "email" else f"{channel.kind}:{channel.conn_id}"  # type: ignore[union-attr]
        if name in self.away:
            raise self.away[name]
        self.taken.append((name, alert))

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.taken]

    @property
    def titles(self) -> list[str]:
        return [alert.title for _, alert in self.taken]


@pytest.fixture
def send() -> Recorder:
    return Recorder()


@pytest.fixture
def world(worlds: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> World:
    return declare(worlds(), monkeypatch)


@pytest.fixture
def shadow(world: World) -> DeploymentContext:
    return world.shadow(alerts={"channels": CHANNELS})


def one(shadow: DeploymentContext, **changes: Any) -> Alert:
    values = {"name": "other", "version": "1", "approved_by": "ada", "reason": "better", **changes}
    return alerts.champion_changed(shadow.deployment, day(1), kind="promoted", **values)


def judged(shadow: DeploymentContext, number: int, outcome: Outcome = "FAIL") -> None:
    for name, what in (("other", outcome), ("a_a_check", "INCONCLUSIVE")):
        judge(shadow, number, what, name)  # type: ignore[arg-type]


FAILS = "other FAILS: as the test says"


def failed(shadow: DeploymentContext, number: int, send: Recorder, *message: str) -> list[outbox.Delivery]:
    """Tell that the gate of a day failed, as the callback does."""
    message = message or ("inputs do not meet their expectations: 3 of 60",)
    compose = functools.partial(
        deduplication.failure_alert, deployment=shadow.deployment, day=day(number), problems=message, link=None
    )
    fallback = gate_alert.gate_failed_alert(shadow.deployment, day(number), problems=message, verdicts={})
    return outbox.send_alert(shadow, compose, send, fallback=fallback)


def opened(shadow: DeploymentContext, number: int, send: Recorder) -> list[outbox.Delivery]:
    compose = functools.partial(deduplication.recovery_alert, deployment=shadow.deployment, day=day(number), link=None)
    return outbox.send_alert(shadow, compose, send)


def late(shadow: DeploymentContext, number: int, send: Recorder, state: str = "running") -> list[outbox.Delivery]:
    due = dt.datetime(2024, 3, 9, 6, tzinfo=dt.UTC)
    compose = functools.partial(
        deduplication.lateness_alert, deployment=shadow.deployment, day=day(number), due=due, state=state, link=None
    )
    return outbox.send_alert(shadow, compose, send)


def kinds(world: World) -> list[tuple[str, dt.date]]:
    return [(kind, on) for kind, on in world.query("SELECT kind, day FROM shadow.alert ORDER BY id")]


def test_every_channel_gets_an_alert_once_however_often_it_is_tried(
    shadow: DeploymentContext, world: World, send: Recorder
) -> None:
    for _ in range(3):
        outbox.send_alert(shadow, one(shadow), send)
    assert send.names == NAMES
    assert world.query("SELECT count(*) FROM shadow.alert") == [(1,)]
    assert world.query("SELECT channel, error FROM shadow.delivery ORDER BY id") == [(name, None) for name in NAMES]


def test_another_request_of_the_same_day_is_sent(shadow: DeploymentContext, send: Recorder) -> None:
    outbox.send_alert(shadow, one(shadow), send)
    outbox.send_alert(shadow, one(shadow, version="2"), send)
    assert len(send.taken) == 2 * len(NAMES)


def test_a_channel_that_fails_is_tried_again_and_the_others_are_not(
    shadow: DeploymentContext, world: World, send: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    send.away = {"slack:slack_default": TransientError("Slack refuses it: HTTP 500")}
    deliveries = outbox.send_alert(shadow, one(shadow), send)
    assert [found.channel for found in deliveries if found.error] == ["slack:slack_default"]
    [record] = [found for found in caplog.records if found.levelname == "ERROR"]
    assert "Slack refuses it: HTTP 500" in record.getMessage()
    assert "the champion is other 1" in record.getMessage()
    assert send.names == NAMES[:3]
    send.away = {}
    outbox.send_alert(shadow, one(shadow), send)
    assert send.names == NAMES
    rows = world.query("SELECT channel, error FROM shadow.delivery WHERE channel LIKE 'slack%%' ORDER BY id")
    assert [error for _, error in rows] == ["Slack refuses it: HTTP 500", None]


def test_of_an_error_that_is_not_ours_only_the_type_is_kept(
    shadow: DeploymentContext, world: World, send: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    send.away = dict.fromkeys(NAMES, ValueError("https://hooks/T0/s3cret"))
    outbox.send_alert(shadow, one(shadow), send)
    assert world.query("SELECT DISTINCT error FROM shadow.delivery") == [("ValueError",)]
    assert "s3cret" not in caplog.text


def test_what_was_undelivered_is_sent_with_the_next_alert(shadow: DeploymentContext, send: Recorder) -> None:
    send.away = {"slack:slack_default": TransientError("away")}
    outbox.send_alert(shadow, one(shadow), send)
    send.away = {}
    outbox.send_alert(shadow, one(shadow, version="2"), send)
    told = [alert for name, alert in send.taken if name == "slack:slack_default"]
    assert [alert.title for alert in told] == ["late: the champion is other 2", "late: the champion is other 1"]
    assert told[1].lines[0].startswith("Delayed: this alert of ")
    assert "could not be delivered before" not in " ".join(told[0].lines)


def test_a_channel_that_is_down_is_tried_once_for_all_that_waits(shadow: DeploymentContext, send: Recorder) -> None:
    send.away = {"slack:slack_default": TransientError("away")}
    for version in "123":
        outbox.send_alert(shadow, one(shadow, version=version), send)
    before = send.calls
    outbox.send_alert(shadow, one(shadow, version="4"), send)
    assert send.calls == before + len(NAMES)


def test_after_seven_days_an_alert_is_not_sent_any_more(
    shadow: DeploymentContext, world: World, send: Recorder
) -> None:
    send.away = dict.fromkeys(NAMES, TransientError("away"))
    outbox.send_alert(shadow, one(shadow), send)
    for age in (6, 8):
        with psycopg.connect(world.postgres.uri(world.ledger, SHADOW)) as session:
            session.execute(
                "INSERT INTO shadow.alert (deployment_id, day, kind, signature, content, created_at) "
                "SELECT deployment_id, day, kind, %s, content || jsonb_build_object('title', %s::text), now() - %s "
                "FROM shadow.alert LIMIT 1",
                [f"{age}", f"{age} days", dt.timedelta(days=age)],
            )
    send.away = {}
    outbox.retry_undelivered(shadow, send)
    assert set(send.titles) == {"6 days", "late: the champion is other 1"}


def test_a_channel_added_later_gets_no_earlier_alert(shadow: DeploymentContext, world: World, send: Recorder) -> None:
    outbox.send_alert(shadow, one(shadow), send)
    more = world.shadow(alerts={"channels": [*CHANNELS, {"kind": "webhook", "conn_id": "newer"}]})
    outbox.send_alert(more, one(shadow), send)
    assert "webhook:newer" not in send.names


def test_without_channels_nothing_is_kept(world: World, send: Recorder) -> None:
    outbox.send_alert(world.shadow(), one(world.shadow()), send)
    assert world.query("SELECT count(*) FROM shadow.alert") == [(0,)]


def tell_until_an_email(variables: dict[str, str], heard: Path) -> None:
    os.environ.update(variables)
    shadow = DeploymentContext(discovery.find_deployment("late"), environment)

    def dies(channel: Channel, alert: Alert) -> None:
        with heard.open("a") as lines:
            lines.write(f"{channel.kind} {alert.id}\n")
        if channel.kind == "email":
            os.kill(os.getpid(), signal.SIGKILL)

    outbox.send_alert(shadow, one(shadow), dies)


def test_killed_after_sending_it_is_sent_again_under_the_same_id(
    shadow: DeploymentContext, world: World, send: Recorder, processes: ForkServerContext, tmp_path: Path
) -> None:
    """At least once: nobody can send and keep that it was sent in one step."""
    heard = tmp_path / "heard"
    process = processes.Process(target=tell_until_an_email, args=(world.variables(), heard))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    before = heard.read_text().split()
    assert before[::2] == ["webhook", "email"]
    outbox.send_alert(shadow, one(shadow), send)
    assert send.names == NAMES[1:]  # the webhook's was kept, the mail's was not
    assert {alert.id for _, alert in send.taken} == {before[1]} == {before[3]}
    assert len(world.query("SELECT FROM shadow.delivery WHERE error IS NULL")) == len(NAMES)


def test_two_at_once_send_one(shadow: DeploymentContext, send: Recorder) -> None:
    threads = [threading.Thread(target=outbox.send_alert, args=(shadow, one(shadow), send)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(send.names) == sorted(NAMES)


def test_a_failed_gate_is_alerted_with_what_the_ledger_says(shadow: DeploymentContext, send: Recorder) -> None:
    judged(shadow, 3)
    failed(shadow, 3, send, FAILS)
    assert set(send.titles) == {"late: gate closed for 2024-03-04: other FAILS"}
    [alert] = {alert.signature: alert for _, alert in send.taken}.values()
    assert alert.details["challengers"][0]["findings"][0]["metric"] == "error_rate"
    failed(shadow, 3, send, FAILS)
    assert len(send.taken) == len(NAMES)
    judged(shadow, 4, "INCONCLUSIVE")
    opened(shadow, 4, send)
    assert len(send.taken) == len(NAMES)  # a challenger that failed has not recovered


def test_the_gate_of_a_past_day_is_no_news(
    shadow: DeploymentContext, send: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    judged(shadow, 3)
    judged(shadow, 5, "PASS")
    failed(shadow, 3, send)
    opened(shadow, 3, send)
    late(shadow, 3, send)
    assert not send.taken
    assert "2024-03-04 is past, the newest day is 2024-03-06: no alert or event" in caplog.text


def test_a_day_that_was_sampled_and_not_judged_is_the_newest(reading: World, send: Recorder) -> None:
    from shadow_deployment.pipeline.sample import sample

    shadow = reading.shadow(alerts={"channels": CHANNELS})
    judged(shadow, 3)
    sample(shadow, day(4))
    failed(shadow, 3, send)
    assert not send.taken
    failed(shadow, 4, send, "other was not judged on 2024-03-05: see its tasks before the gate")
    assert set(send.titles) == {
        "late: gate closed for 2024-03-05: other was not judged on 2024-03-05: see its tasks before the gate"
    }


def test_the_same_failure_is_alerted_each_day_or_when_it_changes(world: World, send: Recorder) -> None:
    told: dict[str, list[tuple[str, dt.date]]] = {}
    for repeat in ("daily", "change"):
        shadow = world.shadow(name=f"late_{repeat}", alerts={"channels": CHANNELS, "repeat": repeat})
        for number in (1, 2):
            failed(shadow, number, send)
        judged(shadow, 3)
        failed(shadow, 3, send, FAILS, "inputs do not meet their expectations: 3 of 60")
        failed(shadow, 4, send)
        query = "SELECT kind, day FROM shadow.alert JOIN shadow.deployment d ON d.id = deployment_id WHERE d.name = %s"
        told[repeat] = world.query(query + " ORDER BY alert.id", [shadow.deployment.name])
    assert [on for _, on in told["daily"]] == [day(1), day(2), day(3), day(4)]
    assert [on for _, on in told["change"]] == [day(1), day(3), day(4)]


def test_with_change_what_was_undelivered_is_sent_when_the_day_is_run_again(world: World, send: Recorder) -> None:
    shadow = world.shadow(alerts={"channels": CHANNELS, "repeat": "change"})
    send.away = {NAMES[0]: TransientError("away")}
    judged(shadow, 1)
    failed(shadow, 1, send)
    send.away = {}
    failed(shadow, 1, send)
    assert sorted(send.names) == sorted(NAMES)
    assert "could not be delivered before" not in send.taken[-1][1].lines[0]


def test_with_change_the_same_failure_after_a_recovery_is_news(world: World, send: Recorder) -> None:
    shadow = world.shadow(alerts={"channels": CHANNELS, "repeat": "change"})
    judged(shadow, 1)
    failed(shadow, 1, send)
    judged(shadow, 2, "PASS")
    opened(shadow, 2, send)
    judged(shadow, 3)
    failed(shadow, 3, send)
    assert kinds(world) == [("failed", day(1)), ("recovered", day(2)), ("failed", day(3))]


def test_recovery_is_alerted_once(shadow: DeploymentContext, world: World, send: Recorder) -> None:
    opened(shadow, 0, send)
    judged(shadow, 1)
    failed(shadow, 1, send)
    for number in (2, 2, 3):
        judged(shadow, number, "PASS")
        opened(shadow, number, send)
    assert kinds(world) == [("failed", day(1)), ("recovered", day(2))]
    assert send.titles.count("late: gate open again for 2024-03-03") == len(NAMES)


def test_a_day_that_fails_recovers_and_fails_is_alerted_each_time_and_no_more(
    shadow: DeploymentContext, world: World, send: Recorder
) -> None:
    judged(shadow, 1)
    for _ in range(2):
        failed(shadow, 1, send)
    for _ in range(2):
        opened(shadow, 1, send)
    for _ in range(3):
        failed(shadow, 1, send)
    for _ in range(2):
        opened(shadow, 1, send)
    assert [kind for kind, _ in kinds(world)] == ["failed", "recovered", "failed", "recovered"]


def test_a_late_day_is_alerted_once_and_recovers(shadow: DeploymentContext, world: World, send: Recorder) -> None:
    for _ in range(3):
        late(shadow, 1, send)
    assert "the day is not sampled yet" in send.taken[0][1].lines
    judged(shadow, 1, "PASS")
    opened(shadow, 1, send)
    assert kinds(world) == [("late", day(1)), ("recovered", day(1))]
    assert len(send.taken) == 2 * len(NAMES)


def test_a_run_that_has_ended_is_late_only_where_its_end_is_unknown(
    shadow: DeploymentContext, world: World, send: Recorder
) -> None:
    late(shadow, 1, send, "failed")
    assert kinds(world) == [("late", day(1))]
    failed(shadow, 2, send, "2024-03-03 was not sampled")
    late(shadow, 2, send, "failed")
    judged(shadow, 3, "PASS")
    late(shadow, 3, send, "failed")
    kept = kinds(world)
    opened(shadow, 3, send)
    late(shadow, 4, send, "success")
    assert kept == [("late", day(1)), ("failed", day(2))]
    assert kinds(world) == [*kept, ("recovered", day(3))]
    late(shadow, 4, send, "failed")
    assert kinds(world)[-1] == ("late", day(4))


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
