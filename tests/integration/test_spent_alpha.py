"""Alpha that was spent on one trial is not there for the next: nothing but a promotion that stands brings it back.

Each test goes through the command line alone, as those of wrong passes do.
"""

import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from shadow_deployment.data.sampling import digest
from tests.conftest import Invoke, declare
from tests.integration.test_verify import change, verified
from tests.integration.wrong_passes.story import (
    DAYS,
    OTHER,
    POLICY,
    TRAINED_UNTIL,
    better,
    deploy,
    newest_verdict,
    produce,
    run,
)
from tests.production import World, day

BATCHES = [0.05 * 6 / (math.pi * place) ** 2 for place in range(1, 9)]
WHO = ("--approved-by", "ann", "--reason", "as the test says", "--yes")
A_A_CHECK = {"name": "a_a_check", "model": "champion"}


@pytest.fixture(scope="module")
def produced(worlds: Callable[..., World], empty_production: str) -> World:
    world = worlds(own=True, production=empty_production)
    produce(world, better)
    return world


@pytest.fixture
def world(worlds: Callable[..., World], produced: World, monkeypatch: pytest.MonkeyPatch) -> World:
    return declare(worlds(produced, own=True), monkeypatch)


def model(name: str, version: str = "1") -> dict[str, Any]:
    return {**OTHER, "name": name, "version": version, "trained_until": TRAINED_UNTIL}


def shadow(world: World, *challengers: dict[str, Any], **policy: Any) -> None:
    world.deploy(challengers=list(challengers), policy={**POLICY, "replay": "count", **policy}, slices=[])


def trials(invoke: Invoke) -> list[dict[str, Any]]:
    code, out, err = invoke("trials", "late", "--json")
    assert code == 0, err
    return [json.loads(line) for line in out.splitlines()]


def spent(invoke: Invoke) -> list[tuple[Any, ...]]:
    return [(one["name"], one["batch"], one["place"], one["alpha"]) for one in trials(invoke)]


def next_alpha(invoke: Invoke) -> float:
    found: float = json.loads(invoke("verdict", "late", "--json")[1])["next_alpha"]
    return found


def test_challengers_of_one_registration_share_a_batch_and_who_comes_later_is_in_the_next(
    world: World, invoke: Invoke
) -> None:
    shadow(world, model("one"), model("two"), A_A_CHECK)
    run(invoke, 0, 1)
    shares = [("one", 1, 1, pytest.approx(BATCHES[0] / 2)), ("two", 1, 1, pytest.approx(BATCHES[0] / 2))]
    assert spent(invoke) == [*shares, ("a_a_check", None, None, 0.05)]
    run(invoke, 1)
    assert len(trials(invoke)) == 3, "a retry opens nothing"
    shadow(world, model("one"), model("two"), model("three"), A_A_CHECK)
    assert next_alpha(invoke) == pytest.approx(BATCHES[1])
    run(invoke, 2)
    assert spent(invoke)[3:] == [("three", 2, 2, pytest.approx(BATCHES[1]))], "although it is the same day"
    code, out, _ = invoke("trials", "late")
    assert code == 0
    assert "1 (of 2)" in " ".join(out.split())


@pytest.mark.parametrize(
    "renewed",
    [
        {"challenger": {"version": "2"}},
        {"policy": {"rules": [{"metric": "log_loss", "is": "superior"}]}},
        {"policy": {"alpha": 0.05, "burn_in": 5}},
        {"sample": {"rate": 0.9}},
        {"challenger": {"trained_until": str(day(-9))}},
    ],
)
def test_who_begins_again_has_less_alpha(world: World, invoke: Invoke, renewed: dict[str, Any]) -> None:
    deploy(world)
    run(invoke, 0, 1)
    deploy(world, **renewed)
    run(invoke, 2)
    found = newest_verdict(invoke)["trial"]
    assert (found["number"], found["batch"], found["place"]) == (2, 2, 2)
    assert found["alpha"] == pytest.approx(BATCHES[1])
    assert next_alpha(invoke) == pytest.approx(BATCHES[2])
    deploy(world)
    run(invoke, 3)
    assert newest_verdict(invoke)["trial"]["number"] == 1, "the first trial goes on at its own alpha"
    assert verified(invoke)[0] == 0


def test_another_version_in_the_log_brings_no_alpha_back(world: World, invoke: Invoke) -> None:
    world.change_production("UPDATE flights.prediction_log SET model_version = '8' WHERE predicted_at >= %s", [day(2)])
    deploy(world)
    run(invoke, 0, 2)
    assert spent(invoke) == [("other", 1, 1, pytest.approx(BATCHES[0])), ("other", 2, 2, pytest.approx(BATCHES[1]))]


