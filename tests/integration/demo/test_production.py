"""The demo's production serves whom the registry names champion, from the day after the newest sampled one on."""

import io
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import psycopg
import pytest
from rich.console import Console

from shadow_demo import flights, production, train
from shadow_deployment.context import DeploymentContext
from shadow_deployment.ledger.registry.serving import served_day
from shadow_deployment.pipeline.run import run_days
from shadow_deployment.promotion import registry
from tests.integration.promotion.promoting import by, judge, settings
from tests.production import OWNER, SHADOW, World, day, moment

pytestmark = pytest.mark.usefixtures("stored_verdicts_stand")
PER_DAY, SAMPLED, DAYS = 100, 2, 4


@pytest.fixture(scope="module")
def requests() -> pd.DataFrame:
    return flights.requests()


@pytest.fixture(scope="module")
def models(requests: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the first champion, and a challenger that is called `other`."""
    folder = tmp_path_factory.mktemp("models")
    train.train(folder, requests)
    shutil.copy(folder / train.CHALLENGER, folder / "other.onnx")
    return folder


@pytest.fixture
def uri(world: World, requests: pd.DataFrame, models: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A production of a hundred flights on each of four days, of which two were sampled."""
    table = requests.tail(PER_DAY * DAYS).reset_index(drop=True)
    table["predicted_at"] = [moment(number / PER_DAY) for number in range(len(table))]
    monkeypatch.setattr(flights, "requests", table.copy)
    name = f"followed_{world.ledger}"
    world.postgres.ensure_database(name, OWNER)
    address = world.postgres.uri(name, OWNER)
    with psycopg.connect(address) as session:
        assert flights.load(session, models) == PER_DAY * DAYS
    return address


def follow(world: World, uri: str, models: Path) -> production.Served | None:
    return production.follow(uri, world.postgres.uri(world.ledger, SHADOW), "late", models)


def logged(uri: str) -> list[tuple[str, int]]:
    """Return the versions by day, in order."""
    with psycopg.connect(uri) as session:
        statement = "SELECT model_version, count(*) FROM flights.prediction_log GROUP BY 1 ORDER BY min(predicted_at)"
        return session.execute(statement).fetchall()


def promoted(world: World) -> DeploymentContext:
    shadow = world.shadow(**settings(world))
    run_days(shadow, [day(number) for number in range(SAMPLED)], Console(file=io.StringIO()))
    judge(shadow, SAMPLED - 1, "PASS", "other")
    registry.promote(shadow, "other", **by("ada"))
    return shadow


def test_without_a_sampled_day_production_goes_on_as_it_is(world: World, uri: str, models: Path) -> None:
    assert follow(world, uri, models) is None
    assert logged(uri) == [(flights.CHAMPION_VERSION, PER_DAY * DAYS)]


def test_a_promoted_model_answers_from_the_next_day_on_and_after_a_rollback_the_first_one_again(
    world: World, uri: str, models: Path, requests: pd.DataFrame
) -> None:
    shadow = promoted(world)
    to_come = PER_DAY * (DAYS - SAMPLED)
    served = follow(world, uri, models)
    assert served is not None
    assert (served.version, served.since, served.requests) == ("other@1", moment(SAMPLED), to_come)
    assert logged(uri) == [(flights.CHAMPION_VERSION, PER_DAY * SAMPLED), ("other@1", to_come)]
    with psycopg.connect(uri) as session:
        rows = session.execute(
            "SELECT champion_probability FROM flights.prediction_log WHERE model_version = 'other@1' "
            "ORDER BY predicted_at, request_id"
        ).fetchall()
    expected = flights.score(models / "other.onnx", requests.tail(to_come))
    np.testing.assert_allclose(np.array(rows)[:, 0], expected, rtol=0, atol=0)
    assert follow(world, uri, models) == served  # as often as one likes
    registry.rollback(shadow, **by("bob"))
    assert follow(world, uri, models) == production.Served(
        flights.CHAMPION_VERSION, flights.CHAMPION, moment(SAMPLED), to_come
    )
    assert logged(uri) == [(flights.CHAMPION_VERSION, PER_DAY * DAYS)]
    with shadow.ledger() as session:
        assert served_day(session, shadow.deployment) is None
