"""A day's DAG under Airflow's scheduler: beside a DAG of ten empty tasks on the same executor, which is what we add.

And beside the work alone, the same steps in one process that has imported all: for one deployment, and for many whose
days are all due at once. The rest is what processes, imports and the scheduler cost.
"""

import datetime as dt
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
import yaml

from shadow_demo.airflow import LocalAirflow
from shadow_demo.postgres import EmbeddedPostgres
from shadow_deployment.config.deployment import load_deployment
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.connections import Connection
from shadow_deployment.ledger import migrations
from shadow_deployment.pipeline.run import run_day
from tests import production
from tests.bench.apart import PROJECT
from tests.bench.table import Row
from tests.live.live import home_in
from tests.production import OWNER, READER, SHADOW, WRITER, World, day

TITLE = "a day under the scheduler"
SIZES = {"full": (3, 50), "quick": (1, 3)}  # rounds, and deployments that are due at once
SECONDS = 900  # far more than it takes on an idle machine
OURS, EMPTY = "shadow_late", "ten_empty_tasks"
TEN_TASKS = '''\
"""Ten empty tasks, one after the other."""

import datetime as dt

from airflow.sdk import DAG, chain, task


def empty() -> None:
    """Do nothing."""


with DAG("ten_empty_tasks", schedule=None, start_date=dt.datetime(2024, 1, 1, tzinfo=dt.UTC), catchup=False):
    chain(*(task(task_id=f"empty_{number}")(empty)() for number in range(10)))
'''


class AirflowWithEmpty(LocalAirflow):
    """Airflow with the project's DAGs and one more file beside them."""

    def settings(self, port: int) -> dict[str, str]:
        """Return the configuration, with a folder that holds both."""
        folder = self.folder / "dags"
        if not folder.exists():
            shutil.copytree(PROJECT / "dags", folder, ignore=shutil.ignore_patterns("__pycache__"))
            (folder / "ten_empty_tasks.py").write_text(TEN_TASKS)
        return super().settings(port) | {"AIRFLOW__CORE__DAGS_FOLDER": str(folder)}


