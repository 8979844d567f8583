"""Evidence that somebody chose after it was seen, by accident or on purpose: none of it ends in a PASS without a word.

Each test goes through the command line alone, on a production of fourteen days whose challenger is built for it.
"""

import datetime as dt
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import psycopg
import pytest

from tests import production
from tests.conftest import Invoke, declare
from tests.production import OWNER, World, day, linear_model, moment

DAYS, PER_DAY = 14, 120
MEMORIZED = 6
OTHER = {"name": "other", "model": "logged:flights.prediction_log.other_probability"}
RULE = {"metric": "brier_score", "is": "superior"}
POLICY = {"burn_in": 4, "tuned_for": 6, "rules": [RULE]}
TRAINED_UNTIL = str(day(-4))


@pytest.fixture
def world(worlds: Callable[..., World], empty_production: str, monkeypatch: pytest.MonkeyPatch) -> World:
    return declare(worlds(own=True, production=empty_production), monkeypatch)


def produce(world: World, challenger: Callable[[pd.DataFrame, np.random.Generator], "np.ndarray[Any, Any]"]) -> None:
    """Write a log with a noisy champion, and a challenger's predictions: a function of the log with its labels."""
    random = np.random.default_rng(11)
    rows = DAYS * PER_DAY
    number = np.repeat(np.arange(DAYS), PER_DAY)
    late = random.random(rows)
    label = (random.random(rows) < late).astype(int)
    at = [moment(float(when)) for when in number + 0.9 * random.random(rows)]
    log = pd.DataFrame(
        {
            "request_id": [f"f{index:05d}" for index in range(rows)],
            "predicted_at": at,
            "dep_hour": 8.0,
            "distance": 100.0,
            "origin": "EWR",
            "carrier": "UA",
            "champion_probability": np.clip(late + random.normal(0, 0.2, rows), 0.01, 0.99),
            "model_version": "7",
            "latency_ms": 1.0,
        }
    )
    shown = log.assign(late=late, label=label, number=number)
    log["other_probability"] = challenger(shown, random)
    known = [when + dt.timedelta(hours=1) for when in at]
    outcome = pd.DataFrame({"request_id": log.request_id, "is_late": label, "known_at": known})
    with psycopg.connect(world.postgres.uri(world.production, OWNER)) as session:
        production.write(session, log, outcome)


def better(log: pd.DataFrame, random: np.random.Generator) -> "np.ndarray[Any, Any]":
    return np.asarray(log.late)


def worse(log: pd.DataFrame, random: np.random.Generator) -> "np.ndarray[Any, Any]":
    return np.clip(log.late + random.normal(0, 0.35, len(log)), 0.01, 0.99)


def deploy(world: World, **changes: Any) -> None:
    policy = {**POLICY, "replay": "count", **changes.pop("policy", {})}
    challenger = {**OTHER, "trained_until": TRAINED_UNTIL, **changes.pop("challenger", {})}
    world.deploy(**{"challengers": [challenger], "policy": policy, "slices": [], **changes})


def verdict(invoke: Invoke) -> dict[str, Any]:
    code, out, err = invoke("verdict", "late", "--json")
    assert code == 0, err
    (challenger,) = json.loads(out)["challengers"]
    found: dict[str, Any] = challenger
    return found


def run(invoke: Invoke, first: int, last: int | None = None) -> tuple[int, str, str]:
    return invoke("run", "late", "--from", day(first), "--to", day(first if last is None else last))


def test_an_honest_better_challenger_passes_and_says_what_it_rests_on(world: World, invoke: Invoke) -> None:
    produce(world, better)
    deploy(world)
    assert run(invoke, 0, DAYS - 1)[0] == 0
    found = verdict(invoke)
    assert found["outcome"] == "PASS", found["reasons"]
    assert any(f"rests on the declared training date {TRAINED_UNTIL}" in one for one in found["warnings"])
    assert (found["trial"]["number"], found["trial"]["alpha"]) == (1, 0.05)
    assert found["days"] == {"counted": DAYS, "waiting": 0, "left_out": [], "replayed": DAYS, "live": 0}


def test_a_first_backfill_says_what_its_replayed_days_would_decide_and_which_keys_let_them(
    world: World, invoke: Invoke
) -> None:
    produce(world, better)
    deploy(world, policy={"replay": "shown"}, challenger={"trained_until": None})
    run(invoke, 0, DAYS - 1)
    found = verdict(invoke)
    assert found["outcome"] == "INCONCLUSIVE"
    assert found["reasons"][0].startswith("with its replayed days it would PASS since ")
    assert "trained_until is declared and policy.replay is count" in found["reasons"][0]
    assert found["days"]["counted"] == 0
    assert found["days"]["replayed"] == DAYS
    deploy(world)
    run(invoke, DAYS - 1)
    assert verdict(invoke)["outcome"] == "PASS"
    assert verdict(invoke)["trial"]["number"] == 1, "declaring what was not declared opens no trial"


