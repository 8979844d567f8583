"""Rules, models and other terms of a trial, chosen after they were seen, through the command line alone."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Invoke, declare
from tests.integration.wrong_passes.story import (
    DAYS,
    MEMORIZED,
    OTHER,
    PER_DAY,
    POLICY,
    TRAINED_UNTIL,
    better,
    deploy,
    newest_verdict,
    produce,
    run,
    run_all,
    worse,
)
from tests.production import World, day, linear_model


def test_another_function_of_a_custom_metric_starts_anew(
    world: World, invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    produce(world, worse)
    rules = [{"metric": "money", "is": "superior"}]
    money = {"name": "money", "function": "python:money:earned", "better": "higher", "bounds": [-1, 1]}
    outcomes = []
    for source in ("-abs(prediction - label)", "abs(prediction - label)"):
        (tmp_path / "money.py").write_text(f"def earned(prediction, label, request):\n    return {source}\n")
        deploy(world, metrics=[money], policy={"rules": rules})
        assert run(invoke, 0 if not outcomes else DAYS - 1, DAYS - 1)[0] == 0
        verdict = newest_verdict(invoke)
        outcomes.append((verdict["outcome"], verdict["trial"]["number"], verdict["days"]["counted"]))
    assert outcomes[0] == ("FAIL", 1, DAYS)
    assert outcomes[1] == ("INCONCLUSIVE", 2, 0), "the days were seen before its trial was opened"


def test_another_fallback_opens_another_trial(world: World, invoke: Invoke) -> None:
    produce(world, better)
    deploy(world)
    run(invoke, 0, 5)
    deploy(world, policy={"fallback": "champion"})
    run(invoke, 6)
    verdict = newest_verdict(invoke)
    assert (verdict["trial"]["number"], verdict["days"]["counted"]) == (2, 1)


def test_a_rule_that_is_exchanged_after_a_fail_starts_over(world: World, invoke: Invoke) -> None:
    produce(world, worse)
    deploy(world)
    run(invoke, 0, DAYS - 2)
    assert newest_verdict(invoke)["outcome"] == "FAIL"
    deploy(world, policy={"rules": [{"metric": "brier_score", "is": "non_inferior", "margin": 5}]})
    run(invoke, DAYS - 1)
    verdict = newest_verdict(invoke)
    assert verdict["outcome"] == "INCONCLUSIVE"
    assert verdict["trial"]["number"] == 2
    assert verdict["trial"]["opened_because"] == "the blocking rules changed since trial 1"
    assert verdict["days"]["counted"] == 1
    _, out, _ = invoke("trials", "late", "--json")
    trials = [json.loads(line) for line in out.splitlines()]
    assert [(one["number"], one["outcome"], one["judged"]) for one in trials] == [
        (1, "FAIL", DAYS - 1),
        (2, "INCONCLUSIVE", 1),
    ]
    code, out, _ = invoke("trials", "late")
    assert code == 0
    assert "the blocking rules" in out


def test_alpha_does_not_grow_when_other_challengers_leave(world: World, invoke: Invoke) -> None:
    produce(world, better)
    others = [{**OTHER, "name": f"other_{number}", "trained_until": TRAINED_UNTIL} for number in range(3)]
    four = [{**OTHER, "trained_until": TRAINED_UNTIL}, *others]
    world.deploy(challengers=four, policy={**POLICY, "replay": "count"}, slices=[])
    run(invoke, 0, 6)
    deploy(world)
    run(invoke, 7)
    verdict = newest_verdict(invoke)
    assert verdict["trial"]["alpha"] == pytest.approx(0.05 * 6 / math.pi**2 / 4)
    assert [finding["alpha"] for finding in verdict["findings"]] == [verdict["trial"]["alpha"]]


def test_another_label_starts_over(world: World, invoke: Invoke) -> None:
    produce(world, better)
    deploy(world)
    run(invoke, 0, MEMORIZED)
    world.change_production(
        "ALTER TABLE flights.outcome ADD COLUMN is_very_late int; UPDATE flights.outcome SET is_very_late = 1 - is_late"
    )
    deploy(world, labels={"value": "is_very_late"})
    run(invoke, MEMORIZED + 1)
    verdict = newest_verdict(invoke)
    assert (verdict["outcome"], verdict["days"]["counted"]) == ("INCONCLUSIVE", 1)
    assert verdict["trial"]["opened_because"] == "the label definition changed since trial 1"


@pytest.fixture(scope="module")
def alarmed(worlds: Callable[..., World], empty_production: str) -> World:
    """All days but the last of a challenger whose predictions are equal to the label."""
    world = worlds(own=True, production=empty_production)
    produce(world, lambda log, _: np.asarray(log.label, float))
    run_all(world, deploy(world), DAYS - 1)
    return world


@pytest.fixture
def too_good(alarmed: World, worlds: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> World:
    """A copy of that world with the same deployment; its production is shared."""
    world = declare(worlds(alarmed), monkeypatch)
    deploy(world)
    return world


def test_predictions_equal_to_the_label_pass_only_once_a_person_has_acknowledged_them(
    too_good: World, invoke: Invoke
) -> None:
    run(invoke, DAYS - 1)
    verdict = newest_verdict(invoke)
    assert verdict["outcome"] == "INCONCLUSIVE"
    assert [finding["outcome"] for finding in verdict["findings"]] == ["PASS"]
    loss, auc = verdict["reasons"]
    assert "0.00% of the champion's" in loss
    assert "look for a feature that is known only with the label" in loss
    assert "then shadow acknowledge late --challenger other --reason WHY" in loss
    assert "its area under the ROC curve is 1.0000" in auc
    code, out, err = invoke(
        "acknowledge", "late", "--challenger", "other", "--reason", "the label is decided by rule", "--by", "ada"
    )
    assert code == 0, err
    assert f"shadow run late --from {day(DAYS - 1)}" in " ".join(out.split())
    run(invoke, DAYS - 1)
    verdict = newest_verdict(invoke)
    assert verdict["outcome"] == "PASS", verdict["reasons"]
    assert sum("acknowledged by ada on" in warning for warning in verdict["warnings"]) == 2
    assert any(warning.endswith(": the label is decided by rule") for warning in verdict["warnings"])
    kept = too_good.query("SELECT alarm, acknowledged_by FROM shadow.acknowledgement ORDER BY alarm")
    assert kept == [("auc", "ada"), ("loss", "ada")]
    code, _, err = invoke("acknowledge", "late", "--challenger", "other", "--reason", "once more")
    assert code == 1
    assert "has no alarm to acknowledge" in err


def test_an_acknowledgement_is_of_one_model_and_not_of_its_successor(world: World, invoke: Invoke) -> None:
    produce(world, lambda log, _: np.asarray(log.label, float))
    deploy(world)
    run(invoke, 0, 1)
    assert invoke("acknowledge", "late", "--challenger", "other", "--reason", "looked into")[0] == 0
    run(invoke, 2)
    assert not any("too good to be true" in reason for reason in newest_verdict(invoke)["reasons"])
    deploy(world, challenger={"version": "2"})
    run(invoke, 3)
    assert any("too good to be true" in reason for reason in newest_verdict(invoke)["reasons"])


def test_a_copy_of_the_champion_and_a_copy_of_a_challenger_do_not_pass(world: World, invoke: Invoke) -> None:
    produce(world, lambda log, _: np.asarray(log.champion_probability + 4e-7))
    deploy(world)
    run(invoke, 0, 1)
    (reason, *_) = newest_verdict(invoke)["reasons"]
    assert f"identical to the champion's on 100.00% of {2 * PER_DAY} requests" in reason
    world.change_production(
        "UPDATE flights.prediction_log SET other_probability = least(champion_probability + 0.05, 1)"
    )
    twins = [{**OTHER, "name": name, "version": "2", "trained_until": TRAINED_UNTIL} for name in ("one", "two")]
    world.deploy(name="late", challengers=twins, policy={**POLICY, "replay": "count"}, slices=[])
    run(invoke, 2, 3)
    _, out, _ = invoke("verdict", "late", "--json")
    for verdict, other in zip(json.loads(out)["challengers"], ("two", "one"), strict=True):
        assert f"identical to those of challenger {other} on 100.00% of the newest requests" in verdict["reasons"][0]


def test_thresholds_that_are_loosened_after_an_alarm_start_over(too_good: World, invoke: Invoke) -> None:
    deploy(too_good, policy={"too_good": {"loss_ratio": 1e-300, "champion_auc": 0.51}})
    run(invoke, DAYS - 1)
    verdict = newest_verdict(invoke)
    assert verdict["trial"]["number"] == 2
    assert (verdict["outcome"], verdict["days"]["counted"]) == ("INCONCLUSIVE", 1)


def test_weights_that_are_exchanged_in_a_file_beside_the_model_start_over(world: World, invoke: Invoke) -> None:
    produce(world, better)
    path = linear_model(world.folder / "late.onnx", {"dep_hour": 0.1}, beside="late.weights")
    model = {"name": "other", "model": f"onnx:{path}", "trained_until": TRAINED_UNTIL}
    deploy(world, challenger=model)
    run(invoke, 0, 2)
    assert newest_verdict(invoke)["trial"]["number"] == 1
    content = path.read_bytes()
    linear_model(path, {"dep_hour": -0.1}, beside="late.weights")
    assert path.read_bytes() == content, "the model's own file is the same"
    run(invoke, 3)
    verdict = newest_verdict(invoke)
    assert verdict["trial"]["number"] == 2
    assert verdict["trial"]["opened_because"].startswith("the model is another one than in trial 1: version 1, digest ")
    assert verdict["days"]["counted"] == 1
    values = world.query("SELECT DISTINCT round(value::numeric, 2)::float8 FROM shadow.prediction ORDER BY 1")
    assert values == [(0.31,), (0.69,)], "each digest has the predictions of its own weights"
