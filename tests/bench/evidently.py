"""Comparison and statistics of a million paired rows, beside Evidently's presets on the same rows.

Ours are `compare` and `judge` of one challenger: evidence of seven metrics in twenty slices, and a verdict. Evidently's
are the classification preset of both models' answers with the labels, and the drift preset of answers and features, in
an environment of its own that is made once.
"""

import datetime as dt
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.sampling import design, digest
from shadow_deployment.ledger import snapshots
from shadow_deployment.models.loading import model_digest
from shadow_deployment.pipeline import steps
from tests.bench import evidently_presets
from tests.bench.apart import PROJECT, Work, alternating
from tests.bench.place import LEDGER, Place, new_place
from tests.bench.table import Row
from tests.builders import a_deployment
from tests.production import unguarded

TITLE = "comparison and statistics"
SIZES = {"full": 1_000_000, "quick": 20_000}
ROUNDS = {"full": 2, "quick": 1}
TIMES = 30.0
ENVIRONMENT = PROJECT / ".shadow" / "bench" / "evidently"
REQUIREMENTS = ("evidently==0.7.23", "pandas<3", "pyarrow")
DAY = dt.date(2024, 1, 1)
FEATURES = [f"feature_{number}" for number in range(12)]
GROUPS = ("region", "plan")  # ten values each: twenty slices
FILL = """
INSERT INTO shadow.model_version (deployment_id, name, version, uri, digest)
VALUES (%(deployment)s, 'other', '1', %(uri)s, %(digest)s);
SELECT shadow.ensure_partitions(%(day)s);
INSERT INTO shadow.sampled_day (deployment_id, day, design, window_start, window_end, location, source)
VALUES (%(deployment)s, %(day)s, %(design)s, %(day)s::timestamp AT TIME ZONE 'UTC',
    (%(day)s + 1)::timestamp AT TIME ZONE 'UTC', 'day', 'log');
INSERT INTO shadow.sampled_window (snapshot_id, number, window_start, window_end, population, first_ordinal, rows,
    first_shard, shards, digest, champion_versions)
SELECT id, 1, window_start, window_end, %(rows)s, 0, %(rows)s, 0, 1, 'digest', ARRAY['7'] FROM shadow.sampled_day;
INSERT INTO shadow.label_collection (snapshot_id, collection, labels_until, arrival, labelled, contradicted, invalid,
    early, complete_at)
VALUES (1, 1, (%(day)s + 10)::timestamp AT TIME ZONE 'UTC', 1, %(rows)s, 0, 0, 0,
    (%(day)s + 1)::timestamp AT TIME ZONE 'UTC');
INSERT INTO shadow.cell
SELECT 1, c, jsonb_build_object('region', 'r' || c / 10, 'plan', 'p' || c %% 10) FROM generate_series(0, 99) AS c;
CREATE TEMPORARY TABLE asked AS
SELECT o AS ordinal, floor(random() * 100)::int AS cell, random() AS champion
FROM generate_series(0, %(rows)s - 1) AS o;
INSERT INTO shadow.request_batch (day, snapshot_id, first_ordinal, rows, request_id, requested_at,
    inclusion_probability, cell, champion, champion_version, champion_latency_ms)
SELECT %(day)s, 1, min(ordinal), count(*), array_agg('r' || ordinal ORDER BY ordinal),
    array_agg(%(day)s::timestamptz), array_agg(0.1::float8), array_agg(cell ORDER BY ordinal),
    array_agg(champion ORDER BY ordinal), array_agg(1), array_agg(random() * 20)
FROM asked GROUP BY ordinal / 8192;
INSERT INTO shadow.prediction_batch (day, snapshot_id, challenger_id, first_ordinal, rows, value, latency_ms)
SELECT %(day)s, 1, 1, min(ordinal), count(*), array_agg(0.8 * champion + 0.2 * random() ORDER BY ordinal),
    array_agg(random() * 20)
FROM asked GROUP BY ordinal / 8192;
INSERT INTO shadow.scoring VALUES (1, 1, 0, 0, %(rows)s, 0);
INSERT INTO shadow.label_arrival (day, snapshot_id, arrival, first_ordinal, last_ordinal, rows, ordinal, value,
    known_at)
SELECT %(day)s, 1, 1, min(ordinal), max(ordinal), count(*), array_agg(ordinal ORDER BY ordinal),
    array_agg((random() < champion)::int::float8 ORDER BY ordinal),
    array_agg(%(day)s::timestamptz + interval '1 hour')
FROM asked GROUP BY ordinal / 8192;
INSERT INTO shadow.validation (snapshot_id, challenger_id, revision, digest, success, suite, evaluated, failures)
VALUES (1, NULL, 1, '', true, 'suite', 10, '[]'), (1, 1, 1, '', true, 'suite', 10, '[]')
"""
PAIRS = """
WITH p AS MATERIALIZED (SELECT ordinal, value FROM shadow.prediction),
r AS MATERIALIZED (SELECT ordinal, champion FROM shadow.request)
SELECT r.champion, p.value, l.value
FROM p
JOIN r USING (ordinal)
JOIN shadow.label AS l USING (ordinal)
ORDER BY ordinal
"""


