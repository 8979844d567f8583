"""What a day costs after 1, 30 and 365 days of history: all steps, and each of them."""

import datetime as dt
import statistics
import time
from contextlib import ExitStack
from typing import Any

import psycopg

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.errors import GateFailed
from shadow_deployment.pipeline import steps
from tests.bench import year
from tests.bench.apart import Cost, Work
from tests.bench.place import LEDGER, PRODUCTION, Place, new_place
from tests.bench.table import Row
from tests.builders import a_deployment
from tests.production import linear_model

TITLE = "growth with history"
SIZES = {"full": ((1, 30, 365), 50_000), "quick": ((1, 30), 2_000)}
DAYS = 3  # measured one after the other
GROWTH = 1.25
SLICES = 20
FEATURES = ("feature_0", "feature_1")
CHALLENGERS = ("better", "worse")
USES = ("adbc_driver_postgresql.dbapi", "great_expectations", "onnxruntime", "pandas")
FIRST = dt.date(2025, 1, 1)
TABLES = """
CREATE TABLE log AS
SELECT 'r' || n AS request_id, %(first)s::timestamptz + n * interval '%(days)s days' / (%(rows)s * %(days)s) AS at,
    random() AS feature_0, random() AS feature_1, 'c' || floor(random() * %(slices)s)::int AS carrier,
    random() AS champion, '7' AS version, random() * 20 AS latency
FROM generate_series(0, %(rows)s * %(days)s - 1) AS n;
CREATE INDEX ON log (at);
CREATE TABLE outcome AS SELECT request_id, (random() < champion)::int AS label, at AS known_at
FROM log;
CREATE INDEX ON outcome (request_id);
ANALYZE log;
ANALYZE outcome
"""
ALL_COLLECTED = """
INSERT INTO shadow.label_collection (snapshot_id, collection, labels_until, arrival, labelled, contradicted, invalid,
    early, complete_at)
SELECT id, 2, window_end + interval '1 day', label_revision, labelled, 0, 0, 0, complete_at
FROM shadow.labelled_snapshot
"""


def deployment(folder: str, history: int) -> Deployment:
    """Return two challengers, the A/A check, five metrics and twenty slices, `history` days before the first run."""
    sliced = {"slices": ["carrier"]}
    return a_deployment(
        name="growing",
        throttle=1,
        start=FIRST - dt.timedelta(days=history),
        requests={
            "table": "log",
            "id": "request_id",
            "time": "at",
            "features": list(FEATURES),
            "prediction": "champion",
            "version": "version",
            "latency": "latency",
        },
        labels={"table": "outcome", "id": "request_id", "value": "label", "time": "known_at", "maturity_days": 1},
        store={"snapshots": f"{folder}/snapshots"},
        sample={"rate": 1.0, "strata": [], "minimum_per_stratum": 0},
        slices=["carrier"],
        challengers=[
            *({"name": name, "model": f"onnx:{folder}/{name}.onnx"} for name in CHALLENGERS),
            {"name": "a_a_check", "model": "champion"},
        ],
        expectations={"inputs": None, "predictions": None},
        policy={
            "rules": [
                {"metric": "brier_score", "is": "superior", **sliced},
                {"metric": "log_loss", "is": "non_inferior", "margin": 0.005, **sliced},
                {"metric": "accuracy", "is": "non_inferior", "margin": 0.01, **sliced},
                {"metric": "error_rate", "is": "at_most", "value": 0.001},
                {"metric": "agreement", "is": "at_least", "value": 0.0, "role": "advisory"},
            ]
        },
    )


def run_day(folder: str, history: int, day: str) -> dict[str, float]:
    """Run a day from its sample to its gate; return the seconds of each step."""
    shadow, that_day = Place(folder).shadow(deployment(folder, history)), dt.date.fromisoformat(day)
    names = [one.name for one in shadow.deployment.challengers]
    took: dict[str, float] = {}

    def timed(name: str, step: Any, *arguments: Any) -> Any:
        began = time.perf_counter()
        found = step(shadow, *arguments)
        took[name] = took.get(name, 0.0) + time.perf_counter() - began
        return found

    shards = timed("sample", steps.sample, that_day).own
    timed("validate_inputs", steps.validate_inputs, that_day)
    for task in steps.scoring_plan(shadow, that_day, shards):
        timed("score", steps.score, that_day, task["challenger"], task["shard"])
    for name in names:
        timed("validate_predictions", steps.validate_predictions, that_day, name)
    stale = timed("collect_labels", steps.collect_labels, that_day)
    assert stale == [that_day], f"{len(stale)} days are to be compared, must be that day alone"
    for one in stale:
        timed("compare", steps.compare, one)
    for name in names:
        timed("judge", steps.judge, that_day, name)
    try:
        timed("gate", steps.gate, that_day)
    except GateFailed as closed:
        if "FAILS" not in str(closed):  # a challenger that fails closes it too
            raise
    return took


def measure(size: str) -> dict[str, Any]:
    """Run the same days after each history, in a ledger of its own, and return the median seconds of each step."""
    histories, count = SIZES[size]
    costs: dict[int, list[Cost]] = {history: [] for history in histories}
    with ExitStack() as stack:
        places = {history: stack.enter_context(new_place()) for history in histories}
        for history, place in places.items():
            _fill(place, history, count)
        for number in range(DAYS):
            for history, place in places.items():
                day = (FIRST + dt.timedelta(days=number)).isoformat()
                arguments = {"folder": str(place.folder), "history": history, "day": day}
                costs[history].append(Work(run_day, arguments, USES).measure())
    found: dict[str, Any] = {"rows": count, "histories": {}}
    for history, many in costs.items():
        found["histories"][str(history)] = {
            "steps": {name: statistics.median(one.result[name] for one in many) for name in many[0].result},
            "whole": statistics.median(one.seconds for one in many),
            "peak_mb": max(one.peak_mb for one in many),
        }
    return found


def rows(found: dict[str, Any]) -> list[Row]:
    """Return the whole day after each history beside that after the shortest, and the steps after the longest."""
    histories = list(found["histories"].items())
    (first, shortest), (last, longest) = histories[0], histories[-1]
    beside = f"after {first} {'day' if first == '1' else 'days'}"
    lines = [
        Row(
            "growth",
            "a day",
            f"after {name} days, {found['rows']:,} requests",
            one["whole"],
            beside=beside,
            theirs=shortest["whole"],
            at_most=GROWTH,
        )
        for name, one in histories[1:]
    ]
    return [
        *lines,
        *(
            Row("growth", name, f"after {last} days", seconds, beside=beside, theirs=shortest["steps"][name])
            for name, seconds in longest["steps"].items()
        ),
    ]


def _fill(place: Place, history: int, count: int) -> None:
    folder = str(place.folder)
    for number, name in enumerate(CHALLENGERS):
        linear_model(place.folder / f"{name}.onnx", dict.fromkeys(FEATURES, 0.1 * (number + 1)))
    with psycopg.connect(place.uri(PRODUCTION)) as session:
        for statement in TABLES.split(";\n"):
            filled = statement % {"first": f"'{FIRST} 00:00+00'", "days": DAYS, "rows": count, "slices": SLICES}
            session.execute(filled.encode())
    with psycopg.connect(place.uri(LEDGER)) as session:
        year.fill(session, deployment(folder, history), days=history, slices=SLICES, judged=False)
        session.execute(ALL_COLLECTED)
        session.commit()
        session.autocommit = True
        session.execute("VACUUM ANALYZE")
