"""What a disturbed world is held against: the same deployment's days when nothing happens."""

from pathlib import Path
from typing import Any

from tests.production import World

OTHER = {"name": "other", "model": "logged:flights.prediction_log.other_probability"}
SMALL: dict[str, Any] = {
    "sample": {"rate": 0.7, "strata": ["origin"], "shard_rows": 25},
    "challengers": [OTHER],
    "policy": {"burn_in": 2, "minimum_coverage": 0.2},
}
HISTORY = {"verdict"}  # grows by a revision where a day is judged on other evidence


def deployed(world: World, **changes: Any) -> World:
    """Deploy one challenger on a sample in two shards, with rules that the first day answers."""
    world.deploy(**SMALL | changes)
    return world


def assert_same(world: World, undisturbed: World) -> None:
    """The same rows but for the times of writing, the same verdicts of the last day, the same files, and no more."""
    assert world.content() == undisturbed.content()
    assert rows(world) == rows(undisturbed)
    revisions = "SELECT day, label_revision FROM shadow.labelled_snapshot ORDER BY day"
    assert world.query(revisions) == undisturbed.query(revisions)
    assert last_verdicts(world) == last_verdicts(undisturbed) != []
    assert files(world) == files(undisturbed) != []


def rows(world: World) -> dict[str, int]:
    """Return how many rows each table has: one that nothing refers to, or that is there twice, is one too many."""
    return {name: len(found) for name, found in world.dump(*HISTORY).items()}


def last_verdicts(world: World) -> list[tuple[Any, ...]]:
    verdicts = world.verdicts()
    return [row for row in verdicts if row[0] == verdicts[-1][0]]


def files(world: World) -> list[Path]:
    """Return the files of the store, also what was left half-written."""
    return sorted(path.relative_to(world.snapshots) for path in world.snapshots.rglob("*") if path.is_file())
