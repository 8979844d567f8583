"""Labels that lie as arrays by arrival say what a row for each of them said, and nothing that arrived is changed."""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import errors

from shadow_deployment.ledger import labels, snapshots
from shadow_deployment.ledger.batching import BATCH_ROWS
from shadow_deployment.ledger.snapshots import Snapshot
from shadow_deployment.pipeline import steps
from tests.builders import WITHOUT_LABELS, asked, found_labels
from tests.production import SHADOW, World, day, moment

Label = tuple[int, float, int]  # ordinal, value, and the hour at which it became known
ROWS = 2 * BATCH_ROWS + 5
PLACES = (0, 1, BATCH_ROWS - 1, BATCH_ROWS, 2 * BATCH_ROWS, ROWS - 1)
ARRIVED = st.tuples(st.sampled_from(PLACES), st.sampled_from([0.0, 0.5, 1.0]), st.integers(0, 4))


@pytest.fixture(scope="module")
def sampled(worlds: Callable[..., World]) -> World:
    world = worlds()
    steps.sample(world.shadow(), day(0))
    return world


@pytest.fixture
def session(sampled: World) -> Iterator["psycopg.Connection[Any]"]:
    with psycopg.connect(sampled.postgres.uri(sampled.ledger, SHADOW)) as opened:
        yield opened


def without_labels(session: "psycopg.Connection[Any]", world: World) -> Snapshot:
    """Return a snapshot of ROWS requests that has no label."""
    session.execute(WITHOUT_LABELS)
    session.commit()
    found = snapshots.find(session, world.deploy(), day(0))
    assert found is not None
    return replace(found, rows=ROWS)


def add(session: "psycopg.Connection[Any]", snapshot: Snapshot, group: Sequence[Label]) -> Snapshot:
    """Enter labels that arrived together."""
    before = labels.lock(session, snapshot)
    after = labels.add(session, before, iter(table(group).to_batches()))
    labels.record(session, before, after, before.labels_until + dt.timedelta(1) if before.labels_until else moment(2))
    return after


def table(group: Sequence[Label]) -> pa.Table:
    return found_labels([(ordinal, value, known(hour), None) for ordinal, value, hour in group])


def known(hour: int) -> dt.datetime:
    return moment(1) + dt.timedelta(hours=hour, microseconds=1)


def expected(groups: Sequence[Sequence[Label]]) -> dict[int, list[Any]]:
    """Return value and time of each request's first label, and the first that contradicts it."""
    kept: dict[int, list[Any]] = {}
    for ordinal, value, hour in sorted(
        (label for group in groups for label in group), key=lambda one: (one[2], one[1])
    ):
        first = kept.setdefault(ordinal, [value, known(hour), None, None])
        if first[2] is None and value != first[0]:
            first[2:] = value, known(hour)
    return kept


@settings(max_examples=60, derandomize=True, suppress_health_check=list(HealthCheck))
@given(groups=st.lists(st.lists(ARRIVED, max_size=8), min_size=1, max_size=4))
def test_the_first_label_stands_and_what_contradicts_it_is_kept_beside_it(
    sampled: World, session: "psycopg.Connection[Any]", groups: list[list[Label]]
) -> None:
    snapshot = without_labels(session, sampled)
    revisions = [add(session, snapshot, group).label_revision for group in groups]
    query = "SELECT ordinal, value, known_at, conflict, conflict_at FROM shadow.label"
    kept = expected(groups)
    assert {ordinal: said for ordinal, *said in session.execute(query).fetchall()} == kept
    counted = session.execute(
        "SELECT labelled, contradicted, label_revision, labels_until FROM shadow.labelled_snapshot"
    ).fetchone()
    contradicted = sum(conflict is not None for _, _, conflict, _ in kept.values())
    assert counted == (len(kept) - contradicted, contradicted, revisions[-1], moment(1 + len(groups)))
    assert sorted(revisions) == revisions


