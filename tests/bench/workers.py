"""Scoring spread over two Celery workers beside one: a model that takes the processor answers a day's four shards.

Measured is the time from the first shard's begin to the last one's end, with what Airflow takes between tasks. Each
worker runs one task at a time. Two cores are shared with the rest of Airflow and the servers.
"""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from shadow_demo.airflow import WORKERS, LocalAirflow
from shadow_demo.postgres import EmbeddedPostgres
from tests.bench.scheduler import OURS, a_world, run_dag, seconds_between
from tests.bench.table import Row
from tests.live.live import home_in
from tests.live.redis_server import redis
from tests.production import day

TITLE = "scoring by two workers"
SIZES = {"full": (3, "half_a_second"), "quick": (1, "a_fifth_of_a_second")}
SHARD_ROWS = 15  # of the sixty requests of a day


class SomeWorkers(LocalAirflow):
    """Airflow with the first of the Celery workers, or all."""

    workers = len(WORKERS)

    def _commands(self, port: int) -> dict[str, list[str]]:
        left_out = WORKERS[self.workers :]
        return {name: command for name, command in super()._commands(port).items() if name not in left_out}


def half_a_second(frame: pd.DataFrame) -> "pd.Series[float]":
    """Answer after half a second of the processor for each request."""
    return _after(0.5, frame)


def a_fifth_of_a_second(frame: pd.DataFrame) -> "pd.Series[float]":
    """Answer after a fifth of a second for each request."""
    return _after(0.2, frame)


def measure(size: str) -> dict[str, Any]:
    """Run days with one worker and days with two, each with an Airflow and a ledger of its own."""
    rounds, model = SIZES[size]
    return {"model": model, "days": {str(count): _days(count, rounds, model) for count in (1, len(WORKERS))}}


def rows(found: dict[str, Any]) -> list[Row]:
    """Return how long the shards took with one worker and with two, together and each by itself."""
    one, two = found["days"]["1"], found["days"][str(len(WORKERS))]
    size = f"{one[0]['shards']} shards, {found['model'].replace('_', ' ')} a request"

    def median(days: list[dict[str, float]], key: str) -> float:
        return statistics.median(one[key] for one in days)

    return [
        Row("workers", what, size, median(two, key), beside="one worker", theirs=median(one, key))
        for what, key in {"all shards, two workers": "all", "a shard, while two work": "each"}.items()
    ]


def _days(workers: int, rounds: int, model: str) -> list[dict[str, float]]:
    with tempfile.TemporaryDirectory(prefix="shadow-bench-") as name:
        folder = Path(name)
        folder.chmod(0o711)  # the server may run as another user
        with EmbeddedPostgres(folder / "postgres") as server, redis(folder) as broker:
            world = a_world(server, folder / "world")
            challenger = {"name": "busy", "model": f"python:tests.bench.workers:{model}"}
            world.deploy(end=day(9), sample={"shard_rows": SHARD_ROWS}, challengers=[challenger])
            airflow = SomeWorkers(home_in(folder / "home", server, world), broker=broker, port=0)
            airflow.workers = workers
            try:
                airflow.start()
                airflow.wait_for_dag(OURS)
                airflow.call("PATCH", f"/dags/{OURS}", json={"is_paused": False})
                return [_shards(airflow, number) for number in range(rounds)]
            finally:
                airflow.stop()


def _shards(airflow: LocalAirflow, number: int) -> dict[str, float]:
    _, tasks = run_dag(airflow, OURS, f"run_{number}", {"day": str(day(number))})
    scored = [one for one in tasks if one["task_id"] == "score"]
    began, ended = min(one["start_date"] for one in scored), max(one["end_date"] for one in scored)
    each = statistics.mean(float(one["duration"]) for one in scored)
    return {"shards": len(scored), "all": seconds_between(began, ended), "each": each}


def _after(seconds: float, frame: pd.DataFrame) -> "pd.Series[float]":
    end = time.thread_time() + seconds * len(frame)
    while time.thread_time() < end:
        np.sort(np.arange(10_000)[::-1])
    return frame["dep_hour"] / 24
