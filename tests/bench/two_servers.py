"""A production and a ledger, each a server of its own, and shadow days that read the one and write the other.

Run as a program, with a JSON object as its argument, it does the shadow's own work in a process of its own.
"""

import datetime as dt
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg

from shadow_demo.postgres import SUPERUSER, EmbeddedPostgres
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.connections import Connection
from shadow_deployment.data.sources.postgres.throttle import Throttle
from shadow_deployment.errors import GateFailed
from shadow_deployment.ledger import migrations
from shadow_deployment.pipeline import steps
from tests.bench.pgbench import Pgbench
from tests.builders import a_deployment
from tests.production import linear_model

DAY = dt.date(2024, 1, 1)
FEATURES = [f"feature_{number}" for number in range(6)]
CHALLENGERS = ("one", "two")
PRODUCTION, READER, LEDGER = "production", "shadow_reader", "shadow"
SCALE = 10
CORES = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set[int]()
ROWS = """
CREATE SCHEMA serving;
CREATE TABLE serving.log AS
SELECT 'r' || n AS request_id, %(day)s::timestamptz + n * interval '86400 seconds' / %(rows)s AS at,
    {features}, 'plan' || floor(random() * 10)::int AS plan, random() AS champion, '7' AS version,
    random() * 20 AS latency
FROM generate_series(0, %(rows)s - 1) AS n;
ALTER TABLE serving.log ADD PRIMARY KEY (request_id);
CREATE INDEX ON serving.log (at);
CREATE TABLE serving.outcome AS SELECT request_id, (random() < champion)::int AS label,
    at + interval '1 hour' AS known_at
FROM serving.log;
CREATE INDEX ON serving.outcome (request_id)
"""