def test_an_arrival_is_as_long_as_what_came_and_leaves_the_earlier_ones(
    sampled: World, session: "psycopg.Connection[Any]"
) -> None:
    lying = "SELECT arrival, first_ordinal, last_ordinal, rows, xmin::text FROM shadow.label_arrival ORDER BY 1, 2"
    snapshot = without_labels(session, sampled)
    add(session, snapshot, [(0, 1.0, 0), (BATCH_ROWS, 1.0, 0), (ROWS - 1, 1.0, 0)])
    before = session.execute(lying).fetchall()
    assert [one[:4] for one in before] == [(1, 0, ROWS - 1, 3)]
    again = [(0, 1.0, 1), (1, 1.0, 1), (BATCH_ROWS, 1.0, 1), (ROWS - 1, 0.0, 1)]
    assert add(session, snapshot, again).label_revision == 2
    after = session.execute(lying).fetchall()
    assert after[:1] == before
    assert [one[:4] for one in after[1:]] == [(2, 1, ROWS - 1, 2)]
    assert add(session, snapshot, again).label_revision == 2
    assert session.execute(lying).fetchall() == after
    assert session.execute("SELECT count(*) FROM shadow.label_collection").fetchone() == (3,)


def test_a_correction_supersedes_and_what_it_takes_back_is_gone(
    sampled: World, session: "psycopg.Connection[Any]"
) -> None:
    snapshot = without_labels(session, sampled)
    add(session, snapshot, [(0, 1.0, 0), (0, 0.0, 1), (1, 1.0, 0), (1, 0.0, 1), (BATCH_ROWS, 1.0, 0)])
    before = labels.lock(session, snapshot)
    asked_again = asked({0: "r0", 1: "r1"})
    after = labels.correct(session, before, asked_again, table([(0, 0.0, 1)]))
    labels.record(session, before, after, moment(3))
    rows = session.execute("SELECT ordinal, value, known_at, conflict FROM shadow.label ORDER BY 1").fetchall()
    assert rows == [(0, 0.0, known(1), None), (BATCH_ROWS, 1.0, known(0), None)]
    counted = "SELECT labelled, contradicted, label_revision FROM shadow.labelled_snapshot"
    assert session.execute(counted).fetchone() == (2, 0, 2)
    assert labels.correct(session, after, asked_again, table([(0, 0.0, 1)])) == after


def test_a_large_day_is_asked_for_in_the_order_of_its_ids_and_kept_in_that_of_the_draw(
    sampled: World, session: "psycopg.Connection[Any]", monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = "SELECT ordinal, value, known_at FROM shadow.label ORDER BY ordinal"

    def collected() -> list[Any]:
        without_labels(session, sampled)
        steps.collect_labels(sampled.shadow(), day(0))
        return session.execute(kept).fetchall()

    at_once = collected()
    found = snapshots.find(session, sampled.deploy(), day(0))
    assert found is not None
    fifth = found.rows // 5
    monkeypatch.setattr(labels, "IDS_AT_ONCE", fifth)
    tables = list(labels.requests(session, sampled.deploy(), found, in_order=True))
    ids = [id_ for one in tables for id_ in one["request_id"].to_pylist()]
    assert len(tables) == 8
    assert max(one.num_rows for one in tables) <= fifth
    assert ids == sorted(ids)
    assert len(set(ids)) == found.rows
    session.commit()
    assert collected() == at_once
    assert len(at_once) > found.rows // 2
    lying = session.execute("SELECT first_ordinal, last_ordinal FROM shadow.label_arrival ORDER BY 1").fetchall()
    assert [(first // fifth, last // fifth) for first, last in lying] == [(part, part) for part in range(5)]


@pytest.mark.parametrize("table", ["label_arrival", "label_arrival_20240301", "label_collection", "sampled_window"])
@pytest.mark.parametrize("change", ["DELETE FROM shadow.{}", "UPDATE shadow.{} SET snapshot_id = 5"])
def test_what_arrived_is_history(sampled: World, table: str, change: str) -> None:
    with psycopg.connect(sampled.postgres.uri(sampled.ledger, SHADOW)) as session:
        found = snapshots.find(session, sampled.deploy(), day(0))
        assert found is not None
        add(session, without_labels(session, sampled), [(0, 1.0, 0)])
    statement = change.format(table)
    with (
        psycopg.connect(sampled.postgres.uri(sampled.ledger, SHADOW)) as session,
        pytest.raises(errors.RaiseException, match=rf"{table} is append-only: (UPDATE|DELETE) is refused"),
    ):
        session.execute(statement.encode())
