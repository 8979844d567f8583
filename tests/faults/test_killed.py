"""Killed anywhere and run again, run twice at once, or two at a time in any order, days end as if nothing had happened.

The command line runs in processes of its own, forked from a clean one that has imported everything once, and dies by
SIGKILL where the test says: no handler runs, no transaction ends well.
"""

import contextlib
import datetime as dt
import functools
import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from multiprocessing.context import ForkServerContext
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import psycopg
import pytest

from shadow_deployment.cli import main
from shadow_deployment.cli.context import context_of
from shadow_deployment.config import discovery
from shadow_deployment.pipeline import steps
from shadow_deployment.pipeline.run import run_day
from shadow_deployment.report.publishing import publish
from tests import production
from tests.faults.moments import STEPS, Diary, Moments, die, dying
from tests.faults.sameness import assert_same, deployed, files, rows
from tests.production import OWNER, World, day

HEAVY = (
    "great_expectations",
    "adbc_driver_postgresql.dbapi",
    "alembic.runtime.environment",
    "alembic.script",
    "pandas",
)
BACKFILL = 20
POLICY = {"minimum_coverage": 0.2, "rules": [{"metric": "brier_score", "is": "superior"}]}


def arrange(fault: tuple[Any, ...] | None) -> None:
    """Prepare this process to die as described."""
    match fault:
        case ("step", name, moment, call):
            dying(steps, name, moment, call)
        case ("new moment", diary):
            Moments(lambda moment, _: die() if diary.is_new(moment) else None).watch()
        case ("moment", name):
            Moments(lambda moment, _: die() if moment.startswith(name) else None).watch()


def program(variables: dict[str, str], last: dt.date, fault: tuple[Any, ...] | None, together: Barrier | None) -> None:
    """Run the days as the command line does; the output is for nobody."""
    os.environ.update(variables)
    sys.argv = ["shadow", "run", "late", "--from", str(day(0)), "--to", str(last)]
    sys.stdout = sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 (until it dies)
    arrange(fault)
    if together is None:
        main.main()
    else:
        for name in STEPS:
            meeting(name, together)
        try:
            main.main()
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


def ended(started: Sequence[Any]) -> list[int | None]:
    """Start processes and wait for them; return how each ended."""
    for process in started:
        process.start()
    for process in started:
        process.join(300)
    return [process.exitcode for process in started]


@pytest.fixture(scope="module")
def run(processes: ForkServerContext) -> Callable[..., int]:
    """Run the days of a world in another process; return how it ended, minus the signal where one ended it."""

    def call(world: World, fault: tuple[Any, ...] | None = None, *, last: int = 0) -> int:
        (code,) = ended([processes.Process(target=program, args=(world.variables(), day(last), fault, None))])
        assert code is not None
        return code

    return call


@pytest.fixture(scope="module")
def undisturbed(worlds: Callable[..., World], run: Callable[..., int]) -> World:
    """One day as it ends when nothing happens."""
    world = deployed(worlds())
    assert run(world) == 0
    assert {name for name, found in world.content().items() if not found} == set()
    return world


@pytest.mark.parametrize("step", [name for name in STEPS if name != "compare"])
def test_killed_between_two_steps_and_run_again_it_ends_as_an_undisturbed_one(
    worlds: Callable[..., World], run: Callable[..., int], undisturbed: World, step: str
) -> None:
    world = deployed(worlds())
    assert run(world, ("step", step, "after", 1)) == -signal.SIGKILL
    assert run(world) == 0
    assert_same(world, undisturbed)


def test_killed_inside_every_write_in_turn_it_still_ends_as_an_undisturbed_one(
    worlds: Callable[..., World], run: Callable[..., int], undisturbed: World, tmp_path: Path
) -> None:
    """Each run dies at the first write at which none before it has, and continues what those have left."""
    world, diary = deployed(worlds()), Diary(tmp_path / "diary")
    while (code := run(world, ("new moment", diary))) == -signal.SIGKILL:
        pass
    assert code == 0
    assert_same(world, undisturbed)
    kinds = [moment.split(": ")[1].split(" in ")[0] for moment in diary.moments]
    assert {kind: kinds.count(kind) for kind in kinds if "commit" not in kind} == {
        "half a file": 3,
        "before its name": 3,
        "after its name": 3,
        "half a copy": 4,  # the requests, two shards of predictions, the labels
    }
    assert min(kinds.count("before a commit"), kinds.count("after a commit")) >= len(STEPS)