class Place:
    """Where the bench works: production's server with its load, the ledger's server, and a folder."""

    def __init__(self, folder: Path, rows: int, number: int = 0) -> None:
        self.folder, self.rows, self.number = folder, rows, number
        self.production = EmbeddedPostgres(folder / "production")
        self.ledger = EmbeddedPostgres(folder / "ledger")

    @property
    def pgbench(self) -> Pgbench:
        """Return the load."""
        found = self.production.conninfo(PRODUCTION, PRODUCTION)
        return Pgbench(self.production.folder, found, self.folder / "latencies")

    @property
    def stopped(self) -> Path:
        """Return the file that stops a day while it is there."""
        return self.folder / "stopped"

    def connection(self, conn_id: str) -> Connection:
        """Return the reader's connection to production, or the ledger's."""
        server, name, role = {
            "production_db": (self.production, PRODUCTION, READER),
            "shadow_db": (self.ledger, f"{LEDGER}_{self.number}", LEDGER),
        }[conn_id]
        found = server.conninfo(name, role)
        return Connection(conn_id, found.host, found.port, found.user, found.password, found.dbname)

    @property
    def deployment(self) -> Deployment:
        """Return the deployment of the day with this number: half of the log is drawn, two models answer it."""
        return a_deployment(
            name=f"isolation_{self.number}",
            start=DAY,
            requests={
                "table": "serving.log",
                "id": "request_id",
                "time": "at",
                "features": FEATURES,
                "prediction": "champion",
                "version": "version",
                "latency": "latency",
            },
            labels={
                "table": "serving.outcome",
                "id": "request_id",
                "value": "label",
                "time": "known_at",
                "maturity_days": 1,
            },
            store={"snapshots": str(self.folder / "snapshots")},
            sample={"rate": 0.5, "strata": ["plan"], "minimum_per_stratum": 100, "max_rows": self.rows},
            slices=["plan"],
            challengers=[{"name": name, "model": f"onnx:{self.folder}/{name}.onnx"} for name in CHALLENGERS],
            expectations={"inputs": None, "predictions": None},
            policy={"rules": [{"metric": "brier_score", "is": "superior"}]},
        )

    def fill(self) -> None:
        """Make both servers, the load's tables, the day's rows, and a role that reads them and nothing else."""
        with on_productions_core():
            self.production.start()
        self._log_a_day()
        self.pgbench.fill(SCALE)
        for number, name in enumerate(CHALLENGERS):
            linear_model(self.folder / f"{name}.onnx", dict.fromkeys(FEATURES, 0.1 * (number + 1)))
        self.settle()
        subprocess.run(self.command("ledger"), check=True)

    def _log_a_day(self) -> None:
        server = self.production
        server.ensure_role(PRODUCTION)
        server.ensure_database(PRODUCTION, PRODUCTION)
        features = ", ".join(f"random() AS {name}" for name in FEATURES)
        with psycopg.connect(server.uri(PRODUCTION, PRODUCTION)) as session:
            session.execute("SELECT setseed(0.5)")
            for statement in ROWS.format(features=features).split(";\n"):
                session.execute((statement % {"day": f"'{DAY} 00:00+00'", "rows": self.rows}).encode())
        server.ensure_reader(PRODUCTION, READER, "serving")

    def command(self, what: str, number: int = 0) -> list[str]:
        """Return what does the shadow's own work, in a process of its own: `ledger` or `day`."""
        given = {"what": what, "folder": str(self.folder), "rows": self.rows, "number": number}
        return [sys.executable, "-m", "tests.bench.two_servers", json.dumps(given)]

    def settle(self) -> None:
        """Leave nothing to clean up for whoever reads next: old versions, hints, pages that were not written."""
        with psycopg.connect(self.production.uri(PRODUCTION, SUPERUSER), autocommit=True) as session:
            session.execute("VACUUM (FREEZE, ANALYZE)")
        self.checkpoint()

    def checkpoint(self) -> None:
        """Write every changed page of production to its file."""
        with psycopg.connect(self.production.uri(PRODUCTION, SUPERUSER), autocommit=True) as session:
            session.execute("CHECKPOINT")

    def query(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return rows of production, as its superuser."""
        with psycopg.connect(self.production.uri(PRODUCTION, SUPERUSER)) as session:
            return session.execute(statement.encode(), values).fetchall()


def make_ledger(place: Place) -> None:
    """Start the ledger's server."""
    place.ledger.start()
    place.ledger.ensure_role(LEDGER)


def whole_day(place: Place) -> dict[str, tuple[float, float]]:
    """Run a day from its sample to its gate, once told to; return when each step began and ended."""
    place.ledger.ensure_database(f"{LEDGER}_{place.number}", LEDGER)
    migrations.migrate(place.connection("shadow_db"))
    shadow = DeploymentContext(place.deployment, place.connection)
    import adbc_driver_postgresql.dbapi  # noqa: F401
    import great_expectations  # noqa: F401
    import onnxruntime  # noqa: F401

    chunk = Throttle.chunk

    def may_work() -> None:
        while place.stopped.exists():
            time.sleep(0.002)

    @contextmanager
    def chunk_in_turn(throttle: Throttle) -> Iterator[None]:
        may_work()
        with chunk(throttle):
            yield

    Throttle.chunk = chunk_in_turn  # type: ignore[method-assign]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    took: dict[str, tuple[float, float]] = {}

    def timed(name: str, step: Any, *arguments: Any) -> Any:
        may_work()
        began = time.time()
        found = step(shadow, *arguments)
        took[name] = (took.get(name, (began,))[0], time.time())
        return found

    sampled = timed("sample", steps.sample, DAY)
    timed("validate_inputs", steps.validate_inputs, DAY)
    for task in steps.scoring_plan(shadow, sampled.day, sampled.own):
        timed("score", steps.score, DAY, task["challenger"], task["shard"])
    for name in CHALLENGERS:
        timed("validate_predictions", steps.validate_predictions, DAY, name)
    for stale in timed("collect_labels", steps.collect_labels, DAY):
        timed("compare", steps.compare, stale)
    for name in CHALLENGERS:
        timed("judge", steps.judge, DAY, name)
    try:
        timed("gate", steps.gate, DAY)
    except GateFailed as closed:
        raise AssertionError(f"the day of the bench is no day as it should be: {closed}") from closed
    return took


class RunningDay:
    """A shadow day in a process of its own, that waits until it is told to begin."""

    def __init__(self, place: Place, number: int) -> None:
        self._stopped = place.stopped
        self._process = subprocess.Popen(
            place.command("day", number), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def begin(self) -> None:
        """Let it begin."""
        assert self._process.stdin is not None
        self._stopped.unlink(missing_ok=True)
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def works(self, seconds: float) -> None:
        """Let it work so long, or until it ends, and then begin nothing: no step, and no piece of a reading."""
        self._stopped.unlink(missing_ok=True)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        self._stopped.touch()

    @property
    def is_done(self) -> bool:
        """Whether it has ended."""
        return self._process.poll() is not None

    def took(self) -> dict[str, tuple[float, float]]:
        """Wait for its end; return when each step began and ended."""
        said, _ = self._process.communicate()
        assert self._process.returncode == 0, "the shadow day failed"
        return {name: (began, ended) for name, (began, ended) in json.loads(said).items()}


def _memory() -> str | None:
    """Return a folder in memory where there is one: what else writes to this machine's disk is not measured."""
    memory = "/dev/shm"
    return memory if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > 4 << 30 else None


@contextmanager
def on_productions_core() -> Iterator[None]:
    """Give one core to what is started in the block, where there are more; what is started elsewhere has the others."""
    if CORES:
        os.sched_setaffinity(0, {min(CORES)})
    yield
    if CORES:
        os.sched_setaffinity(0, CORES - {min(CORES)} or CORES)


@contextmanager
def new_place(rows: int) -> Iterator[Place]:
    """Make and fill a place, and remove it after the block with all that it holds."""
    with tempfile.TemporaryDirectory(prefix="shadow-isolation-", dir=_memory()) as name:
        folder = Path(name)
        folder.chmod(0o711)  # the servers may run as another user
        place = Place(folder, rows)
        try:
            place.fill()
            yield place
        finally:
            if CORES:
                os.sched_setaffinity(0, CORES)
            place.production.stop()
            place.ledger.stop()


def _work(what: str, folder: str, rows: int, number: int) -> None:
    place = Place(Path(folder), rows, number)
    if what == "ledger":
        make_ledger(place)
    else:
        sys.stdout.write(json.dumps(whole_day(place)))


if __name__ == "__main__":
    _work(**json.loads(sys.argv[1]))
