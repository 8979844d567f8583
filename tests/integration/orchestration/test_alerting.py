"""The gate's callbacks through Airflow's own task runner, counted at the real ends of all four channels."""

import datetime as dt
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from shadow_deployment.errors import GateFailed
from shadow_deployment.integrations import channels
from shadow_deployment.orchestration.alerts import promotion as promotion_alerts
from shadow_deployment.orchestration.alerts.gate import gate_callbacks
from shadow_deployment.orchestration.ui import links
from shadow_deployment.pipeline.run import run_day
from tests.conftest import PROJECT, declare
from tests.production import World, day
from tests.receivers import Mailbox, Posts, Topic, aws, mail_server, topic, web_server

pytestmark = pytest.mark.usefixtures("airflow_database")
STRICT = {"rules": [{"metric": "error_rate", "is": "at_least", "value": 0.9}]}
CALM = {"rules": [{"metric": "error_rate", "is": "at_most", "value": 0.9}]}
DagBag = Callable[[], Any]


@dataclass
class Ends:
    """What is received at each channel."""

    hook: Posts
    slack: Posts
    mailbox: Mailbox
    topic: Topic

    @property
    def channels(self) -> list[dict[str, Any]]:
        return [
            {"kind": "sns", "topic": self.topic.arn, "conn_id": "aws_alerts"},
            {"kind": "email", "to": ["a@example.org"], "conn_id": "smtp_alerts"},
            {"kind": "slack", "conn_id": "slack_alerts"},
            {"kind": "webhook", "conn_id": "hook"},
        ]

    def taken(self) -> dict[str, list[str]]:
        """Return the titles at each end since it was asked before."""
        found = {
            "sns": [one["Message"].splitlines()[0] for one in self.topic.received()],
            "email": [str(message["Subject"]) for _, message in self.mailbox.received],
            "slack": [body["text"] for body in self.slack.bodies],
            "webhook": self.hook.titles,
        }
        for end in (self.mailbox, self.slack, self.hook):
            end.received.clear()
        return found


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ends]:
    with web_server() as hook, web_server() as slack, mail_server() as mailbox, aws() as endpoint:
        found = Ends(hook, slack, mailbox, topic(endpoint, "alerts"))
        monkeypatch.setenv("AIRFLOW_CONN_HOOK", hook.connection())
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_ALERTS", mailbox.connection())
        monkeypatch.setenv("AIRFLOW_CONN_AWS_ALERTS", found.topic.connection())
        secret = json.dumps({"conn_type": "slackwebhook", "password": f"{slack.url}/services/T0/B0/s3cret"})
        monkeypatch.setenv("AIRFLOW_CONN_SLACK_ALERTS", secret)
        monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/")
        yield found


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Posts]:
    with web_server() as found:
        monkeypatch.setenv("AIRFLOW_CONN_HOOK", found.connection())
        yield found


ONE = {"channels": [{"kind": "webhook", "conn_id": "hook"}]}


def run(dag_bag: DagBag, number: int, *, whole: bool = False, **configuration: Any) -> str:
    """Run the gate of the day of this number, or the whole day; return the gate's state."""
    dag = dag_bag().dags["shadow_late"]
    dag.deadline = None
    others = None if whole else "(?!gate$).*"
    result = dag.test(run_conf={"day": str(day(number)), **configuration}, mark_success_pattern=others)
    [state] = [one.state for one in result.get_task_instances() if one.task_id == "gate"]
    return str(state)


def judged(world: World, policy: dict[str, Any], alerts: dict[str, Any], number: int) -> None:
    """Run a day up to its gate without Airflow."""
    run_day(world.shadow(policy=policy, alerts=alerts), day(number))


def each(*titles: str) -> dict[str, list[str]]:
    return {end: list(titles) for end in ("sns", "email", "slack", "webhook")}


