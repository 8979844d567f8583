"""A rollback puts the champion before back, one step at a time, and needs nothing but the ledger."""

from dataclasses import asdict

import pytest

from shadow_deployment.context import DeploymentContext
from shadow_deployment.ledger.registry.promotions import PromotionRecord
from shadow_deployment.promotion import registry
from tests.integration.promotion.promoting import CHANGED, as_published, by, judge, published, refusal, settings, view
from tests.production import World

pytestmark = pytest.mark.usefixtures("stored_verdicts_stand")


def test_a_rollback_puts_the_previous_champion_back(twice: World) -> None:
    shadow = twice.shadow(**settings(twice))
    first, second = registry.history(shadow)
    back = registry.rollback(shadow, **by("cid", "complaints"))
    assert (back.number, back.kind, back.undoes, back.approved_by, back.reason) == (
        3,
        "rollback",
        2,
        "cid",
        "complaints",
    )
    assert (back.from_name, back.from_version, back.from_digest) == (second.name, second.version, second.digest)
    assert (back.name, back.version, back.digest, back.uri, back.model_id) == (
        first.name,
        first.version,
        first.digest,
        first.uri,
        first.model_id,
    )
    assert registry.history(shadow)[:2] == [first, PromotionRecord(**asdict(second) | {"undone_by": 3})]
    assert view(twice) == [("other", "1", first.digest, first.uri, back.created_at, "cid", 3)]
    assert published(twice) == as_published(twice)


def test_rolling_back_twice_goes_to_the_one_before_and_then_there_is_none(twice: World) -> None:
    shadow = twice.shadow(**settings(twice))
    registry.rollback(shadow, **by("cid"))
    registry.rollback(shadow, **by("cid"))
    assert [(one.kind, one.undoes, one.name, one.version) for one in registry.history(shadow)] == [
        ("promotion", None, "other", "1"),
        ("promotion", None, "linear", "2"),
        ("rollback", 2, "other", "1"),
        ("rollback", 1, "champion", "7"),
    ]
    assert "every promotion is rolled back already" in refusal(lambda: registry.rollback(shadow, **by("cid")))
    twice.change_production(CHANGED, ["7"])
    judge(shadow, 3, "PASS", "linear")
    assert registry.promote(shadow, "linear", **by("ada")).number == 5
    assert registry.rollback(shadow, **by("cid")).undoes == 5
    assert view(twice)[0][:2] == ("champion", "7")


def test_nothing_promoted_is_nothing_to_roll_back(shadow: DeploymentContext) -> None:
    assert "nothing to roll back: there was no promotion yet" in refusal(lambda: registry.rollback(shadow, **by("cid")))
    refusal(lambda: registry.promotion_to_undo(shadow))
    assert registry.history(shadow) == []


def test_a_rollback_of_a_named_promotion_is_done_once(twice: World) -> None:
    shadow = twice.shadow(**settings(twice))
    assert registry.promotion_to_undo(shadow).number == 2
    assert "undoes == 1, must be 2" in refusal(lambda: registry.rollback(shadow, **by("cid"), undoes=1))
    back = registry.rollback(shadow, **by("cid"), undoes=2)
    assert registry.rollback(shadow, **by("cid"), undoes=2) == back
    assert "undoes == 2, must be 1" in refusal(lambda: registry.rollback(shadow, **by("bob"), undoes=2))
    assert len(registry.history(shadow)) == 3


def test_a_rollback_needs_neither_model_nor_verdict_nor_production(twice: World) -> None:
    (twice.folder / "linear.onnx").unlink()
    shadow = DeploymentContext(
        twice.deploy(**settings(twice)), lambda name: twice.connection({"shadow_db": name}[name])
    )
    assert registry.rollback(shadow, **by("cid")).name == "other"
