"""Models that misbehave, under a real scheduler: each has errors with a reason, the others go on, the day says so.

And a scheduler that is killed and started again in the middle of a day, which ends as an undisturbed one.
"""

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from shadow_demo.airflow import LocalAirflow
from shadow_demo.postgres import SUPERUSER, EmbeddedPostgres
from shadow_deployment.pipeline import steps
from shadow_deployment.report.publishing import publish
from tests.faults.sameness import assert_same
from tests.integration.models.beside import MISBEHAVING
from tests.live import scheduler
from tests.live.live import home_in
from tests.production import SHADOW, World, day

# Tasks of a scheduler that was killed alone keep its sessions open, and with them whatever lock it had just then.
LET_GO = "ALTER DATABASE airflow SET idle_in_transaction_session_timeout = '20s'"
SECONDS = 420  # far more than it takes on an idle machine
NAME = "faults"
DAG = f"shadow_{NAME}"
PATIENCE = {"hang": 1.0}  # seconds; the others are to have those that they need on a busy machine
REASONS = {  # what ends a process; answers that are none need no scheduler to be seen (tests/corpus/test_rows.py)
    "hang": "did not reply within 1 seconds (limits.seconds) and was killed",
    "crash": "was ended by SIGSEGV",
    "take_memory": "more than the 300 it is allowed (limits.memory_mb), and was killed",
}
DEPLOYED: dict[str, Any] = {
    "name": NAME,
    "end": day(9),
    "challengers": [
        {
            "name": name,
            "model": f"{MISBEHAVING}{name}",
            "limits": {"seconds": PATIENCE.get(name, 30.0), "memory_mb": 300},
        }
        for name in ("good", *REASONS)
    ],
    "policy": {
        "burn_in": 2,
        "rules": [
            {"metric": "brier_score", "is": "superior"},
            {"metric": "error_rate", "is": "at_most", "value": 0.01},
        ],
    },
    "sample": {"shard_rows": 100},
}
Tasks = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def world(worlds: Callable[..., World]) -> World:
    """A deployment with one good challenger and some that misbehave, one fault each."""
    found = worlds()
    found.deploy(**DEPLOYED)
    return found


@pytest.fixture(scope="module")
def airflow(
    postgres: EmbeddedPostgres, world: World, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalAirflow]:
    found = LocalAirflow(home_in(tmp_path_factory.mktemp("airflow"), postgres, world), port=0)
    try:
        found.start()
        with psycopg.connect(postgres.uri("postgres", SUPERUSER), autocommit=True) as session:
            session.execute(LET_GO)
        found.wait_for_dag(DAG)
        found.call("PATCH", f"/dags/{DAG}", json={"is_paused": False})
        yield found
    finally:
        found.stop()


@pytest.fixture(scope="module")
def run(airflow: LocalAirflow) -> Tasks:
    """The first day, run to its end: the task instances by task."""
    trigger(airflow, "first", 0, "good", *REASONS)
    wait_for(lambda: state_of(airflow, "first") in ("success", "failed"), "the first run ends")
    return tasks_of(airflow, "first")


def trigger(airflow: LocalAirflow, run_id: str, number: int, *challengers: str) -> None:
    conf = {"day": str(day(number)), "challengers": list(challengers)}
    airflow.call("POST", f"/dags/{DAG}/dagRuns", json={"dag_run_id": run_id, "logical_date": None, "conf": conf})


