"""What the gate and a late day send: once, again where it changes, and once when it is over."""

import datetime as dt
import functools

import pytest

from shadow_deployment.alerting import deduplication, outbox
from shadow_deployment.context import DeploymentContext
from shadow_deployment.decision.words.finding import Outcome
from shadow_deployment.errors import TransientError
from tests.integration.alerting.outbox.sending import CHANNELS, NAMES, Recorder, failed, opened
from tests.integration.promotion.promoting import judge
from tests.production import World, day


def judged(shadow: DeploymentContext, number: int, outcome: Outcome = "FAIL") -> None:
    for name, what in (("other", outcome), ("a_a_check", "INCONCLUSIVE")):
        judge(shadow, number, what, name)  # type: ignore[arg-type]


FAILS = "other FAILS: as the test says"


def late(shadow: DeploymentContext, number: int, send: Recorder, state: str = "running") -> list[outbox.Delivery]:
    due = dt.datetime(2024, 3, 9, 6, tzinfo=dt.UTC)
    compose = functools.partial(
        deduplication.lateness_alert, deployment=shadow.deployment, day=day(number), due=due, state=state, link=None
    )
    return outbox.send_alert(shadow, compose, send)


def kinds(world: World) -> list[tuple[str, dt.date]]:
    return [(kind, on) for kind, on in world.query("SELECT kind, day FROM shadow.alert ORDER BY id")]


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
