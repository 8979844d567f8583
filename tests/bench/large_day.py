"""A large day, step by step: wall time and peak memory beside the floors, what the same rows cost without us.

Every step and every floor is a process of its own, so that its peak memory is its own; the time of starting and
importing is not in it. Memory must not grow with rows: `python -m tests.bench large_day --rows 10000000`.
"""

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq
from psycopg import sql

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.db import connection_keywords
from shadow_deployment.pipeline import steps
from shadow_deployment.pipeline.sample import files_of, require_sampled
from tests.bench.apart import Work
from tests.bench.place import LEDGER, PRODUCTION, Place, new_place
from tests.bench.table import Row
from tests.builders import a_deployment
from tests.production import linear_model

TITLE = "a large day"
SIZES = {"full": 1_000_000, "quick": 20_000}
TIMES = 1.5
MEGABYTES = 600.0
VALIDATION, MODELS = ("great_expectations", "pandas"), ("onnxruntime",)
USES = {  # what is imported before the clock starts
    "sample": ("adbc_driver_postgresql.dbapi",),
    "fetch": ("adbc_driver_postgresql.dbapi",),
    "validate_inputs": VALIDATION,
    "validate_predictions": VALIDATION,
    "score": MODELS,
    "score_others": MODELS,
    "predict": MODELS,
}
DAY = dt.date(2024, 1, 1)
FEATURES = [f"feature_{number}" for number in range(12)]
CHALLENGERS = ("one", "two", "three")
GROUPS = ("region", "plan")  # ten values each: twenty slices
KEPT = ("request", "prediction", "label")
PIECE = 1 << 20
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


def deployment(folder: str) -> Deployment:
    """Return three challengers, five metrics and twenty slices."""
    return a_deployment(
        name="large",
        start=DAY,
        throttle=1,  # what it costs, not how long it is spread over: as from a replica
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
        store={"snapshots": f"{folder}/snapshots"},
        sample={"rate": 1.0, "strata": [], "minimum_per_stratum": 0, "max_rows": 100_000_000},
        slices=list(GROUPS),
        challengers=[{"name": name, "model": f"onnx:{folder}/{name}.onnx"} for name in CHALLENGERS],
        expectations={"inputs": None, "predictions": None},
        policy={
            "rules": [
                {"metric": "brier_score", "is": "superior"},
                {"metric": "log_loss", "is": "non_inferior", "margin": 0.005},
                {"metric": "accuracy", "is": "non_inferior", "margin": 0.01},
                {"metric": "error_rate", "is": "at_most", "value": 0.001},
                {"metric": "agreement", "is": "at_least", "value": 0.0, "role": "advisory"},
            ]
        },
    )


def sample(folder: str) -> None:
    """Draw the day's sample and write it."""
    steps.sample(_shadow(folder), DAY)


def validate_inputs(folder: str) -> None:
    """Check the inputs."""
    steps.validate_inputs(_shadow(folder), DAY)


def score(folder: str) -> None:
    """Let the first challenger answer every shard, one after the other."""
    shadow = _shadow(folder)
    for task in steps.scoring_plan(shadow, DAY, _shards(folder), CHALLENGERS[:1]):
        steps.score(shadow, DAY, task["challenger"], task["shard"])


def score_others(folder: str) -> None:
    """Let the other two answer."""
    shadow = _shadow(folder)
    for task in steps.scoring_plan(shadow, DAY, _shards(folder), CHALLENGERS[1:]):
        steps.score(shadow, DAY, task["challenger"], task["shard"])


def validate_predictions(folder: str) -> None:
    """Check the predictions of all three."""
    for name in CHALLENGERS:
        steps.validate_predictions(_shadow(folder), DAY, name)


def collect_labels(folder: str) -> None:
    """Collect the day's labels."""
    steps.collect_labels(_shadow(folder), DAY)


def compare(folder: str) -> None:
    """Compute the day's evidence of all three."""
    steps.compare(_shadow(folder), DAY)


def judge(folder: str) -> None:
    """Judge all three."""
    for name in CHALLENGERS:
        steps.judge(_shadow(folder), DAY, name)


def fetch(folder: str) -> None:
    """Fetch the same columns of the same rows by ADBC, and keep nothing."""
    from adbc_driver_postgresql import dbapi
    from psycopg.conninfo import make_conninfo

    keywords = connection_keywords(Place(folder).connection("production_db"))
    columns = ", ".join(["request_id", "at", "champion", "version", "latency", *FEATURES, *GROUPS])
    with dbapi.connect(make_conninfo(**keywords)) as session, session.cursor() as cursor:
        cursor.execute(f"SELECT {columns} FROM log")
        for _ in cursor.fetch_record_batch():
            pass


def predict(folder: str) -> None:
    """Run the three models on the snapshot's rows, and keep nothing."""
    import numpy as np
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    for name in CHALLENGERS:
        session = onnxruntime.InferenceSession(f"{folder}/{name}.onnx", options, providers=["CPUExecutionProvider"])
        for path in sorted(Path(folder, "snapshots").rglob("part-*.parquet")):
            for batch in pq.ParquetFile(path).iter_batches(batch_size=8192, columns=FEATURES):
                feed = {one: batch[one].to_numpy().astype(np.float32).reshape(-1, 1) for one in FEATURES}
                session.run(None, feed)


