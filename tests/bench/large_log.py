"""A sample of 100,000 from a log of many rows a day, drawn and written by the engine that reads the log where it lies.

Beside it: the engine's own count by stratum, and its own SHA-256 of each id, by which every source draws. DuckDB is
measured by `make bench`, and beside it Spark by `make bench-engines`, which starts a server of it. Seconds of the
processor are those of our process, without that server's.
"""

import datetime as dt
import math
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.window import window_of
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data import snapshots
from shadow_deployment.data.sources.duckdb.lake import SETTINGS
from shadow_deployment.data.storage import FolderStore
from tests.bench.apart import Work, alternating
from tests.bench.table import Row
from tests.builders import a_deployment
from tests.engines import ADDRESS, connection, spark_session

TITLE = "a sample of 100,000 from a large log"
SIZES = {"full": (1_000_000, 10_000_000, 100_000_000), "quick": (1_000_000, 2_000_000)}
ROUNDS = 3
DRAWN = 100_000
SHARE = 100  # from one in a hundred on there is a goal
TIMES = 1.5
MEGABYTES = 600.0
DAY = dt.date(2024, 1, 1)
FEATURES = ("age", "plan", "visits", "spent")
FILE_ROWS = 10_000_000
ROW_BYTES = 60
ROWS = """
COPY (
    SELECT 'r' || n AS request_id, $day::timestamptz + to_microseconds(n * 86400000000 // $rows) AS requested_at,
        'segment_' || least(floor(1 / (1 - random()))::int, 1000) AS segment, random() AS champion, '7' AS version,
        random() * 20 AS latency, random() AS age, floor(random() * 10)::int AS plan, random() AS visits,
        random() AS spent
    FROM range($first, $last) AS t (n)
) TO '{path}' (FORMAT parquet)
"""
COUNT = "SELECT segment, count(*) FROM {log} WHERE requested_at >= $start AND requested_at < $end GROUP BY 1"
HASH = """
SELECT count(*) FROM {log}
WHERE requested_at >= $start AND requested_at < $end AND sha256('salt:' || request_id) < '02'
"""


@dataclass(frozen=True)
class Engine:
    """What reads the log: `table` is its name of the log in a folder, `floor` its own count and hash of a day."""

    table: Callable[[str], str]
    floor: Callable[..., None]
    uses: tuple[str, ...]
    prepared: Callable[[str], AbstractContextManager[None]] = nullcontext


def deployment(folder: str, engine: str, rows: int) -> Deployment:
    """Return a deployment that draws 100,000 of a day's rows, from up to a thousand strata."""
    table = ENGINES[engine].table(folder)
    return a_deployment(
        name="large_log",
        start=DAY,
        requests={
            "table": table,
            "id": "request_id",
            "time": "requested_at",
            "features": list(FEATURES),
            "prediction": "champion",
            "version": "version",
            "latency": "latency",
        },
        labels={"table": table, "id": "request_id", "value": "champion", "time": "requested_at"},
        sample={"rate": DRAWN / rows, "strata": ["segment"], "minimum_per_stratum": 0, "max_rows": 2 * DRAWN},
        slices=[],
        challengers=[{"name": "a_a_check", "model": "champion"}],
        expectations={"inputs": None, "predictions": None},
        policy={"rules": [{"metric": "brier_score", "is": "superior"}]},
    )


def draw(folder: str, engine: str, rows: int) -> int:
    """Count the day, draw its sample and write it, as the step `sample` does; return how many were drawn."""
    declared = deployment(folder, engine, rows)
    source = DeploymentContext(declared, connection).request_source
    with tempfile.TemporaryDirectory(dir=folder) as store:
        return snapshots.take(declared, window_of(declared, DAY), source, FolderStore(Path(store))).rows


def duckdb_floor(folder: str, engine: str, rows: int) -> None:
    """Count and hash the day, with the settings that the product gives DuckDB."""
    declared = deployment(folder, engine, rows)
    with duckdb.connect(config=SETTINGS) as session:
        session.execute("SET TimeZone = 'UTC'")
        for statement in (COUNT, HASH):
            log = f"read_parquet('{folder}/*.parquet')"
            session.execute(statement.format(log=log), window_of(declared, DAY).bounds).fetchall()


