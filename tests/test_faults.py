"""Killed anywhere and run again, or run twice at once, a day ends as if nothing had happened.

The command line runs in processes of its own, forked from a clean one that has imported everything once, and dies by
SIGKILL where the test says: no handler runs, no transaction ends well.
"""

import contextlib
import datetime as dt
import functools
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerContext
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from include.shadow import cli
from include.shadow import day as steps
from include.shadow.ledger import predictions, snapshots
from include.shadow.store import FolderStore
from tests.production import World, day

STEPS = ("sample", "validate_inputs", "score", "validate_predictions", "collect_labels", "compare", "judge")
HEAVY = (
    "great_expectations",
    "adbc_driver_postgresql.dbapi",
    "alembic.runtime.environment",
    "alembic.script",
    "pandas",
)
COPIES = {"request": snapshots, "cell": snapshots, "prediction": predictions}


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dying(where: Any, name: str, moment: str, call: int) -> None:
    """Let the process die before or after the call of this number to a function."""
    function, left = getattr(where, name), [call]

    @functools.wraps(function)
    def wrapped(*arguments: Any, **keywords: Any) -> Any:
        left[0] -= 1
        if left[0] == 0 and moment == "before":
            die()
        result = function(*arguments, **keywords)
        if left[0] == 0 and moment == "after":
            die()
        return result

    setattr(where, name, wrapped)


class Torn:
    """A table of which half is sent before the process dies."""

    def __init__(self, table: pa.Table) -> None:
        self.column_names = table.column_names
        self._table = table

    def to_batches(self, max_chunksize: int) -> Iterator[pa.RecordBatch]:
        yield from self._table.slice(0, max(self._table.num_rows // 2, 1)).to_batches(max_chunksize=max_chunksize)
        die()


def tearing(where: Any, name: str, call: int) -> None:
    """Let the process die in the middle of the COPY of this number into a table."""
    copy, left = where.copy, [call]

    def torn(session: Any, table_name: str, table: pa.Table) -> None:
        left[0] -= table_name == name
        copy(session, table_name, Torn(table) if table_name == name and left[0] == 0 else table)

    where.copy = torn


def arrange(fault: tuple[Any, ...] | None) -> None:
    """Prepare this process to die as described."""
    match fault:
        case ("step", name, moment, call):
            dying(steps, name, moment, call)
        case ("file", call):
            dying(FolderStore, "writing", "before", call)
        case ("copy", name, call):
            tearing(COPIES[name], name, call)
        case ("commit", call):
            dying(psycopg.Connection, "commit", "before", call)


def program(variables: dict[str, str], last: dt.date, fault: tuple[Any, ...] | None, together: Barrier | None) -> None:
    """Run the days as the command line does; the output is for nobody."""
    os.environ.update(variables)
    sys.argv = ["shadow", "run", "late", "--from", str(day(0)), "--to", str(last)]
    sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 (until it dies)
    arrange(fault)
    if together is None:
        cli.main()
    else:
        for name in STEPS:
            meeting(name, together)
        try:
            cli.main()
        finally:
            together.abort()


def meeting(name: str, together: Barrier) -> None:
    """Let two processes enter a step at the same time, until one of them has ended."""
    function = getattr(steps, name)

    @functools.wraps(function)
    def wrapped(*arguments: Any) -> Any:
        with contextlib.suppress(threading.BrokenBarrierError):
            together.wait(60)
        return function(*arguments)

    setattr(steps, name, wrapped)


@pytest.fixture(scope="module")
def processes() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*HEAVY, __name__])
    return context


@pytest.fixture(scope="module")
def run(processes: ForkServerContext) -> Callable[..., int]:
    """Run the days of a world in another process; return how it ended, minus the signal where one ended it."""

    def call(world: World, fault: tuple[Any, ...] | None = None, *, last: int = 0) -> int:
        process = processes.Process(target=program, args=(world.variables(), day(last), fault, None))
        process.start()
        process.join(120)
        assert process.exitcode is not None
        return process.exitcode

    return call


