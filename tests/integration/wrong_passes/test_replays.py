"""Replayed days and days that a model may have seen, chosen after they were seen, through the command line alone."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.conftest import Invoke, declare
from tests.integration.wrong_passes.story import (
    DAYS,
    MEMORIZED,
    POLICY,
    TRAINED_UNTIL,
    better,
    deploy,
    logged,
    newest_verdict,
    produce,
    run,
    run_all,
    worse,
)
from tests.production import World, day


def test_a_first_backfill_says_what_its_replayed_days_would_decide_and_which_keys_let_them(
    world: World, invoke: Invoke
) -> None:
    produce(world, better)
    deploy(world, policy={"replay": "shown"}, challenger={"trained_until": None})
    run(invoke, 0, DAYS - 1)
    verdict = newest_verdict(invoke)
    assert verdict["outcome"] == "INCONCLUSIVE"
    assert verdict["reasons"][0].startswith("with its replayed days it would PASS since ")
    assert "trained_until is declared and policy.replay is count" in verdict["reasons"][0]
    assert verdict["days"]["counted"] == 0
    assert verdict["days"]["replayed"] == DAYS
    deploy(world)
    run(invoke, DAYS - 1)
    assert newest_verdict(invoke)["outcome"] == "PASS"
    assert newest_verdict(invoke)["trial"]["number"] == 1, "declaring what was not declared opens no trial"
    words = f"training date {TRAINED_UNTIL}, which was declared once {DAYS} days had been seen"
    assert any(words in warning for warning in newest_verdict(invoke)["warnings"])


def test_replayed_days_may_fail_although_they_cannot_pass(world: World, invoke: Invoke) -> None:
    produce(world, worse)
    deploy(world, policy={"replay": "shown"})
    run(invoke, 0, DAYS - 1)
    assert newest_verdict(invoke)["outcome"] == "FAIL"


def test_a_model_that_memorized_its_first_days_does_not_pass_on_them(world: World, invoke: Invoke) -> None:
    def memorized(log: pd.DataFrame, random: np.random.Generator) -> "np.ndarray[Any, Any]":
        return np.where(log.number < MEMORIZED, np.clip(log.label, 0.02, 0.98), worse(log, random))

    produce(world, memorized)
    deploy(world, policy={"replay": "shown"}, challenger={"trained_until": None})
    run(invoke, 0, MEMORIZED - 1)
    assert newest_verdict(invoke)["outcome"] == "INCONCLUSIVE"
    deploy(world, challenger={"trained_until": str(day(MEMORIZED - 1))})
    run(invoke, MEMORIZED, MEMORIZED + 7)
    verdict = newest_verdict(invoke)
    assert verdict["outcome"] != "PASS"
    assert verdict["days"]["counted"] == 8 - 2, "from the training date and the time labels take to mature"


def test_training_dates_are_required_where_replayed_days_count(world: World, invoke: Invoke) -> None:
    produce(world, better)
    with pytest.raises(Exception, match=r"challengers\[0\].trained_until is missing"):
        deploy(world, challenger={"trained_until": None})


def good_at_last(log: pd.DataFrame, random: np.random.Generator) -> "np.ndarray[Any, Any]":
    return np.where(log.number < DAYS - 7, np.clip(log.late + random.normal(0, 0.05, len(log)), 0.01, 0.99), log.late)


def near_the_label(log: pd.DataFrame, random: np.random.Generator) -> "np.ndarray[Any, Any]":
    return np.clip(log.label + random.normal(0, 0.1, len(log)), 0.01, 0.99)


@pytest.fixture(scope="module")
def checked(worlds: Callable[..., World], empty_production: str) -> World:
    """All days of a check of the champion, whose snapshots three challengers may answer."""
    world = worlds(own=True, production=empty_production)
    produce(world, good_at_last, near_the_label=near_the_label, worse=worse)
    check = [{"name": "a_a_check", "model": "champion"}]
    run_all(world, world.deploy(challengers=check, policy=POLICY, slices=[]))
    return world


@pytest.fixture
def sampled(checked: World, worlds: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> World:
    """A copy of that world; its production is shared."""
    return declare(worlds(checked), monkeypatch)


def test_a_replay_of_the_good_days_alone_does_not_pass_and_one_of_all_days_says_what_it_rests_on(
    sampled: World, invoke: Invoke
) -> None:
    deploy(sampled)
    assert invoke("replay", "late", "--challenger", "other", "--days", 7)[0] == 0
    verdict = newest_verdict(invoke)
    assert verdict["outcome"] == "INCONCLUSIVE"
    assert [finding["outcome"] for finding in verdict["findings"]] != ["FAIL"]
    assert verdict["days"]["left_out"] == [{"day": str(day(number)), "why": "not run"} for number in range(DAYS - 7)]
    assert "7 days are left out, at most 2 may be" in verdict["reasons"][0]
    assert invoke("replay", "late", "--challenger", "other")[0] == 0
    verdict = newest_verdict(invoke)
    assert verdict["outcome"] == "PASS", verdict["reasons"]
    shown = {name: verdict["days"][name] for name in ("counted", "waiting", "left_out", "replayed", "live")}
    assert shown == {"counted": DAYS, "waiting": 0, "left_out": [], "replayed": DAYS, "live": 0}
    assert any(f"rests on the declared training date {TRAINED_UNTIL}" in warning for warning in verdict["warnings"])


def test_replayed_days_of_a_model_that_memorized_them_do_not_pass(sampled: World, invoke: Invoke) -> None:
    deploy(sampled, challenger={**logged("near_the_label"), "trained_until": str(day(DAYS - 4))})
    invoke("replay", "late", "--challenger", "near_the_label")
    verdict = newest_verdict(invoke)
    assert verdict["outcome"] == "INCONCLUSIVE"
    assert verdict["days"]["counted"] == 1, "from the training date and the time labels take to mature"


def test_replayed_days_are_seen_days_of_the_trial_that_follows(sampled: World, invoke: Invoke) -> None:
    model = logged("worse")
    deploy(sampled, challenger=model)
    invoke("replay", "late", "--challenger", "worse")
    assert newest_verdict(invoke)["outcome"] == "FAIL"
    deploy(sampled, challenger=model, policy={"rules": [{"metric": "brier_score", "is": "non_inferior", "margin": 5}]})
    invoke("replay", "late", "--challenger", "worse")
    verdict = newest_verdict(invoke)
    assert (verdict["outcome"], verdict["days"]["counted"]) == ("INCONCLUSIVE", 0)
    assert verdict["trial"]["opened_because"].startswith("the blocking rules changed since trial")
