"""A day under Airflow with CeleryExecutor: Redis with a password, two workers, and the evidence of the command line."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from include.embedded.airflow import WORKERS, LocalAirflow
from include.embedded.postgres import EmbeddedPostgres
from include.shadow.surroundings import Shadow
from include.shadow.window import window_of
from tests.conftest import PROJECT, Invoke
from tests.embedded.live import home_in
from tests.embedded.redis_server import NEEDED, redis
from tests.production import World, day

SECONDS = 240
DAG, RUN = "shadow_late", "celery"
RECEIVED = re.compile(r"Task execute_workload\[([0-9a-f-]{36})\] received")
DEPLOYED = {"end": day(5), "sample": {"shard_rows": 40}}  # ended: unpausing must not run a day of today

pytestmark = NEEDED


@dataclass(frozen=True)
class Live:
    airflow: LocalAirflow
    world: World

    def done_by(self, worker: str) -> set[str]:
        """Return the ids of what a worker says it was given to run."""
        return set(RECEIVED.findall((self.airflow.folder / "output" / f"{worker}.log").read_text()))

    def tasks(self) -> list[dict[str, Any]]:
        found = self.airflow.call("GET", f"/dags/{DAG}/dagRuns/{RUN}/taskInstances", params={"limit": 100})
        return list(found["task_instances"])


@pytest.fixture(scope="module")
def live(
    postgres: EmbeddedPostgres, worlds: Callable[..., World], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Live]:
    world, folder = worlds(), tmp_path_factory.mktemp("celery")
    shadow = world.shadow(**DEPLOYED)
    with redis(folder) as broker:
        airflow = LocalAirflow(home_in(folder, postgres, world), broker=broker, port=0)
        try:
            airflow.start()
            airflow.wait_for_dag(DAG)
            run_day(airflow, shadow)
            yield Live(airflow, world)
        finally:
            airflow.stop()


def run_day(airflow: LocalAirflow, shadow: Shadow) -> None:
    airflow.call("PATCH", f"/dags/{DAG}", json={"is_paused": False})
    window = window_of(shadow.deployment, day(0))
    interval = {"data_interval_start": window.start.isoformat(), "data_interval_end": window.end.isoformat()}
    body = {"dag_run_id": RUN, "logical_date": window.end.isoformat(), **interval}
    airflow.call("POST", f"/dags/{DAG}/dagRuns", json=body)
    end = time.monotonic() + SECONDS
    while airflow.call("GET", f"/dags/{DAG}/dagRuns/{RUN}")["state"] not in ("success", "failed"):
        if time.monotonic() > end:
            found = airflow.call("GET", f"/dags/{DAG}/dagRuns/{RUN}/taskInstances")["task_instances"]
            states = {one["task_id"]: one["state"] for one in found}
            raise AssertionError(f"the day was not done within {SECONDS} s: {states}")
        time.sleep(0.5)


def test_both_workers_run_the_tasks_of_the_day(live: Live) -> None:
    states = {(one["task_id"], one["map_index"]): one["state"] for one in live.tasks()}
    assert set(states.values()) == {"success"}, states
    assert len([task for task, _ in states if task == "score"]) == 4  # two challengers on two shards
    done = [live.done_by(worker) for worker in WORKERS]
    assert all(done), "a worker has run nothing"
    assert not done[0] & done[1]
    assert len(done[0] | done[1]) == len(states)


def test_the_health_check_of_the_compose_file_asks_the_worker(live: Live) -> None:
    services = yaml.safe_load((PROJECT / "docker-compose.yaml").read_text())["services"]
    _, command = services["worker"]["healthcheck"]["test"]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    settings = os.environ | live.airflow.settings(0) | {"HOSTNAME": WORKERS[1], "PATH": path}
    done = subprocess.run(
        ["sh", "-c", command.replace("$$", "$")], env=settings, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"celery@{WORKERS[1]}: OK" in done.stdout
    assert WORKERS[0] not in done.stdout


def test_the_days_evidence_and_verdicts_are_those_of_the_command_line(
    live: Live, worlds: Callable[..., World], invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = worlds()
    other.deploy(**DEPLOYED)
    for name, value in other.variables().items():
        monkeypatch.setenv(name, value)
    code, _, errors = invoke("run", "late", "--from", day(0), "--to", day(0))
    assert code == 0, errors
    assert live.world.content() == other.content()
    assert live.world.verdicts() == other.verdicts()
    assert len(live.world.verdicts()) == 2
    assert len(live.world.evidence()) > 0
