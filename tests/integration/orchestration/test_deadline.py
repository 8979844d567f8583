"""The deadline alert: what Airflow is given, and what its callback tells and keeps to itself."""

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest

from shadow_deployment.errors import ShadowError
from shadow_deployment.orchestration.alerts.deadline import deadline_of, send_late_alert
from tests.production import World, day
from tests.receivers import Posts, web_server

UTC = dt.UTC


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Posts]:
    with web_server() as found:
        monkeypatch.setenv("AIRFLOW_CONN_HOOK", found.connection())
        monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example")
        yield found


def alerts(clock: str = "06:00") -> dict[str, Any]:
    return {"channels": [{"kind": "webhook", "conn_id": "hook"}], "deadline": clock}


def missed(start: dt.datetime, after: dt.timedelta, **changes: Any) -> dict[str, Any]:
    """What Airflow gives to the callback: the run as its REST API shows it, and the deadline as text."""
    run = {
        "dag_id": "shadow_late",
        "dag_run_id": "scheduled__2024-03-02T00:00:00+00:00",
        "run_type": "scheduled",
        "state": "running",
        "data_interval_start": start.isoformat().replace("+00:00", "Z"),
    }
    return {"dag_run": run | changes, "deadline": {"id": "x", "deadline_time": (start + after).isoformat()}}


def midnight(number: int) -> dt.datetime:
    return dt.datetime.combine(day(number), dt.time(), UTC)


HOURS = dt.timedelta(hours=1)


def test_without_a_deadline_there_is_none(reading: World) -> None:
    assert deadline_of(reading.deploy()) is None


def test_airflow_counts_from_the_logical_date_which_is_the_windows_start(reading: World) -> None:
    from airflow.timetables.interval import CronDataIntervalTimetable

    [found] = deadline_of(reading.deploy(alerts=alerts())) or []
    assert type(found.reference).__name__ == "DagRunLogicalDateDeadline"
    assert found.interval == 30 * HOURS
    assert (found.callback.path, found.callback.kwargs) == (
        "shadow_deployment.orchestration.alerts.deadline.send_late_alert",
        {"name": "late"},
    )
    timetable = CronDataIntervalTimetable("0 0 * * *", timezone="UTC")
    from airflow.timetables.base import TimeRestriction

    info = timetable.next_dagrun_info(
        last_automated_data_interval=None,
        restriction=TimeRestriction(earliest=midnight(0), latest=None, catchup=True),  # type: ignore[arg-type]
    )
    assert info is not None
    assert info.logical_date == info.data_interval.start == midnight(0)


def test_where_clocks_change_there_is_one_for_each_length(reading: World) -> None:
    found = deadline_of(reading.deploy(timezone="Europe/Berlin", alerts=alerts())) or []
    assert [one.interval for one in found] == [29 * HOURS, 30 * HOURS, 31 * HOURS]


def test_the_run_of_the_days_last_window_has_the_deadline(reading: World, hook: Posts) -> None:
    [found] = deadline_of(reading.deploy(schedule="@hourly", alerts=alerts())) or []
    assert found.interval == 7 * HOURS
    for hour in (22, 23):
        send_late_alert("late", missed(midnight(1) + hour * HOURS, (30 - hour) * HOURS))
        assert len(hook.received) == (hour == 23)


def test_a_late_day_is_alerted_once(reading: World, hook: Posts) -> None:
    reading.deploy(alerts=alerts())
    for _ in range(2):
        send_late_alert("late", missed(midnight(1), 30 * HOURS))
    [body] = hook.bodies
    assert body["title"] == "late: 2024-03-02 is late: not done by 06:00 UTC on 2024-03-03"
    assert body["kind"] == "late"
    assert "0 of 2 challengers judged" in body["lines"]
    assert body["link"] == (
        "https://airflow.example/dags/shadow_late/runs/scheduled__2024-03-02T00%3A00%3A00%2B00%3A00"
    )


@pytest.mark.parametrize("run_type", ["manual", "backfill", "asset_triggered"])
def test_only_scheduled_runs_are_late(reading: World, hook: Posts, run_type: str) -> None:
    reading.deploy(alerts=alerts())
    send_late_alert("late", missed(midnight(1), 30 * HOURS, run_type=run_type))
    assert not hook.received


def test_a_run_that_is_done_by_now_is_not_late(reading: World, hook: Posts) -> None:
    reading.deploy(alerts=alerts())
    send_late_alert("late", missed(midnight(1), 30 * HOURS, state="success"))
    assert not hook.received


@pytest.mark.parametrize(
    ("date", "hours"), [(dt.date(2024, 3, 30), 29), (dt.date(2024, 5, 1), 30), (dt.date(2024, 10, 26), 31)]
)
def test_on_each_day_the_callback_of_six_oclock_local_is_the_one_that_alerts(
    reading: World, hook: Posts, date: dt.date, hours: int
) -> None:
    deployment = reading.deploy(timezone="Europe/Berlin", alerts=alerts())
    start = dt.datetime.combine(date, dt.time(), deployment.zone).astimezone(UTC)
    told = []
    for one in deadline_of(deployment) or []:
        send_late_alert("late", missed(start, one.interval))
        told.append(len(hook.received))
    assert told == [int(found >= hours) for found in (29, 30, 31)]
    assert "not done by 06:00 Europe/Berlin" in hook.titles[0]


def test_without_a_ledger_it_is_alerted_at_its_time_and_not_again_an_hour_later(
    reading: World, hook: Posts, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading.deploy(timezone="Europe/Berlin", alerts=alerts())
    monkeypatch.setenv("AIRFLOW_CONN_SHADOW_DB", "postgresql://shadow:s3cret@127.0.0.1:1/nowhere")
    start = dt.datetime(2024, 5, 1, 22, tzinfo=UTC)
    send_late_alert("late", missed(start, 30 * HOURS))
    with pytest.raises(ShadowError):
        send_late_alert("late", missed(start, 31 * HOURS))
    [body] = hook.bodies
    assert "this alert may be repeated" in body["lines"][-1]
