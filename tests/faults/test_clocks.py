"""Days of 23 and of 25 hours, and clocks of machines and servers that are set otherwise: each request is of one day."""

import datetime as dt
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import psycopg
import pytest

from shadow_demo.postgres import SUPERUSER
from shadow_deployment.config.window import window_of
from shadow_deployment.pipeline.run import run_day
from tests import production
from tests.faults.sameness import OTHER, files, rows
from tests.production import OWNER, READER, SHADOW, World

ZONE = "America/New_York"
SPRING, AUTUMN = dt.date(2024, 3, 10), dt.date(2024, 11, 3)
QUARTER = dt.timedelta(minutes=15)
MOMENT = dt.timedelta(microseconds=1)
RULES = [{"metric": "brier_score", "is": "superior"}]
DEPLOYED: dict[str, Any] = {
    "timezone": ZONE,
    "sample": {"rate": 1.0, "strata": ["origin"], "shard_rows": 60},
    "slices": ["origin"],
    "labels": {"maturity_days": 1},
    "challengers": [OTHER],
    "policy": {"burn_in": 2, "minimum_coverage": 0.2, "rules": RULES},
}
NAIVE = """
CREATE VIEW flights.naive_log AS SELECT *, (predicted_at AT TIME ZONE 'UTC') AS asked_at,
    (predicted_at AT TIME ZONE 'America/New_York')::date AS local_day FROM flights.prediction_log;
CREATE VIEW flights.naive_outcome AS SELECT *, (known_at AT TIME ZONE 'UTC') AS heard_at FROM flights.outcome;
"""


def days_around(changed: dt.date) -> list[dt.date]:
    return [changed + dt.timedelta(days=number) for number in (-1, 0, 1)]


