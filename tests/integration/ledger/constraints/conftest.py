"""A ledger with days that were judged."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from shadow_deployment.pipeline import steps
from tests.integration.ledger.constraints.inserting import OTHER, ROWS
from tests.production import SHADOW, World, day


@pytest.fixture(scope="module")
def judged(worlds: Callable[..., World]) -> World:
    """A ledger with one whole day in it: one snapshot, one challenger, one shard."""
    world = worlds()
    shadow = world.shadow(challengers=[OTHER], sample={"shard_rows": ROWS})
    sampled = steps.sample(shadow, day(0))
    assert (sampled.rows, sampled.shards) == (ROWS, 1)
    steps.validate_inputs(shadow, day(0))
    steps.score(shadow, day(0), "other", 0)
    steps.validate_predictions(shadow, day(0), "other")
    for changed in steps.collect_labels(shadow, day(0)):
        steps.compare(shadow, changed)
    steps.judge(shadow, day(0), "other")
    return world


@pytest.fixture
def session(judged: World) -> Iterator["psycopg.Connection[Any]"]:
    """A session as the ledger's owner, whose work is undone."""
    with psycopg.connect(judged.postgres.uri(judged.ledger, SHADOW)) as opened:
        yield opened
        opened.rollback()