def test_days_killed_on_the_second_one_end_as_undisturbed_ones(
    worlds: Callable[..., World], run: Callable[..., int], tmp_path: Path
) -> None:
    """In the middle of the second shard's answers, and before the first day is compared again."""
    world, undisturbed = deployed(worlds()), deployed(worlds())
    assert run(undisturbed, last=1) == 0
    assert run(world, ("moment", f"score {day(1)} other 1: half a copy"), last=1) == -signal.SIGKILL
    assert run(world, ("step", "compare", "before", 2), last=1) == -signal.SIGKILL
    assert run(world, last=1) == 0
    assert_same(world, undisturbed)


def test_two_processes_on_the_same_day_at_once_write_the_rows_of_one(
    worlds: Callable[..., World], processes: ForkServerContext, undisturbed: World
) -> None:
    world = deployed(worlds())
    together = processes.Barrier(2)
    pair = [processes.Process(target=program, args=(world.variables(), day(0), None, together)) for _ in range(2)]
    assert ended(pair) == [0, 0]
    assert_same(world, undisturbed)


def report(variables: dict[str, str], diary: Diary) -> None:
    """Write the report of the first day, and die at the first moment at which none before it has."""
    os.environ.update(variables)
    arrange(("new moment", diary))
    publish(context_of(discovery.find_deployment("late")), day(0), ["other"])


def test_a_report_that_is_killed_is_there_whole_or_not_at_all_and_leaves_nothing_when_it_is_written_again(
    worlds: Callable[..., World], processes: ForkServerContext, undisturbed: World, tmp_path: Path
) -> None:
    world, diary = deployed(worlds(undisturbed)), Diary(tmp_path / "diary")
    before, seen = files(world), []
    while True:
        process = processes.Process(target=report, args=(world.variables(), diary))
        (code,) = ended([process])
        new = set(files(world)) - set(before)
        seen.append(sorted(path.suffix == ".html" for path in new))
        assert all(b"</html>" in (world.snapshots / path).read_bytes() for path in new if path.suffix == ".html")
        if not code:
            break
        assert code == -signal.SIGKILL
    assert seen == [[False], [False], [True], [True]]  # half a file, all of it without its name, the report, the report


def backfill(variables: dict[str, str], numbers: Sequence[int]) -> None:
    """Run these days one after the other, as a scheduler with several runs at a time gives them to a worker."""
    os.environ.update(variables)
    deployment = discovery.find_deployment("late")
    for number in numbers:
        run_day(context_of(deployment), day(number))


def test_many_days_two_at_a_time_in_any_order_leave_the_evidence_of_one_after_the_other(
    worlds: Callable[..., World], processes: ForkServerContext, empty_production: str
) -> None:
    few = {"sample": {"rate": 1.0}, "slices": [], "labels": {"maturity_days": 2}, "policy": {"burn_in": 28, **POLICY}}
    source = worlds(production=empty_production, own=True)
    with psycopg.connect(source.postgres.uri(source.production, OWNER)) as session:
        production.write(session, *production.synthetic(days=BACKFILL, per_day=5))
    parallel, sequential = (deployed(replace(worlds(), production=source.production), **few) for _ in range(2))
    numbers = list(range(BACKFILL))
    together = [processes.Process(target=backfill, args=(sequential.variables(), numbers))]
    random.Random(60).shuffle(shuffled := numbers.copy())
    together += [processes.Process(target=backfill, args=(parallel.variables(), shuffled[half::2])) for half in (0, 1)]
    assert ended(together) == [0, 0, 0]
    assert parallel.content() == sequential.content()
    collected = ("label_arrival", "label_collection", "comparison")  # as often as labels were looked for
    assert {**rows(parallel), **dict.fromkeys(collected)} == {**rows(sequential), **dict.fromkeys(collected)}
    assert files(parallel) == files(sequential)
    assert len(parallel.evidence().query("metric == 'brier_score'")) == BACKFILL
