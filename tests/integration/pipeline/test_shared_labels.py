"""Labels that several requests share, such as a game that is predicted on three days: each counts once."""

import datetime as dt
import io
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pyarrow as pa
import pytest
from numpy.testing import assert_allclose
from rich.console import Console

from shadow_deployment.pipeline import steps
from shadow_deployment.pipeline.history.erase import erase
from shadow_deployment.pipeline.run import run_days
from tests import production
from tests.conftest import Invoke, declare
from tests.parquet import by_day, encoded, on_disk
from tests.production import OWNER, World, day, moment

DAYS, GAMES, PREDICTED, MATURITY = 9, 20, 3, 3
OTHER = {"name": "other", "model": "logged:flights.prediction_log.other_probability", "trained_until": str(day(-5))}
EVERY = {"rate": 1.0, "strata": [], "rates": {}, "minimum_per_stratum": 0}
POLICY = {"burn_in": 3, "tuned_for": 4, "replay": "count", "rules": [{"metric": "brier_score", "is": "superior"}]}
KEYED = {"key": "carrier", "maturity_days": MATURITY}


def games() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Twenty games begin to be predicted each day, on three days in a row, the last of them twice; one id has no game.

    A game is known an hour after its last day.
    """
    random = np.random.default_rng(4)
    rows = [
        (first, number, game)
        for first in range(1 - PREDICTED, DAYS)
        for game in range(GAMES)
        for number in [*range(first, first + PREDICTED), first + PREDICTED - 1]
        if 0 <= number < DAYS
    ]
    first, number, game = (np.array(column) for column in zip(*rows, strict=True))
    names = [f"g{day:+03d}-{place:02d}" for day, place in zip(first, game, strict=True)]
    chance = pd.Series(random.random(len(set(names))), index=sorted(set(names)))
    late = chance[names].to_numpy()
    log = pd.DataFrame(
        {
            "request_id": [f"r{place:05d}" for place in range(len(names))],
            "predicted_at": [moment(float(at)) for at in number + 0.9 * random.random(len(names))],
            "dep_hour": 8.0,
            "distance": 100.0,
            "origin": "EWR",
            "carrier": names,
            "champion_probability": np.clip(late + random.normal(0, 0.2, len(names)), 0.01, 0.99),
            "other_probability": late,
            "model_version": "7",
            "latency_ms": 1.0,
        }
    )
    log.loc[7, "carrier"] = None
    begins = {name: int(name[1:4]) for name in chance.index}
    outcome = pd.DataFrame(
        {
            "request_id": chance.index,
            "is_late": (random.random(len(chance)) < chance).astype(int).to_numpy(),
            "known_at": [moment(begins[name] + PREDICTED) + dt.timedelta(hours=1) for name in chance.index],
        }
    )
    return log, outcome


@pytest.fixture(scope="module")
def of_games(worlds: Callable[..., World], empty_production: str) -> World:
    """All days by the first request of each label. Tests copy its ledger, or share its production."""
    world = worlds(own=True, production=empty_production)
    with psycopg.connect(world.postgres.uri(world.production, OWNER)) as session:
        production.write(session, *games())
    run(world, list(range(DAYS)))
    return world


@pytest.fixture
def world(worlds: Callable[..., World], of_games: World, monkeypatch: pytest.MonkeyPatch) -> World:
    return declare(worlds(production=of_games.production), monkeypatch)


def settings(shared: str = "first", **changes: Any) -> dict[str, Any]:
    labels = {**KEYED, "shared": shared}
    return {"challengers": [OTHER], "policy": POLICY, "slices": [], "sample": EVERY, "labels": labels} | changes


def run(world: World, numbers: list[int], **changes: Any) -> None:
    shadow = world.shadow(**settings(**changes))
    assert run_days(shadow, [day(number) for number in numbers], Console(file=io.StringIO())) == []


def brier(world: World) -> pd.DataFrame:
    found = world.evidence()
    return found[(found.metric == "brier_score") & (found.slice_column == "all")].set_index("day").sort_index()


def pairs(shared: str, until: int) -> pd.DataFrame:
    """The requests of days up to one that count, with their labels: by pandas."""
    log, outcome = games()
    log = log.dropna(subset=["carrier"]).sort_values("predicted_at")
    log["day"] = [at.date() for at in log.predicted_at]
    if shared == "first":
        log = log.drop_duplicates("carrier")
    whole = log.merge(outcome, left_on="carrier", right_on="request_id", suffixes=("", "_of_label"))
    return whole[whole.day <= day(until)]


@pytest.mark.parametrize("shared", ["first", "all"])
def test_a_label_is_joined_to_every_request_of_its_key_and_counts_once_unless_told_otherwise(
    shared: str,
    worlds: Callable[..., World],
    of_games: World,
    invoke: Invoke,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = declare(worlds(of_games if shared == "first" else None, production=of_games.production), monkeypatch)
    run(world, [DAYS - 1] if shared == "first" else list(range(DAYS)), shared=shared)
    mature = DAYS - 1 - MATURITY
    expected, found = pairs(shared, mature), brier(world).loc[: day(mature)]
    assert found.pairs.tolist() == expected.groupby("day").size().tolist()
    assert found.pairs.sum() == (expected.carrier.nunique() if shared == "first" else len(expected))
    losses = (expected.champion_probability - expected.is_late) ** 2
    assert_allclose(found.champion_sum, losses.groupby(expected.day).sum())
    assert found.unlabelled_weight.tolist() == [1, *[0] * mature], "the request without a game, and no repetition"
    code, out, _ = invoke("verdict", "late", "--json")
    assert code == 0
    (challenger,) = json.loads(out)["challengers"]
    requests, labels = len(pairs("all", mature)) + 1, pairs("first", mature).carrier.nunique() + 1
    said = f"{requests} requests are about {labels} labels, shared by carrier: {1 - labels / requests:.1%} repeat"
    (warning,) = (one for one in challenger["warnings"] if one.startswith(said))
    assert ("are left out" in warning) is (shared == "first")
    assert ("days depend on each other" in warning) is (shared == "all")
    ((labelled, known),) = world.query("SELECT count(*), count(DISTINCT (snapshot_id, ordinal)) FROM shadow.label")
    assert labelled == known == len(pairs("all", DAYS - 1)[lambda rows: rows.known_at <= moment(DAYS)])


def test_days_may_run_in_any_order(of_games: World, worlds: Callable[..., World]) -> None:
    other = worlds(production=of_games.production)
    run(other, [5, 2, 8, 0, 7, 1, 3, 6, 4])
    run(other, [8])
    wanted, got = (each.evidence().drop(columns="digest") for each in (of_games, other))
    pd.testing.assert_frame_equal(got, wanted)
    assert brier(other).loc[: day(5)].pairs.sum() == pairs("first", 5).carrier.nunique()


def test_requests_of_one_key_are_drawn_together(world: World) -> None:
    run(world, list(range(DAYS)), sample=EVERY | {"rate": 0.4})
    drawn = pd.DataFrame(world.query("SELECT day, request_id FROM shadow.request"), columns=["day", "request_id"])
    log, _ = games()
    drawn = drawn.merge(log, on="request_id").dropna(subset=["carrier"])
    whole = log.dropna(subset=["carrier"]).groupby("carrier").size()
    share = drawn.groupby("carrier").size() / whole[drawn.carrier.unique()]
    assert (share == 1).mean() > 0.8, "all but those at the edge of a day's draw"
    assert 0.3 < drawn.carrier.nunique() / len(whole) < 0.55


def test_a_key_is_looked_up_in_parquet_files_too(world: World, worlds: Callable[..., World]) -> None:
    shadow = world.shadow(**settings())
    other = worlds()
    log, outcome = games()
    put = on_disk(other.folder / "logs")
    for of_day, rows in by_day(pa.Table.from_pandas(log, preserve_index=False), "predicted_at").items():
        put(f"log/dt={of_day}/part.parquet", encoded(rows))
    for of_day, rows in by_day(pa.Table.from_pandas(outcome, preserve_index=False), "known_at").items():
        put(f"outcome/dt={of_day}/part.parquet", encoded(rows))
    root = (other.folder / "logs").as_uri()
    lake = {
        "requests": {"conn_id": None, "table": f"parquet:{root}/log/dt={{day}}/*.parquet"},
        "labels": {**KEYED, "conn_id": None, "table": f"parquet:{root}/outcome/dt={{day}}/*.parquet"},
        "challengers": [{"name": "a_a_check", "model": "champion"}],
    }
    in_lake = other.shadow(**settings() | lake)
    for number in range(4):
        for each in (shadow, in_lake):
            steps.sample(each, day(number))
    for each in (shadow, in_lake):
        steps.collect_labels(each, day(3))
    assert other.content()["label"] == world.content()["label"]
    assert other.content()["label"]
    assert other.content()["request"] == world.content()["request"]


def test_days_that_wait_end_as_if_what_was_erased_had_never_been_there(
    of_games: World, worlds: Callable[..., World], invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = declare(worlds(own=True, production=of_games.production), monkeypatch)
    erased, last = 4, 6
    log = games()[0].query("predicted_at < @moment(@erased)").sort_values("predicted_at")
    game = log[log.carrier == "g+02-05"].request_id.tolist()
    first, second = log[log.carrier == "g+02-06"].request_id
    run(world, list(range(erased)))
    shadow = world.shadow(**settings())
    assert [each.day for each in erase(shadow, "g+02-05", "label_key", "ann")] == [day(2), day(3)]
    assert [each.day for each in erase(shadow, first, "request_id", "ann")] == [day(2)]
    run(world, list(range(erased, last + 1)))
    dump = str(world.dump())
    assert [name in dump for name in (*game, first, second)] == [False, False, False, True]
    assert invoke("verify", "late")[0] == 0
    world.change_production("DELETE FROM flights.prediction_log WHERE request_id = ANY(%s)", [[*game, first]])
    other = worlds(production=world.production)
    run(other, list(range(last + 1)))
    wanted, got = (each.evidence().drop(columns="digest") for each in (other, world))
    pd.testing.assert_frame_equal(got, wanted, rtol=1e-12)