def wait_for(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end, f"not within {SECONDS} s: {what}"
        time.sleep(0.3)


def state_of(airflow: LocalAirflow, run_id: str) -> str:
    return str(airflow.call("GET", f"/dags/{DAG}/dagRuns/{run_id}")["state"])


def tasks_of(airflow: LocalAirflow, run_id: str) -> Tasks:
    found: Tasks = {}
    for one in airflow.call("GET", f"/dags/{DAG}/dagRuns/{run_id}/taskInstances?limit=200")["task_instances"]:
        found.setdefault(one["task_id"], []).append(one)
    return found


def log_of(airflow: LocalAirflow, task: dict[str, Any]) -> str:
    path = f"/dags/{DAG}/dagRuns/first/taskInstances/{task['task_id']}/logs/{task['try_number']}"
    return str(airflow.call("GET", path, params={"map_index": task["map_index"], "full_content": True}))


def test_each_fault_is_contained_and_said(airflow: LocalAirflow, world: World, run: Tasks) -> None:
    assert [one["state"] for one in run["score"]] == ["success"] * (1 + len(REASONS))
    assert {one["try_number"] for one in run["score"]} == {1}
    rows = world.query("SELECT rows FROM shadow.snapshot")[0][0]
    errors = world.query(
        "SELECT m.name, count(*), count(p.error), min(p.error), bool_and(p.value IS NULL) FROM shadow.prediction AS p "
        "JOIN shadow.model_version AS m ON m.id = p.challenger_id GROUP BY 1"
    )
    assert {(name, count, failed, is_null) for name, count, failed, _, is_null in errors} == {
        ("good", rows, 0, False),
        *((name, rows, rows, True) for name in REASONS),
    }
    said = {name: text for name, *_, text, _ in errors if name != "good"}
    assert {name for name, reason in REASONS.items() if reason not in said[name]} == set(), said
    verdicts = dict(
        world.query("SELECT m.name, outcome FROM shadow.verdict JOIN shadow.model_version AS m ON m.id = challenger_id")
    )
    assert verdicts == {"good": "INCONCLUSIVE", **dict.fromkeys(REASONS, "FAIL")}
    pairs = dict(
        world.query(
            "SELECT m.name, max(pairs - unanswered - champion_missing) FROM shadow.evidence "
            "JOIN shadow.model_version AS m ON m.id = challenger_id WHERE metric = 'brier_score' GROUP BY 1"
        )
    )
    assert pairs["good"] > rows * 0.5
    assert {pairs.get(name, 0) for name in REASONS} == {0}, "what nobody predicted is charged, and never a pair of two"


def test_the_gate_names_each_challenger_that_has_failed(airflow: LocalAirflow, run: Tasks) -> None:
    [gate] = run["gate"]
    assert gate["state"] == "failed"
    log = log_of(airflow, gate)
    for name in REASONS:
        assert f"{name} FAILS: error rate is not at most" in log
    assert "good FAILS" not in log


@contextmanager
def held(world: World, *tables: str) -> Iterator[dict[str, Callable[[], None]]]:
    """Keep everybody from writing to these tables; yield what lets go of each."""
    with contextlib.ExitStack() as stack:
        sessions = {
            name: stack.enter_context(psycopg.connect(world.postgres.uri(world.ledger, SHADOW))) for name in tables
        }
        for name, session in sessions.items():
            session.execute(f"LOCK TABLE shadow.{name} IN SHARE MODE".encode())
        yield {name: session.rollback for name, session in sessions.items()}


def is_waited_for(world: World, table: str) -> bool:
    waiting = "SELECT FROM pg_locks WHERE relation = %s::regclass AND NOT granted"
    return bool(world.query(waiting, [f"shadow.{table}"]))


def run_undisturbed(world: World, number: int, name: str) -> None:
    """Run a day of one challenger as the DAG does."""
    shadow, date = world.shadow(**DEPLOYED), day(number)
    sampled = steps.sample(shadow, date)
    steps.validate_inputs(shadow, date)
    for task in steps.scoring_plan(shadow, date, sampled.own, [name]):
        steps.score(shadow, date, name, task["shard"])
    steps.validate_predictions(shadow, date, name)
    for changed in steps.collect_labels(shadow, date):
        steps.compare(shadow, changed)
    steps.judge(shadow, date, name)
    publish(shadow, date, [name])


def test_a_scheduler_that_is_killed_and_started_again_in_the_middle_of_a_day_ends_it_as_an_undisturbed_one(
    airflow: LocalAirflow, world: World, worlds: Callable[..., World], run: Tasks
) -> None:
    """Lost with its tasks while answers are written, and lost alone while evidence is, so that two tries meet there."""
    undisturbed = worlds(world)
    world.query("SELECT shadow.ensure_partitions(%s)", [day(1)])
    answers, left = f"prediction_batch_{day(1):%Y%m%d}", []
    try:
        with held(world, answers, "comparison") as let_go:
            trigger(airflow, "second", 1, "good")
            wait_for(lambda: is_waited_for(world, answers), "answers are written")
            scheduler.kill(airflow, with_tasks=True)
            let_go[answers]()
            scheduler.start(airflow)
            wait_for(lambda: is_waited_for(world, "comparison"), "evidence is written")
            assert [one["try_number"] for one in tasks_of(airflow, "second")["score"]] == [2]
            left = scheduler.kill(airflow, with_tasks=False)
            scheduler.start(airflow)
            wait_for(lambda: 2 in tries(airflow, "compare", "running"), "evidence is written again")
        wait_for(lambda: state_of(airflow, "second") in ("success", "failed"), "the second run ends")
    finally:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    states = {(name, one["state"]) for name, found in tasks_of(airflow, "second").items() for one in found}
    assert {state for _, state in states} == {"success"}, states
    run_undisturbed(undisturbed, 1, "good")
    assert_same(world, undisturbed)


def tries(airflow: LocalAirflow, task: str, state: str) -> set[int]:
    return {one["try_number"] for one in tasks_of(airflow, "second")[task] if one["state"] == state}


def test_no_sandbox_outlives_the_process_that_it_serves(run: Tasks) -> None:
    wait_for(lambda: not forsaken_sandboxes(), "the last sandbox ends")


def forsaken_sandboxes() -> list[bytes]:
    """Return the commands of this checkout's sandboxes whose engine is gone: others may serve tests beside these."""
    checkout = str(Path(__file__).parents[2]).encode()
    forsaken = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes()
            if b"sandbox/worker.py" not in words or checkout not in words or b"--isolated" in words:
                continue
            *_, engine, _, _ = words.decode().split("\0")
            if not Path("/proc", engine).exists():
                forsaken.append(words)
    return forsaken
