"""Evidence read by series is the evidence that was written row by row."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import numpy as np
import psycopg
import pytest

from include.shadow.deployment import Deployment
from include.shadow.evidence import SQUARES, Columns
from include.shadow.ledger import evidence as ledger_evidence
from include.shadow.ledger import series, snapshots, validations
from include.shadow.ledger.snapshots import Snapshot
from tests.bench import year
from tests.builders import a_deployment
from tests.production import SHADOW, World

DAYS, SLICES, MODEL = 9, 3, 1
METRICS = ("brier_score", "log_loss")
COLUMNS = ("weight", "champion_sum", "challenger_sum", "difference_sum", *SQUARES)


def deployment() -> Deployment:
    return a_deployment(
        name="year",
        start=dt.date(2024, 1, 1),
        slices=["aircraft"],  # before "all" in the alphabet
        sample={"rate": 0.1, "strata": [], "minimum_per_stratum": 0},
        challengers=[{"name": name, "model": f"logged:flights.prediction_log.{name}"} for name in ("better", "worse")],
        policy={"rules": [{"metric": "brier_score", "is": "superior"}]},
    )


@pytest.fixture(scope="module")
def filled(worlds: Callable[..., World]) -> World:
    world = worlds()
    with psycopg.connect(world.postgres.uri(world.ledger, SHADOW)) as session:
        year.fill(session, deployment(), days=DAYS, slices=SLICES, judged=False)
    return world


def read(world: World, taken: list[Snapshot] | None = None, *, squares: bool = True) -> list[Columns]:
    with psycopg.connect(world.postgres.uri(world.ledger, SHADOW)) as session:
        taken = snapshots.snapshots(session, deployment(), None, None) if taken is None else taken
        return list(series.read(session, MODEL, taken, metrics=METRICS, squares=squares))


def written(world: World) -> dict[tuple[str, str, str], list[dict[str, Any]]]:
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    with psycopg.connect(world.postgres.uri(world.ledger, SHADOW)) as session:
        taken = snapshots.snapshots(session, deployment(), None, None)
        for row in ledger_evidence.read(session, MODEL, taken, metrics=METRICS):
            groups.setdefault((row["metric"], row["slice_column"], row["slice_value"]), []).append(row)
    return groups


def test_every_number_is_the_one_that_was_written_to_the_last_bit(filled: World) -> None:
    expected, found = written(filled), read(filled)
    assert [(one.metric, one.slice_column, one.slice_value) for one in found] == list(expected)
    assert len(found) == len(METRICS) * (SLICES + 1)
    for one, rows in zip(found, expected.values(), strict=True):
        order = np.argsort(one.counts["days"])
        days = [dt.date(2000, 1, 1) + dt.timedelta(days=int(number)) for number in one.counts["days"][order]]
        assert days == [row["day"] for row in rows]
        for name in ("requests", "pairs", "identical"):
            assert one.counts[name][order].tolist() == [row[name] for row in rows]
        for name in COLUMNS:
            assert one.sums[name][order].tolist() == [row[name] for row in rows]


def test_squares_are_read_where_they_are_asked_for(filled: World) -> None:
    assert all(set(SQUARES) <= set(one.sums) for one in read(filled))
    assert not any(set(SQUARES) & set(one.sums) for one in read(filled, squares=False))


def test_without_snapshots_there_is_nothing(filled: World) -> None:
    assert read(filled, []) == []


def test_a_day_has_passed_where_inputs_and_predictions_have(worlds: Callable[..., World], filled: World) -> None:
    world = worlds(filled)
    with psycopg.connect(world.postgres.uri(world.ledger, SHADOW)) as session:
        taken = snapshots.snapshots(session, deployment(), None, None)
        first, second, third, *rest = [one.id for one in taken]
        session.execute(
            "UPDATE shadow.validation SET success = false WHERE snapshot_id = %s AND challenger_id IS NULL", [first]
        )
        session.execute("DELETE FROM shadow.validation WHERE snapshot_id = %s AND challenger_id = %s", [second, MODEL])
        session.execute(
            "UPDATE shadow.validation SET success = false WHERE snapshot_id = %s AND challenger_id = 2", [third]
        )
        assert validations.passed(session, taken, MODEL) == {third, *rest}
        assert validations.passed(session, taken[:1], MODEL) == set()
