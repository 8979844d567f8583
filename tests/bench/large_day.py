"""A large day, step by step: wall time and peak memory beside the floors, what the same rows cost without us.

Run it with `python -m tests.bench.large_day [rows]`. Every step and every floor is a process of its own, so that its
peak memory is its own; the time of starting and importing is not in it.
"""

import datetime as dt
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pyarrow.parquet as pq
from psycopg import sql
from rich.console import Console
from rich.table import Table

from include.embedded.postgres import EmbeddedPostgres
from include.shadow import day as steps
from include.shadow import snapshot as snapshots_on_disk
from include.shadow.connection import Connection
from include.shadow.deployment import Deployment
from include.shadow.ledger import migrations
from include.shadow.ledger.database import connection_keywords
from include.shadow.surroundings import Shadow
from tests.builders import a_deployment
from tests.production import linear_model

DAY = dt.date(2024, 1, 1)
FEATURES = [f"feature_{number}" for number in range(12)]
CHALLENGERS = ("one", "two", "three")
GROUPS = ("region", "plan")  # ten values each: twenty slices
PRODUCTION, LEDGER = "production", "shadow"
ROWS = """
CREATE TABLE log AS
SELECT 'r' || n AS request_id, %(day)s::timestamptz + n * interval '86400 seconds' / %(rows)s AS at,
    {features}, {groups}, random() AS champion, '7' AS version, random() * 20 AS latency
FROM generate_series(0, %(rows)s - 1) AS n;
CREATE INDEX ON log (at);
CREATE TABLE outcome AS SELECT request_id, (random() < champion)::int AS label,
    at + interval '1 hour' AS known_at
FROM log;
CREATE INDEX ON outcome (request_id);
ANALYZE log;
ANALYZE outcome
"""


class Place:
    """Where the bench works: a server, a folder, and how many rows the day has."""

    def __init__(self, folder: Path, rows: int) -> None:
        self.folder, self.rows = folder, rows
        self.postgres = EmbeddedPostgres(folder / "postgres")

    def connection(self, conn_id: str) -> Connection:
        """Return the production's or the ledger's connection."""
        name = {"production_db": PRODUCTION, "shadow_db": LEDGER}[conn_id]
        found = self.postgres.conninfo(name, name)
        return Connection(conn_id, found.host, found.port, found.user, found.password, found.dbname)

    @property
    def deployment(self) -> Deployment:
        """Return three challengers, five metrics and twenty slices."""
        return a_deployment(
            name="large",
            start=DAY,
            requests={
                "table": "log",
                "id": "request_id",
                "time": "at",
                "features": FEATURES,
                "prediction": "champion",
                "version": "version",
                "latency": "latency",
            },
            labels={"table": "outcome", "id": "request_id", "value": "label", "time": "known_at", "maturity_days": 1},
            store={"snapshots": str(self.folder / "snapshots")},
            sample={"rate": 1.0, "strata": [], "minimum_per_stratum": 0, "max_rows": 100_000_000},
            slices=list(GROUPS),
            challengers=[{"name": name, "model": f"onnx:{self.model(name)}"} for name in CHALLENGERS],
            expectations={"inputs": None, "predictions": None},
            policy={
                "rules": [
                    {"metric": "brier_score", "is": "superior"},
                    {"metric": "log_loss", "is": "non_inferior", "margin": 0.005},
                    {"metric": "accuracy", "is": "non_inferior", "margin": 0.01},
                    {"metric": "error_rate", "is": "at_most", "value": 0.001},
                    {"metric": "agreement", "is": "at_least", "value": 0.0, "role": "monitor"},
                ]
            },
        )

    @property
    def shadow(self) -> Shadow:
        """Return the deployment with its connections."""
        return Shadow(self.deployment, self.connection)

    def model(self, name: str) -> Path:
        """Return where a challenger's model lies."""
        return self.folder / f"{name}.onnx"

    def fill(self) -> None:
        """Make the databases, the day's rows and the models."""
        self.postgres.start()
        for name in (PRODUCTION, LEDGER):
            self.postgres.ensure_role(name)
            self.postgres.ensure_database(name, name)
        migrations.migrate(self.connection("shadow_db"))
        features = ", ".join(f"random() AS {name}" for name in FEATURES)
        groups = ", ".join(f"'{name}' || floor(random() * 10)::int AS {name}" for name in GROUPS)
        with psycopg.connect(self.postgres.uri(PRODUCTION, PRODUCTION)) as session:
            for statement in ROWS.format(features=features, groups=groups).split(";\n"):
                filled = statement % {"day": f"'{DAY} 00:00+00'", "rows": self.rows}
                session.execute(filled.encode())
        for number, name in enumerate(CHALLENGERS):
            linear_model(self.model(name), dict.fromkeys(FEATURES, 0.1 * (number + 1)))


def sample(place: Place) -> None:
    """Draw the day's sample and write it."""
    steps.sample(place.shadow, DAY)


def validate_inputs(place: Place) -> None:
    """Check the inputs."""
    steps.validate_inputs(place.shadow, DAY)


def score(place: Place) -> None:
    """Let the first challenger answer every shard, one after the other."""
    shadow = place.shadow
    for task in steps.plan(shadow.deployment, _shards(place), CHALLENGERS[:1]):
        steps.score(shadow, DAY, task["challenger"], task["shard"])


def score_others(place: Place) -> None:
    """Let the other two answer."""
    shadow = place.shadow
    for task in steps.plan(shadow.deployment, _shards(place), CHALLENGERS[1:]):
        steps.score(shadow, DAY, task["challenger"], task["shard"])


