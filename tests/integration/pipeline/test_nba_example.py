"""The example of the NBA simulator, as it is, on what two real models said of each game of the coming week."""

import datetime as dt
import json
from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import psycopg
import pytest

from tests.conftest import PROJECT, Invoke, database
from tests.json_lines import encoded_lines
from tests.parquet import on_disk
from tests.production import OWNER, READER, World

FILE = PROJECT.parent / "shared/data/nba/nba_538_daily_vintages_2021.csv.gz"
pytestmark = pytest.mark.skipif(
    not FILE.is_file(), reason=f"{FILE} is not there: FiveThirtyEight's forecasts are no part of the project"
)
EXAMPLE = PROJECT / "include/deployments/examples/nba.yaml"
NEW_YORK = ZoneInfo("America/New_York")
FIRST, LAST = dt.date(2021, 1, 25), dt.date(2021, 2, 3)
MATURITY = 9
GAMES = """
CREATE TABLE games (game_id text PRIMARY KEY, game_date date, season int, home_score int, away_score int)
"""


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    """What both models said of the games of the coming week, a row for each run of the forecast."""
    rows = pd.read_csv(FILE, parse_dates=["snapshot_at"])
    rows["game"] = rows.date + "-" + rows.team1 + "-" + rows.team2
    rows["day"] = rows.snapshot_at.dt.tz_convert(NEW_YORK).dt.date
    rows["known_at"] = pd.to_datetime(rows.date).dt.tz_localize(NEW_YORK) + pd.Timedelta(days=1, hours=6)
    scores = rows.dropna(subset=["score1"]).drop_duplicates("game").set_index("game")
    rows["home"], rows["away"] = rows.game.map(scores.score1), rows.game.map(scores.score2)
    return rows[(rows.horizon_days >= 0) & (rows.day >= FIRST) & (rows.day <= LAST)].sort_values("snapshot_at")


@pytest.fixture(scope="module")
def simulator(worlds: Callable[..., World], log: pd.DataFrame) -> World:
    """The simulator's database with the view of the example's SQL, the log as JSON lines, and an empty ledger."""
    world = worlds()
    name = database(world.postgres, OWNER)
    with psycopg.connect(world.postgres.uri(name, OWNER)) as session:
        session.execute(GAMES)
        session.execute(EXAMPLE.with_suffix(".sql").read_text())
        with session.cursor() as cursor, cursor.copy("COPY games FROM STDIN") as stream:
            for row in log.drop_duplicates("game").itertuples():
                scores = [None if pd.isna(each) else int(each) for each in (row.home, row.away)]
                stream.write_row([row.game, row.date, row.season, *scores])
    world.postgres.ensure_reader(name, READER, "forecast")
    world = worlds(production=name)
    put = on_disk(world.folder / "forecasts")
    for of_day, rows in log.groupby(log.snapshot_at.dt.date):
        put(f"{of_day}.jsonl", encoded_lines(line(row) for row in rows.itertuples()))
    return world


def line(row: Any) -> dict[str, Any]:
    """Return a line of the log, in the example's form."""
    return {
        "prediction_id": f"{row.game}@{row.snapshot_at.isoformat()}", "game_id": row.game,
        "predicted_at": row.snapshot_at, "model_version": "538",
        "game": {"season": row.season, "days_ahead": row.horizon_days},
        "elo": row.elo_prob1, "raptor": row.raptor_prob1,
    }  # fmt: skip


def test_each_game_counts_once_with_what_was_said_of_it_first(
    simulator: World, log: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, invoke: Invoke
) -> None:
    for name, value in simulator.variables().items():
        monkeypatch.setenv(name, value)
    simulator.deployments.mkdir()
    declared = EXAMPLE.read_text().replace(".shadow/snapshots", simulator.snapshots.as_uri())
    declared = declared.replace("/var/lib/nba_simulator", str(simulator.folder))
    (simulator.deployments / "nba.yaml").write_text(declared)
    code, out, err = invoke("run", "nba_home_win", "--from", FIRST, "--to", LAST)
    assert code == 0, err
    assert "raptor" in out

    games = log.drop_duplicates("game").assign(won=lambda rows: rows.home > rows.away).dropna(subset=["home"])
    end = pd.Timestamp(LAST + dt.timedelta(days=1), tz=NEW_YORK)
    due = games.known_at <= end
    _, out, _ = invoke("evidence", "nba_home_win", "--json")
    rows = pd.DataFrame([json.loads(line) for line in out.splitlines()])
    brier = rows[(rows.metric == "brier_score") & (rows.slice == "all")]
    raptor = brier[(brier.challenger == "raptor") & (brier.pairs > 0)].set_index("day")
    expected = games[due].groupby("day")
    assert raptor.pairs.to_dict() == {str(day): count for day, count in expected.size().items()}
    for column, found in (("elo_prob1", raptor.champion), ("raptor_prob1", raptor.challenger_value)):
        loss = expected.apply(lambda of_day, column=column: float(np.mean((of_day[column] - of_day.won) ** 2)))
        assert found.to_numpy() == pytest.approx(loss.to_numpy(), abs=1e-12)
    assert (brier[(brier.challenger == "a_a_check") & (brier.pairs > 0)].difference == 0).all()

    _, out, _ = invoke("verdict", "nba_home_win", "--json")
    verdict = json.loads(out)["challengers"][0]
    assert verdict["days"]["counted"] == (LAST - FIRST).days + 1 - MATURITY
    assert verdict["status"]["stage"] == "collecting"
    assert not [reason for reason in verdict["reasons"] if "label" in reason], verdict["reasons"]
