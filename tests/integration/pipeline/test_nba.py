"""The whole day, through the command line, on two real models' forecasts of NBA games with published golden figures."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pytest
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss

from tests.conftest import PROJECT, Invoke, database
from tests.production import OWNER, READER, World, day, moment

FILE = PROJECT.parent / "shared/data/nba/nba_538_two_models_2020_2023.csv"
pytestmark = pytest.mark.skipif(
    not FILE.is_file(), reason=f"{FILE} is not there: FiveThirtyEight's forecasts are no part of the project"
)
DAYS = 10
# Slice: n, Brier score of champion and challenger, their difference as challenger minus champion.
GOLDEN = {
    "all": (4875, "0.22840", "0.21963", "-0.00877"),
    "season=2020": (1125, "0.22266", "0.22028", "-0.00238"),
    "season=2021": (1112, "0.23336", "0.22003", "-0.01334"),
    "season=2022": (1318, "0.22692", "0.21720", "-0.00972"),
    "season=2023": (1320, "0.23057", "0.22116", "-0.00941"),
    "playoff=yes": (276, "0.23048", "0.22513", "-0.00535"),
}
TABLES = """
CREATE SCHEMA nba;
CREATE TABLE nba.forecast (
    game text PRIMARY KEY, forecast_at timestamptz NOT NULL, season int, playoff text, elo float8, raptor float8
);
CREATE TABLE nba.game (game text PRIMARY KEY, home_win boolean, ended_at timestamptz);
"""


@pytest.fixture(scope="module")
def games() -> pd.DataFrame:
    """The games, spread evenly over ten days: when they were played does not matter to sums."""
    rows = pd.read_csv(FILE, dtype={"playoff": str})
    rows["game"] = rows.date + "-" + rows.team1 + "-" + rows.team2
    rows["playoff"] = rows.playoff.where(rows.playoff.isna(), "yes")  # the file names the round
    rows["day"] = np.arange(len(rows)) * DAYS // len(rows)
    return rows


@pytest.fixture(scope="module")
def nba(worlds: Callable[..., World], games: pd.DataFrame) -> World:
    """Production with the games, and ten days run by the command line's own functions in the tests."""
    some = worlds()
    name = database(some.postgres, OWNER)
    with psycopg.connect(some.postgres.uri(name, OWNER)) as session:
        session.execute(TABLES)
        with session.cursor() as cursor, cursor.copy("COPY nba.forecast FROM STDIN") as stream:
            for row in games.itertuples():
                playoff = None if pd.isna(row.playoff) else row.playoff
                stream.write_row(
                    [row.game, moment(row.day + 0.5), row.season, playoff, row.elo_prob1, row.raptor_prob1]
                )
        with session.cursor() as cursor, cursor.copy("COPY nba.game FROM STDIN") as stream:
            for row in games.itertuples():
                stream.write_row([row.game, bool(row.home_win), moment(row.day + 0.9)])
    some.postgres.ensure_reader(name, READER, "nba")
    return worlds(production=name)


@pytest.fixture
def declared(nba: World, monkeypatch: pytest.MonkeyPatch, invoke: Invoke) -> World:
    """The deployment `nba`, run over all days; the runs after the first find all of it done."""
    for name, value in nba.variables().items():
        monkeypatch.setenv(name, value)
    nba.deploy(
        name="nba",
        requests={
            "table": "nba.forecast",
            "id": "game",
            "time": "forecast_at",
            "features": ["elo"],
            "prediction": "elo",
            "version": None,
            "latency": None,
        },
        labels={"table": "nba.game", "id": "game", "value": "home_win", "time": "ended_at", "maturity_days": 1},
        sample={"rate": 1.0, "shard_rows": 1000},
        slices=["season", "playoff"],
        challengers=[{"name": "raptor", "model": "logged:nba.forecast.raptor"}],
        policy={
            "burn_in": 5,
            "rules": [
                {"metric": "brier_score", "is": "superior", "slices": ["season"]},
                {"metric": "agreement", "is": "at_least", "value": 0.5, "role": "advisory"},
            ],
        },
    )
    if not nba.query("SELECT FROM shadow.verdict"):
        code, _, err = invoke("run", "nba", "--from", day(0), "--to", day(DAYS - 1))
        assert code == 0, err
    return nba


@pytest.fixture
def evidence(declared: World, invoke: Invoke) -> pd.DataFrame:
    code, out, _ = invoke("evidence", "nba", "--json")
    assert code == 0
    return pd.DataFrame([json.loads(line) for line in out.splitlines()])


def whole(evidence: pd.DataFrame, metric: str, name: str) -> pd.Series:
    """Return the sums over all days of one metric in one slice, as means."""
    rows = evidence[(evidence.metric == metric) & (evidence.slice == name)]
    columns = ["champion", "challenger_value", "difference"]
    means = rows[columns].mul(rows.weight, axis=0).sum() / rows.weight.sum()
    return pd.concat([means, rows[["requests", "labelled", "pairs"]].sum()])


def part(games: pd.DataFrame, name: str) -> pd.DataFrame:
    if name == "all":
        return games
    column, value = name.split("=")
    return games[games[column].astype(str) == value]


