"""A real daily prediction log: forecasts of NBA games as they stood each morning, with repeated and missing runs."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import psycopg
import pytest

from shadow_deployment.context import DeploymentContext
from shadow_deployment.errors import ValidationFailed
from shadow_deployment.pipeline import steps
from shadow_deployment.pipeline.run import run_day
from tests.conftest import PROJECT, database
from tests.production import OWNER, READER, World

FILE = PROJECT.parent / "shared/data/nba/nba_538_daily_vintages_2021.csv.gz"
pytestmark = pytest.mark.skipif(
    not FILE.is_file(), reason=f"{FILE} is not there: FiveThirtyEight's forecasts are no part of the project"
)
FIRST, LAST = dt.date(2021, 1, 25), dt.date(2021, 2, 3)
REPEATED = [dt.date(2021, 1, 25), dt.date(2021, 1, 26)]
TABLES = """
CREATE SCHEMA nba;
CREATE TABLE nba.morning (game text, forecast_at timestamptz, elo float8, raptor float8);
CREATE TABLE nba.result (game text, home_win boolean, known_at timestamptz);
"""


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    """What both models said on the morning of each game, one row for each run of the forecast."""
    rows = pd.read_csv(FILE, parse_dates=["snapshot_at"])
    rows["game"] = rows.date + "-" + rows.team1 + "-" + rows.team2
    rows["day"] = rows.snapshot_at.dt.date
    return rows


@pytest.fixture(scope="module")
def vintages(worlds: Callable[..., World], log: pd.DataFrame) -> World:
    world = worlds()
    name = database(world.postgres, OWNER)
    known = log.dropna(subset=["score1", "score2"]).sort_values("snapshot_at").drop_duplicates("game")
    with psycopg.connect(world.postgres.uri(name, OWNER)) as session:
        session.execute(TABLES)
        with session.cursor() as cursor, cursor.copy("COPY nba.morning FROM STDIN") as stream:
            for row in log[log.horizon_days == 0].itertuples():
                stream.write_row([row.game, row.snapshot_at, row.elo_prob1, row.raptor_prob1])
        with session.cursor() as cursor, cursor.copy("COPY nba.result FROM STDIN") as stream:
            for row in known.itertuples():
                stream.write_row([row.game, bool(row.score1 > row.score2), row.snapshot_at])
    world.postgres.ensure_reader(name, READER, "nba")
    return replace(world, production=name, owns_production=False)


def shadow(world: World, duplicates: str) -> DeploymentContext:
    return world.shadow(
        start=FIRST,
        requests={
            "conn_id": "production_db",
            "table": "nba.morning",
            "id": "game",
            "time": "forecast_at",
            "features": ["elo"],
            "prediction": "elo",
            "version": None,
            "latency": None,
            "duplicates": duplicates,
        },
        labels={"table": "nba.result", "id": "game", "value": "home_win", "time": "known_at", "maturity_days": 2},
        slices=[],
        challengers=[{"name": "raptor", "model": "logged:nba.morning.raptor"}],
        policy={"burn_in": 2, "rules": [{"metric": "brier_score", "is": "superior"}]},
    )


def days() -> list[dt.date]:
    return [FIRST + dt.timedelta(days=number) for number in range((LAST - FIRST).days + 1)]


def test_a_morning_that_was_forecast_twice_stops_at_its_inputs(vintages: World, worlds: Callable[..., World]) -> None:
    own = replace(worlds(), production=vintages.production)
    twice = shadow(own, "refuse")
    steps.sample(twice, REPEATED[0])
    with pytest.raises(ValidationFailed, match="expect_column_values_to_be_unique"):
        steps.validate_inputs(twice, REPEATED[0])
    assert own.query("SELECT count(*) FROM shadow.prediction") == [(0,)]


def test_the_first_answer_counts_and_each_game_once(
    vintages: World, worlds: Callable[..., World], log: pd.DataFrame
) -> None:
    own = replace(worlds(), production=vintages.production)
    first = shadow(own, "first")
    for day in days():
        assert run_day(first, day) == []
    mornings = log[(log.horizon_days == 0) & (log.day >= FIRST) & (log.day <= LAST)].sort_values("snapshot_at")
    answers = mornings.drop_duplicates(["day", "game"])  # the earliest run of each morning
    assert len(mornings) > len(answers), "no morning was forecast twice"
    kept = own.query(
        "SELECT r.day, r.request_id, r.champion, p.value FROM shadow.request AS r "
        "JOIN shadow.prediction AS p USING (day, snapshot_id, ordinal) ORDER BY 1, 2"
    )
    expected = answers.sort_values(["day", "game"])[["day", "game", "elo_prob1", "raptor_prob1"]]
    assert kept == [tuple(row) for row in expected.itertuples(index=False)]

    known = log.dropna(subset=["score1"]).sort_values("snapshot_at").drop_duplicates("game").set_index("game")
    end = pd.Timestamp(LAST, tz="UTC") + pd.Timedelta(days=1)
    at = answers.game.map(known.snapshot_at)
    deadline = pd.to_datetime(answers.day, utc=True) + pd.Timedelta(days=3)
    labelled = answers[(at <= end) & (at <= deadline)].groupby("day").size()
    coverage = dict(own.query("SELECT day, labelled FROM shadow.labelled_snapshot WHERE rows > 0 ORDER BY 1"))
    assert coverage == {day: int(labelled.get(day, 0)) for day in sorted(set(answers.day))}

    before = own.dump()
    for day in days():
        run_day(first, day)
    assert own.dump() == before  # what was answered in the morning is never overwritten
