"""Whatever changes a page changes its fingerprint, and nothing else does."""

from collections.abc import Callable

import psycopg
import pytest

from shadow_deployment.context import DeploymentContext
from shadow_deployment.ledger import alerts, trials
from shadow_deployment.ledger.registry import approval_requests
from shadow_deployment.pipeline import steps
from shadow_deployment.report.queries import pages
from tests.integration.report.states.acting import OTHER, again, asked, finding, judge, promoted, run, told
from tests.production import SHADOW, World, day, unguarded

pytestmark = pytest.mark.usefixtures("stored_verdicts_stand")


def validated(world: World) -> DeploymentContext:
    """Record another outcome of a validation."""
    shadow = world.shadow()
    with psycopg.connect(world.postgres.uri(world.ledger, SHADOW)) as session, unguarded(session, "validation"):
        session.execute("UPDATE shadow.validation SET success = false, validated_at = now()")
    return shadow


def labelled(world: World) -> DeploymentContext:
    shadow = world.shadow()
    steps.sample(shadow, day(2))
    before = pages.fingerprint(shadow)
    steps.collect_labels(shadow, day(2))
    assert pages.fingerprint(shadow) != before
    return shadow


def sampled(world: World) -> DeploymentContext:
    shadow = world.shadow()
    steps.sample(shadow, day(2))
    return shadow


def scored(world: World) -> DeploymentContext:
    shadow = sampled(world)
    before = pages.fingerprint(shadow)
    steps.score(shadow, day(2), "other", 0)
    assert pages.fingerprint(shadow) != before
    return shadow


def rejudged(world: World) -> DeploymentContext:
    shadow = world.shadow()
    judge(shadow, 1, "PASS", "other", finding("PASS"))
    return shadow


def withdrawn(world: World) -> DeploymentContext:
    """Take a day back by hand: its verdicts are shown no more."""
    shadow = world.shadow()
    with shadow.ledger() as session:
        trials.withdraw(session, shadow.deployment, day(1), by="ada", reason="the log was loaded twice")
    return shadow


CHANGING: list[Callable[[World], DeploymentContext]] = [
    sampled,
    scored,
    labelled,
    again,
    validated,
    rejudged,
    withdrawn,
    promoted,
    lambda world: asked(world, None),
    lambda world: asked(world, "approved"),
    told,
    lambda world: told(world, "no route"),
    lambda world: told(world, "no route", None),
    lambda world: world.shadow(policy={"alpha": 0.01}),
    lambda world: world.shadow(challengers=[OTHER]),
]


@pytest.mark.parametrize("change", CHANGING)
def test_whatever_changes_a_page_changes_its_fingerprint(
    world: World, change: Callable[[World], DeploymentContext]
) -> None:
    before = pages.fingerprint(world.shadow())
    assert pages.fingerprint(world.shadow()) == before
    assert pages.fingerprint(change(world)) != before


def test_attempts_to_deliver_and_answers_change_the_fingerprint_by_themselves(world: World) -> None:
    shadow = told(world)
    fingerprints = [pages.fingerprint(shadow)]
    with shadow.ledger() as session:
        alerts.record(session, alerts.history(session, shadow.deployment)[0], "webhook:ops", "no route")
    fingerprints.append(pages.fingerprint(shadow))
    asked(world, None)
    fingerprints.append(pages.fingerprint(shadow))
    with shadow.ledger() as session:
        approval_requests.answer(
            session, approval_requests.asked(session, shadow.deployment)[0].id, "silence", None, "nobody"
        )
    fingerprints.append(pages.fingerprint(shadow))
    assert len(set(fingerprints)) == 4


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("comparison", "compared_at"),
        ("validation", "validated_at"),
        ("scoring", "scored_at"),
    ],
)
def test_a_row_that_is_written_again_changes_the_fingerprint_to_the_microsecond(
    world: World, table: str, column: str
) -> None:
    shadow = world.shadow()
    before = pages.fingerprint(shadow)
    with psycopg.connect(world.postgres.uri(world.ledger, SHADOW)) as session, unguarded(session, table):
        assert session.execute(f"UPDATE shadow.{table} SET {column} = {column} - interval '1 microsecond'").rowcount
    assert pages.fingerprint(shadow) != before


def test_labels_that_were_collected_change_the_fingerprint(world: World) -> None:
    shadow = world.shadow()
    before = pages.fingerprint(shadow)
    world.query(
        "INSERT INTO shadow.label_collection "
        "SELECT snapshot_id, collection + 1, labels_until + interval '1 microsecond', arrival, labelled, "
        "contradicted, invalid, early FROM shadow.label_collection ORDER BY 2 DESC LIMIT 1 RETURNING 1"
    )
    assert pages.fingerprint(shadow) != before


def test_a_replay_check_changes_the_fingerprint(world: World) -> None:
    shadow = world.shadow()
    before = pages.fingerprint(shadow)
    world.query(
        "INSERT INTO shadow.replay_check (snapshot_id, revision, digest, model, tolerance, checked, mismatched, "
        "largest, worst) SELECT max(id), 9, '', '', 0.1, 10, 0, 0, '[]' FROM shadow.snapshot RETURNING 1"
    )
    assert pages.fingerprint(shadow) != before


def test_another_deployment_does_not_change_the_fingerprint_or_the_page(world: World) -> None:
    shadow = world.shadow()
    before = pages.deployment_page(shadow)
    assert run(world, 0, name="second") == []
    assert pages.deployment_page(shadow) == before