def test_replayed_days_may_fail_although_they_cannot_pass(world: World, invoke: Invoke) -> None:
    produce(world, worse)
    deploy(world, policy={"replay": "shown"})
    run(invoke, 0, DAYS - 1)
    assert verdict(invoke)["outcome"] == "FAIL"


def test_days_whose_predictions_fail_their_expectations_stay_in_the_evidence(world: World, invoke: Invoke) -> None:
    def broken_where_bad(log: pd.DataFrame, random: np.random.Generator) -> "np.ndarray[Any, Any]":
        bad = log.number % 3 == 0
        predictions = np.where(bad, 1 - log.late, log.late)
        predictions[~log.number.duplicated() & bad] = 1.7
        return np.asarray(predictions)

    produce(world, broken_where_bad)
    deploy(world)
    code, _, err = run(invoke, 0, DAYS - 1)
    assert code == 1
    assert "expectations are not met by the predictions of other" in " ".join(err.split())
    found = verdict(invoke)
    assert found["outcome"] != "PASS"
    assert found["days"]["counted"] == DAYS
    assert any("predictions do not meet their expectations on 5 days" in one for one in found["warnings"])


def test_running_only_the_good_days_does_not_pass_and_the_others_are_named_and_can_be_filled(
    world: World, invoke: Invoke
) -> None:
    def good_and_bad(log: pd.DataFrame, random: np.random.Generator) -> "np.ndarray[Any, Any]":
        return np.where(log.number % 3 == 0, 1 - log.late, log.late)

    produce(world, good_and_bad)
    deploy(world)
    good = [number for number in range(DAYS) if number % 3]
    for number in good:
        assert run(invoke, number)[0] == 0
    found = verdict(invoke)
    assert found["outcome"] == "INCONCLUSIVE"
    bad = [number for number in range(good[-1]) if number % 3 == 0]
    assert found["days"]["left_out"] == [{"day": str(day(number)), "why": "not run"} for number in bad]
    assert f"{len(bad)} days are left out, at most 2 may be" in found["reasons"][0]
    assert "shadow run late --missing" in found["reasons"][0]
    code, _, err = invoke("run", "late", "--missing")
    assert code == 0, err
    filled = verdict(invoke)
    assert filled["days"]["left_out"] == []
    assert filled["outcome"] != "PASS"
    assert filled["trial"]["number"] == 1


def test_a_check_of_the_champion_begins_with_its_first_sampled_day(world: World, invoke: Invoke) -> None:
    produce(world, better)
    world.deploy(challengers=[{"name": "a_a_check", "model": "champion"}], policy=POLICY, slices=[])
    run(invoke, 4, 5)
    assert verdict(invoke)["days"] == {"counted": 2, "waiting": 0, "left_out": [], "replayed": 2, "live": 0}


def test_one_day_left_out_is_entered_at_its_worst(world: World, invoke: Invoke) -> None:
    produce(world, better)
    deploy(world)
    run(invoke, 0, 4)
    run(invoke, 6, DAYS - 1)
    found = verdict(invoke)
    assert found["days"]["left_out"] == [{"day": str(day(5)), "why": "not run"}]
    assert any(
        f"1 day left out, entered at the worst value counted so far: {day(5)}" in one for one in found["warnings"]
    )


def test_a_model_that_memorized_its_first_days_does_not_pass_on_them(world: World, invoke: Invoke) -> None:
    def memorized(log: pd.DataFrame, random: np.random.Generator) -> "np.ndarray[Any, Any]":
        return np.where(log.number < MEMORIZED, np.clip(log.label, 0.02, 0.98), worse(log, random))

    produce(world, memorized)
    deploy(world, policy={"replay": "shown"}, challenger={"trained_until": None})
    run(invoke, 0, MEMORIZED - 1)
    assert verdict(invoke)["outcome"] == "INCONCLUSIVE"
    deploy(world, challenger={"trained_until": str(day(MEMORIZED - 1))})
    run(invoke, MEMORIZED, MEMORIZED + 7)
    found = verdict(invoke)
    assert found["outcome"] != "PASS"
    assert found["days"]["counted"] == 8 - 2, "from the training date and the time labels take to mature"


def test_training_dates_are_required_where_replayed_days_count(world: World, invoke: Invoke) -> None:
    produce(world, better)
    with pytest.raises(Exception, match=r"challengers\[0\].trained_until is missing"):
        deploy(world, challenger={"trained_until": None})


