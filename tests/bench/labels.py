"""Collecting the labels of a day by the ids of its requests, and how its cost grows with the day.

Beside it: reading the same labels by one scan. Requests are in the order of the draw, which is random.
"""

import datetime as dt
import math
from itertools import pairwise
from typing import Any

import psycopg

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.pipeline import steps
from tests.bench.apart import Work
from tests.bench.place import PRODUCTION, Place, new_place
from tests.bench.table import Row
from tests.builders import a_deployment

TITLE = "collecting labels"
SIZES = {"full": (100_000, 1_000_000, 10_000_000), "quick": (20_000, 100_000)}
GROWTH = 1.15  # the exponent of a cost that is linear, give or take what a shared machine does to a figure
DAY = dt.date(2024, 1, 1)
ROWS = """
CREATE TABLE log_{rows} AS
SELECT 'r' || n AS request_id, %(day)s::timestamptz + n * interval '86400 seconds' / {rows} AS at, random() AS age,
    random() AS champion
FROM generate_series(0, {rows} - 1) AS n;
CREATE TABLE outcome_{rows} AS
SELECT request_id, (random() < champion)::int AS label, at + interval '1 hour' AS known_at
FROM log_{rows};
CREATE INDEX ON outcome_{rows} (request_id);
VACUUM ANALYZE log_{rows};
VACUUM ANALYZE outcome_{rows}
"""


def deployment(folder: str, rows: int) -> Deployment:
    """Return a deployment that samples all of a day's requests."""
    return a_deployment(
        name=f"labelled_{rows}",
        start=DAY,
        throttle=1,
        requests={
            "table": f"log_{rows}",
            "id": "request_id",
            "time": "at",
            "features": ["age"],
            "prediction": "champion",
            "version": None,
            "latency": None,
        },
        labels={"table": f"outcome_{rows}", "id": "request_id", "value": "label", "time": "known_at"},
        store={"snapshots": f"{folder}/snapshots"},
        sample={"rate": 1.0, "strata": [], "minimum_per_stratum": 0, "max_rows": 100_000_000},
        slices=[],
        challengers=[{"name": "a_a_check", "model": "champion"}],
        expectations={"inputs": None, "predictions": None},
        policy={"rules": [{"metric": "brier_score", "is": "superior"}]},
    )


def sample(folder: str, rows: int) -> None:
    """Draw the day."""
    steps.sample(Place(folder).shadow(deployment(folder, rows)), DAY)


def collect(folder: str, rows: int) -> None:
    """Collect its labels."""
    steps.collect_labels(Place(folder).shadow(deployment(folder, rows)), DAY)


def read(folder: str, rows: int) -> None:
    """Read the same labels with their ids by ADBC, and keep nothing."""
    from adbc_driver_postgresql import dbapi

    with dbapi.connect(Place(folder).uri(PRODUCTION)) as session, session.cursor() as cursor:
        cursor.execute(f"SELECT request_id, label, known_at FROM outcome_{rows}")
        for _ in cursor.fetch_record_batch():
            pass


def measure(size: str) -> dict[str, Any]:
    """Sample a day of each size, and collect its labels once, beside the scan."""
    found: dict[str, Any] = {"days": []}
    with new_place() as place:
        for rows in SIZES[size]:
            given = {"folder": str(place.folder), "rows": rows}
            _fill(place, rows)
            Work(sample, given).measure()
            uses = ("adbc_driver_postgresql.dbapi",)
            costs = {work.__name__: place.measure(Work(work, given, uses)) for work in (collect, read)}
            found["days"].append({"rows": rows} | {name: vars(cost) for name, cost in costs.items()})
    return found


def rows(found: dict[str, Any]) -> list[Row]:
    """Return what each day took beside the scan, wall time and the processor's with the server, and the growth."""
    lines = []
    for one in found["days"]:
        size = f"{one['rows']:,} labels"
        ours, scan = one["collect"], one["read"]
        for what, key in {"collect_labels": "seconds", "of the processor, with the server's": "processor"}.items():
            lines.append(Row("labels", what, size, ours[key], beside="read by a scan", theirs=scan[key]))
        lines.append(Row("labels", "peak memory", size, ours["peak_mb"], unit="MB"))
    for smaller, larger in pairwise(found["days"]):
        size, times = f"{smaller['rows']:,} to {larger['rows']:,}", larger["rows"] / smaller["rows"]
        exponent = math.log(larger["collect"]["processor"] / smaller["collect"]["processor"]) / math.log(times)
        lines.append(Row("labels", "exponent of growth", size, exponent, unit="", at_most=GROWTH))
    return lines


def _fill(place: Place, rows: int) -> None:
    with psycopg.connect(place.uri(PRODUCTION), autocommit=True) as session:
        for statement in ROWS.format(rows=rows).split(";\n"):
            session.execute((statement % {"day": f"'{DAY} 00:00+00'"}).encode())
