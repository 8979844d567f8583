"""Collecting the labels of a day by the ids of its requests, and how its cost grows with the day.

From Postgres, beside reading the same labels by one scan; and from Parquet, beside DuckDB's own join of the same files.
Requests are in the order of the draw, which is random; labels are in that of time, in Postgres that of ids too.
"""

import datetime as dt
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import duckdb
import psycopg

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.sources.duckdb.lake import SETTINGS
from shadow_deployment.pipeline import steps
from tests.bench.apart import Work
from tests.bench.place import PRODUCTION, Place, new_place
from tests.bench.table import Row
from tests.builders import a_deployment

TITLE = "collecting labels"
SIZES = {"full": (1_000_000, 3_000_000, 10_000_000), "quick": (20_000, 100_000)}
GROWTH = 1.15  # the exponent of a cost that is linear, give or take what a shared machine does to a figure
MEGABYTES = 600.0
DAY = dt.date(2024, 1, 1)
ROWS = """
CREATE TABLE log_{rows} AS
SELECT 'r' || n AS request_id, %(day)s::timestamptz + n * interval '86400 seconds' / {rows} AS requested_at,
    random() AS age, random() AS champion
FROM generate_series(0, {rows} - 1) AS n;
CREATE TABLE outcome_{rows} AS
SELECT request_id, (random() < champion)::int AS label, requested_at + interval '1 hour' AS known_at
FROM log_{rows};
CREATE INDEX ON outcome_{rows} (request_id);
VACUUM ANALYZE log_{rows};
VACUUM ANALYZE outcome_{rows}
"""
LOG = """
COPY (
    SELECT 'r' || hash(n) AS request_id, $day::timestamptz + to_microseconds(n * 86400000000 // $rows) AS requested_at,
        random() AS age, random() AS champion
    FROM range($rows) AS t (n)
) TO '{folder}/log_{rows}.parquet' (FORMAT parquet)
"""
OUTCOME = """
COPY (
    SELECT request_id, (random() < champion)::int AS label, requested_at + INTERVAL 1 HOUR AS known_at
    FROM '{folder}/log_{rows}.parquet'
) TO '{folder}/outcome_{rows}.parquet' (FORMAT parquet)
"""
JOIN = """
SELECT request_id, label, known_at
FROM '{folder}/outcome_{rows}.parquet' SEMI JOIN '{folder}/log_{rows}.parquet' USING (request_id)
"""


@dataclass(frozen=True)
class Kept:
    """Where requests and labels are kept: what `fill` writes, `table` names, and `floor` reads, as `beside` says."""

    fill: Callable[[Place, int], None]
    table: Callable[[str, str, int], str]
    floor: Callable[[str, int], None]
    beside: str
    uses: str


def deployment(folder: str, kept: str, rows: int) -> Deployment:
    """Return a deployment that samples all of a day's requests."""
    table = KEPT[kept].table
    return a_deployment(
        name=f"labelled_{kept.lower()}_{rows}",
        start=DAY,
        throttle=1,
        requests={
            "table": table(folder, "log", rows),
            "id": "request_id",
            "time": "requested_at",
            "features": ["age"],
            "prediction": "champion",
            "version": None,
            "latency": None,
        },
        labels={"table": table(folder, "outcome", rows), "id": "request_id", "value": "label", "time": "known_at"},
        store={"snapshots": f"{folder}/snapshots"},
        sample={"rate": 1.0, "strata": [], "minimum_per_stratum": 0, "max_rows": 100_000_000},
        slices=[],
        challengers=[{"name": "a_a_check", "model": "champion"}],
        expectations={"inputs": None, "predictions": None},
        policy={"rules": [{"metric": "brier_score", "is": "superior"}]},
    )


def sample(folder: str, kept: str, rows: int) -> None:
    """Draw the day."""
    steps.sample(Place(folder).shadow(deployment(folder, kept, rows)), DAY)


