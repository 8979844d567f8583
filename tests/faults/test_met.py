"""What else is written while a step is in the middle: by another run of the same day, by one of another, in production.

Each test stops a step where it can be met, lets the other one go as far as it may, and looks at what both have left.
"""

import datetime as dt
import functools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from shadow_deployment.data import snapshots as drawing
from shadow_deployment.data.storage import StoreFile
from shadow_deployment.errors import SnapshotError, TransientError
from shadow_deployment.ledger import snapshots
from shadow_deployment.ledger.batches import predictions_of_day
from shadow_deployment.pipeline import steps
from shadow_deployment.pipeline.run import run_day
from tests.faults.moments import has_written
from tests.faults.sameness import SMALL, assert_same
from tests.production import WRITER, World, day, moment

PATIENCE = 120  # seconds, far more than it takes on an idle machine
LATE_REQUEST = (
    "INSERT INTO flights.prediction_log SELECT 'late', %s, dep_hour, distance, origin, carrier, champion_probability, "
    "other_probability, model_version, latency_ms FROM flights.prediction_log LIMIT 1"
)


@pytest.fixture(scope="module")
def undisturbed(worlds: Callable[..., World]) -> World:
    world = worlds()
    assert run_day(world.shadow(**SMALL), day(0)) == []
    return world


def wait_for(condition: Callable[[], bool]) -> None:
    given_up = threading.Event()
    for _ in range(PATIENCE * 20):
        if condition():
            return
        given_up.wait(0.05)
    raise AssertionError(f"not within {PATIENCE} s")


def waiting(world: World) -> int:
    """Return how many sessions of the ledger wait for a lock that another one has."""
    with psycopg.connect(world.postgres.uri(world.ledger, WRITER)) as session:  # another role does not see it
        found = session.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'", [world.ledger]
        ).fetchone()
    return int(found[0]) if found else 0


