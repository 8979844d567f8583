"""Evidence read by series is the evidence that was written row by row."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import numpy as np
import psycopg
import pytest

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.decision.series import SQUARES, LedgerSeries
from shadow_deployment.ledger import evidence as ledger_evidence
from shadow_deployment.ledger import series, snapshots
from shadow_deployment.ledger.checks import validations
from shadow_deployment.ledger.snapshots import Snapshot
from shadow_deployment.metrics.possible_gains import POSSIBLE
from shadow_deployment.metrics.slices import ALL
from shadow_deployment.metrics.sums import FIELDS
from tests.bench import year
from tests.builders import a_deployment
from tests.production import SHADOW, World, unguarded

DAYS, SLICES, MODEL = 9, 3, 1
METRICS = ("brier_score", "log_loss")
PLACE = "array_position(metrics, 'log_loss')"
COLUMNS = ("weight", "champion_sum", "challenger_sum", "difference_sum", *SQUARES, *POSSIBLE)


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
        year.fill(session, deployment(), days=DAYS, slices=SLICES, judged=False, unlabelled=0.03)
        with unguarded(session, "evidence_batch"):
            session.execute(
                f"UPDATE shadow.evidence_batch SET identical[1][1] = 3, identical[{PLACE}][1] = 5 WHERE needs_labels"
            )
    return world


def read(world: World, taken: list[Snapshot] | None = None, **wanted: Any) -> list[LedgerSeries]:
    with psycopg.connect(world.postgres.uri(world.ledger, SHADOW)) as session:
        taken = snapshots.snapshots(session, deployment(), None, None) if taken is None else taken
        mature = dict.fromkeys((one.day for one in taken), True)
        rows = series.newest(session, MODEL, taken, mature, champion_version=wanted.pop("champion_version", None))
        return list(series.read(session, rows, **{"metrics": METRICS, "squares": True} | wanted))


def written(world: World) -> dict[tuple[str, str, str], list[dict[str, Any]]]:
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    with psycopg.connect(world.postgres.uri(world.ledger, SHADOW)) as session:
        taken = snapshots.snapshots(session, deployment(), None, None)
        for row in ledger_evidence.read(session, MODEL, taken, metrics=METRICS):
            groups.setdefault((row["metric"], row["slice_column"], row["slice_value"]), []).append(row)
    return groups


def test_every_number_is_the_one_that_was_written_to_the_last_bit(filled: World) -> None:
    expected, found = written(filled), read(filled)
    assert len(found) == len(METRICS) * (SLICES + 1)
    assert_same(found, expected)


def assert_same(found: list[LedgerSeries], expected: dict[tuple[str, str, str], list[dict[str, Any]]]) -> None:
    assert [(one.metric, one.slice_column, one.slice_value) for one in found] == list(expected)
    for one, rows in zip(found, expected.values(), strict=True):
        order = np.argsort(one.counts["days"])
        days = [dt.date(2000, 1, 1) + dt.timedelta(days=int(number)) for number in one.counts["days"][order]]
        assert days == [row["day"] for row in rows]
        assert ("identical" in one.counts) == (one.slice_column == ALL), "nobody asks for those in a slice"
        for name in one.counts.keys() - {"days"}:
            assert one.counts[name][order].tolist() == [row[name] for row in rows]
        for name in COLUMNS:
            assert one.sums[name][order].tolist() == [row[name] for row in rows]


@pytest.fixture
def uneven(worlds: Callable[..., World], filled: World) -> World:
    """Days on which metrics and slices are missing, or are there with other ones, and one of two champions."""
    world = worlds(filled)
    with psycopg.connect(world.postgres.uri(world.ledger, SHADOW)) as session:
        keys = [one.id for one in snapshots.snapshots(session, deployment(), None, None)]
        session.execute("ALTER TABLE shadow.evidence_batch DISABLE TRIGGER USER")
        session.execute(  # no request in a slice; none of a metric in all slices
            "UPDATE shadow.evidence_batch SET "
            f"requests[{PLACE}][3] = 0, labelled[{PLACE}][3] = 0, pairs[{PLACE}][3] = 0 "
            "WHERE needs_labels AND snapshot_id = ANY(%s)",
            [keys[2:4]],
        )
        session.execute(  # a slice of its own in the place of another
            "UPDATE shadow.evidence_batch SET slice_values[2] = 'c9' WHERE needs_labels AND snapshot_id = %s", [keys[4]]
        )
        session.execute(  # one metric only, and all requests only
            "UPDATE shadow.evidence_batch SET "
            f"{', '.join(f'{name} = {name}[{PLACE}:{PLACE}][1:1]' for name in FIELDS)}, "
            "metrics = '{log_loss}', slice_columns = slice_columns[1:1], slice_values = slice_values[1:1] "
            "WHERE needs_labels AND snapshot_id = %s",
            [keys[5]],
        )
        names = (
            "deployment_id",
            "day",
            "snapshot_id",
            "challenger_id",
            "needs_labels",
            "revision",
            "digest",
            "metrics",
        )
        columns = ", ".join(names)
        rest = ", ".join(("slice_columns", "slice_values", *FIELDS))
        session.execute(
            f"INSERT INTO shadow.evidence_batch ({columns}, champion_version, {rest}) "
            f"SELECT {columns}, '8', {rest} FROM shadow.evidence_batch WHERE needs_labels AND snapshot_id = %s",
            [keys[6]],
        )
    return world


def test_days_with_other_metrics_and_slices_are_put_together(uneven: World) -> None:
    expected = written(uneven)
    days = {key: len({row["day"] for row in rows}) for key, rows in expected.items()}
    assert days["brier_score", "all", ""] == DAYS - 1
    assert days["log_loss", "all", ""] == DAYS
    assert days["log_loss", "aircraft", "c1"] < days["brier_score", "aircraft", "c1"] < DAYS
    assert days["log_loss", "aircraft", "c9"] == 1
    assert max(map(len, expected.values())) == DAYS + 1
    assert_same(read(uneven), expected)


def test_one_champion_is_read_where_it_is_named(uneven: World) -> None:
    expected = {
        key: of
        for key, rows in written(uneven).items()
        if (of := [row for row in rows if row["champion_version"] == "8"])
    }
    assert {len(rows) for rows in expected.values()} == {1}
    assert_same(read(uneven, champion_version="8"), expected)
    assert read(uneven, champion_version="9") == []


@pytest.mark.parametrize("metrics", [METRICS, METRICS[:1], METRICS[1:]])
def test_all_requests_and_single_metrics_are_read_without_the_others(uneven: World, metrics: tuple[str, ...]) -> None:
    expected = {key: rows for key, rows in written(uneven).items() if key[0] in metrics}
    assert_same(read(uneven, metrics=metrics), expected)
    overall = {key: rows for key, rows in expected.items() if key[1] == "all"}
    assert len(overall) == len(metrics)
    assert_same(read(uneven, metrics=metrics, every_slice=False), overall)


def test_squares_are_read_where_they_are_asked_for(filled: World) -> None:
    assert all(set(SQUARES) <= set(one.sums) for one in read(filled))
    assert not any(set(SQUARES) & set(one.sums) for one in read(filled, squares=False))


def test_without_snapshots_there_is_nothing(filled: World) -> None:
    assert read(filled, []) == []


def test_a_day_is_scored_where_inputs_and_predictions_were_checked_whatever_was_said(
    worlds: Callable[..., World], filled: World
) -> None:
    world = worlds(filled)
    with psycopg.connect(world.postgres.uri(world.ledger, SHADOW)) as session:
        taken = snapshots.snapshots(session, deployment(), None, None)
        first, second, third, *rest = [one.id for one in taken]
        session.execute("ALTER TABLE shadow.validation DISABLE TRIGGER USER")
        session.execute(
            "UPDATE shadow.validation SET success = false WHERE snapshot_id = %s AND challenger_id IS NULL", [first]
        )
        session.execute("DELETE FROM shadow.validation WHERE snapshot_id = %s AND challenger_id = %s", [second, MODEL])
        session.execute(
            "UPDATE shadow.validation SET success = false WHERE snapshot_id = %s AND challenger_id = 2", [third]
        )
        assert validations.inputs_failed(session, taken) == {first}
        assert validations.scored(session, taken, MODEL) == {first, third, *rest}
        assert validations.scored(session, taken, 2) == {first, second, third, *rest}
        assert validations.predictions_failed(session, taken, 2) == {third}
