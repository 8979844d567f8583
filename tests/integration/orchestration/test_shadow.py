"""The daily DAG: what is parsed, what a broken file does, and a whole day through Airflow's own task runner."""

import datetime as dt
import subprocess
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from shadow_deployment.config.window import windows_of
from shadow_deployment.errors import DeploymentError
from shadow_deployment.orchestration.run_context import day_of_run, windows_of_run, windows_to_sample
from shadow_deployment.pipeline import steps
from shadow_deployment.pipeline.window_guard import next_day
from tests.conftest import PROJECT
from tests.production import World, day, moment

pytestmark = pytest.mark.usefixtures("airflow_database")
DagBag = Callable[[], Any]
DAGS = {"shadow_doctor", *(f"shadow_late{kind}" for kind in ("", "_promotion", "_replay", "_rollback"))}


def run(dag: Any, number: int, **configuration: Any) -> dict[tuple[str, str], str]:
    """Run the DAG for the day of this number; return states by task and the name of its map index."""
    result = dag.test(run_conf={"day": str(day(number)), **configuration})
    instances = result.get_task_instances()
    return {(one.task_id, one.rendered_map_index or ""): str(one.state) for one in instances}


def test_the_deployment_of_the_demo_has_a_dag_and_no_import_error(
    dag_bag: DagBag, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SHADOW_DEPLOYMENTS", raising=False)
    found = dag_bag()
    assert found.import_errors == {}
    assert "shadow_flight_delay" in found.dags


def test_dag_is_daily_over_its_interval_and_one_run_at_a_time(dag_bag: DagBag, reading: World) -> None:
    reading.deploy(schedule="30 6 * * *", timezone="Europe/Berlin")
    dag = dag_bag().dags["shadow_late"]
    assert type(dag.timetable).__name__ == "CronDataIntervalTimetable"
    assert dag.start_date == dt.datetime(2024, 3, 1, 5, 30, tzinfo=dt.UTC)
    assert dag.max_active_runs == 1
    assert dag.catchup is False
    assert dag.get_task("score").pool == "shadow_scoring"
    assert all(task.execution_timeout for task in dag.tasks)


def test_the_policy_is_described_in_words(dag_bag: DagBag, reading: World) -> None:
    reading.deploy()
    text = dag_bag().dags["shadow_late"].doc_md
    assert "Brier score is better" in text
    assert "*(advisory, shown only)*" in text


def test_form_offers_a_day_and_the_challengers(dag_bag: DagBag, reading: World) -> None:
    deployment = reading.deploy()
    params = dag_bag().dags["shadow_late"].params
    assert params.get_param("day").schema["format"] == "date"
    assert params["challengers"] == [one.name for one in deployment.challengers]
    assert "hour" not in params


def test_broken_file_loses_its_own_dag_and_says_why(dag_bag: DagBag, reading: World) -> None:
    reading.deploy()
    broken = reading.deployments / "broken.yaml"
    broken.write_text((reading.deployments / "late.yaml").read_text().replace("name: late", "name: broken\nschedul: x"))
    found = dag_bag()
    assert set(found.dags) == DAGS
    [(file, text)] = found.import_errors.items()
    assert file.endswith("broken_deployments.py")  # Airflow stops every DAG of a file with an error: this has none
    message = f"deployment broken: schedul is unknown, did you mean schedule? ({broken}:2)"
    assert text.splitlines()[0].endswith(message)  # before Airflow's traceback


def test_whatever_files_hold_each_is_named_and_the_others_have_their_dags(dag_bag: DagBag, reading: World) -> None:
    reading.deploy()
    good = (reading.deployments / "late.yaml").read_bytes()
    broken = {
        "bytes": b"name: \xff\n",
        "cut": good[: len(good) // 2],
        "empty": b"",
        "far": good.replace(b"name: late", b"name: far").replace(b"start: 2024-03-01", b"start: 9999-12-31"),
        "large": b"#" * (1 << 20),
        "null": b"name: \x00\n",
        "taken": good.replace(b"name: late", b"name: late_promotion"),
        "tagged": good.replace(b"name: late", b"name: !!python/object/apply:os.getpid []"),
    }
    for name, content in broken.items():
        (reading.deployments / f"{name}.yaml").write_bytes(content)
    found = dag_bag()
    assert set(found.dags) == DAGS
    [(file, text)] = found.import_errors.items()
    assert file.endswith("broken_deployments.py")
    assert [name for name in broken if f"{reading.deployments / name}.yaml" not in text] == []
    assert len(text) < 32_768


def test_two_files_of_one_name_are_an_import_error(dag_bag: DagBag, reading: World) -> None:
    reading.deploy()
    (reading.deployments / "other.yaml").write_text((reading.deployments / "late.yaml").read_text())
    [text] = dag_bag().import_errors.values()
    assert "name == 'late', must be unique" in text


def test_parsing_makes_no_new_dag_version() -> None:
    from airflow.utils.dag_version_inflation_checker import check_dag_file_stability

    result = check_dag_file_stability(
        str(PROJECT / "include" / "shadow_deployment" / "orchestration" / "dags" / "daily.py")
    )
    assert not getattr(result, "warnings", None), result


def test_parsing_loads_no_heavy_library_and_opens_no_connection(reading: World) -> None:
    """boto3 is left out: an asset makes Airflow itself import the amazon provider."""
    reading.deploy()
    program = (
        "import airflow.sdk, socket, sys\n"
        "before = set(sys.modules)\n"
        "def refuse(*_): raise AssertionError('a connection was opened')\n"
        "socket.socket.connect = refuse\n"
        "sys.path.insert(0, 'dags')\n"
        "import shadow\n"
        "assert shadow.shadow_late\n"
        "heavy = {'pandas', 'pyarrow', 'scipy', 'sklearn', 'onnxruntime', 'great_expectations', 'psycopg',\n"
        "         'numpy', 'adbc_driver_postgresql'}\n"
        "print(sorted((set(sys.modules) - before) & heavy))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_what_every_task_of_the_day_imports_is_light() -> None:
    """A task is a process of its own: what its module takes to import, each task takes. pandas comes with pa.array."""
    program = (
        "import sys\n"
        "import airflow.sdk.execution_time.task_runner\n"
        "before = set(sys.modules)\n"
        "from shadow_deployment.pipeline import steps\n"
        "from shadow_deployment.promotion import approval, registry\n"
        "from shadow_deployment.orchestration import tasks\n"
        "heavy = {'pandas', 'scipy', 'sklearn', 'onnxruntime', 'great_expectations', 'boto3', 'mlflow', 'vl_convert',\n"
        "         'altair'}\n"
        "print(sorted((set(sys.modules) - before) & heavy))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.strip().splitlines()[-1] == "[]"


def test_a_day_through_airflow_is_the_day_of_the_command_line(
    dag_bag: DagBag, worlds: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    from shadow_deployment.pipeline.run import run_day
    from tests.conftest import declare

    by_hand = worlds()
    for number in range(2):
        run_day(by_hand.shadow(), day(number))
    by_airflow = declare(worlds(), monkeypatch)
    deployment = by_airflow.deploy()
    shards = range(3)  # of 60 requests, 25 in each
    dag = dag_bag().dags["shadow_late"]
    for number in range(2):
        states = run(dag, number)
    names = [one.name for one in deployment.challengers]
    assert set(states.values()) == {"success"}
    assert {label for task, label in states if task == "judge"} == set(names)
    for name in names:
        report = by_airflow.snapshots / "late" / "reports" / str(day(1)) / f"{name}.html"
        assert f"late, {name}: shadow deployment" in report.read_text()
    scored = {f"{name}, shard {shard}" for name in names for shard in shards}
    assert {label for task, label in states if task == "score"} == scored
    assert by_airflow.content() == by_hand.content()


def test_the_run_of_a_window_scores_it_and_that_of_the_last_judges_the_day(dag_bag: DagBag, reading: World) -> None:
    names = [one.name for one in reading.deploy(schedule="0 */12 * * *").challengers]
    morning = run(dag_bag().dags["shadow_late"], 0, hour="00:00")
    assert {task for (task, _), state in morning.items() if state == "success"} == {
        *("select_challengers", "sample", "validate_inputs", "plan_scoring", "score", "gate")
    }
    assert {state for state in morning.values() if state != "success"} == {"skipped"}
    assert reading.query("SELECT FROM shadow.verdict") == []
    evening = run(dag_bag().dags["shadow_late"], 0, hour="12:00")
    assert set(evening.values()) == {"success"}
    assert {label for task, label in evening if task == "judge"} == set(names)
    assert reading.query("SELECT rows, is_complete FROM shadow.snapshot") == [(60, True)]


def test_a_scheduled_run_is_about_the_window_of_its_interval_and_a_form_about_those_it_names(reading: World) -> None:
    reading.deploy(schedule="@hourly", timezone="Europe/Berlin")

    def windows(start: dt.datetime | None, kind: str = "manual", **params: str) -> list[str]:
        dag_run = SimpleNamespace(run_type=kind, run_after=start)
        found = windows_of_run({"dag_run": dag_run, "data_interval_start": start, "params": params}, "late")
        return [f"{window.day} {window.start:%H:%M}" for window in found]

    night = dt.datetime(2024, 10, 27, 1, tzinfo=dt.UTC)
    for kind in ("scheduled", "backfill"):
        assert windows(night, kind) == ["2024-10-27 01:00"]
    assert windows(None, day="2024-10-27", hour="02:00") == ["2024-10-27 00:00", "2024-10-27 01:00"]
    assert len(windows(None, day="2024-10-27")) == 25
    with pytest.raises(
        DeploymentError, match="hour == '02:30' on 2024-10-27, must be one of 00:00, 01:00, 02:00, 03:00"
    ):
        windows(None, day="2024-10-27", hour="02:30")
    with pytest.raises(DeploymentError, match="hour == '02:00', must come with a day"):
        windows(None, hour="02:00")


def test_a_scheduled_run_makes_up_the_windows_of_its_day_that_the_scheduler_has_missed(reading: World) -> None:
    shadow = reading.shadow(schedule="0 */6 * * *")
    first, *others = windows_of(shadow.deployment, day(0))
    steps.sample(shadow, day(0), [first])
    for kind, expected in (("scheduled", others[:2]), ("backfill", others[:2]), ("manual", others[1:2])):
        dag_run = SimpleNamespace(run_type=kind, run_after=moment(3))
        run = {"dag_run": dag_run, "data_interval_start": others[1].start}
        run |= {"params": {"day": str(day(0)), "hour": "12:00"}} if kind == "manual" else {}
        assert windows_to_sample(run, shadow) == expected


def test_chosen_challengers_alone_are_scored_and_judged(dag_bag: DagBag, reading: World) -> None:
    deployment = reading.deploy()
    chosen = deployment.challengers[0].name
    states = run(dag_bag().dags["shadow_late"], 0, challengers=[chosen])
    assert {label for task, label in states if task == "judge"} == {chosen}
    assert states["judge", chosen] == "success"
    assert all(label.startswith(chosen) for task, label in states if task == "score")
    assert states["gate", ""] == "success"


def test_runs_by_hand_take_the_days_that_were_not_run_in_order_and_then_the_newest(
    dag_bag: DagBag, reading: World
) -> None:
    steps.sample(reading.shadow(end=str(day(2))), day(1))
    dag = dag_bag().dags["shadow_late"]
    days = []
    for _ in range(3):
        result = dag.test(mark_success_pattern="(?!sample$).*")
        [sample] = [task for task in result.get_task_instances() if task.task_id == "sample"]
        days.append(sample.xcom_pull(task_ids="sample")["day"])
    assert days == [str(day(0)), str(day(2)), str(day(2))]


@pytest.mark.parametrize(
    ("named", "reason"),
    [("2024-02-29", "must be at least 2024-03-01 (start)"), ("2199-01-01", "must be over")],
)
def test_a_day_that_cannot_be_run_fails_in_the_first_task_with_the_reason(
    named: str, reason: str, dag_bag: DagBag, reading: World, capfd: pytest.CaptureFixture[str]
) -> None:
    reading.deploy()
    result = dag_bag().dags["shadow_late"].test(run_conf={"day": named})
    states = {task.task_id: str(task.state) for task in result.get_task_instances()}
    assert states["sample"] == states["gate"] == "failed"
    assert reason in "".join(capfd.readouterr())
    assert reading.query("SELECT * FROM shadow.snapshot") == []


def test_a_run_by_hand_before_any_day_is_over_says_when_the_first_one_ends(dag_bag: DagBag, reading: World) -> None:
    deployment = reading.deploy(start="2199-01-01")
    with reading.shadow().ledger() as session, pytest.raises(DeploymentError, match="ends at 2199-01-02 00:00 UTC"):
        next_day(session, deployment, dt.datetime.now(dt.UTC))


def test_a_scheduled_run_and_a_backfill_are_about_their_interval(reading: World) -> None:
    reading.deploy()
    start = dt.datetime.combine(day(5), dt.time(), dt.UTC)
    for kind in ("scheduled", "backfill"):
        dag_run = SimpleNamespace(run_type=kind, run_after=start)
        assert day_of_run({"dag_run": dag_run, "data_interval_start": start}, "late") == day(5)


@pytest.mark.parametrize(("schedule", "runs"), [("@daily", [0, 24]), ("0 */12 * * *", [0, 12, 24, 36])])
def test_the_end_ends_the_schedule_and_no_run_by_hand(
    schedule: str, runs: list[int], dag_bag: DagBag, reading: World
) -> None:
    from airflow.serialization.serialized_objects import DagSerialization
    from airflow.timetables.base import DataInterval, TimeRestriction

    reading.deploy(end=str(day(1)), schedule=schedule)
    dag = DagSerialization.from_dict(DagSerialization.to_dict(dag_bag().dags["shadow_late"]))
    assert dag.end_date is None
    assert all(task.end_date is None for task in dag.tasks)
    starts, interval = [], None
    while True:
        info = dag.timetable.next_dagrun_info(
            last_automated_data_interval=interval,
            restriction=TimeRestriction(earliest=dag.start_date, latest=None, catchup=True),
        )
        if info is None:
            break
        interval = DataInterval(info.data_interval.start, info.data_interval.end)
        starts.append(interval.start)
    assert starts == [moment(hours / 24) for hours in runs]


def test_failed_inputs_stop_the_day_and_close_the_gate(dag_bag: DagBag, world: World) -> None:
    world.change_production("UPDATE flights.prediction_log SET champion_probability = 1.5 WHERE request_id = 'f0003'")
    world.deploy(sample={"rate": 1.0})
    states = run(dag_bag().dags["shadow_late"], 0)
    assert states["validate_inputs", ""] == "failed"
    assert states["gate", ""] == "failed"
    assert states["collect_labels", ""] == "success"
    assert world.query("SELECT count(*) FROM shadow.prediction") == [(0,)]
    assert world.query("SELECT DISTINCT outcome FROM shadow.verdict") == [("INCONCLUSIVE",)]


def test_one_challenger_without_a_model_leaves_the_others_judged(dag_bag: DagBag, reading: World) -> None:
    challengers = [{"name": "gone", "model": "onnx:/nowhere/gone.onnx"}, {"name": "a_a_check", "model": "champion"}]
    reading.deploy(challengers=challengers)
    states = run(dag_bag().dags["shadow_late"], 0)
    assert states["score", "a_a_check, shard 0"] == "success"
    assert states["judge", "a_a_check"] == "success"
    assert states["judge", "gone"] == "failed"
    assert states["gate", ""] == "failed"