def collect(folder: str, kept: str, rows: int) -> None:
    """Collect its labels."""
    steps.collect_labels(Place(folder).shadow(deployment(folder, kept, rows)), DAY)


def read(folder: str, kept: str, rows: int) -> None:
    """Read the same labels with their ids, and keep nothing."""
    KEPT[kept].floor(folder, rows)


def measure(size: str) -> dict[str, Any]:
    """Sample a day of each size, and collect its labels once, beside the floor."""
    found: dict[str, Any] = {"days": []}
    with new_place() as place:
        for rows in SIZES[size]:
            for name, kept in KEPT.items():
                kept.fill(place, rows)
                given = {"folder": str(place.folder), "kept": name, "rows": rows}
                Work(sample, given).measure()
                costs = {work.__name__: place.measure(Work(work, given, (kept.uses,))) for work in (collect, read)}
                found["days"].append({"kept": name, "rows": rows} | {work: vars(cost) for work, cost in costs.items()})
    return found


def rows(found: dict[str, Any]) -> list[Row]:
    """Return what each day took beside its floor, wall time and the processor's with the server, and the growth."""
    lines = []
    for one in found["days"]:
        size = f"{one['rows']:,} labels, {one['kept']}"
        ours, floor, beside = one["collect"], one["read"], KEPT[one["kept"]].beside
        for what, key in {"collect_labels": "seconds", "of the processor, with the server's": "processor"}.items():
            lines.append(Row("labels", what, size, ours[key], beside=beside, theirs=floor[key]))
        lines.append(Row("labels", "peak memory", size, ours["peak_mb"], unit="MB", at_most=MEGABYTES))
    for name in KEPT:
        days = [one for one in found["days"] if one["kept"] == name]
        lines += [_growth(name, smaller, larger) for smaller, larger in pairwise(days)]
    return lines


def _growth(kept: str, smaller: dict[str, Any], larger: dict[str, Any]) -> Row:
    size, times = f"{smaller['rows']:,} to {larger['rows']:,}, {kept}", larger["rows"] / smaller["rows"]
    exponent = math.log(larger["collect"]["processor"] / smaller["collect"]["processor"]) / math.log(times)
    return Row("labels", "exponent of growth", size, exponent, unit="", at_most=GROWTH)


def _fill_postgres(place: Place, rows: int) -> None:
    with psycopg.connect(place.uri(PRODUCTION), autocommit=True) as session:
        for statement in ROWS.format(rows=rows).split(";\n"):
            session.execute((statement % {"day": f"'{DAY} 00:00+00'"}).encode())


def _scan(folder: str, rows: int) -> None:
    """Read by one scan, through ADBC."""
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(Place(folder).uri(PRODUCTION)) as session, session.cursor() as cursor:
        cursor.execute(f"SELECT request_id, label, known_at FROM outcome_{rows}")
        for _ in cursor.fetch_record_batch():
            pass


def _fill_parquet(place: Place, rows: int) -> None:
    with duckdb.connect(config=SETTINGS) as session:
        session.execute("SET TimeZone = 'UTC'")
        session.execute(LOG.format(folder=place.folder, rows=rows), {"day": str(DAY), "rows": rows})
        session.execute(OUTCOME.format(folder=place.folder, rows=rows))


def _join(folder: str, rows: int) -> None:
    """Join by DuckDB, with the settings that the product gives it."""
    with duckdb.connect(config={**SETTINGS, "temp_directory": f"{folder}/spill"}) as session:
        for _ in session.sql(JOIN.format(folder=folder, rows=rows)).to_arrow_reader():
            pass


KEPT = {
    "Postgres": Kept(
        _fill_postgres,
        lambda _, name, rows: f"{name}_{rows}",
        _scan,
        "read by a scan",
        "adbc_driver_postgresql.dbapi",
    ),
    "Parquet": Kept(
        _fill_parquet,
        lambda folder, name, rows: f"parquet:{folder}/{name}_{rows}.parquet",
        _join,
        "DuckDB's join of the files",
        "duckdb",
    ),
}