@pytest.fixture(scope="module")
def undisturbed(worlds: Callable[..., World], run: Callable[..., int]) -> World:
    """One day as it ends when nothing happens."""
    world = deployed(worlds())
    assert run(world) == 0
    assert {name for name, rows in world.content().items() if not rows} == set()
    return world


def deployed(world: World) -> World:
    world.deploy(
        sample={"rate": 0.7, "strata": ["origin"], "shard_rows": 25},
        challengers=[{"name": "other", "model": "logged:flights.prediction_log.other_probability"}],
        policy={"burn_in": 2, "minimum_coverage": 0.2},
    )
    return world


def assert_same(world: World, undisturbed: World) -> None:
    """The same rows but for the times of writing, the same verdicts of the last day, and the same files."""
    assert world.content() == undisturbed.content()
    revisions = "SELECT day, label_revision FROM shadow.snapshot ORDER BY day"
    assert world.query(revisions) == undisturbed.query(revisions)
    assert last_verdicts(world) == last_verdicts(undisturbed) != []
    assert files(world) == files(undisturbed) != []


def last_verdicts(world: World) -> list[tuple[Any, ...]]:
    verdicts = world.verdicts()
    return [row for row in verdicts if row[0] == verdicts[-1][0]]


def files(world: World) -> list[Path]:
    return sorted(path.relative_to(world.snapshots) for path in world.snapshots.rglob("[!.]*") if path.is_file())


FAULTS = [
    *(("step", name, "after", 1) for name in STEPS if name != "compare"),
    ("file", 2),  # the second shard
    ("file", 3),  # the manifest
    ("copy", "cell", 1),
    ("copy", "prediction", 2),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: "-".join(map(str, fault)))
def test_a_killed_run_that_is_run_again_ends_as_an_undisturbed_one(
    worlds: Callable[..., World], run: Callable[..., int], undisturbed: World, fault: tuple[Any, ...]
) -> None:
    world = deployed(worlds())
    assert run(world, fault) == -signal.SIGKILL
    assert run(world) == 0
    assert_same(world, undisturbed)


@pytest.mark.parametrize(("name", "whole"), [("request", "snapshot"), ("prediction", "scoring")])
def test_a_copy_that_is_torn_leaves_no_row_and_the_next_run_writes_all(
    worlds: Callable[..., World], run: Callable[..., int], undisturbed: World, name: str, whole: str
) -> None:
    world = deployed(worlds())
    assert run(world, ("copy", name, 1)) == -signal.SIGKILL
    after = world.dump()
    assert (after[name], after[whole]) == ([], [])
    assert run(world) == 0
    assert_same(world, undisturbed)


def test_killed_at_every_commit_in_turn_it_still_ends_as_an_undisturbed_one(
    worlds: Callable[..., World], run: Callable[..., int], undisturbed: World
) -> None:
    """Each run dies one commit later than the one before, and continues what that one has left."""
    world = deployed(worlds())
    deaths = 0
    while (ended := run(world, ("commit", deaths + 1))) == -signal.SIGKILL:
        deaths += 1
    assert ended == 0
    assert deaths >= len(STEPS)
    assert_same(world, undisturbed)


def test_days_killed_on_the_second_one_end_as_undisturbed_ones(
    worlds: Callable[..., World], run: Callable[..., int]
) -> None:
    world, undisturbed = deployed(worlds()), deployed(worlds())
    assert run(undisturbed, last=1) == 0
    assert run(world, ("copy", "prediction", 3), last=1) == -signal.SIGKILL
    assert run(world, ("step", "compare", "before", 2), last=1) == -signal.SIGKILL
    assert run(world, last=1) == 0
    assert_same(world, undisturbed)


def test_two_processes_on_the_same_day_at_once_write_the_rows_of_one(
    worlds: Callable[..., World], processes: ForkServerContext, undisturbed: World
) -> None:
    world = deployed(worlds())
    together = processes.Barrier(2)
    pair = [processes.Process(target=program, args=(world.variables(), day(0), None, together)) for _ in range(2)]
    for process in pair:
        process.start()
    for process in pair:
        process.join(120)
    assert [process.exitcode for process in pair] == [0, 0]
    assert_same(world, undisturbed)