def measure(size: str) -> dict[str, Any]:
    """Start Airflow, run both DAGs once unmeasured, and then in turn; then the day of many deployments at once."""
    rounds, deployments = SIZES[size]
    with tempfile.TemporaryDirectory(prefix="shadow-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # the server may run as another user
        with EmbeddedPostgres(folder / "postgres") as server:
            world = a_world(server, folder / "world")
            world.deploy(end=day(9), sample={"shard_rows": 1000})  # ended: unpausing runs no day of today
            many = _copies(world, deployments)
            airflow = AirflowWithEmpty(home_in(folder / "home", server, world), port=0)
            try:
                airflow.start()
                for dag in (OURS, EMPTY, *many):
                    airflow.wait_for_dag(dag)
                    airflow.call("PATCH", f"/dags/{dag}", json={"is_paused": False})
                runs = [{dag: _run(airflow, dag, number) for dag in (EMPTY, OURS)} for number in range(rounds + 1)]
                at_once = _at_once(airflow, many)
            finally:
                airflow.stop()
            work = [_work(world, number) for number in range(rounds + 1, 2 * rounds + 2)]
    measured = {dag: [one[dag] for one in runs[1:]] for dag in (OURS, EMPTY)}
    return measured | {"many": {"deployments": deployments, "wall": at_once}, "work": work[1:]}


def rows(found: dict[str, Any]) -> list[Row]:
    """Return the wall time of both, and per task what it waits and what it runs."""

    def median(dag: str, key: str) -> float:
        return statistics.median(one[key] for one in found[dag])

    size = f"{int(median(OURS, 'tasks'))} tasks"
    many, work = found["many"], statistics.median(found["work"])
    beside = "ten empty tasks"
    return [
        Row("scheduler", "a day's DAG", size, median(OURS, "wall"), beside=beside, theirs=median(EMPTY, "wall")),
        Row(
            "scheduler",
            "a task, started to ended",
            size,
            median(OURS, "ran"),
            beside=beside,
            theirs=median(EMPTY, "ran"),
        ),
        Row(
            "scheduler",
            "wall time per task",
            size,
            median(OURS, "wall") / median(OURS, "tasks"),
            beside=beside,
            theirs=median(EMPTY, "wall") / median(EMPTY, "tasks"),
        ),
        *(
            Row("scheduler", what, size, wall, beside="its steps in one process", theirs=work)
            for what, wall in (
                ("a day of one deployment", median(OURS, "wall")),
                (f"a day of one of {many['deployments']} at once", many["wall"] / many["deployments"]),
            )
        ),
    ]


def _run(airflow: LocalAirflow, dag: str, number: int) -> dict[str, Any]:
    """Run a DAG once; return its wall seconds, how many tasks it had, and the mean seconds that one of them ran."""
    wall, tasks = run_dag(airflow, dag, f"run_{number}", {"day": str(day(number))} if dag == OURS else {})
    ran = {f"{one['task_id']} {one['map_index']}": float(one["duration"]) for one in tasks}
    return {"wall": wall, "tasks": len(tasks), "ran": statistics.mean(ran.values()), "by_task": ran}


def _at_once(airflow: LocalAirflow, dags: Sequence[str]) -> float:
    """Run a day of each DAG, all triggered at once; return the seconds from the first one's begin to the last's end."""
    for dag in dags:
        _trigger(airflow, dag, "at_once", {"day": str(day(0))})
    ended = [_ended(airflow, dag, "at_once") for dag in dags]
    return seconds_between(min(one["start_date"] for one in ended), max(one["end_date"] for one in ended))


def _work(world: World, number: int) -> float:
    """Run a day's steps here; return their seconds."""
    context = DeploymentContext(load_deployment(world.deployments / "late.yaml"), world.connection)
    began = time.perf_counter()
    run_day(context, day(number))
    return time.perf_counter() - began


def _copies(world: World, count: int) -> list[str]:
    """Deploy the same again under other names; return their DAGs."""
    content = yaml.safe_load((world.deployments / "late.yaml").read_text())
    names = [f"late_{number:02d}" for number in range(count)]
    for name in names:
        (world.deployments / f"{name}.yaml").write_text(yaml.safe_dump(content | {"name": name}, sort_keys=False))
    return [f"shadow_{name}" for name in names]


def run_dag(airflow: LocalAirflow, dag: str, run: str, conf: dict[str, str]) -> tuple[float, list[dict[str, Any]]]:
    """Run a DAG once; return its wall seconds and its task instances, all of which succeeded."""
    _trigger(airflow, dag, run, conf)
    ended = _ended(airflow, dag, run)
    tasks = airflow.call("GET", f"/dags/{dag}/dagRuns/{run}/taskInstances", params={"limit": 100})["task_instances"]
    return seconds_between(ended["start_date"], ended["end_date"]), tasks


def _trigger(airflow: LocalAirflow, dag: str, run: str, conf: dict[str, str]) -> None:
    airflow.call("POST", f"/dags/{dag}/dagRuns", json={"dag_run_id": run, "logical_date": None, "conf": conf})


def _ended(airflow: LocalAirflow, dag: str, run: str) -> dict[str, Any]:
    """Wait for the end of a run; return it, which must be a success."""
    end = time.monotonic() + SECONDS
    while True:
        found: dict[str, Any] = airflow.call("GET", f"/dags/{dag}/dagRuns/{run}")
        assert found["state"] != "failed", f"{dag} failed"
        if found["state"] == "success":
            return found
        assert time.monotonic() < end, f"{dag} was not done within {SECONDS} s"
        time.sleep(0.1)


def seconds_between(start: str, end: str) -> float:
    """Return the seconds between two of the API's moments."""
    return (dt.datetime.fromisoformat(end) - dt.datetime.fromisoformat(start)).total_seconds()


def a_world(server: EmbeddedPostgres, folder: Path) -> World:
    for role in (OWNER, READER, SHADOW, WRITER):
        server.ensure_role(role)
    server.ensure_database("production", OWNER)
    with psycopg.connect(server.uri("production", OWNER)) as session:
        session.execute(production.TABLES)
        production.write(session, *production.synthetic())
    server.ensure_reader("production", READER, "flights")
    server.ensure_database("ledger", SHADOW)
    found = server.conninfo("ledger", SHADOW)
    owner = Connection("shadow_owner", found.host, found.port, found.user, found.password, found.dbname)
    migrations.migrate(owner, writer=WRITER)
    return World(postgres=server, production="production", ledger="ledger", folder=folder, owns_production=True)
