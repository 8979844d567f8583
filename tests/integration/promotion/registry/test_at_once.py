"""Of promotions and rollbacks at once one wins, and nothing is seen before it is committed."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from shadow_deployment.context import DeploymentContext
from shadow_deployment.errors import PermanentError, RegistryError
from shadow_deployment.ledger.registry import promotions
from shadow_deployment.ledger.registry.promotions import PromotionRecord
from shadow_deployment.ledger.writing import locks
from shadow_deployment.promotion import registry
from tests.integration.promotion.promoting import as_published, by, published, refusal, settings, view
from tests.production import World

pytestmark = pytest.mark.usefixtures("stored_verdicts_stand")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Do things in threads with sessions of their own that all have looked before the first may change anything."""

    def call(*actions: Callable[[], PromotionRecord]) -> list[Any]:
        together, lock = threading.Barrier(len(actions)), locks.whole

        def meeting(*arguments: Any) -> None:
            together.wait(120)
            lock(*arguments)

        def outcome(action: Callable[[], PromotionRecord]) -> PromotionRecord | str:
            try:
                return action()
            except RegistryError as error:
                return str(error)

        monkeypatch.setattr(locks, "whole", meeting)
        with ThreadPoolExecutor(len(actions)) as threads:
            return sorted(threads.map(outcome, actions), key=lambda one: isinstance(one, str))

    return call


def test_of_two_promotions_at_once_one_wins_and_the_other_says_why(
    world: World, shadow: DeploymentContext, at_once: Callable[..., list[Any]]
) -> None:
    won, lost = at_once(
        lambda: registry.promote(shadow, "other", **by("ada")),
        lambda: registry.promote(shadow, "linear", **by("bob")),
    )
    assert registry.history(shadow) == [won]
    assert f"the champion has changed meanwhile to {won.champion}" in lost
    assert f"approved by {won.approved_by}" in lost
    assert published(world) == as_published(world)


def test_two_rollbacks_at_once_go_one_step_back(twice: World, at_once: Callable[..., list[Any]]) -> None:
    shadow = twice.shadow(**settings(twice))
    won, lost = at_once(lambda: registry.rollback(shadow, **by("ada")), lambda: registry.rollback(shadow, **by("bob")))
    assert (won.undoes, won.name) == (2, "other")
    assert "the champion has changed meanwhile" in lost
    assert [one.kind for one in registry.history(shadow)] == ["promotion", "promotion", "rollback"]


def test_the_same_call_twice_at_once_is_one_promotion(
    shadow: DeploymentContext, at_once: Callable[..., list[Any]]
) -> None:
    found = registry.promotion_request(shadow, "other")
    first, second = at_once(*[lambda: registry.promote(shadow, "other", **by("ada"), expected=found)] * 2)
    assert [first] == [second] == registry.history(shadow)


def test_between_the_first_statement_and_the_commit_nothing_is_seen(
    worlds: Callable[..., World], passed: World
) -> None:
    """The row and everything that it rests on are one transaction: another session sees all of it or none."""
    world = worlds(passed)
    shadow = world.shadow(**settings(world))
    seen: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        add = promotions.add

        def watched(*arguments: Any, **keywords: Any) -> PromotionRecord:
            made = add(*arguments, **keywords)
            seen.append(len(view(world)))
            raise PermanentError(str(made.number))

        patch.setattr(promotions, "add", watched)
        refusal(lambda: registry.promote(shadow, "other", **by("ada")), PermanentError)
    assert seen == [0]
    assert view(world) == []
    assert published(world) is None
