"""Each channel gets an alert once, however often it is tried, and again where it did not arrive."""

import datetime as dt
import os
import signal
import threading
from multiprocessing.context import ForkServerContext
from pathlib import Path

import psycopg
import pytest

from shadow_deployment.alerting import outbox
from shadow_deployment.config import discovery
from shadow_deployment.config.actions import Channel
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.connections import environment
from shadow_deployment.errors import TransientError
from shadow_deployment.ledger.alerts import Alert
from tests.integration.alerting.outbox.sending import CHANNELS, NAMES, Recorder, one
from tests.production import SHADOW, World


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
    process.join(300)
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
        thread.join(120)
    assert sorted(send.names) == sorted(NAMES)