def test_a_second_run_that_comes_while_the_first_writes_its_files_waits_and_leaves_them_alone(
    worlds: Callable[..., World], undisturbed: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, write, half_written, go_on = worlds(), StoreFile.write, threading.Event(), threading.Event()
    shadow = world.shadow(**SMALL)

    def held(file: Any, data: Any) -> int:
        written = write(file, data)
        if not half_written.is_set():
            half_written.set()
            assert go_on.wait(PATIENCE)
        return written

    with ThreadPoolExecutor(2) as pool:
        monkeypatch.setattr(StoreFile, "write", held)
        first = pool.submit(steps.sample, shadow, day(0))
        assert half_written.wait(PATIENCE)
        second = pool.submit(steps.sample, shadow, day(0))
        try:
            wait_for(lambda: second.done() or waiting(world) == 1)
        finally:
            go_on.set()
        assert first.result(PATIENCE) == second.result(PATIENCE)
    assert run_day(shadow, day(0)) == []
    assert_same(world, undisturbed)


def test_two_runs_of_a_day_that_meet_before_every_commit_of_every_step_leave_the_rows_of_one(
    worlds: Callable[..., World], undisturbed: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = worlds()
    shadow = world.shadow(**SMALL)
    two = [functools.partial(run_day, shadow, day(0))] * 2
    assert meeting(world, monkeypatch, *two) == [[], []]
    assert_same(world, undisturbed)


def test_two_deployments_that_begin_a_day_at_once_share_its_partitions(
    worlds: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    world = worlds()
    two = [functools.partial(steps.sample, world.shadow(**SMALL, name=name), day(0)) for name in ("early", "late")]
    first, second = meeting(world, monkeypatch, *two)
    assert first == second
    assert world.query("SELECT count(DISTINCT tableoid), count(DISTINCT snapshot_id) FROM shadow.request_batch") == [
        (1, 2)
    ]


def test_a_day_that_begins_while_another_one_is_registered_does_not_wait_for_it(
    worlds: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its partitions are made in a transaction of their own: to make one locks all days for others that make one."""
    world, copy, begun, go_on = worlds(), snapshots.copy, threading.Event(), threading.Event()
    shadow = world.shadow(**SMALL)

    def held(*arguments: Any) -> None:
        if not begun.is_set():
            begun.set()
            assert go_on.wait(PATIENCE)
        copy(*arguments)

    monkeypatch.setattr(snapshots, "copy", held)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(steps.sample, shadow, day(0))
        assert begun.wait(PATIENCE)
        second = pool.submit(steps.sample, shadow, day(1))
        try:
            wait_for(lambda: second.done() or waiting(world) == 1)
            assert second.done(), "it waits for the first"
        finally:
            go_on.set()
        assert first.result(PATIENCE).day == day(0)
        assert second.result(PATIENCE).day == day(1)


def test_a_day_that_is_registered_already_is_only_compared(worlds: Callable[..., World]) -> None:
    """Whoever has lost its lock, and with it the run of another one that has taken it, ends here."""
    world = worlds()
    shadow = world.shadow(**SMALL)
    steps.sample(shadow, day(0))
    before, folder = world.content(), drawing.folder_of(shadow.deployment, day(0))
    manifest = drawing.read_manifest(shadow.store, f"{folder}/{drawing.window_folder(moment(0))}")
    with shadow.ledger() as session:
        snapshots.register(session, shadow.deployment, manifest, shadow.store)
    assert world.content() == before
    other = replace(manifest, parts=manifest.parts[:1])
    with shadow.ledger() as session, pytest.raises(SnapshotError, match="as registered: the inputs were changed"):
        snapshots.register(session, shadow.deployment, other, shadow.store)
    assert world.content() == before


def meeting(world: World, monkeypatch: pytest.MonkeyPatch, *calls: Callable[[], Any]) -> list[Any]:
    """Make two calls at once; each commits what it has written when the other waits, commits too or has ended."""
    commit, running, standing = psycopg.Connection.commit, [], set()

    def met() -> bool:
        ended = sum(one.done() for one in running)
        return len(running) == 2 and waiting(world) + ended + len(standing) >= 2

    def held(session: "psycopg.Connection[Any]") -> None:
        if has_written(session):
            standing.add(session)
            wait_for(met)
            standing.discard(session)
        commit(session)

    with ThreadPoolExecutor(2) as pool, monkeypatch.context() as patch:
        patch.setattr(psycopg.Connection, "commit", held)
        running.extend([pool.submit(call) for call in calls])
        return [one.result(6 * PATIENCE) for one in running]


def test_a_day_that_was_drawn_and_not_registered_is_not_drawn_again(
    worlds: Callable[..., World], undisturbed: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Production may have changed since."""
    world = worlds(own=True)
    shadow = world.shadow(**SMALL)

    def lost(*_: Any) -> None:
        raise TransientError("the ledger is away")

    with monkeypatch.context() as patch:
        patch.setattr(snapshots, "register", lost)
        with pytest.raises(TransientError):
            steps.sample(shadow, day(0))
    world.change_production(LATE_REQUEST, [moment(0.5)])
    assert run_day(shadow, day(0)) == []
    assert_same(world, undisturbed)


def test_requests_that_come_in_between_the_count_and_the_draw_are_in_neither(
    worlds: Callable[..., World], undisturbed: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, allocate = worlds(own=True), drawing.allocate

    def counted(*arguments: Any) -> Any:
        world.change_production("DELETE FROM flights.prediction_log WHERE predicted_at < %s", [moment(0.2)])
        world.change_production(LATE_REQUEST, [moment(0.5)])
        return allocate(*arguments)

    monkeypatch.setattr(drawing, "allocate", counted)
    assert run_day(world.shadow(**SMALL), day(0)) == []
    assert world.content()["request"] == undisturbed.content()["request"]
    assert world.query("SELECT population, rows FROM shadow.snapshot") == undisturbed.query(
        "SELECT population, rows FROM shadow.snapshot"
    )


def test_labels_that_another_run_collects_while_a_day_is_compared_are_compared_in_the_end(
    worlds: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The day's evidence says on which labels it rests: those that were read, not those that have come since."""
    world, undisturbed, batches = worlds(), worlds(), predictions_of_day.batches
    shadow, expected = world.shadow(**SMALL), undisturbed.shadow(**SMALL)
    for number in (0, 1):
        assert run_day(expected, day(number)) == []
    others: list[Future[None]] = []

    def collect(other: dt.date) -> None:
        steps.sample(shadow, other)
        steps.collect_labels(shadow, other)

    with ThreadPoolExecutor(1) as pool:

        def met(*arguments: Any, **keywords: Any) -> Iterator[Any]:
            yield from batches(*arguments, **keywords)
            if not others:
                others.append(pool.submit(collect, day(1)))
                wait_for(lambda: others[0].done() or waiting(world) == 1)

        monkeypatch.setattr(predictions_of_day, "batches", met)
        assert run_day(shadow, day(0)) == []
    others[0].result(PATIENCE)
    assert run_day(shadow, day(1)) == []
    assert world.content() == undisturbed.content()
