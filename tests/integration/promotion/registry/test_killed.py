"""A promotion that is killed anywhere leaves the old or the new champion, and the next one ends it."""

import os
import signal
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import psycopg
import pytest

from shadow_deployment.config import discovery
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.connections import environment
from shadow_deployment.data.documents import FileDocument
from shadow_deployment.promotion import registry
from shadow_deployment.promotion import request as promotion_request
from tests.faults.moments import dying
from tests.integration.promotion.promoting import as_published, by, leftovers, published, settings, view
from tests.production import World

pytestmark = pytest.mark.usefixtures("stored_verdicts_stand")


def program(variables: dict[str, str], digest: str, fault: tuple[Any, str, str, int] | None) -> None:
    """Promote in a process of its own, which dies where the fault says."""
    os.environ.update(variables)
    shadow = DeploymentContext(discovery.find_deployment("late"), environment)
    promotion_request.outcome_now = lambda *_: "PASS"  # type: ignore[assignment]
    if fault is not None:
        dying(*fault)
    registry.promote(shadow, "other", **by("ada"), expected=digest)


Run = Callable[[World, str, "tuple[Any, str, str, int] | None"], int]


@pytest.fixture(scope="module")
def run(processes: ForkServerContext) -> Run:
    def call(world: World, digest: str, fault: tuple[Any, str, str, int] | None) -> int:
        process = processes.Process(target=program, args=(world.variables(), digest, fault))
        process.start()
        process.join(300)
        assert process.exitcode is not None
        return process.exitcode

    return call


PLACES: list[tuple[Any, str, str, int]] = [
    (psycopg.Cursor, "execute", "before", 10),
    (psycopg.Connection, "commit", "before", 4),
    (psycopg.Connection, "commit", "after", 4),
    (FileDocument, "replace", "before", 1),
    (Path, "replace", "before", 1),
    (Path, "replace", "after", 1),
]


@pytest.mark.parametrize(
    ("where", "name", "when", "fewest"), PLACES, ids=lambda one: getattr(one, "__name__", str(one))
)
def test_killed_anywhere_it_leaves_the_old_or_the_new_champion_and_runs_to_its_end_again(
    worlds: Callable[..., World], passed: World, run: Run, where: Any, name: str, when: str, fewest: int
) -> None:
    digest = registry.promotion_request(passed.shadow(**settings(passed)), "other").digest
    world, deaths = deployed(worlds(passed)), 0
    untouched = world.dump()
    while (ended := run(world, digest, (where, name, when, deaths + 1))) == -signal.SIGKILL:
        deaths += 1
        made = registry.history(world.shadow(**settings(world)))
        assert [(row[0], row[-1]) for row in view(world)] == [(one.name, one.number) for one in made]
        assert published(world) in (None, as_published(world))
        if not made:
            assert world.dump() == untouched
            continue
        assert [(one.number, one.approved_by, one.case_digest) for one in made] == [(1, "ada", digest)]
        assert run(world, digest, None) == 0
        assert registry.history(world.shadow(**settings(world))) == made
        assert published(world) == as_published(world)
        assert leftovers(world.folder / "published" / "champion.json") == []
        world = deployed(worlds(passed))
    assert (ended, len(view(world)), published(world)) == (0, 1, as_published(world))
    assert deaths >= fewest


def deployed(world: World) -> World:
    world.deploy(**settings(world))
    return world