def spark_floor(folder: str, engine: str, rows: int) -> None:
    """Count and hash the day by Spark."""
    bounds = window_of(deployment(folder, engine, rows), DAY).bounds
    with spark_session() as session:
        session.conf.set("spark.sql.session.timeZone", "UTC")
        for statement in (COUNT, HASH.replace("sha256('salt:' || request_id)", "sha2('salt:' || request_id, 256)")):
            session.sql(statement.replace("$", ":").format(log=_name_in_spark(folder)), args=bounds).collect()


@contextmanager
def in_spark(folder: str) -> Iterator[None]:
    """Let a table of Spark be the log's files."""
    with spark_session() as session:
        session.sql(f"CREATE TABLE {_name_in_spark(folder)} USING parquet LOCATION '{folder}'").collect()
        yield
        session.sql(f"DROP TABLE {_name_in_spark(folder)}").collect()


def _name_in_spark(folder: str) -> str:
    return Path(folder).name.replace("-", "_")


ENGINES = {"duckdb": Engine("parquet:{}/*.parquet".format, duckdb_floor, ("duckdb", "pyarrow.parquet"))}
if ADDRESS:
    ENGINES["spark"] = Engine(
        lambda folder: f"spark:{_name_in_spark(folder)}",
        spark_floor,
        ("pyspark.sql.connect.session", "pyarrow.parquet"),
        in_spark,
    )


def measure(size: str, rows: int | None = None) -> dict[str, Any]:
    """Write a log of each size, and draw from it in turn with the floor; sizes beyond the disk's room are left out."""
    found: dict[str, Any] = {"logs": []}
    for count in [rows] if rows else SIZES[size]:
        with tempfile.TemporaryDirectory(prefix="shadow-bench-") as folder:
            if shutil.disk_usage(folder).free < 2 * count * ROW_BYTES:
                continue
            _fill(folder, count)
            megabytes = sum(path.stat().st_size for path in Path(folder).glob("*.parquet")) / 1e6
            Path(folder).chmod(0o755)  # another user's server may read it
            for name, engine in ENGINES.items():
                given = {"folder": folder, "engine": name, "rows": count}
                works = [Work(draw, given, engine.uses), Work(engine.floor, given, engine.uses)]
                with engine.prepared(folder):
                    ours, floor = alternating(works, ROUNDS)
                one = {"engine": name, "rows": count, "file_mb": megabytes, "drawn": ours.result}
                found["logs"].append(one | {"ours": vars(ours), "floor": vars(floor)})
    return found


def rows(found: dict[str, Any]) -> list[Row]:
    """Return each log's wall and processor seconds beside its floor, our memory, and how each engine's time grows."""
    lines = []
    for one in found["logs"]:
        ours, floor = one["ours"], one["floor"]
        size = f"{one['rows']:,} rows, {one['file_mb']:,.0f} MB"
        goal = TIMES if one["rows"] >= SHARE * DRAWN else None  # of fewer rows, the rows themselves count
        beside = f"{one['engine']}: count by stratum, SHA-256"
        pairs = {f"{one['drawn']:,} by {one['engine']}": "seconds", "of the processor": "processor"}
        lines += [
            Row("large_log", what, size, ours[key], beside=beside, theirs=floor[key], at_most=goal)
            for what, key in pairs.items()
        ]
        lines.append(Row("large_log", "peak memory", size, ours["peak_mb"], unit="MB", at_most=MEGABYTES))
    for name in ENGINES:
        logs = [one for one in found["logs"] if one["engine"] == name]
        lines += [_growth(name, smaller, larger) for smaller, larger in pairwise(logs)]
    return lines


def _growth(name: str, smaller: dict[str, Any], larger: dict[str, Any]) -> Row:
    exponent = math.log(larger["ours"]["processor"] / smaller["ours"]["processor"])
    exponent /= math.log(larger["rows"] / smaller["rows"])
    return Row(
        "large_log", f"{name}: exponent of growth", f"{smaller['rows']:,} to {larger['rows']:,}", exponent, unit=""
    )


def _fill(folder: str, count: int) -> None:
    """Let DuckDB write the log, a file for each ten million rows."""
    with duckdb.connect(config={**SETTINGS, "preserve_insertion_order": False}) as session:
        session.execute("SET TimeZone = 'UTC'")
        for first in range(0, count, FILE_ROWS):
            values = {"day": str(DAY), "rows": count, "first": first, "last": min(first + FILE_ROWS, count)}
            session.execute(ROWS.format(path=f"{folder}/{first:012d}.parquet"), values)
