"""Labels that arrive in any order, to runs in any order, leave the same evidence in the end."""

import datetime as dt
import random
from collections.abc import Callable, Sequence
from typing import Any

import pandas as pd
import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shadow_deployment.ledger import labels, snapshots
from shadow_deployment.pipeline import steps
from shadow_deployment.pipeline.run import run_day
from tests import production
from tests.builders import WITHOUT_LABELS, found_labels
from tests.faults.sameness import OTHER, rows
from tests.production import OWNER, SHADOW, World, day, moment

DAYS, A_DAY, MATURITY = 5, 6, 2
SMALL: dict[str, Any] = {
    "sample": {"rate": 1.0},
    "slices": [],
    "labels": {"maturity_days": MATURITY},
    "challengers": [OTHER],
    "policy": {"burn_in": 2, "minimum_coverage": 0.2, "rules": [{"metric": "brier_score", "is": "superior"}]},
}
AS_COLLECTED = dict.fromkeys(  # as many rows as there were collections and comparisons
    ("label_arrival", "label_collection", "comparison", "evidence_batch"), 0
)
FINAL = "SELECT day, revision FROM shadow.evidence_batch WHERE needs_labels ORDER BY 1, 2"
REQUESTS, _ = production.synthetic(days=DAYS, per_day=A_DAY, seed=1)
REQUESTS = REQUESTS.dropna(subset=["champion_probability", "other_probability"])


def arrivals(seed: int) -> pd.DataFrame:
    """Labels whose waits are dealt out anew: at once, late, after maturity, twice the same, and contradicting."""
    chance = random.Random(seed)
    waits = [0.1, 0.1, 0.5, 0.9, 1.2, 1.9, 2.4, 3.5, 4.0]
    found = [
        (request, label, at + dt.timedelta(days=chance.choice(waits)))
        for request, at in zip(REQUESTS["request_id"], REQUESTS["predicted_at"], strict=True)
        for label in chance.choice([[0], [1], [1, 1], [0, 1], [1, 0], []])
    ]
    chance.shuffle(found)
    return pd.DataFrame(found, columns=["request_id", "is_late", "known_at"])


def expected(arrived: pd.DataFrame) -> dict[dt.date, tuple[int, float]]:
    """Return of each day how many requests have one label that counts, and the champion's sum of squared errors."""
    found = {}
    for number in range(DAYS):
        until = min(moment(number + 1 + MATURITY), moment(DAYS))
        of_day = REQUESTS[
            (REQUESTS["predicted_at"] >= moment(number)) & (REQUESTS["predicted_at"] < moment(number + 1))
        ]
        in_time = arrived[arrived["known_at"] <= until].groupby("request_id")["is_late"].agg(["min", "max"])
        agreed = of_day.join(in_time[in_time["min"] == in_time["max"]], on="request_id", how="inner")
        found[day(number)] = len(agreed), float(((agreed["champion_probability"] - agreed["min"]) ** 2).sum())
    return found


@pytest.fixture
def empty(worlds: Callable[..., World], empty_production: str) -> Callable[[], World]:
    def make() -> World:
        world = worlds(own=True, production=empty_production)
        with psycopg.connect(world.postgres.uri(world.production, OWNER)) as session:
            production.write(session, REQUESTS, arrivals(0).iloc[:0])
        return world

    return make


def arrive(world: World, found: pd.DataFrame) -> None:
    with psycopg.connect(world.postgres.uri(world.production, OWNER)) as session:
        production.write(session, REQUESTS.iloc[:0], found)


@pytest.mark.parametrize("seed", [1, 2])
def test_labels_that_trickle_in_day_by_day_and_labels_that_are_all_there_give_the_same(
    empty: Callable[[], World], seed: int
) -> None:
    trickled, there, arrived = empty(), empty(), arrivals(seed)
    assert run_all(trickled, range(DAYS), arrived) == []
    arrive(there, arrived.sample(frac=1, random_state=seed))
    order = random.Random(seed).sample(range(DAYS), DAYS)
    assert run_all(there, order) == []
    assert there.content() == trickled.content()
    assert {**rows(there), **AS_COLLECTED} == {**rows(trickled), **AS_COLLECTED}
    assert there.query(FINAL) == trickled.query(FINAL)
    assert {revision for _, revision in trickled.query(FINAL)} == {1}, "evidence is final once"
    for world in (there, trickled):
        assert steps.collect_labels(world.shadow(**SMALL), day(DAYS - 1)) == []  # no day is left to be compared again
    whole = trickled.evidence().query("metric == 'brier_score'").set_index("day")
    for one, (pairs, champion) in expected(arrived).items():
        assert whole.loc[one, ["pairs", "labelled"]].tolist() == [pairs, pairs]
        assert whole.loc[one, "champion_sum"] == pytest.approx(champion, rel=1e-12)


def run_all(world: World, numbers: Sequence[int], arriving: pd.DataFrame | None = None) -> list[Exception]:
    """Run days in this order; what is `arriving` comes in before the run that is the first to see it."""
    shadow, problems, since = world.shadow(**SMALL), [], moment(-1)
    for number in numbers:
        if arriving is not None:
            until = moment(number + 1)
            arrive(world, arriving[(arriving["known_at"] > since) & (arriving["known_at"] <= until)])
            since = until
        problems += run_day(shadow, day(number))
    return problems


@pytest.fixture(scope="module")
def sampled(worlds: Callable[..., World]) -> World:
    world = worlds()
    steps.sample(world.shadow(sample={"rate": 0.1}), day(0))
    return world


ARRIVED = st.tuples(st.integers(0, 3), st.sampled_from([0.0, 1.0]), st.integers(0, 9))


@settings(max_examples=40, derandomize=True, suppress_health_check=list(HealthCheck))
@given(arrived=st.lists(ARRIVED, max_size=12), choose=st.data())
def test_labels_entered_in_any_grouping_and_order_are_usable_alike(
    sampled: World, arrived: list[tuple[int, float, int]], choose: st.DataObject
) -> None:
    """The same requests have a label that counts, and the same label; of those that do not, it does not matter."""
    deployment = sampled.deploy(sample={"rate": 0.1})
    shuffled = choose.draw(st.permutations(arrived))
    cuts = sorted(choose.draw(st.lists(st.integers(0, len(arrived)), max_size=3)))
    groups = [shuffled[a:b] for a, b in zip([0, *cuts], [*cuts, len(arrived)], strict=True)]
    with psycopg.connect(sampled.postgres.uri(sampled.ledger, SHADOW)) as session:
        snapshot = snapshots.find(session, deployment, day(0))
        assert snapshot is not None
        session.execute(WITHOUT_LABELS)
        session.commit()
        for group in groups:
            before = labels.lock(session, snapshot)
            labels.record(session, before, labels.add(session, before, iter(entered(group).to_batches())), moment(2))
        usable = dict(session.execute("SELECT ordinal, value FROM shadow.label WHERE conflict IS NULL").fetchall())
        counted = session.execute("SELECT labelled, contradicted FROM shadow.labelled_snapshot").fetchone()
    said = {ordinal: {value for one, value, _ in arrived if one == ordinal} for ordinal, *_ in arrived}
    assert usable == {ordinal: values.pop() for ordinal, values in said.items() if len(values) == 1}
    assert counted == (len(usable), len(said) - len(usable))


def entered(group: Sequence[tuple[int, float, int]]) -> pa.Table:
    return found_labels([(ordinal, value, moment(1 + hour / 24), None) for ordinal, value, hour in group])