def test_rules_that_decide_nothing_spend_no_alpha(world: World, invoke: Invoke) -> None:
    deploy(world, policy={"rules": [{"metric": "brier_score", "is": "superior", "role": "advisory"}]})
    run(invoke, 0)
    assert spent(invoke) == [("other", None, None, 0.05)]
    assert next_alpha(invoke) == pytest.approx(BATCHES[0])
    assert verified(invoke)[0] == 0


def test_a_promotion_that_stands_starts_anew_and_one_that_was_forced_or_rolled_back_does_not(
    world: World, invoke: Invoke
) -> None:
    world.deploy(
        challengers=[model("other")],
        policy={**POLICY, "replay": "count"},
        slices=[],
        promotion={"allow_force": True},
    )
    run(invoke, 0, DAYS - 1)
    assert next_alpha(invoke) == pytest.approx(BATCHES[1])
    assert invoke("promote", "late", "--challenger", "other", *WHO)[0] == 0
    assert next_alpha(invoke) == pytest.approx(BATCHES[0])
    assert invoke("rollback", "late", *WHO)[0] == 0
    assert next_alpha(invoke) == pytest.approx(BATCHES[1]), "as if it had never been"
    assert invoke("promote", "late", "--challenger", "other", "--force", *WHO)[0] == 0
    assert next_alpha(invoke) == pytest.approx(BATCHES[1])


def test_a_batch_counts_for_a_year(world: World, invoke: Invoke) -> None:
    deploy(world)
    run(invoke, 0)
    for days, expected in ((364, BATCHES[1]), (2, BATCHES[0])):
        change(world, "trial", "UPDATE shadow.trial SET opened_at = opened_at - make_interval(days => %s)", days)
        assert next_alpha(invoke) == pytest.approx(expected)


def test_judging_alone_opens_the_trials_of_all_challengers_at_once(world: World, invoke: Invoke) -> None:
    shadow(world, model("one"), model("two"))
    run(invoke, 0, 1)
    shadow(world, model("one"), model("two"), burn_in=5)
    assert invoke("replay", "late", "--challenger", "two")[0] == 0
    assert [one[:3] for one in spent(invoke)[2:]] == [("one", 2, 2), ("two", 2, 2)]


def test_looking_spends_nothing(world: World, invoke: Invoke) -> None:
    deploy(world)
    run(invoke, 0, DAYS - 1)
    deploy(world, policy={"burn_in": 5})
    for command in (("plan", "--effect", "0.1"), ("verdict",), ("explain", "--challenger", "other"), ("verify",)):
        invoke(command[0], "late", *command[1:])
    assert len(trials(invoke)) == 1


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ("alpha = 0.04", "trial 1 has alpha 0.04, must be 0.0303964 in batch 1 at place 1"),
        ("batch = 2", "trial 1 is in batch 2 at place 1, must be in batch 1 at place 1 by when it was opened"),
        ("batch = NULL, place = NULL", "trial 1 is in no batch, must be in a batch"),
        ("kind = 'a_a_check', batch = NULL, place = NULL, alpha = 0.06", "trial 1 has alpha 0.06, must be 0.05"),
        ("terms = jsonb_set(terms, '{rules,alpha}', '0.5')", "trial 1 has other terms than it was opened on"),
    ],
)
def test_alpha_that_was_changed_in_the_ledger_is_found(world: World, invoke: Invoke, changed: str, said: str) -> None:
    deploy(world)
    run(invoke, 0)
    assert verified(invoke)[0] == 0
    change(world, "trial", f"UPDATE shadow.trial SET {changed}")
    code, found = verified(invoke)
    assert (code, said in found) == (1, True), found


def test_a_verdict_at_another_alpha_than_its_trials_is_found(world: World, invoke: Invoke) -> None:
    deploy(world)
    run(invoke, 0)
    forged = "UPDATE shadow.trial SET terms = %s::jsonb, terms_digest = %s, rules_digest = %s, alpha = %s"
    ((terms,),) = world.query("SELECT terms FROM shadow.trial")
    terms["rules"]["alpha"] = 0.5
    values = (json.dumps(terms), digest(terms), digest(terms["rules"]), 0.5 * 6 / math.pi**2)
    change(world, "trial", forged, *values)
    code, found = verified(invoke)
    assert code == 1
    assert f"the verdict of {day(0)} on other was judged at alpha 0.0303964, and trial 1 has 0.303964" in found
