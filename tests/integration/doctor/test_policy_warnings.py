"""The doctor shows what is doubtful in a policy: in the file, and by the evidence that there is so far."""

import json
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from tests.conftest import Invoke, declare
from tests.integration.wrong_passes.story import DAYS, OTHER, TRAINED_UNTIL, produce, run
from tests.production import World

SUPERIOR = {"metric": "brier_score", "is": "superior"}
USUAL = {"burn_in": 14, "tuned_for": 20, "alpha": 0.05, "replay": "count"}


@pytest.fixture
def world(worlds: Callable[..., World], empty_production: str, monkeypatch: pytest.MonkeyPatch) -> World:
    world = declare(worlds(own=True, production=empty_production), monkeypatch)

    def noisy(log: pd.DataFrame, random: Any) -> Any:
        return (log.late + random.normal(0, 0.2, len(log))).clip(0.01, 0.99)

    produce(world, noisy)
    return world


def checks(invoke: Invoke) -> dict[str, dict[str, Any]]:
    return {one["what"]: one for one in json.loads(invoke("doctor", "late", "--json")[1])}


def deploy(world: World, *rules: dict[str, Any], **policy: Any) -> None:
    challenger = {**OTHER, "trained_until": TRAINED_UNTIL}
    world.deploy(challengers=[challenger], slices=[], policy={**USUAL, "rules": list(rules), **policy})


def test_the_doctor_repeats_what_validate_warns_of(world: World, invoke: Invoke) -> None:
    deploy(world, SUPERIOR)
    assert checks(invoke)["policy"]["state"] == "ok"
    deploy(world, SUPERIOR, alpha=0.3)
    found = checks(invoke)["policy"]
    assert found["state"] == "warning"
    assert "policy.alpha == 0.3, above 0.1" in found["result"]
    assert "late.yaml:" in found["result"]


def test_a_margin_that_a_year_of_such_days_does_not_decide_is_doubted(world: World, invoke: Invoke) -> None:
    deploy(world, SUPERIOR, {"metric": "brier_score", "is": "non_inferior", "margin": 1e-5})
    found = checks(invoke)["time to decide"]
    assert (found["state"], found["result"]) == ("ok", "there is no margin with evidence to say by yet")
    run(invoke, 0, DAYS - 1)
    found = checks(invoke)["time to decide"]
    assert found["state"] == "warning"
    assert "policy.rules[1]: other, if it is as good as the champion, would pass" in found["result"]
    assert "choose a larger margin" in found["result"]


def test_a_margin_that_days_decide_is_not(world: World, invoke: Invoke) -> None:
    deploy(world, SUPERIOR, {"metric": "brier_score", "is": "non_inferior", "margin": 0.1})
    run(invoke, 0, DAYS - 1)
    found = checks(invoke)["time to decide"]
    assert (found["state"], "every blocking margin is decided within a year" in found["result"]) == ("ok", True)