def keep_rows(folder: str) -> None:
    """Write the rows that the ledger shows of requests, predictions and labels to files, for `copy_rows`."""
    with psycopg.connect(Place(folder).uri(LEDGER)) as session:
        for name in KEPT:
            statement = sql.SQL("COPY (SELECT * FROM shadow.{}) TO STDOUT (FORMAT binary)").format(sql.Identifier(name))
            with Path(folder, f"{name}.copy").open("wb") as file, session.cursor().copy(statement) as read:
                file.writelines(read)


def copy_rows(folder: str) -> None:
    """COPY these rows into ordinary tables without an index."""
    with psycopg.connect(Place(folder).uri(LEDGER)) as session:
        for name in KEPT:
            table = sql.Identifier(f"copy_of_{name}")
            session.execute(sql.SQL("CREATE TABLE {} (LIKE shadow.{})").format(table, sql.Identifier(name)))
            statement = sql.SQL("COPY {} FROM STDIN (FORMAT binary)").format(table)
            with Path(folder, f"{name}.copy").open("rb") as file, session.cursor().copy(statement) as write:
                while piece := file.read(PIECE):
                    write.write(piece)


def scan(folder: str) -> None:
    """Join answers and labels of all three once, with one sum each, where all of them lie as rows."""
    with psycopg.connect(Place(folder).uri(LEDGER)) as session:
        session.execute("SET enable_nestloop = off")  # nobody has analyzed the copies
        session.execute(
            "SELECT challenger_id, count(*), sum((p.value - l.value) ^ 2 - (r.champion - l.value) ^ 2) "
            "FROM copy_of_prediction AS p JOIN copy_of_request AS r USING (day, snapshot_id, ordinal) "
            "JOIN copy_of_label AS l USING (day, snapshot_id, ordinal) GROUP BY 1"
        ).fetchall()


STEPS: list[Callable[[str], None]] = [
    sample,
    validate_inputs,
    score,
    score_others,
    validate_predictions,
    collect_labels,
    compare,
    judge,
]
FLOORS: list[Callable[[str], None]] = [fetch, predict, copy_rows, scan]


def measure(size: str, rows: int | None = None) -> dict[str, Any]:
    """Make a day, and run every step and every floor in a process of its own."""
    count = rows or SIZES[size]
    with new_place() as place:
        _fill(place, count)
        arguments = {"folder": str(place.folder)}
        costs = {}
        for one in [*STEPS, *FLOORS]:
            if one is copy_rows:
                keep_rows(str(place.folder))
            costs[one.__name__] = place.measure(Work(one, arguments, USES.get(one.__name__, ())))
    return {"rows": count, **{name: vars(one) for name, one in costs.items()}}


def rows(found: dict[str, Any]) -> list[Row]:
    """Return the whole beside the sum of the floors, the most memory that a step takes, and each step and floor."""
    size = f"{found['rows']:,} requests"

    def total(group: list[Callable[[str], None]], key: str) -> float:
        return sum(float(found[one.__name__][key]) for one in group)

    most = max(STEPS, key=lambda one: float(found[one.__name__]["peak_mb"])).__name__
    memory = found[most]["peak_mb"]
    named = " + ".join(one.__name__ for one in FLOORS)
    return [
        *(
            Row("large_day", what, size, total(STEPS, key), beside=named, theirs=total(FLOORS, key), at_most=TIMES)
            for what, key in {"all steps": "seconds", "of the processor, with the server's": "processor"}.items()
        ),
        Row("large_day", f"peak memory, {most}", size, memory, unit="MB", at_most=MEGABYTES),
        *(
            Row(
                "large_day",
                f"{kind} {one.__name__}",
                f"{found[one.__name__]['peak_mb']:.0f} MB",
                found[one.__name__]["seconds"],
            )
            for kind, group in (("step", STEPS), ("floor", FLOORS))
            for one in group
        ),
    ]


def _fill(place: Place, count: int) -> None:
    features = ", ".join(f"random() AS {name}" for name in FEATURES)
    groups = ", ".join(f"'{name}' || floor(random() * 10)::int AS {name}" for name in GROUPS)
    with psycopg.connect(place.uri(PRODUCTION)) as session:
        for statement in ROWS.format(features=features, groups=groups).split(";\n"):
            session.execute((statement % {"day": f"'{DAY} 00:00+00'", "rows": count}).encode())
    for number, name in enumerate(CHALLENGERS):
        linear_model(place.folder / f"{name}.onnx", dict.fromkeys(FEATURES, 0.1 * (number + 1)))


def _shadow(folder: str) -> DeploymentContext:
    return Place(folder).shadow(deployment(folder))


def _shards(folder: str) -> range:
    shadow = _shadow(folder)
    with shadow.ledger() as session:
        return range(len(files_of(shadow, require_sampled(session, shadow.deployment, DAY)).parts))
