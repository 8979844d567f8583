"""A day under Airflow with CeleryExecutor: Redis with a password, two workers, and the evidence of the command line.

One request of the day has values like no other, a model repeats them in its error, and every password is known: what
Airflow has logged and kept is searched for them.
"""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import yaml

from shadow_demo.airflow import WORKERS, LocalAirflow
from shadow_demo.home import METADATA
from shadow_demo.postgres import SUPERUSER, EmbeddedPostgres
from tests.conftest import PROJECT, Invoke
from tests.live.live import home_in
from tests.live.redis_server import NEEDED, redis
from tests.production import READER, SHADOW, World, day
from tests.security.planted import PASSWORD, SECRETS, VALUES, Heard, plant

SECONDS = 420  # far more than it takes on an idle machine
DAG, RUN = "shadow_late", "celery"
RECEIVED = re.compile(r"Task execute_workload\[([0-9a-f-]{36})\] received")
DEPLOYED: dict[str, Any] = {
    "end": day(5),  # ended: unpausing must not run a day of today
    "sample": {"shard_rows": 40},
    "requests": {"features": ["dep_hour", "distance", "carrier"]},
    "slices": ["origin"],
    "challengers": [
        {"name": "other", "model": "logged:flights.prediction_log.other_probability"},
        {"name": "a_a_check", "model": "champion"},
        {"name": "raises", "model": "python:tests.security.repeating_models:raises"},
    ],
}

pytestmark = NEEDED


@dataclass(frozen=True)
class Live:
    airflow: LocalAirflow
    world: World
    broker: str

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
    world, folder = worlds(own=True), tmp_path_factory.mktemp("celery")
    plant(world)
    world.shadow(**DEPLOYED)
    with redis(folder) as broker, passwords_known(postgres):
        airflow = LocalAirflow(home_in(folder, postgres, world), broker=broker, port=0)
        try:
            airflow.start()
            airflow.wait_for_dag(DAG)
            run_day(airflow)
            yield Live(airflow, world, broker)
        finally:
            airflow.stop()


@contextmanager
def passwords_known(postgres: EmbeddedPostgres) -> Iterator[None]:
    """Give the roles of production and ledger passwords that are found wherever they stand."""
    before = {role: postgres.conninfo("postgres", role).password for role in (READER, SHADOW)}
    for role in before:
        postgres.ensure_role(role, PASSWORD)
    try:
        yield
    finally:
        for role, password in before.items():
            postgres.ensure_role(role, password)


def run_day(airflow: LocalAirflow) -> None:
    airflow.call("PATCH", f"/dags/{DAG}", json={"is_paused": False})
    body = {"dag_run_id": RUN, "logical_date": None, "conf": {"day": str(day(0))}}
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
    assert len([task for task, _ in states if task == "score"]) == 6  # three challengers on two shards
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
    other = worlds(production=live.world.production)
    other.deploy(**DEPLOYED)
    for name, value in other.variables().items():
        monkeypatch.setenv(name, value)
    code, _, errors = invoke("run", "late", "--from", day(0), "--to", day(0))
    assert code == 0, errors
    assert live.world.content() == other.content()
    assert live.world.verdicts() == other.verdicts()
    assert len(live.world.verdicts()) == 3
    assert len(live.world.evidence()) > 0


def test_what_airflow_has_logged_and_kept_holds_no_secret_and_no_value_of_a_feature(live: Live) -> None:
    home, heard = live.airflow.home, Heard()
    for path in sorted(home.folder.rglob("*.log")):
        heard.add(str(path.relative_to(home.folder)), path.read_text(encoding="utf-8", errors="replace"))
    with psycopg.connect(live.world.postgres.uri(METADATA, SUPERUSER)) as session:
        tables = session.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1").fetchall()
        for (table,) in tables:
            rows = session.execute(f'SELECT t::text FROM "{table}" AS t'.encode()).fetchall()
            heard.add(f"table {table}", *(row for (row,) in rows))
    heard.add("ledger", *(row for table in live.world.content().values() for row in table))
    assert "ValueError: cannot score" in "".join(
        text for place, text in heard.texts.items() if "task_id=score" in place
    )
    assert "shards" in heard.texts["table xcom"]
    made = [path.read_text() for path in home.folder.glob("*.secret")]
    assert made
    of_broker = urlsplit(live.broker).password
    assert of_broker
    given = [live.airflow.password, of_broker, *made]
    found = [place for planted in [*SECRETS, *given, *VALUES] for place in heard.found(planted)]
    assert not found, "\n".join(found)
