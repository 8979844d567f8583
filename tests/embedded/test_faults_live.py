"""Models that misbehave, under a real scheduler: each has errors with a reason, the others go on, the day says so."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from include.embedded.airflow import LocalAirflow
from include.embedded.postgres import EmbeddedPostgres
from tests.embedded.live import home_in
from tests.models.beside import MISBEHAVING
from tests.production import World, day

SECONDS = 420  # far more than it takes on an idle machine
NAME = "faults"
DAG = f"shadow_{NAME}"
LIMITS = {"seconds": 1.0, "memory_mb": 300}
REASONS = {
    "hang": "gave no answer within 1 seconds (limits.seconds) and was killed",
    "crash": "was ended by SIGSEGV",
    "take_memory": "more than the 300 that it may (limits.memory_mb), and was killed",
    "too_few": "the model returned answers of shape (0,) to 1 requests",
    "nan": "the model answered nan",
    "text": "the model returned text, must be numbers",
    "shape": "the model returned answers of shape (1, 3) to 1 requests",
}


@pytest.fixture(scope="module")
def world(worlds: Callable[..., World]) -> World:
    """A deployment with one good challenger and seven that misbehave, one fault each."""
    found = worlds()
    challengers = [{"name": name, "model": f"{MISBEHAVING}{name}", "limits": LIMITS} for name in ("good", *REASONS)]
    rules = [
        {"metric": "brier_score", "is": "superior"},
        {"metric": "error_rate", "is": "at_most", "value": 0.01},
    ]
    found.deploy(
        name=NAME,
        end=day(9),
        challengers=challengers,
        policy={"burn_in": 2, "rules": rules},
        sample={"shard_rows": 100},
    )
    return found


@pytest.fixture(scope="module")
def airflow(
    postgres: EmbeddedPostgres, world: World, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalAirflow]:
    found = LocalAirflow(home_in(tmp_path_factory.mktemp("airflow"), postgres, world), port=0)
    try:
        found.start()
        found.wait_for_dag(DAG)
        found.call("PATCH", f"/dags/{DAG}", json={"is_paused": False})
        yield found
    finally:
        found.stop()


@pytest.fixture(scope="module")
def run(airflow: LocalAirflow) -> dict[str, list[dict[str, Any]]]:
    """The first day, run to its end: the task instances by task."""
    conf = {"day": str(day(0)), "challengers": ["good", *REASONS]}
    body = {"dag_run_id": "first", "logical_date": None, "conf": conf}
    airflow.call("POST", f"/dags/{DAG}/dagRuns", json=body)
    end = time.monotonic() + SECONDS
    while airflow.call("GET", f"/dags/{DAG}/dagRuns/first")["state"] not in ("success", "failed"):
        assert time.monotonic() < end, f"the run did not end within {SECONDS} s"
        time.sleep(0.5)
    instances = airflow.call("GET", f"/dags/{DAG}/dagRuns/first/taskInstances?limit=200")["task_instances"]
    found: dict[str, list[dict[str, Any]]] = {}
    for one in instances:
        found.setdefault(one["task_id"], []).append(one)
    return found


def log_of(airflow: LocalAirflow, task: dict[str, Any]) -> str:
    path = f"/dags/{DAG}/dagRuns/first/taskInstances/{task['task_id']}/logs/{task['try_number']}"
    return str(airflow.call("GET", path, params={"map_index": task["map_index"], "full_content": True}))


def test_each_fault_is_contained_and_said(
    airflow: LocalAirflow, world: World, run: dict[str, list[dict[str, Any]]]
) -> None:
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
            "SELECT m.name, max(pairs) FROM shadow.evidence JOIN shadow.model_version AS m ON m.id = challenger_id "
            "WHERE metric = 'brier_score' GROUP BY 1"
        )
    )
    assert pairs["good"] > rows * 0.5
    assert {pairs.get(name, 0) for name in REASONS} == {0}


def test_the_gate_names_each_challenger_that_has_failed(
    airflow: LocalAirflow, run: dict[str, list[dict[str, Any]]]
) -> None:
    [gate] = run["gate"]
    assert gate["state"] == "failed"
    log = log_of(airflow, gate)
    for name in REASONS:
        assert f"{name} FAILS: error_rate" in log
    assert "good FAILS" not in log


def test_nothing_is_left_running(run: dict[str, list[dict[str, Any]]]) -> None:
    left = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes()
        except OSError:
            continue
        if b"models/worker.py" in words and str(Path(__file__).parents[2]).encode() in words:
            left.append(words)
    assert left == []
