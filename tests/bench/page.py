"""How long the facts of a page take: a year of days, 5 challengers, 50 slices, 12 metrics.

Run it with `python -m tests.bench.page`. It fills a database of its own (some 40 s) and prints the best of ten reads.
"""

import datetime as dt
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from include.embedded.postgres import EmbeddedPostgres
from include.shadow.connection import Connection
from include.shadow.deployment import Deployment
from include.shadow.ledger import migrations
from include.shadow.page import gathering
from include.shadow.surroundings import Shadow
from tests.bench import year
from tests.builders import a_deployment
from tests.production import SHADOW

DAYS, SLICES, ROUNDS = 365, 50, 10
NAMES = ("better", "worse", "equal", "equal_two")


def deployment() -> Deployment:
    """Return five challengers and a policy whose verdicts have a finding for every slice."""
    return a_deployment(
        name="year",
        start=dt.date(2024, 1, 1),
        slices=["carrier"],
        sample={"rate": 0.1, "strata": [], "minimum_per_stratum": 0},
        challengers=[
            *({"name": name, "model": f"logged:flights.prediction_log.{name}"} for name in NAMES),
            {"name": "control", "model": "champion"},
        ],
        metrics=[
            "accuracy",
            "roc_auc",
            "precision",
            "population_stability_index",
            "kolmogorov_smirnov",
            "latency_p50",
            "latency_p95",
            "latency_p99",
        ],
        policy={
            "rules": [
                {"metric": "brier_score", "is": "superior"},
                {"metric": "log_loss", "is": "non_inferior", "margin": 0.005, "slices": ["carrier"]},
                {"metric": "brier_score", "is": "not_harmful", "slices": ["carrier"]},
                {"metric": "error_rate", "is": "at_most", "value": 0.9},
                {"metric": "agreement", "is": "at_least", "value": 0.0, "role": "monitor"},
            ]
        },
    )


def main() -> None:
    """Fill a ledger and measure."""
    one = deployment()
    with tempfile.TemporaryDirectory(prefix="shadow-bench-") as folder:
        Path(folder).chmod(0o711)
        with EmbeddedPostgres(Path(folder) / "pg") as server:
            server.ensure_role(SHADOW)
            server.ensure_database("bench", SHADOW)
            found = server.conninfo("bench", SHADOW)
            ledger = Connection("shadow_db", found.host, found.port, found.user, found.password, found.dbname)
            migrations.migrate(ledger)
            with psycopg.connect(server.uri("bench", SHADOW)) as session:
                year.fill(session, one, days=DAYS, slices=SLICES)
            shadow = Shadow(one, lambda _: ledger)
            middle = one.start + dt.timedelta(days=DAYS // 2)
            _measure("one deployment, newest day", lambda: gathering.deployment_page(shadow))
            _measure("one deployment, a past day", lambda: gathering.deployment_page(shadow, None, middle))
            _measure("one run", lambda: gathering.run_page(shadow, middle))
            _measure("overview", lambda: gathering.overview([shadow]))
            _measure("fingerprint", lambda: gathering.fingerprint(shadow))


def _measure(what: str, read: Callable[[], object]) -> None:
    times = []
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        read()
        times.append(time.perf_counter() - begin)
    print(f"{what:30} best {min(times) * 1000:6.0f} ms, worst {max(times) * 1000:6.0f} ms of {ROUNDS}")


if __name__ == "__main__":
    main()