def deployment() -> Deployment:
    """Return one challenger, judged on five metrics in twenty slices, and on how its answers are spread."""
    sliced = {"slices": list(GROUPS)}
    return a_deployment(
        name="paired",
        throttle=1,
        start=DAY,
        slices=list(GROUPS),
        sample={"rate": 0.1, "strata": [], "minimum_per_stratum": 0},
        challengers=[{"name": "other", "model": "logged:flights.prediction_log.other"}],
        expectations={"inputs": None, "predictions": None},
        metrics=["population_stability_index", "kolmogorov_smirnov"],
        policy={
            "burn_in": 2,
            "rules": [
                {"metric": "brier_score", "is": "superior", **sliced},
                {"metric": "log_loss", "is": "non_inferior", "margin": 0.005, **sliced},
                {"metric": "accuracy", "is": "non_inferior", "margin": 0.01, **sliced},
                {"metric": "error_rate", "is": "at_most", "value": 0.001, **sliced},
                {"metric": "agreement", "is": "at_least", "value": 0.0, "role": "advisory", **sliced},
            ],
        },
    )


def compare_and_judge(folder: str) -> int:
    """Compare the day anew and judge it; return how many findings there are."""
    shadow = Place(folder).shadow(deployment())
    steps.compare(shadow, DAY)
    return len(steps.judge(shadow, DAY, "other").verdict.findings)


def measure(size: str) -> dict[str, Any]:
    """Fill a ledger with one day of pairs, write the same rows as Parquet, and let both work on them in turn."""
    count = SIZES[size]
    python, missing = environment()
    found: dict[str, Any] = {"rows": count, "missing": missing}
    with new_place() as place:
        _fill(place, count)
        path = str(_written(place))
        with psycopg.connect(place.uri(LEDGER), autocommit=True) as session:
            session.execute("VACUUM ANALYZE")
        ours, theirs = [], []
        features = {"path": path, "features": FEATURES}
        for _ in range(ROUNDS[size]):
            _forget(place)
            ours += alternating([Work(compare_and_judge, {"folder": str(place.folder)})], 1)
            if python is not None:
                uses = ("evidently.presets", "pandas", "pyarrow.parquet")
                theirs.append(
                    alternating(
                        [
                            Work(evidently_presets.classification, {"path": path}, uses, python),
                            Work(evidently_presets.drift, features, uses, python),
                        ],
                        1,
                    )
                )
        with psycopg.connect(place.uri(LEDGER)) as session:
            counted = session.execute("SELECT count(*) FROM shadow.evidence").fetchone()
            assert counted is not None
    seconds = float(np.median([one.seconds for one in ours]))
    found["ours"] = {"seconds": seconds, "evidence": counted[0], "findings": ours[-1].result}
    found["ours"]["peak_mb"] = max(one.peak_mb for one in ours)
    for number, name in enumerate(("classification", "drift") if theirs else ()):
        costs = [one[number] for one in theirs]
        seconds = float(np.median([one.seconds for one in costs]))
        peak = max(one.peak_mb for one in costs)
        found[name] = {"seconds": seconds, "peak_mb": peak, "metrics": costs[-1].result}
    return found


def rows(found: dict[str, Any]) -> list[Row]:
    """Return how many times faster we are than both presets, and what each needs of memory."""
    size, ours = f"{found['rows']:,} pairs", found["ours"]
    what = f"compare and judge: {ours['evidence'] + ours['findings']} figures"
    if found["missing"]:
        note = f"Evidently is not there: {found['missing']}"
        return [Row("evidently", what, size, ours["seconds"], note=note)]
    both = (found["classification"], found["drift"])
    seconds = sum(one["seconds"] for one in both)
    presets = f"Evidently's two presets: {sum(one['metrics'] for one in both)} metrics"
    memory = max(one["peak_mb"] for one in both)
    return [
        Row("evidently", what, size, ours["seconds"], beside=presets, theirs=seconds, at_least=TIMES),
        Row("evidently", "peak memory", size, ours["peak_mb"], unit="MB", beside="Evidently", theirs=memory),
    ]


def environment() -> tuple[str | None, str | None]:
    """Return the Python that has Evidently, made at first; else None and why there is none."""
    python = ENVIRONMENT / "bin" / "python"
    ready = ENVIRONMENT / "installed"
    if ready.exists() and ready.read_text() == "\n".join(REQUIREMENTS):
        return str(python), None
    uv = shutil.which("uv") or str(PROJECT / ".venv" / "bin" / "uv")
    try:
        subprocess.run([uv, "venv", "--quiet", "--clear", "--python", "3.11", str(ENVIRONMENT)], check=True)
        subprocess.run([uv, "pip", "install", "--quiet", "--python", str(python), *REQUIREMENTS], check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return None, str(error)
    ready.write_text("\n".join(REQUIREMENTS))
    return str(python), None


def _fill(place: Place, count: int) -> None:
    declared = deployment()
    challenger = declared.challenger("other")
    with psycopg.connect(place.uri(LEDGER)) as session:
        values = {
            "deployment": snapshots.deployment_id(session, declared),
            "day": DAY,
            "design": digest(design(declared)),
            "uri": challenger.model,
            "digest": model_digest(challenger),
            "rows": count,
        }
        for statement in FILL.split(";\n"):
            session.execute(statement.encode(), values)


def _forget(place: Place) -> None:
    with psycopg.connect(place.uri(LEDGER)) as session:
        for table in ("comparison", "evidence_batch"):
            with unguarded(session, table):
                session.execute(f"DELETE FROM shadow.{table}")


def _written(place: Place) -> Path:
    """Write the pairs as Parquet, with features beside them."""
    with psycopg.connect(place.uri(LEDGER)) as session:
        values = np.array(session.execute(PAIRS).fetchall())
    random = np.random.default_rng(1)
    columns = dict(zip(("champion", "challenger"), values.T[:2], strict=True))
    columns |= {name: random.random(len(values)) for name in FEATURES}
    path = place.folder / "pairs.parquet"
    pq.write_table(pa.table(columns | {"label": values[:, 2].astype(np.int64)}), path)
    path.chmod(0o644)
    return path
