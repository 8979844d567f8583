"""A production of fourteen days whose challenger is built for a test, and what the command line says of it."""

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pytest
from rich.console import Console

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.context import DeploymentContext
from shadow_deployment.pipeline.run import run_days
from tests import production
from tests.conftest import Invoke, declare
from tests.production import OWNER, World, day, moment

DAYS, PER_DAY = 14, 120
MEMORIZED = 6
OTHER = {"name": "other", "model": "logged:flights.prediction_log.other_probability"}
RULE = {"metric": "brier_score", "is": "superior"}
POLICY = {"burn_in": 4, "tuned_for": 6, "after_fail": "continue", "rules": [RULE]}
TRAINED_UNTIL = str(day(-4))
Predictions = Callable[[pd.DataFrame, np.random.Generator], "np.ndarray[Any, Any]"]


def produce(world: World, challenger: Predictions, **others: Predictions) -> None:
    """Write a log with a noisy champion, and a challenger's predictions: a function of the log with its labels.

    The predictions of `others` are written to columns of their names.
    """
    random = np.random.default_rng(11)
    rows = DAYS * PER_DAY
    number = np.repeat(np.arange(DAYS), PER_DAY)
    late = random.random(rows)
    label = (random.random(rows) < late).astype(int)
    at = [moment(float(when)) for when in number + 0.9 * random.random(rows)]
    log = pd.DataFrame(
        {
            "request_id": [f"f{index:05d}" for index in range(rows)],
            "predicted_at": at,
            "dep_hour": 8.0,
            "distance": 100.0,
            "origin": "EWR",
            "carrier": "UA",
            "champion_probability": np.clip(late + random.normal(0, 0.2, rows), 0.01, 0.99),
            "model_version": "7",
            "latency_ms": 1.0,
        }
    )
    shown = log.assign(late=late, label=label, number=number)
    log["other_probability"] = challenger(shown, random)
    for name, column in others.items():
        world.change_production(f"ALTER TABLE flights.prediction_log ADD COLUMN {name} float8")
        log[name] = column(shown, random)
    known = [when + dt.timedelta(hours=1) for when in at]
    outcome = pd.DataFrame({"request_id": log.request_id, "is_late": label, "known_at": known})
    with psycopg.connect(world.postgres.uri(world.production, OWNER)) as session:
        production.write(session, log, outcome)


def better(log: pd.DataFrame, random: np.random.Generator) -> "np.ndarray[Any, Any]":
    return np.asarray(log.late)


def worse(log: pd.DataFrame, random: np.random.Generator) -> "np.ndarray[Any, Any]":
    return np.clip(log.late + random.normal(0, 0.5, len(log)), 0.01, 0.99)


def logged(column: str) -> dict[str, str]:
    return {"name": column, "model": f"logged:flights.prediction_log.{column}", "trained_until": TRAINED_UNTIL}


def deploy(world: World, **changes: Any) -> Deployment:
    policy = {**POLICY, "replay": "count", **changes.pop("policy", {})}
    challenger = {**OTHER, "trained_until": TRAINED_UNTIL, **changes.pop("challenger", {})}
    usual = {"challengers": [challenger], "policy": policy, "slices": [], "sample": {"shard_rows": 1_000}}
    return world.deploy(**(usual | changes))


def judge_again(world: World, invoke: Invoke, **changes: Any) -> dict[str, Any]:
    """Judge all days by other terms, as if they had been those of the first day."""
    world.register_before_the_first_day(deploy(world, **changes))
    run(invoke, DAYS - 1)
    return newest_verdict(invoke)


def newest_verdict(invoke: Invoke) -> dict[str, Any]:
    (verdict,) = verdicts(invoke)
    return verdict


def verdicts(invoke: Invoke) -> list[dict[str, Any]]:
    code, out, err = invoke("verdict", "late", "--json")
    assert code == 0, err
    stored: list[dict[str, Any]] = json.loads(out)["challengers"]
    return stored


def run(invoke: Invoke, first: int, last: int | None = None) -> tuple[int, str, str]:
    return invoke("run", "late", "--from", day(first), "--to", day(first if last is None else last))


def run_all(world: World, deployment: Deployment, days: int = DAYS) -> None:
    """Run the first days as the command does, without what it says: what several tests begin with."""
    with pytest.MonkeyPatch.context() as patch:
        declare(world, patch)
        run_days(DeploymentContext(deployment, world.connection), [day(n) for n in range(days)], Console(quiet=True))
