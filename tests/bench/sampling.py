"""Drawing one request in a hundred from a large day, and how its cost grows with the day.

Beside the product's two statements: counting the window's rows, and hashing each of their ids, without keeping any.
"""

import datetime as dt
import math
from typing import Any

import psycopg

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.window import window_of
from shadow_deployment.data.db import Sessions
from shadow_deployment.data.sampling import allocate
from shadow_deployment.data.sources.postgres.requests import SETTINGS, PostgresRequests
from tests.bench.apart import Work, alternating
from tests.bench.place import PRODUCTION, Place, new_place
from tests.bench.table import Row
from tests.builders import a_deployment

TITLE = "a sample of one in a hundred"
SIZES = {"full": (1_000_000, 2_000_000, 5_000_000, 10_000_000), "quick": (100_000, 200_000)}
ROUNDS = 3
RATE = 0.01
GROWTH = 1.15  # the exponent of a cost that is linear, give or take what a shared machine does to a figure
FEATURES = ("age", "plan", "visits")
START = dt.date(2024, 1, 1)
TABLE = """
CREATE TABLE log (request_id text, at timestamptz, age float8, plan float8, visits float8, champion float8)
"""
DAY = """
INSERT INTO log
SELECT 'r' || %(number)s || '-' || n, %(day)s::timestamptz + n * interval '1 day' / %(rows)s,
    random(), random(), random(), random()
FROM generate_series(0, %(rows)s - 1) AS n
"""
COUNT = "SELECT count(*) FROM log WHERE at >= %s AND at < %s"
HASH = (
    "SELECT count(*) FROM log WHERE at >= %s AND at < %s "
    "AND sha256(convert_to('salt:' || request_id, 'UTF8')) < '\\x02'"
)


class Recorder:
    """A cursor that keeps the statements it was given."""

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor
        self.statements: list[str] = []

    def execute(self, statement: str) -> None:
        """Execute a statement, and keep it."""
        self.statements.append(statement)
        self._cursor.execute(statement)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)


def deployment() -> Deployment:
    """Return a deployment that draws one request in a hundred."""
    return a_deployment(
        name="sampled",
        throttle=1,
        start=START,
        requests={
            "table": "log",
            "id": "request_id",
            "time": "at",
            "features": list(FEATURES),
            "prediction": "champion",
            "version": None,
            "latency": None,
        },
        labels={"table": "log", "id": "request_id", "value": "champion", "time": "at"},
        sample={"rate": RATE, "strata": [], "minimum_per_stratum": 0, "max_rows": 10_000_000},
        slices=[],
        challengers=[{"name": "a_a_check", "model": "champion"}],
        expectations={"inputs": None, "predictions": None},
        policy={"rules": [{"metric": "brier_score", "is": "superior"}]},
    )


def draw(folder: str, day: str, *, explained: bool = False) -> Any:
    """Count a day and fetch its sample, as the step `sample` does; return the rows, or the statements where asked."""
    declared = deployment()
    source = PostgresRequests(declared, Place(folder).connection("production_db"), Sessions())
    with source.reading(window_of(declared, dt.date.fromisoformat(day))) as reading:
        recorder = Recorder(reading._cursor)
        if explained:
            reading._cursor = recorder
        drawn = reading.sample(allocate(declared.sample, reading.population()))
        rows = sum(batch.num_rows for batch in drawn)
    return recorder.statements if explained else rows


def floor(folder: str, day: str, statement: str) -> int:
    """Run one statement over a day's rows."""
    window = window_of(deployment(), dt.date.fromisoformat(day))
    with psycopg.connect(Place(folder).uri(PRODUCTION), options=_options()) as session:
        row = session.execute(statement.encode(), [window.start, window.end]).fetchone()
        return int(row[0]) if row else 0


def measure(size: str) -> dict[str, Any]:
    """Make a log with a day of each size, and draw from each day in turn with the floors."""
    found: dict[str, Any] = {"rate": RATE, "days": []}
    with new_place() as place:
        _fill(place, SIZES[size])
        for number, count in enumerate(SIZES[size]):
            day = (START + dt.timedelta(days=number)).isoformat()
            at = {"folder": str(place.folder), "day": day}
            works = [
                Work(draw, at, uses=["adbc_driver_postgresql.dbapi"]),
                Work(floor, at | {"statement": COUNT}),
                Work(floor, at | {"statement": HASH}),
            ]
            ours, counted, hashed = alternating(works, ROUNDS)
            plans = [_plan(place, statement) for statement in draw(str(place.folder), day, explained=True)]
            found["days"].append(
                {
                    "rows": count,
                    "drawn": ours.result,
                    "draw": ours.seconds,
                    "peak_mb": ours.peak_mb,
                    "count": counted.seconds,
                    "hash": hashed.seconds,
                    "nodes": [_nodes(plan["Plan"]) for plan in plans],
                    "plans": plans,
                }
            )
    first, last = found["days"][0], found["days"][-1]
    found["exponent"] = math.log(last["draw"] / first["draw"]) / math.log(last["rows"] / first["rows"])
    return found


def rows(found: dict[str, Any]) -> list[Row]:
    """Return what each day took beside its floors, and the exponent of the growth between the first and the last."""
    lines = []
    for one in found["days"]:
        size = f"{one['rows']:,} rows"
        lines += [
            Row("sampling", "1 %", size, one["draw"], beside="count(*), hash", theirs=one["count"] + one["hash"]),
            Row("sampling", "peak memory", size, one["peak_mb"], unit="MB"),
        ]
    first, last = found["days"][0], found["days"][-1]
    size = f"{first['rows']:,} to {last['rows']:,}"
    lines.append(Row("sampling", "exponent of growth", size, found["exponent"], unit="", at_most=GROWTH))
    scans = {node for day in found["days"] for nodes in day["nodes"] for node in nodes if "log" in node}
    return [*lines, Row("sampling", f"by {', '.join(sorted(scans))}", size, found["exponent"], unit="")]


def _fill(place: Place, sizes: tuple[int, ...]) -> None:
    with psycopg.connect(place.uri(PRODUCTION)) as session:
        session.execute(TABLE)
        for number, count in enumerate(sizes):
            day = f"{START + dt.timedelta(days=number)} 00:00+00"
            session.execute(DAY, {"number": str(number), "day": day, "rows": count})
        session.execute("CREATE INDEX ON log (at)")
        session.commit()
        session.autocommit = True
        session.execute("VACUUM ANALYZE log")


def _plan(place: Place, statement: str) -> dict[str, Any]:
    with psycopg.connect(place.uri(PRODUCTION), options=_options()) as session:
        row = session.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}".encode()).fetchone()
        assert row is not None
        plan: dict[str, Any] = row[0][0]
        return plan


def _nodes(plan: dict[str, Any]) -> list[str]:
    """Return the kinds of a plan's nodes from the top down, with the index or the table where they read one."""
    name = f"{plan['Node Type']} {plan.get('Index Name') or plan.get('Relation Name', '')}".strip()
    return [name, *(node for child in plan.get("Plans", []) for node in _nodes(child))]


def _options() -> str:
    return " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())