def validate_predictions(place: Place) -> None:
    """Check the predictions of all three."""
    for name in CHALLENGERS:
        steps.validate_predictions(place.shadow, DAY, name)


def collect_labels(place: Place) -> None:
    """Collect the day's labels."""
    steps.collect_labels(place.shadow, DAY)


def compare(place: Place) -> None:
    """Compute the day's evidence of all three."""
    steps.compare(place.shadow, DAY)


def judge(place: Place) -> None:
    """Judge all three."""
    for name in CHALLENGERS:
        steps.judge(place.shadow, DAY, name)


def fetch(place: Place) -> None:
    """Fetch the same columns of the same rows by ADBC, and keep nothing."""
    from adbc_driver_postgresql import dbapi
    from psycopg.conninfo import make_conninfo

    keywords = connection_keywords(place.connection("production_db"))
    columns = ", ".join(["request_id", "at", "champion", "version", "latency", *FEATURES, *GROUPS])
    with dbapi.connect(make_conninfo(**keywords)) as session, session.cursor() as cursor:
        cursor.execute(f"SELECT {columns} FROM log")
        for _ in cursor.fetch_record_batch():
            pass


def predict(place: Place) -> None:
    """Run the three models on the snapshot's rows, and keep nothing."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    for name in CHALLENGERS:
        session = onnxruntime.InferenceSession(str(place.model(name)), options, providers=["CPUExecutionProvider"])
        for path in sorted((place.folder / "snapshots").rglob("part-*.parquet")):
            for batch in pq.ParquetFile(path).iter_batches(batch_size=8192, columns=FEATURES):
                feed = {one: batch[one].to_numpy().astype(np.float32).reshape(-1, 1) for one in FEATURES}
                session.run(None, feed)


def copy_rows(place: Place) -> None:
    """COPY the rows that the ledger keeps of requests, predictions and labels into tables without an index."""
    uri = place.postgres.uri(LEDGER, LEDGER)
    with psycopg.connect(uri) as source, psycopg.connect(uri) as target:
        for name in ("request", "prediction", "label"):
            table = sql.Identifier(f"copy_of_{name}")
            target.execute(sql.SQL("CREATE TEMPORARY TABLE {} (LIKE shadow.{})").format(table, sql.Identifier(name)))
            reading = sql.SQL("COPY (SELECT * FROM shadow.{}) TO STDOUT (FORMAT binary)").format(sql.Identifier(name))
            writing = sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(table)
            with source.cursor().copy(reading) as read, target.cursor().copy(writing) as write:
                for piece in read:
                    write.write(piece)


def scan(place: Place) -> None:
    """Join answers and labels of all three once, with one sum each."""
    with psycopg.connect(place.postgres.uri(LEDGER, LEDGER)) as session:
        session.execute(
            "SELECT challenger_id, count(*), sum((p.value - l.value) ^ 2 - (r.champion - l.value) ^ 2) "
            "FROM shadow.prediction AS p JOIN shadow.request AS r USING (day, snapshot_id, ordinal) "
            "JOIN shadow.label AS l USING (day, snapshot_id, ordinal) GROUP BY 1"
        ).fetchall()


STEPS: list[Callable[[Place], None]] = [
    sample,
    validate_inputs,
    score,
    score_others,
    validate_predictions,
    collect_labels,
    compare,
    judge,
]
FLOORS: list[Callable[[Place], None]] = [fetch, predict, copy_rows, scan]


def _shards(place: Place) -> int:
    folder = snapshots_on_disk.folder_of(place.deployment, DAY)
    return len(snapshots_on_disk.read_manifest(place.shadow.store, folder).parts)


def main() -> None:
    """Run every step and every floor in a process of its own, and print what each took."""
    if len(sys.argv) > 3:
        _work(sys.argv[1], Place(Path(sys.argv[2]), int(sys.argv[3])))
        return
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory(prefix="shadow-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # the server may run as another user
        place = Place(folder, rows)
        place.fill()
        try:
            found = {one.__name__: _measured(one.__name__, place) for one in [*STEPS, *FLOORS]}
        finally:
            place.postgres.stop()
    Console().print(table_of(found, rows))


def _work(name: str, place: Place) -> None:
    work = {one.__name__: one for one in [*STEPS, *FLOORS]}[name]
    began = time.perf_counter()
    work(place)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    sys.stdout.write(json.dumps({"seconds": seconds, "peak_mb": peak}))


def _measured(name: str, place: Place) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.bench.large_day", name, str(place.folder), str(place.rows)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    sys.stderr.write(f"{name}: {found['seconds']:.1f} s, {found['peak_mb']:.0f} MB\n")
    return found


def table_of(found: dict[str, dict[str, float]], rows: int) -> Table:
    """Return the steps with their sum, the floors with theirs, and how many times the floors the steps take."""
    table = Table(title=f"a day of {rows:,} requests, 12 features, 3 challengers, 5 metrics, 20 slices")
    for heading in ("step", "seconds", "peak MB"):
        table.add_column(heading, justify="left" if heading == "step" else "right")
    totals = []
    for title, group in (("whole", STEPS), ("floors", FLOORS)):
        for one in group:
            row = found[one.__name__]
            table.add_row(one.__name__, f"{row['seconds']:.1f}", f"{row['peak_mb']:.0f}")
        totals.append(sum(found[one.__name__]["seconds"] for one in group))
        most = max(found[one.__name__]["peak_mb"] for one in group)
        table.add_row(title, f"{totals[-1]:.1f}", f"{most:.0f}", style="bold", end_section=True)
    table.add_row("whole / floors", f"{totals[0] / totals[1]:.1f}", "")
    return table


if __name__ == "__main__":
    main()