def test_a_rule_that_is_exchanged_after_a_fail_starts_over(world: World, invoke: Invoke) -> None:
    produce(world, worse)
    deploy(world)
    run(invoke, 0, DAYS - 2)
    assert verdict(invoke)["outcome"] == "FAIL"
    deploy(world, policy={"rules": [{"metric": "brier_score", "is": "non_inferior", "margin": 5}]})
    run(invoke, DAYS - 1)
    found = verdict(invoke)
    assert found["outcome"] == "INCONCLUSIVE"
    assert found["trial"]["number"] == 2
    assert found["trial"]["opened_because"] == "the blocking rules changed since trial 1"
    assert found["days"]["counted"] == 1
    _, out, _ = invoke("trials", "late", "--json")
    trials = [json.loads(line) for line in out.splitlines()]
    assert [(one["number"], one["outcome"], one["judged"]) for one in trials] == [
        (1, "FAIL", DAYS - 1),
        (2, "INCONCLUSIVE", 1),
    ]
    code, out, _ = invoke("trials", "late")
    assert code == 0
    assert "the blocking rules" in out


def test_days_that_the_same_model_was_seen_on_elsewhere_do_not_count(world: World, invoke: Invoke) -> None:
    produce(world, better)
    deploy(world)
    run(invoke, 0, DAYS - 1)
    deploy(world, name="again")
    code, _, err = invoke("run", "again", "--from", day(0), "--to", day(DAYS - 1))
    assert code == 0, err
    _, out, _ = invoke("verdict", "again", "--json")
    (found,) = json.loads(out)["challengers"]
    assert (found["outcome"], found["days"]["counted"], found["days"]["left_out"]) == ("INCONCLUSIVE", 0, [])


def test_alpha_does_not_grow_when_other_challengers_leave(world: World, invoke: Invoke) -> None:
    produce(world, better)
    others = [{**OTHER, "name": f"other_{number}", "trained_until": TRAINED_UNTIL} for number in range(3)]
    four = [{**OTHER, "trained_until": TRAINED_UNTIL}, *others]
    world.deploy(challengers=four, policy={**POLICY, "replay": "count"}, slices=[])
    run(invoke, 0, 6)
    deploy(world)
    run(invoke, 7)
    found = verdict(invoke)
    assert found["trial"]["alpha"] == pytest.approx(0.05 / 4)
    assert [finding["alpha"] for finding in found["findings"]] == [pytest.approx(0.05 / 4)]


def test_another_label_starts_over(world: World, invoke: Invoke) -> None:
    produce(world, better)
    deploy(world)
    run(invoke, 0, MEMORIZED)
    world.change_production(
        "ALTER TABLE flights.outcome ADD COLUMN is_very_late int; UPDATE flights.outcome SET is_very_late = 1 - is_late"
    )
    deploy(world, labels={"value": "is_very_late"})
    run(invoke, MEMORIZED + 1)
    found = verdict(invoke)
    assert (found["outcome"], found["days"]["counted"]) == ("INCONCLUSIVE", 1)
    assert found["trial"]["opened_because"] == "the label definition changed since trial 1"


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ("2062-01-05", "day == 2062-01-05, must be over: its window ends at 2062-01-06 00:00 UTC"),
        (str(dt.datetime.now(dt.UTC).date()), "must be over: its window ends at"),
        (str(day(-1)), f"day == {day(-1)}, must be at least {day(0)} (start)"),
    ],
)
def test_a_day_that_is_not_over_or_not_the_deployments_is_refused_and_nothing_is_written(
    wanted: str, words: str, world: World, invoke: Invoke
) -> None:
    produce(world, better)
    deploy(world)
    run(invoke, 0)
    before = world.dump()
    code, _, err = invoke("run", "late", "--from", wanted)
    assert code == 1
    assert words in " ".join(err.split())
    assert world.dump() == before


def test_a_day_after_the_end_is_refused(world: World, invoke: Invoke) -> None:
    produce(world, better)
    deploy(world, end=str(day(3)))
    code, _, err = run(invoke, 4)
    assert code == 1
    assert f"must be from {day(0)} (start) to {day(3)} (end)" in " ".join(err.split())