def test_one_alert_a_failed_gate_over_retries_and_past_days_and_one_recovery(
    dag_bag: DagBag, worlds: Callable[..., World], ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, told = declare(worlds(), monkeypatch), {"channels": ends.channels}
    failing = "a_a_check, other FAIL"
    judged(world, STRICT, told, 0)
    assert run(dag_bag, 0) == "failed"
    body = ends.hook.bodies[0]
    assert body["link"].startswith("https://airflow.example/dags/shadow_late/runs/manual__20")
    assert body["link"].endswith("%2B00%3A00/tasks/gate/plugin/shadow-day")
    assert body["window"] == "2024-03-01 00:00 to 2024-03-02 00:00 UTC"
    assert [one["name"] for one in body["details"]["challengers"]] == ["a_a_check", "other"]
    assert ends.taken() == each(f"late: gate closed for 2024-03-01: {failing}")
    assert run(dag_bag, 0) == "failed"
    assert ends.taken() == each()
    judged(world, STRICT, told, 2)
    called(a_context(2, exception=GateFailed("late: the gate is closed\ninputs are late")), failed=True)
    assert ends.taken() == each("late: gate closed for 2024-03-03: inputs are late")  # the challengers failed before
    called(a_context(2, "manual", params={"day": str(day(0))}), failed=True)
    assert ends.taken() == each()
    judged(world, CALM, told, 3)
    called(a_context(3, params={"challengers": ["a_a_check"]}), failed=False)
    assert ends.taken() == each()
    assert run(dag_bag, 3) == "success"
    assert ends.taken() == each("late: gate open again for 2024-03-04")
    called(a_context(3), failed=False)
    assert ends.taken() == each()


def test_a_day_that_could_not_be_scored_at_all_is_alerted(dag_bag: DagBag, reading: World, hook: Posts) -> None:
    reading.deploy(challengers=[{"name": "gone", "model": "onnx:/nowhere/gone.onnx"}], policy=CALM, alerts=ONE)
    assert run(dag_bag, 0, whole=True) == "failed"
    [body] = hook.bodies
    assert body["title"].startswith("late: gate closed for 2024-03-01: predictions of gone were not validated")
    assert any("gone was not judged" in line and "[task judge" in line for line in body["lines"])


def test_a_failure_to_send_does_not_hide_the_gates(
    dag_bag: DagBag, reading: World, hook: Posts, caplog: pytest.LogCaptureFixture
) -> None:
    hook.status = 500
    judged(reading, STRICT, ONE, 0)
    assert run(dag_bag, 0) == "failed"
    assert reading.query("SELECT error FROM shadow.delivery") == [("the webhook refuses it: HTTP 500",)]
    assert any("the webhook refuses it" in one.message for one in caplog.records if one.levelname == "ERROR")
    hook.status = 200
    called(a_context(0), failed=True)
    assert hook.titles == ["late: gate closed for 2024-03-01: a_a_check, other FAIL"]


def test_without_a_ledger_the_gates_own_error_is_sent(
    dag_bag: DagBag, reading: World, hook: Posts, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading.deploy(alerts=ONE)
    monkeypatch.setenv("AIRFLOW_CONN_SHADOW_DB", "postgresql://shadow:s3cret@127.0.0.1:1/nowhere")
    fails_at_once = AirflowFailException("late: the gate is closed")
    fails_at_once.__cause__ = GateFailed("late: the gate is closed\nother FAILS: worse")
    called(a_context(0, exception=fails_at_once), failed=True)
    [body] = hook.bodies
    assert body["title"] == "late: gate closed for 2024-03-01: other FAILS: worse"
    assert "this alert may be repeated" in body["lines"][-1]
    assert "s3cret" not in json.dumps(body)


def a_context(number: int, run_type: Any = "scheduled", **changes: Any) -> dict[str, Any]:
    """What Airflow gives to a callback, as far as the notifier looks."""
    start = dt.datetime.combine(day(number), dt.time(), dt.UTC)
    return {
        "ti": SimpleNamespace(dag_id="shadow_late", run_id="r", task_id="gate"),
        "dag_run": SimpleNamespace(run_type=run_type, run_after=start),
        "run_id": "r",
        "params": {},
        "data_interval_start": start,
        "exception": GateFailed("late: the gate is closed\nother FAILS: worse"),
        **changes,
    }


def called(context: dict[str, Any], *, failed: bool) -> None:
    callbacks = gate_callbacks("late")
    for one in callbacks["on_failure_callback"] if failed else callbacks["on_success_callback"]:
        one(context)


def test_a_backfill_sends_no_alert(reading: World, hook: Posts, caplog: pytest.LogCaptureFixture) -> None:
    from airflow.sdk.api.datamodels._generated import DagRunType

    caplog.set_level("INFO")
    reading.deploy(alerts=ONE)
    for run_type in (DagRunType.BACKFILL, "backfill"):
        called(a_context(0, run_type), failed=True)
        called(a_context(0, run_type), failed=False)
    assert not hook.received
    assert caplog.text.count("run r is a backfill: no alert is sent") == 4
    called(a_context(0, DagRunType.SCHEDULED), failed=True)
    assert len(hook.received) == 1


def test_a_gate_that_was_killed_is_alerted_without_its_words(reading: World, hook: Posts) -> None:
    reading.deploy(alerts=ONE)
    called(a_context(0, exception=None), failed=True)
    assert "ended without an error message" in hook.titles[0]


def test_whatever_goes_wrong_is_logged_and_never_raised(
    reading: World, hook: Posts, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    called(a_context(0), failed=True)  # there is no deployment
    assert "no alert was sent about the gate of late, run r" in caplog.text
    reading.deploy(alerts=ONE)
    monkeypatch.setattr(channels, "send", None)
    called(a_context(0), failed=True)
    assert reading.query("SELECT error FROM shadow.delivery") == [("TypeError",)]


def test_a_secret_that_airflow_knows_is_masked(reading: World, hook: Posts, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.log import mask_secret

    mask_secret("hunter2hunter2")
    reading.deploy(alerts=ONE)
    error = GateFailed("late: the gate is closed\nthe server says hunter2hunter2")
    called(a_context(0, exception=error), failed=True)
    assert "hunter2" not in json.dumps(hook.bodies)
    assert "the server says ***" in hook.titles[0]


def test_announcing_never_raises(reading: World, hook: Posts, caplog: pytest.LogCaptureFixture) -> None:
    from shadow_deployment.alerting.messages import champion_changed

    shadow = reading.shadow(alerts=ONE)
    known = {"kind": "promoted", "name": "other", "version": "1", "approved_by": "ada", "reason": "better"}
    promotion_alerts.send(shadow, lambda: champion_changed(shadow.deployment, day(0), **known))
    assert hook.titles == ["late: the champion is other 1"]
    promotion_alerts.send(shadow, lambda: champion_changed(shadow.deployment, day(0)))  # type: ignore[call-arg]
    assert "no alert was sent about late" in caplog.text


def test_links_are_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/base/")
    found = links.address("shadow_x", "manual__2024-03-02T00:00:00+00:00 a/b?c", "gate")
    assert found == (
        "https://airflow.example/base/dags/shadow_x/runs/"
        "manual__2024-03-02T00%3A00%3A00%2B00%3A00%20a%2Fb%3Fc/tasks/gate"
    )
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "")
    assert links.address("shadow_x", "r") is None


def test_callbacks_and_deadline_make_no_new_dag_version(dag_bag: DagBag, reading: World) -> None:
    from airflow.serialization.serialized_objects import DagSerialization
    from airflow.utils.dag_version_inflation_checker import check_dag_file_stability

    reading.deploy(timezone="Europe/Berlin", alerts={**ONE, "deadline": "06:00"})
    found = [
        json.dumps(DagSerialization.to_dict(dag_bag().dags["shadow_late"]), sort_keys=True, default=str)
        for _ in range(2)
    ]
    assert found[0] == found[1]
    assert "has_on_failure_callback" in found[0]
    assert found[0].count("shadow_deployment.orchestration.alerts.deadline.send_late_alert") == 3
    for file in ("alerts/gate.py", "alerts/deadline.py"):
        result = check_dag_file_stability(str(PROJECT / "include" / "shadow_deployment" / "orchestration" / file))
        assert not getattr(result, "warnings", None), result
