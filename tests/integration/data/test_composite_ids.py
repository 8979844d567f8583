"""Ids of several columns: the same requests, labels and logged predictions from Postgres and from Parquet."""

import datetime as dt
import io
from collections.abc import Callable
from typing import Any

import pandas as pd
import psycopg
import pyarrow as pa
import pytest
from rich.console import Console

from shadow_deployment.context import DeploymentContext
from shadow_deployment.doctor.checks import examine
from shadow_deployment.doctor.production import indexes
from shadow_deployment.pipeline import steps
from shadow_deployment.pipeline.run import run_days
from tests.parquet import encoded, on_disk
from tests.production import OWNER, READER, World, day, moment

ID = ["game", "number", "asked_at"]
ROWS = 150  # more than are looked up without a look at the planner's costs
LOG = {"predicted_at": "timestamptz", "x": "float8", "p": "float8", "q": "float8"}
OUTCOME = {"label": "int", "known_at": "timestamptz"}
KEY = "game text, number int, asked_at timestamptz"


def rows() -> dict[str, list[tuple[Any, ...]]]:
    """Return requests and labels, whose keys differ in one column, or in the sign that separates columns."""
    names = ["a", "a/b", "50%", "50%25", "a%2Fb", "", "é"]
    log, outcome = [], []
    for row in range(ROWS):
        key = names[row % len(names)], row // 20, moment(0.1) + dt.timedelta(microseconds=row // len(names))
        share = (row + 0.5) / ROWS
        log.append((*key, moment(0.2) + dt.timedelta(seconds=row), 1.0, share, 1 - share))
        outcome.append((*key, row % 2, moment(0.5)))
    log.append((*log[3][:3], moment(0.9), 1.0, 0.5, 0.5))  # a row that repeats an id
    outcome += [(*each[:2], each[2] + dt.timedelta(days=1), 1, moment(0.5)) for each in log[:3]]  # of no request
    return {"log": log, "outcome": outcome}


@pytest.fixture(scope="module")
def world(worlds: Callable[..., World]) -> World:
    world = worlds(own=True)
    with psycopg.connect(world.postgres.uri(world.production, OWNER)) as session:
        session.execute("CREATE SCHEMA games")
        for name, columns in {"log": LOG, "outcome": OUTCOME}.items():
            typed = ", ".join([KEY, *(f"{column} {kind}" for column, kind in columns.items())])
            session.execute(f"CREATE TABLE games.{name} ({typed})".encode())
            with session.cursor() as cursor, cursor.copy(f"COPY games.{name} FROM STDIN".encode()) as stream:
                for row in rows()[name]:
                    stream.write_row(row)
    world.postgres.ensure_reader(world.production, READER, "games")
    return world


def shadow(world: World, *, log: dict[str, Any], outcome: dict[str, Any], name: str = "late") -> DeploymentContext:
    answers = {"time": "predicted_at", "features": ["x"], "prediction": "p", "version": None, "latency": None}
    deployment = world.deploy(
        name=name,
        requests={"id": ID, "duplicates": "first", **answers, **log},
        labels={"id": ID, "value": "label", "time": "known_at", "maturity_days": 0, **outcome},
        slices=[],
        challengers=[{"name": "other", "model": "logged:q"}],
        policy={"burn_in": 2, "rules": [{"metric": "brier_score", "is": "superior"}]},
    )
    return DeploymentContext(deployment, world.connection)


def in_postgres(world: World) -> DeploymentContext:
    return shadow(world, log={"table": "games.log"}, outcome={"table": "games.outcome"})


def in_parquet(world: World) -> DeploymentContext:
    put = on_disk(world.folder / "lake")
    places = {}
    for name, columns in {"log": LOG, "outcome": OUTCOME}.items():
        frame = pd.DataFrame(rows()[name], columns=[*ID, *columns])
        put(f"{name}.parquet", encoded(pa.Table.from_pandas(frame, preserve_index=False)))
        places[name] = {"conn_id": None, "table": f"parquet:{world.folder}/lake/{name}.parquet"}
    return shadow(world, **places)


def test_each_request_finds_its_own_label_and_prediction_from_either_source(
    world: World, worlds: Callable[..., World]
) -> None:
    lake = worlds()
    for found in (in_postgres(world), in_parquet(lake)):
        assert run_days(found, [day(0)], Console(file=io.StringIO())) == []
    ours, theirs = world.content(), lake.content()
    for name in ("request", "label", "prediction"):
        assert (ours[name], len(ours[name])) == (theirs[name], ROWS)
    midnight = "2024-03-01T02:24:00.000000Z"
    ids = {request for _, _, request, *_ in ours["request"]}
    assert {f"a/0/{midnight}", f"a%2Fb/0/{midnight}", f"50%2525/0/{midnight}"} <= ids
    joined = "SELECT champion, q.value, l.value FROM shadow.request "
    joined += "JOIN shadow.prediction AS q USING (day, snapshot_id, ordinal) "
    joined += "JOIN shadow.label AS l USING (day, snapshot_id, ordinal)"
    for champion, other, label in world.query(joined):
        assert other == pytest.approx(1 - champion)
        assert label == round(champion * ROWS - 0.5) % 2


def test_a_label_may_be_shared_by_the_requests_of_several_columns(world: World) -> None:
    log = {"table": "games.log", "id": "q"}
    found = shadow(world, name="keyed", log=log, outcome={"table": "games.outcome", "key": ID})
    steps.sample(found, day(0))
    steps.collect_labels(found, day(0))
    labelled = "SELECT labelled, early, rows FROM shadow.labelled_snapshot AS s JOIN shadow.deployment AS d "
    assert world.query(f"{labelled} ON d.id = s.deployment_id WHERE d.name = 'keyed'") == [(ROWS, 1, ROWS + 1)]


def test_an_index_on_the_columns_is_used(world: World) -> None:
    found = in_postgres(world)
    assert {check.what: check.state for check in examine("late", indexes.probes(found))}["index labels.id"] == "warning"
    world.change_production("CREATE INDEX ON games.outcome (game, number, asked_at)")
    assert {check.what: check.state for check in examine("late", indexes.probes(found))}["index labels.id"] == "ok"