@pytest.mark.parametrize("name", GOLDEN)
def test_brier_scores_are_the_published_golden_figures(evidence: pd.DataFrame, name: str) -> None:
    n, champion, challenger, difference = GOLDEN[name]
    found = whole(evidence, "brier_score", name)
    assert (found.requests, found.labelled, found.pairs) == (n, n, n)
    assert f"{found.champion:.5f}" == champion
    assert f"{found.challenger_value:.5f}" == challenger
    assert f"{-found.difference:.5f}" == difference


@pytest.mark.parametrize("name", GOLDEN)
def test_sums_are_those_of_scikit_learn(evidence: pd.DataFrame, games: pd.DataFrame, name: str) -> None:
    rows = part(games, name)
    for metric, function in (("brier_score", brier_score_loss), ("log_loss", log_loss)):
        champion, challenger = (function(rows.home_win, rows[column]) for column in ("elo_prob1", "raptor_prob1"))
        found = whole(evidence, metric, name)
        assert found.champion == pytest.approx(champion, abs=1e-9)
        assert found.challenger_value == pytest.approx(challenger, abs=1e-9)
        assert found.difference == pytest.approx(champion - challenger, abs=1e-9)
    agreement = accuracy_score(rows.elo_prob1 >= 0.5, rows.raptor_prob1 >= 0.5)
    assert whole(evidence, "agreement", name).challenger_value == pytest.approx(agreement, abs=1e-9)
    assert whole(evidence, "error_rate", name).challenger_value == 0


def test_log_loss_is_the_published_golden_figure(evidence: pd.DataFrame) -> None:
    found = whole(evidence, "log_loss", "all")
    assert (f"{found.champion:.5f}", f"{found.challenger_value:.5f}") == ("0.65009", "0.63097")


def test_standard_errors_follow_from_the_sums_of_squares(declared: World) -> None:
    """The README's standard error of the difference, from evidence alone."""
    pairs, total, squares = declared.query(
        "SELECT sum(pairs)::float8, sum(difference_sum), sum(difference_squares) FROM shadow.evidence "
        "WHERE metric = 'brier_score' AND slice_column = 'all'"
    )[0]
    variance = (squares - total**2 / pairs) / (pairs - 1)
    assert f"{np.sqrt(variance / pairs):.5f}" == "0.00147"


def test_evidence_as_json_is_one_object_a_line_with_the_documented_keys(declared: World, invoke: Invoke) -> None:
    _, out, _ = invoke("evidence", "nba", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    documented = {"day", "challenger", "slice", "metric", "requests", "labelled", "weight", "champion"}
    documented |= {"challenger_value", "difference"}
    assert all(documented <= set(row) for row in rows)
    assert {row["day"] for row in rows} == {str(day(number)) for number in range(DAYS)}
    assert {row["challenger"] for row in rows} == {"raptor"}
    assert {row["metric"] for row in rows} == {"brier_score", "log_loss", "error_rate", "agreement"}
    keys = [(row["day"], row["challenger"], row["slice"], row["metric"]) for row in rows]
    assert len(set(keys)) == len(keys)


def test_verdict_as_json_has_the_documented_keys(declared: World, invoke: Invoke) -> None:
    _, out, _ = invoke("verdict", "nba", "--json")
    found: dict[str, Any] = json.loads(out)
    assert (found["deployment"], found["as_of"]) == ("nba", str(day(DAYS - 1)))
    (challenger,) = found["challengers"]
    assert {"name", "version", "outcome", "findings"} <= set(challenger)
    assert (challenger["name"], challenger["version"]) == ("raptor", "1")
    assert challenger["outcome"] in ("PASS", "FAIL", "INCONCLUSIVE")
    documented = {"metric", "slice", "is", "role", "outcome", "estimate", "lower", "upper", "bound"}
    documented |= {"observations", "requests", "reason"}
    assert all(documented <= set(finding) for finding in challenger["findings"])
    brier = {finding["slice"]: finding for finding in challenger["findings"] if finding["metric"] == "brier_score"}
    assert set(brier) == {name for name in GOLDEN if name != "playoff=yes"}
    assert (brier["all"]["observations"], brier["all"]["requests"]) == (DAYS, 4875)
    assert brier["all"]["lower"] < brier["all"]["estimate"] < brier["all"]["upper"]


def test_the_estimate_is_the_mean_of_all_games(declared: World, games: pd.DataFrame, invoke: Invoke) -> None:
    _, out, _ = invoke("verdict", "nba", "--json")
    brier = json.loads(out)["challengers"][0]["findings"][0]
    loss = (games.elo_prob1 - games.home_win) ** 2 - (games.raptor_prob1 - games.home_win) ** 2
    assert brier["estimate"] == pytest.approx(loss.mean(), abs=1e-12)


def test_a_verdict_as_of_an_earlier_day_is_the_one_of_that_day(declared: World, invoke: Invoke) -> None:
    _, out, _ = invoke("verdict", "nba", "--json", "--as-of", day(4))
    found = json.loads(out)
    assert found["as_of"] == found["challengers"][0]["day"] == str(day(4))
    assert found["challengers"][0]["findings"][0]["observations"] == 5


def test_running_all_days_again_says_the_same(declared: World, invoke: Invoke) -> None:
    before = declared.content()
    code, out, _ = invoke("run", "nba", "--from", day(0), "--to", day(DAYS - 1))
    assert code == 0
    assert "raptor 1" in out
    assert declared.content() == before


def test_the_data_is_the_file_that_the_figures_are_of() -> None:
    assert len(Path(FILE).read_text().splitlines()) == 4875 + 1
