"""Labels that lie as arrays say what a row for each of them said: which is the first, and what contradicts it."""

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shadow_deployment.ledger import labels, snapshots
from shadow_deployment.ledger.batching import BATCH_ROWS
from shadow_deployment.ledger.snapshots import Snapshot
from shadow_deployment.pipeline import steps
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
    session.execute("TRUNCATE shadow.label_batch")
    session.execute("UPDATE shadow.snapshot SET label_revision = 0")
    found = snapshots.find(session, world.deploy(), day(0))
    assert found is not None
    return replace(found, rows=ROWS)


def add(session: "psycopg.Connection[Any]", snapshot: Snapshot, group: Sequence[Label], *, first: bool) -> int:
    ordinals, values, hours = zip(*group, strict=True) if group else ((), (), ())
    table = pa.table(
        {
            "ordinal": pa.array(ordinals, pa.int32()),
            "value": pa.array(values, pa.float64()),
            "known_at": pa.array([known(hour) for hour in hours], pa.timestamp("us", "UTC")),
        }
    )
    return labels.add(session, snapshot, [table], None if first else moment(1), moment(2))


def known(hour: int) -> dt.datetime:
    return moment(1) + dt.timedelta(hours=hour, microseconds=1)


def one_by_one(groups: Sequence[Sequence[Label]]) -> tuple[dict[int, list[Any]], list[int]]:
    """Return value, time and conflict of each request as rows were entered, and how many changed each time."""
    kept: dict[int, list[Any]] = {}
    changes = []
    for group in groups:
        changed = 0
        for ordinal in {one for one, *_ in group}:
            (hour, value), *_ = of_it = sorted((hour, value) for one, value, hour in group if one == ordinal)
            conflict = max((other for _, other in of_it if other != value), default=None)
            if ordinal not in kept:
                kept[ordinal] = [value, known(hour), conflict]
                changed += 1
            elif kept[ordinal][2] is None and (against := value if value != kept[ordinal][0] else conflict) is not None:
                kept[ordinal][2] = against
                changed += 1
        changes.append(changed)
    return kept, changes


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(groups=st.lists(st.lists(ARRIVED, max_size=8), min_size=1, max_size=4))
def test_the_first_label_stands_and_what_contradicts_it_is_kept_beside_it(
    sampled: World, session: "psycopg.Connection[Any]", groups: list[list[Label]]
) -> None:
    snapshot = without_labels(session, sampled)
    kept, changes = one_by_one(groups)
    assert [add(session, snapshot, group, first=not number) for number, group in enumerate(groups)] == changes
    found = session.execute("SELECT ordinal, value, known_at, conflict FROM shadow.label").fetchall()
    assert {ordinal: said for ordinal, *said in found} == kept
    assert len(found) == len(kept)
    counted = session.execute("SELECT labelled, contradicted, label_revision FROM shadow.snapshot").fetchone()
    contradicted = sum(conflict is not None for *_, conflict in kept.values())
    assert counted == (len(kept) - contradicted, contradicted, sum(changed > 0 for changed in changes))


def test_a_label_keeps_when_it_was_collected_and_a_batch_where_none_comes_is_not_written(
    sampled: World, session: "psycopg.Connection[Any]"
) -> None:
    lying = "SELECT first_ordinal, rows, xmin::text FROM shadow.label_batch ORDER BY first_ordinal"
    collected = "SELECT ordinal, collected_at FROM shadow.label ORDER BY ordinal"
    snapshot = without_labels(session, sampled)
    add(session, snapshot, [(0, 1.0, 0), (BATCH_ROWS, 1.0, 0), (ROWS - 1, 1.0, 0)], first=True)
    before, at_first = session.execute(lying).fetchall(), dict(session.execute(collected).fetchall())
    assert [one[:2] for one in before] == [(0, BATCH_ROWS), (BATCH_ROWS, BATCH_ROWS), (2 * BATCH_ROWS, 5)]
    assert len(set(at_first.values())) == 1
    session.commit()
    again = [(0, 1.0, 1), (1, 1.0, 1), (BATCH_ROWS, 1.0, 1), (ROWS - 1, 0.0, 1)]
    assert add(session, snapshot, again, first=False) == 2
    after, in_the_end = session.execute(lying).fetchall(), dict(session.execute(collected).fetchall())
    assert [one == other for one, other in zip(before, after, strict=True)] == [False, True, False]
    assert at_first.items() < in_the_end.items()
    assert in_the_end[1] > at_first[0]
    session.commit()
    assert add(session, snapshot, again, first=False) == 0
    assert session.execute(lying).fetchall() == after