def test_a_withdrawn_day_is_named_charged_and_never_the_newest(world: World, invoke: Invoke) -> None:
    produce(world, better)
    deploy(world)
    run(invoke, 0, DAYS - 1)
    code, out, _ = invoke(
        "withdraw", "late", "--day", day(DAYS - 1), "--reason", "the log was loaded twice", "--by", "ada"
    )
    assert (code, out.strip()) == (0, f"{day(DAYS - 1)} is withdrawn")
    assert verdict(invoke)["day"] == str(day(DAYS - 2))
    code, out, _ = invoke("withdraw", "late", "--day", day(5), "--reason", "the log was loaded twice", "--by", "ada")
    code, _, err = run(invoke, 5)
    assert code == 1
    assert f"{day(5)} was withdrawn: the log was loaded twice" in " ".join(err.split())
    run(invoke, DAYS - 2)
    assert verdict(invoke)["days"]["left_out"] == [{"day": str(day(5)), "why": "withdrawn"}]
    assert world.query("SELECT withdrawn_by FROM shadow.withdrawal ORDER BY day") == [("ada",), ("ada",)]
    code, _, err = invoke("withdraw", "late", "--day", day(60), "--reason", "never there")
    assert code == 1
    assert "must be a day that was sampled" in err


def test_predictions_equal_to_the_label_pass_only_once_a_person_has_acknowledged_them(
    world: World, invoke: Invoke
) -> None:
    produce(world, lambda log, _: np.asarray(log.label, float))
    deploy(world)
    run(invoke, 0, DAYS - 1)
    found = verdict(invoke)
    assert found["outcome"] == "INCONCLUSIVE"
    assert [finding["outcome"] for finding in found["findings"]] == ["PASS"]
    loss, auc = found["reasons"]
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
    found = verdict(invoke)
    assert found["outcome"] == "PASS", found["reasons"]
    assert sum("acknowledged by ada on" in one for one in found["warnings"]) == 2
    assert any(one.endswith(": the label is decided by rule") for one in found["warnings"])
    kept = world.query("SELECT alarm, acknowledged_by FROM shadow.acknowledgement ORDER BY alarm")
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
    assert not any("too good to be true" in one for one in verdict(invoke)["reasons"])
    deploy(world, challenger={"version": "2"})
    run(invoke, 3)
    assert any("too good to be true" in one for one in verdict(invoke)["reasons"])


def test_a_copy_of_the_champion_and_a_copy_of_a_challenger_do_not_pass(world: World, invoke: Invoke) -> None:
    produce(world, lambda log, _: np.asarray(log.champion_probability + 4e-7))
    deploy(world)
    run(invoke, 0, 1)
    (reason, *_) = verdict(invoke)["reasons"]
    assert f"identical to the champion's on 100.00% of {2 * PER_DAY} requests" in reason
    world.change_production(
        "UPDATE flights.prediction_log SET other_probability = least(champion_probability + 0.05, 1)"
    )
    twins = [{**OTHER, "name": name, "version": "2", "trained_until": TRAINED_UNTIL} for name in ("one", "two")]
    world.deploy(name="late", challengers=twins, policy={**POLICY, "replay": "count"}, slices=[])
    run(invoke, 2, 3)
    _, out, _ = invoke("verdict", "late", "--json")
    for found, other in zip(json.loads(out)["challengers"], ("two", "one"), strict=True):
        assert f"identical to those of challenger {other} on 100.00% of the newest requests" in found["reasons"][0]


def test_thresholds_that_are_loosened_after_an_alarm_start_over(world: World, invoke: Invoke) -> None:
    produce(world, lambda log, _: np.asarray(log.label, float))
    deploy(world)
    run(invoke, 0, DAYS - 2)
    deploy(world, policy={"too_good": {"loss_ratio": 1e-300, "champion_auc": 0.51}})
    run(invoke, DAYS - 1)
    found = verdict(invoke)
    assert found["trial"]["number"] == 2
    assert (found["outcome"], found["days"]["counted"]) == ("INCONCLUSIVE", 1)


def test_weights_that_are_exchanged_in_a_file_beside_the_model_start_over(world: World, invoke: Invoke) -> None:
    produce(world, better)
    path = linear_model(world.folder / "late.onnx", {"dep_hour": 0.1}, beside="late.weights")
    model = {"name": "other", "model": f"onnx:{path}", "trained_until": TRAINED_UNTIL}
    deploy(world, challenger=model)
    run(invoke, 0, 2)
    assert verdict(invoke)["trial"]["number"] == 1
    content = path.read_bytes()
    linear_model(path, {"dep_hour": -0.1}, beside="late.weights")
    assert path.read_bytes() == content, "the model's own file is the same"
    run(invoke, 3)
    found = verdict(invoke)
    assert found["trial"]["number"] == 2
    assert found["trial"]["opened_because"].startswith("the model is another one than in trial 1: version 1, digest ")
    assert found["days"]["counted"] == 1
    values = world.query("SELECT DISTINCT round(value::numeric, 2)::float8 FROM shadow.prediction ORDER BY 1")
    assert values == [(0.31,), (0.69,)], "each digest has the predictions of its own weights"
