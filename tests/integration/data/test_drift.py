"""The drift of inputs, kept when a day is sampled: beside pandas, once, without anything that is judged on it."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import psycopg
import pytest

from shadow_deployment.data.snapshots import read_manifest
from shadow_deployment.pipeline import steps
from tests.production import SHADOW, World, day

FEATURES = {"requests": {"features": ["dep_hour", "distance", "carrier"]}}
ROWS = "SELECT s.day, d.* FROM shadow.drift AS d JOIN shadow.snapshot AS s ON s.id = d.snapshot_id ORDER BY 1, feature"


@pytest.fixture(scope="module")
def sampled(worlds: Callable[..., World]) -> World:
    """Eight days; on the last two all distances are ten times as long, and half of the carriers are missing or new."""
    world = worlds(own=True)
    world.change_production(
        "UPDATE flights.prediction_log SET distance = 10 * distance, "
        "carrier = CASE WHEN dep_hour > 13 THEN NULL ELSE 'new' END WHERE predicted_at >= %s",
        [day(6)],
    )
    shadow = world.shadow(**FEATURES, sample={"rate": 0.7, "rates": {"JFK": 1.0}, "strata": ["origin"]})
    for number in range(8):
        steps.sample(shadow, day(number))
    return world


def rows(world: World) -> pd.DataFrame:
    with psycopg.connect(world.postgres.uri(world.ledger, SHADOW)) as session:
        cursor = session.execute(ROWS)
        return pd.DataFrame(cursor.fetchall(), columns=[one.name for one in cursor.description or ()])


def inputs(world: World, numbers: range) -> pd.DataFrame:
    """Return the sampled requests of some days, with their weights, from the files."""
    parts = []
    for number in numbers:
        (folder,) = (world.snapshots / "late" / str(day(number))).glob("*/*")
        parts += [pd.read_parquet(path) for path in sorted(folder.glob("*.parquet"))]
    found = pd.concat(parts)
    return found.assign(weight=1 / found.inclusion_probability)


def index(expected: pd.Series, actual: pd.Series) -> float:
    places = expected.index.union(actual.index)
    p, q = (np.maximum((each / each.sum()).reindex(places, fill_value=0.0), 1e-4) for each in (expected, actual))
    return float(((q - p) * np.log(q / p)).sum())


def test_every_day_and_feature_has_a_row_from_a_reference_of_the_first_days(sampled: World) -> None:
    found = rows(sampled)
    assert len(found) == 8 * 3
    ids = sampled.query("SELECT array_agg(id ORDER BY day) FROM shadow.snapshot")[0][0]
    assert [found[found.day == day(number)].reference.iloc[0] for number in range(8)] == [
        ids[:length] for length in (0, 1, 1, 2, 2, 3, 3, 4)
    ]
    assert found[found.day == day(0)].psi.isna().all()


@pytest.mark.parametrize("number", [3, 5, 7])
def test_the_index_and_the_missing_share_are_those_of_pandas(sampled: World, number: int) -> None:
    before, today = inputs(sampled, range((number + 1) // 2)), inputs(sampled, range(number, number + 1))
    found = rows(sampled)
    got = found[found.day == day(number)].set_index("feature")
    for name in ("dep_hour", "distance"):
        ends = np.array(got.ends[name])
        one, two = (each.weight.groupby(np.searchsorted(ends, each[name])).sum() for each in (before, today))
        assert (one / one.sum()).max() < 0.35, "bins of about equal weight"
        assert got.psi[name] == pytest.approx(index(one, two))
    one, two = (each.dropna(subset="carrier").groupby("carrier").weight.sum() for each in (before, today))
    assert got.psi["carrier"] == pytest.approx(index(one, two))
    missing = today.weight[today.carrier.isna()].sum() / today.weight.sum()
    assert got.missing["carrier"] == pytest.approx(missing)
    assert set(got.requests) == {len(today)}


def test_what_has_moved_is_seen_and_what_has_not_is_not(sampled: World) -> None:
    found = rows(sampled)
    moved = found[found.day >= day(6)].set_index("feature")
    assert moved.missing["carrier"].min() > 0.3
    chance = moved.psi["dep_hour"].max()  # some fifty requests a day differ by chance
    assert moved.psi["distance"].min() > 3 * chance
    assert moved.psi["carrier"].min() > 3 * chance


def test_a_second_sample_adds_nothing_and_another_ledger_gets_the_same(
    sampled: World, worlds: Callable[..., World]
) -> None:
    shadow = sampled.shadow(**FEATURES, sample={"rate": 0.7, "rates": {"JFK": 1.0}, "strata": ["origin"]})
    before = sampled.dump()
    steps.sample(shadow, day(7))
    assert sampled.dump() == before
    other = worlds(production=sampled.production)
    again = other.shadow(**FEATURES, sample={"rate": 0.7, "rates": {"JFK": 1.0}, "strata": ["origin"]})
    for number in range(8):
        steps.sample(again, day(number))
    but = ["snapshot_id", "reference"]
    pd.testing.assert_frame_equal(rows(other).drop(columns=but), rows(sampled).drop(columns=but))


def test_files_of_the_first_days_that_are_gone_stop_no_day(sampled: World, worlds: Callable[..., World]) -> None:
    world = worlds(sampled, production=sampled.production)
    shadow = world.shadow(**FEATURES, sample={"rate": 0.7, "rates": {"JFK": 1.0}, "strata": ["origin"]})
    with psycopg.connect(world.postgres.uri(world.ledger, SHADOW)) as session:
        session.execute("ALTER TABLE shadow.drift DISABLE TRIGGER USER")
        session.execute(
            "DELETE FROM shadow.drift USING shadow.snapshot AS s WHERE s.id = snapshot_id AND s.day >= %s", [day(6)]
        )
    (folder,) = (world.snapshots / "late" / str(day(0))).glob("*/*")
    assert read_manifest(shadow.store, str(folder.relative_to(world.snapshots))).rows
    for path in folder.iterdir():
        path.unlink()
    assert steps.sample(shadow, day(6)).rows, "another day's bins have the same reference"
    assert steps.sample(shadow, day(7)).rows
    found = rows(world)
    assert [len(found[found.day == day(number)]) for number in (5, 6, 7)] == [3, 3, 0]