def requests(changed: dt.date) -> pd.DataFrame:
    """One each quarter of an hour of the three days around a change, and one a moment before each midnight."""
    local = [dt.datetime.combine(day, dt.time(), ZoneInfo(ZONE)) for day in days_around(changed)]
    begin, end = local[0].astimezone(dt.UTC), (local[-1] + dt.timedelta(days=1)).astimezone(dt.UTC)
    times = [begin + number * QUARTER for number in range((end - begin) // QUARTER)]
    times += [one.astimezone(dt.UTC) - MOMENT for one in local[1:]]
    random, count = np.random.default_rng(changed.toordinal()), len(times)
    return pd.DataFrame(
        {
            "request_id": [f"{changed:%m%d}-{number:03d}" for number in range(count)],
            "predicted_at": times,
            "dep_hour": random.random(count),
            "distance": random.random(count),
            "origin": random.choice(["EWR", "Zürich"], count),
            "champion_probability": random.random(count),
            "other_probability": random.random(count),
            "model_version": "7",
            "latency_ms": 1.0,
        }
    )


def outcomes(log: pd.DataFrame) -> pd.DataFrame:
    """A label for every request, at once."""
    known_at = log["predicted_at"]
    return pd.DataFrame({"request_id": log["request_id"], "is_late": np.arange(len(log)) % 2, "known_at": known_at})


@pytest.fixture(scope="module")
def changing(worlds: Callable[..., World], empty_production: str) -> World:
    """Production in the days on which New York's clocks change."""
    world = worlds(own=True, production=empty_production)
    with psycopg.connect(world.postgres.uri(world.production, OWNER)) as session:
        session.execute(NAIVE)
        for changed in (SPRING, AUTUMN):
            log = requests(changed)
            production.write(session, log, outcomes(log))
    return world


@pytest.mark.parametrize(
    ("changed", "quarters"), [(SPRING, [96, 92, 96]), (AUTUMN, [96, 100, 96])], ids=["23 hours", "25 hours"]
)
@pytest.mark.parametrize("hour", [0, 2])
def test_every_request_of_a_short_or_long_day_is_of_one_day_and_in_its_evidence(
    worlds: Callable[..., World], changing: World, changed: dt.date, quarters: list[int], hour: int
) -> None:
    """Also where a day begins in the hour that is left out or there twice."""
    world = World(changing.postgres, changing.production, worlds().ledger, worlds().folder, owns_production=False)
    schedule = {"schedule": f"30 {hour} * * *"} if hour else {}
    shadow = world.shadow(**DEPLOYED, **schedule)
    days = days_around(changed)
    if hour:
        days = [days[0] - dt.timedelta(days=1), *days]  # the day before holds the first hours
    for day in days:
        assert run_day(shadow, day) == []
    drawn = pd.DataFrame(
        world.query("SELECT request_id, day, requested_at FROM shadow.request"), columns=["id", "day", "at"]
    )
    assert sorted(drawn["id"]) == sorted(requests(changed)["request_id"])
    for day, found in drawn.groupby("day"):
        window = window_of(shadow.deployment, day)
        assert ((found["at"] >= window.start) & (found["at"] < window.end)).all()
    if not hour:
        assert drawn.groupby("day").size().tolist() == [quarters[0] + 1, quarters[1] + 1, quarters[2]]
    evidence = world.evidence().query("metric == 'brier_score'")
    whole = evidence[evidence["slice_column"] == "all"]
    assert whole["requests"].sum() == whole["pairs"].sum() == len(drawn)
    assert evidence[evidence["slice_column"] == "origin"]["pairs"].sum() == len(drawn)
    assert (
        len(world.query("SELECT FROM shadow.prediction")) == len(world.query("SELECT FROM shadow.label")) == len(drawn)
    )


ELSEWHERE = {
    "TZ": "Pacific/Auckland",
    "PGTZ": "Asia/Kolkata",
    "PGDATESTYLE": "SQL, DMY",
    "PGCLIENTENCODING": "LATIN1",
}


@contextmanager
def set_otherwise(world: World) -> Iterator[None]:
    """Set this machine, its clients of Postgres, and both databases to other zones, styles and encodings."""
    with psycopg.connect(world.postgres.uri("postgres", SUPERUSER), autocommit=True) as session:
        for role, database in ((READER, world.production), (SHADOW, world.ledger)):
            for setting, value in (("TimeZone", "Australia/Lord_Howe"), ("DateStyle", "German, DMY")):
                session.execute(f"ALTER ROLE {role} IN DATABASE {database} SET {setting} = '{value}'")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ELSEWHERE.items():
            patch.setenv(name, value)
        time.tzset()
        yield
    time.tzset()
    with psycopg.connect(world.postgres.uri("postgres", SUPERUSER), autocommit=True) as session:
        for role, database in ((READER, world.production), (SHADOW, world.ledger)):
            session.execute(f"ALTER ROLE {role} IN DATABASE {database} RESET ALL")


def test_clocks_that_are_set_otherwise_change_nothing(worlds: Callable[..., World], changing: World) -> None:
    """Times without a zone are UTC, and dates as strata the same text, whatever the session's settings would say."""
    naive = DEPLOYED | {
        "requests": {"table": "flights.naive_log", "time": "asked_at"},
        "labels": {"table": "flights.naive_outcome", "time": "heard_at", "maturity_days": 1},
        "sample": {"rate": 0.5, "strata": ["local_day"], "shard_rows": 60},
        "slices": ["local_day", "origin"],
    }
    here, there = (worlds(changing, own=True) for _ in range(2))
    for world, clocks in ((here, nullcontext()), (there, set_otherwise(there))):
        shadow = world.shadow(**naive)
        with clocks:
            assert [problem for day in days_around(AUTUMN) for problem in run_day(shadow, day)] == []
    assert there.content() == here.content()
    assert (rows(there), files(there)) == (rows(here), files(here))
    assert [row[3:] for row in there.verdicts()] == [row[3:] for row in here.verdicts()] != []
