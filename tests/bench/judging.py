"""A day judged on a year of evidence: 365 days, 10 metrics, 50 slices, 5 challengers, 3 % of the labels missing.

Beside it the same rows of evidence as they are fetched by ADBC and added up by the database: what reading them costs.
"""

import datetime as dt
import time
from typing import Any

import psycopg

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.db import connection_keywords
from shadow_deployment.pipeline import steps
from tests.bench import year
from tests.bench.apart import Work, alternating
from tests.bench.place import LEDGER, Place, new_place
from tests.bench.table import Row
from tests.builders import a_deployment

TITLE = "a verdict on a year of evidence"
SIZES = {"full": (365, 50), "quick": (60, 10)}
ROUNDS = 3
NAMES = ("better", "worse", "equal", "equal_two")
METRICS = ("log_loss", "accuracy", "precision", "recall", "f1", "roc_auc", "average_precision", "calibration_error")
SECONDS = 1.0


def deployment() -> Deployment:
    """Return five challengers, and ten metrics with a rule in all slices each."""
    sliced = {"slices": ["carrier"]}
    return a_deployment(
        name="year",
        start=dt.date(2024, 1, 1),
        slices=["carrier"],
        sample={"rate": 0.1, "strata": [], "minimum_per_stratum": 0},
        challengers=[
            *({"name": name, "model": f"logged:flights.prediction_log.{name}"} for name in NAMES),
            {"name": "a_a_check", "model": "champion"},
        ],
        expectations={"inputs": None, "predictions": None},
        policy={
            "rules": [
                {"metric": "brier_score", "is": "superior", **sliced},
                *({"metric": name, "is": "non_inferior", "margin": 0.05, **sliced} for name in METRICS),
                {"metric": "error_rate", "is": "at_most", "value": 0.9, **sliced},
            ]
        },
    )


def judge(folder: str, day: str) -> dict[str, float]:
    """Judge every challenger of a day, one after the other; return the seconds of each."""
    declared = deployment()
    shadow = Place(folder).shadow(declared)
    found = {}
    for one in declared.challengers:
        began = time.perf_counter()
        steps.judge(shadow, dt.date.fromisoformat(day), one.name)
        found[one.name] = time.perf_counter() - began
    return found


def fetch(folder: str) -> int:
    """Fetch the numbers of all evidence by ADBC and keep nothing; return the rows."""
    from adbc_driver_postgresql import dbapi
    from psycopg.conninfo import make_conninfo

    keywords = connection_keywords(Place(folder).connection("shadow_db"))
    with dbapi.connect(make_conninfo(**keywords)) as session, session.cursor() as cursor:
        cursor.execute(
            "SELECT metric, slice_value, day, requests, pairs, identical, weight, champion_sum, challenger_sum, "
            "difference_sum FROM shadow.evidence"
        )
        return sum(batch.num_rows for batch in cursor.fetch_record_batch())


def add_up(folder: str) -> int:
    """Let the database add up all evidence by challenger, metric and slice; return how many sums there are."""
    with psycopg.connect(Place(folder).uri(LEDGER)) as session:
        return len(
            session.execute(
                "SELECT sum(champion_sum), sum(challenger_sum), sum(difference_sum) FROM shadow.evidence "
                "GROUP BY challenger_id, metric, slice_column, slice_value"
            ).fetchall()
        )


def measure(size: str) -> dict[str, Any]:
    """Fill a ledger and judge its newest day, each time in a process of its own."""
    days, slices = SIZES[size]
    declared = deployment()
    newest = declared.start + dt.timedelta(days=days - 1)
    with new_place() as place:
        with psycopg.connect(place.uri(LEDGER)) as session:
            year.fill(session, declared, days=days, slices=slices, judged=False, unlabelled=0.03)
            session.autocommit = True
            session.execute("VACUUM ANALYZE shadow.evidence_batch")
        folder = {"folder": str(place.folder)}
        works = [
            Work(judge, folder | {"day": newest.isoformat()}),
            Work(fetch, folder, uses=["adbc_driver_postgresql.dbapi"]),
            Work(add_up, folder),
        ]
        ours, fetched, added = alternating(works, ROUNDS)
    return {
        "days": days,
        "slices": slices,
        "challengers": len(declared.challengers),
        "metrics": len(declared.policy.rules),
        "rows": fetched.result,
        "judge": vars(ours),
        "fetch": vars(fetched),
        "add_up": vars(added),
    }


def rows(found: dict[str, Any]) -> list[Row]:
    """Return what all challengers together take, beside the two floors."""
    size = f"{found['days']} days x {found['metrics']} metrics x {found['slices']} slices x {found['challengers']}"
    ours = found["judge"]
    return [
        Row(
            "judging",
            "five verdicts",
            size,
            ours["seconds"],
            beside=f"the {found['rows']:,} rows by ADBC",
            theirs=found["fetch"]["seconds"],
            at_most=SECONDS,
            absolute=True,
        ),
        Row(
            "judging",
            "",
            size,
            ours["seconds"],
            beside="added up by the database",
            theirs=found["add_up"]["seconds"],
        ),
        Row("judging", "peak memory", size, ours["peak_mb"], unit="MB"),
    ]
