"""Evidence that somebody chose after it was seen, by accident or on purpose: none of it ends in a PASS without a word.

Each test goes through the command line alone, on a production of fourteen days whose challenger is built for it.
"""

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
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
    assert any(one.endswith(f"rests on the declared training date {TRAINED_UNTIL}") for one in found["warnings"])
    assert (found["trial"]["number"], found["trial"]["alpha"]) == (1, 0.05)
    assert found["days"] == {
        "counted": DAYS,
        "waiting": 0,
        "left_out": [],
        "replayed": DAYS,
        "live": 0,
        "champion_versions": [{"version": "7", "days": DAYS}],
    }
    (finding,) = found["findings"]
    assert (finding["unanswered"], finding["champion_missing"]) == (0, 0)
    ((gain, pairs),) = world.query(
        "SELECT avg((champion - l.value) ^ 2 - (p.value - l.value) ^ 2), count(*) FROM shadow.request "
        "JOIN shadow.prediction AS p USING (snapshot_id, ordinal) JOIN shadow.label AS l USING (snapshot_id, ordinal)"
    )
    assert (finding["estimate"], finding["requests"]) == (pytest.approx(gain, rel=1e-12), pairs)


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
    said = f"training date {TRAINED_UNTIL}, which was declared once {DAYS} days had been seen"
    assert any(said in one for one in verdict(invoke)["warnings"])


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


@pytest.mark.parametrize(("recent_days", "outcome"), [(0, "PASS"), (4, "INCONCLUSIVE")])
def test_a_challenger_that_has_turned_worse_does_not_pass_on_how_good_it_was(
    recent_days: int, outcome: str, world: World, invoke: Invoke
) -> None:
    def worse_at_last(log: pd.DataFrame, random: np.random.Generator) -> "np.ndarray[Any, Any]":
        sharper = log.late + 0.15 * (log.label - log.late)
        blurred = np.clip(log.late + random.normal(0, 0.25, len(log)), 0.01, 0.99)
        return np.where(log.number < DAYS - 4, sharper, blurred)

    produce(world, worse_at_last)
    deploy(world, policy={"recent_days": recent_days, "method": "plain"})
    run(invoke, 0, DAYS - 1)
    found = verdict(invoke)
    assert found["outcome"] == outcome, found["reasons"]
    (finding,) = found["findings"]
    assert finding["lower"] > 0, "the mean over all days is shown to be better"
    if outcome == "INCONCLUSIVE":
        assert f"but no longer lately: since {day(0)} " in finding["reason"]
        assert f" better, in the last {recent_days} days " in finding["reason"]
        assert finding["reason"].endswith(" worse")


@pytest.mark.parametrize(("unit", "of_days"), [("request", True), ("request", False), ("day", True)])
def test_requests_of_days_that_go_up_and_down_together_do_not_pass_as_so_many_requests(
    unit: str, of_days: bool, world: World, invoke: Invoke
) -> None:
    def equal_but_for_the_day(log: pd.DataFrame, random: np.random.Generator) -> "np.ndarray[Any, Any]":
        is_good = log.number % 7 < 4 if of_days else random.random(len(log)) < 4 / 7
        blurred = np.clip(log.late + random.normal(0, 0.22, len(log)), 0.01, 0.99)
        return np.where(is_good, log.late, blurred)

    produce(world, equal_but_for_the_day)
    deploy(world, policy={"unit": unit})
    run(invoke, 0, DAYS - 1)
    found = verdict(invoke)
    if unit == "request" and not of_days:
        assert found["outcome"] == "PASS", found["reasons"]
        return
    assert found["outcome"] == "INCONCLUSIVE"
    is_refused = "days differ by more than their requests explain (design effect " in found["findings"][0]["reason"]
    assert is_refused == (unit == "request")


def unanswered_where_wrong(log: pd.DataFrame, random: np.random.Generator) -> "np.ndarray[Any, Any]":
    predictions = worse(log, random)
    return np.where(np.abs(predictions - log.label) > 0.4, np.nan, predictions)


def invalid_where_wrong(log: pd.DataFrame, random: np.random.Generator) -> "np.ndarray[Any, Any]":
    predictions = worse(log, random)
    return np.where(np.abs(predictions - log.label) > 0.4, np.where(log.label == 1, 1.01, -0.01), predictions)


CLOSENESS = {
    "name": "closeness",
    "function": "python:tests.integration.models.custom_functions:closeness",
    "better": "higher",
    "bounds": [0, 1],
}


@pytest.mark.parametrize("metric", ["brier_score", "log_loss", "accuracy", "closeness"])
@pytest.mark.parametrize("challenger", [unanswered_where_wrong, invalid_where_wrong])
def test_no_usable_prediction_where_it_would_be_wrong_is_charged(
    challenger: Any, metric: str, world: World, invoke: Invoke
) -> None:
    produce(world, challenger)
    policy = {"max_unanswered": 1.0, "rules": [{"metric": metric, "is": "superior"}]}
    deploy(world, policy=policy, metrics=[CLOSENESS] if metric == "closeness" else [])
    run(invoke, 0, DAYS - 1)
    found = verdict(invoke)
    assert found["outcome"] == "FAIL", found["reasons"]
    (finding,) = found["findings"]
    assert finding["requests"] == DAYS * PER_DAY, "every request is in the pairs"
    assert f"{finding['unanswered']} requests unanswered, counted" in finding["reason"]


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
        found = verdict(invoke)
        outcomes.append((found["outcome"], found["trial"]["number"], found["days"]["counted"]))
    assert outcomes[0] == ("FAIL", 1, DAYS)
    assert outcomes[1] == ("INCONCLUSIVE", 2, 0), "the days were seen before its trial was opened"


def test_an_invalid_prediction_is_charged_and_not_what_its_number_would_cost(world: World, invoke: Invoke) -> None:
    def one_and_the_rest_inverted(log: pd.DataFrame, random: np.random.Generator) -> "np.ndarray[Any, Any]":
        bad = log.number % 3 == 0
        predictions = np.where(bad, 1 - log.late, log.late)
        predictions[~log.number.duplicated() & bad] = 1.7
        return np.asarray(predictions)

    produce(world, one_and_the_rest_inverted)
    deploy(world)
    run(invoke, 0, 0)
    ((charged, used, pairs),) = world.query(
        "SELECT challenger_sum, (SELECT sum((p.value - l.value) ^ 2) FROM shadow.prediction AS p "
        "JOIN shadow.label AS l USING (snapshot_id, ordinal) WHERE p.value <= 1), pairs FROM shadow.evidence "
        "WHERE metric = 'brier_score' AND slice_column = 'all'"
    )
    assert (charged, pairs) == (pytest.approx(used + 1), PER_DAY)
    run(invoke, 1, DAYS - 1)
    found = verdict(invoke)
    assert found["outcome"] != "PASS"
    assert any("have no usable prediction of the challenger" in reason for reason in found["reasons"])


@pytest.mark.parametrize("fallback", ["none", "champion"])
def test_unanswered_requests_on_all_days_but_the_last_do_not_pass(fallback: str, world: World, invoke: Invoke) -> None:
    def a_third_unanswered(log: pd.DataFrame, random: np.random.Generator) -> "np.ndarray[Any, Any]":
        gone = (np.arange(len(log)) % 3 == 0) & (log.number < DAYS - 1)
        gone |= (log.number == 5) & (np.arange(len(log)) % 2 == 0)
        return np.where(gone, np.nan, log.late)

    produce(world, a_third_unanswered)
    rules = [RULE, {"metric": "error_rate", "is": "at_most", "value": 0.001}]
    deploy(world, policy={"fallback": fallback, "rules": rules})
    run(invoke, 0, DAYS - 1)
    found = verdict(invoke)
    assert found["outcome"] == ("INCONCLUSIVE" if fallback == "champion" else "FAIL")
    share = 100 * ((DAYS - 1) * PER_DAY / 3 + PER_DAY / 3) / (DAYS * PER_DAY)
    assert (
        f"{share:.3g} % of the requests on {DAYS} days have no usable prediction of the challenger, at most 0.1 % may "
        f"(policy.max_unanswered == 0.001); most on {day(5)}: 66.7 %"
    ) in found["reasons"]
    if fallback == "champion":
        brier, errors = found["findings"]
        assert (brier["outcome"], errors["outcome"]) == ("PASS", "PASS"), "nothing but the share stands in the way"
        deploy(world, policy={"fallback": fallback, "rules": rules, "max_unanswered": 0.4})
        run(invoke, DAYS - 1)
        assert verdict(invoke)["trial"]["opened_because"] == "the blocking rules changed since trial 1"


def test_another_fallback_opens_another_trial(world: World, invoke: Invoke) -> None:
    produce(world, better)
    deploy(world)
    run(invoke, 0, 5)
    deploy(world, policy={"fallback": "champion"})
    run(invoke, 6)
    found = verdict(invoke)
    assert (found["trial"]["number"], found["days"]["counted"]) == (2, 1)


def test_a_champion_that_logged_nothing_for_half_of_the_requests_cannot_be_beaten(world: World, invoke: Invoke) -> None:
    produce(world, better)
    world.change_production(
        "UPDATE flights.prediction_log SET champion_probability = 'NaN' WHERE hashtext(request_id) & 1 = 0"
    )
    deploy(world)
    run(invoke, 0, DAYS - 1)
    found = verdict(invoke)
    assert found["outcome"] == "INCONCLUSIVE"
    (reason,) = [each for each in found["reasons"] if "policy.max_champion_missing == 0.001" in each]
    assert "have no usable prediction of the champion, at most 0.1 % may" in reason
    (finding,) = found["findings"]
    assert finding["requests"] == DAYS * PER_DAY
    assert (
        f"{finding['champion_missing']} requests without the champion's prediction, counted as equal"
        in finding["reason"]
    )


def test_a_champion_missing_where_it_was_better_leaves_nothing_gained_there(world: World, invoke: Invoke) -> None:
    def identical_where_there(log: pd.DataFrame, random: np.random.Generator) -> "np.ndarray[Any, Any]":
        return np.asarray(log.champion_probability)

    produce(world, identical_where_there)
    world.change_production(
        "UPDATE flights.prediction_log SET champion_probability = 'NaN' WHERE hashtext(request_id) & 1 = 0"
    )
    deploy(world, policy={"max_champion_missing": 1.0})
    run(invoke, 0, DAYS - 1)
    assert world.query("SELECT DISTINCT difference_squares FROM shadow.evidence WHERE metric = 'brier_score'") == [(0,)]
    found = verdict(invoke)
    assert found["outcome"] == "INCONCLUSIVE"
    assert any("predictions are identical to the champion's" in reason for reason in found["reasons"])


def test_a_metric_that_is_no_sum_says_how_many_requests_it_leaves_out(world: World, invoke: Invoke) -> None:
    produce(world, unanswered_where_wrong)
    deploy(world, policy={"max_unanswered": 1.0, "rules": [{"metric": "roc_auc", "is": "superior"}]})
    run(invoke, 0, DAYS - 1)
    (finding,) = verdict(invoke)["findings"]
    assert finding["unanswered"] == DAYS * PER_DAY - finding["requests"] > 0
    assert f"({finding['unanswered']} requests unanswered, left out)" in finding["reason"]


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
    days = verdict(invoke)["days"]
    assert [days[name] for name in ("counted", "waiting", "left_out", "replayed", "live")] == [2, 0, [], 2, 0]


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


def known_early(world: World, share: str) -> None:
    world.change_production(
        f"UPDATE flights.outcome SET known_at = known_at - interval '90 days' WHERE request_id {share}"
    )


def labels(invoke: Invoke) -> list[dict[str, Any]]:
    code, out, err = invoke("labels", "late", "--json")
    assert code == 0, err
    return [json.loads(line) for line in out.splitlines()]


def test_labels_that_were_known_before_their_requests_are_no_evidence(world: World, invoke: Invoke) -> None:
    produce(world, better)
    deploy(world, policy={"minimum_coverage": 0.01})
    known_early(world, ">= 'f'")
    run(invoke, 0, DAYS - 1)
    found = verdict(invoke)
    assert found["outcome"] == "INCONCLUSIVE"
    said = "1680 requests (100.00%) had a label known before the request: known_at of flights.outcome is before"
    assert [one for one in found["reasons"] if one.startswith(said) and "policy.max_invalid_labels == 0.001" in one]
    assert {(row["early"], row["labelled"]) for row in labels(invoke)} == {(PER_DAY, 0)}


def test_one_label_that_was_known_before_its_request_is_named_and_not_used(world: World, invoke: Invoke) -> None:
    produce(world, better)
    deploy(world)
    known_early(world, "= 'f00001'")
    run(invoke, 0, DAYS - 1)
    found = verdict(invoke)
    assert found["outcome"] == "PASS", found["reasons"]
    assert any(one.startswith("1 request (0.06%) had a label known before the request") for one in found["warnings"])
    assert [(row["early"], row["labelled"]) for row in labels(invoke)][:2] == [(1, PER_DAY - 1), (0, PER_DAY)]


OVERWRITTEN = (
    "DELETE FROM flights.outcome AS o USING flights.outcome AS w WHERE w.wrong AND w.request_id = o.request_id "
    "AND o.wrong IS NULL; UPDATE flights.outcome SET is_late = 1 - is_late WHERE wrong"
)


@pytest.mark.parametrize(
    "correction", ["DELETE FROM flights.outcome WHERE wrong", OVERWRITTEN], ids=["delete", "update"]
)
def test_contradicting_labels_bar_a_pass_until_production_has_corrected_them(
    correction: str, world: World, invoke: Invoke
) -> None:
    produce(world, better)
    deploy(world)
    world.change_production(
        "ALTER TABLE flights.outcome ADD COLUMN wrong bool; INSERT INTO flights.outcome "
        "SELECT request_id, 1 - is_late, known_at + interval '1 minute', true FROM flights.outcome ORDER BY 1 LIMIT 10"
    )
    run(invoke, 0, DAYS - 1)
    found = verdict(invoke)
    assert found["outcome"] == "INCONCLUSIVE"
    assert found["reasons"][0].startswith("10 requests have contradictory labels in flights.outcome")
    assert labels(invoke)[0]["contradicted"] == 10
    world.change_production(correction)
    run(invoke, DAYS - 1)
    found = verdict(invoke)
    assert found["outcome"] == "PASS", found["reasons"]
    assert labels(invoke)[0]["contradicted"] == 0


def test_an_invalid_label_is_set_aside_and_the_day_goes_on(world: World, invoke: Invoke) -> None:
    produce(world, better)
    deploy(world)
    world.change_production("UPDATE flights.outcome SET is_late = 7 WHERE request_id = 'f00003'")
    assert run(invoke, 0, DAYS - 1)[0] == 0
    found = verdict(invoke)
    assert found["outcome"] == "PASS", found["reasons"]
    said = "1 request (0.06%) had an invalid label: '7' of request f00003; flights.outcome.is_late must be 0 or 1"
    assert any(one.startswith(said) for one in found["warnings"])
    assert [(row["invalid"], row["labelled"]) for row in labels(invoke)][:2] == [(1, PER_DAY - 1), (0, PER_DAY)]


def test_too_many_invalid_labels_bar_a_pass_until_production_has_corrected_them(world: World, invoke: Invoke) -> None:
    produce(world, better)
    deploy(world)
    world.change_production("UPDATE flights.outcome SET is_late = is_late + 7 WHERE request_id < 'f00010'")
    run(invoke, 0, DAYS - 1)
    found = verdict(invoke)
    assert found["outcome"] == "INCONCLUSIVE"
    said = "10 requests (0.60%) had an invalid label: "
    assert found["reasons"][0].startswith(said)
    assert found["reasons"][0].count(" of request f0000") == 3
    assert "at most 0.10% may (policy.max_invalid_labels == 0.001)" in found["reasons"][0]
    world.change_production("UPDATE flights.outcome SET is_late = is_late - 7 WHERE is_late > 1")
    run(invoke, DAYS - 1)
    assert verdict(invoke)["outcome"] == "PASS"


@pytest.mark.parametrize(("coverage", "outcome"), [(0.95, "INCONCLUSIVE"), (0.85, "PASS")])
def test_labels_of_too_few_requests_bar_a_pass_and_make_no_day_mature(
    coverage: float, outcome: str, world: World, invoke: Invoke
) -> None:
    produce(world, better)
    deploy(world, policy={"minimum_coverage": coverage}, labels={"maturity_days": 1})
    world.change_production("DELETE FROM flights.outcome WHERE right(request_id, 1) = '1'")
    run(invoke, 0, DAYS - 1)
    found = verdict(invoke)
    assert found["outcome"] == outcome, found["reasons"]
    assert (found["days"]["counted"], found["days"]["waiting"]) == (DAYS - 1, 1)
    said = (
        "90.0% of the requests of 13 counted days have a label, at least 95.0% must (policy.minimum_coverage == 0.95)"
    )
    assert (said in found["reasons"]) == (outcome == "INCONCLUSIVE")


def test_a_day_that_is_judged_again_without_a_new_fact_gets_the_same_verdict(world: World, invoke: Invoke) -> None:
    """Neither labels that arrived since, nor labels that contradict others since, are facts of the judged day."""
    produce(world, better)
    deploy(world)
    world.change_production(
        "UPDATE flights.outcome SET known_at = known_at + interval '50 hours' WHERE right(request_id, 1) < '4'; "
        "INSERT INTO flights.outcome SELECT request_id, 1 - is_late, known_at + interval '20 hours' "
        "FROM flights.outcome WHERE right(request_id, 2) = '00'"
    )
    run(invoke, 0, 8)
    before = at(invoke, 8)
    assert json.loads(before)["challengers"][0]["days"]["waiting"] > 0
    run(invoke, 9, DAYS - 1)
    assert labels(invoke)[8]["contradicted"] > 0
    run(invoke, 8)
    assert at(invoke, 8) == before
    assert world.query("SELECT max(revision) FROM shadow.verdict") == [(1,)]


def at(invoke: Invoke, number: int) -> str:
    code, out, err = invoke("verdict", "late", "--json", "--as-of", day(number))
    assert code == 0, err
    return out


def test_labels_may_be_texts_and_another_text_is_invalid(world: World, invoke: Invoke) -> None:
    produce(world, better)
    world.change_production(
        "ALTER TABLE flights.outcome ALTER is_late TYPE text USING CASE is_late WHEN 1 THEN 'yes' ELSE 'no' END; "
        "UPDATE flights.outcome SET is_late = 'maybe' WHERE request_id = 'f00000'"
    )
    deploy(world, labels={"positive": "yes", "negative": "no"})
    code, _, err = run(invoke, 0, DAYS - 1)
    assert code == 0, err
    found = verdict(invoke)
    assert found["outcome"] == "PASS", found["reasons"]
    said = "'maybe' of request f00000; flights.outcome.is_late must be 'yes' or 'no'"
    assert any(said in one for one in found["warnings"])


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


def test_a_replay_of_the_good_days_alone_does_not_pass_and_one_of_all_days_says_what_it_rests_on(
    world: World, invoke: Invoke
) -> None:
    def good_at_last(log: pd.DataFrame, random: np.random.Generator) -> "np.ndarray[Any, Any]":
        return np.where(
            log.number < DAYS - 7, np.clip(log.late + random.normal(0, 0.05, len(log)), 0.01, 0.99), log.late
        )

    produce(world, good_at_last)
    world.deploy(challengers=[{"name": "a_a_check", "model": "champion"}], policy=POLICY, slices=[])
    run(invoke, 0, DAYS - 1)
    deploy(world)
    assert invoke("replay", "late", "--challenger", "other", "--days", 7)[0] == 0
    found = verdict(invoke)
    assert found["outcome"] == "INCONCLUSIVE"
    assert [finding["outcome"] for finding in found["findings"]] != ["FAIL"]
    assert found["days"]["left_out"] == [{"day": str(day(number)), "why": "not run"} for number in range(DAYS - 7)]
    assert "7 days are left out, at most 2 may be" in found["reasons"][0]
    assert invoke("replay", "late", "--challenger", "other")[0] == 0
    found = verdict(invoke)
    assert found["outcome"] == "PASS", found["reasons"]
    shown = {name: found["days"][name] for name in ("counted", "waiting", "left_out", "replayed", "live")}
    assert shown == {"counted": DAYS, "waiting": 0, "left_out": [], "replayed": DAYS, "live": 0}
    assert any(f"rests on the declared training date {TRAINED_UNTIL}" in one for one in found["warnings"])


def test_replayed_days_of_a_model_that_memorized_them_do_not_pass(world: World, invoke: Invoke) -> None:
    produce(world, lambda log, random: np.clip(log.label + random.normal(0, 0.1, len(log)), 0.01, 0.99))
    world.deploy(challengers=[{"name": "a_a_check", "model": "champion"}], policy=POLICY, slices=[])
    run(invoke, 0, DAYS - 1)
    deploy(world, challenger={"trained_until": str(day(DAYS - 4))})
    invoke("replay", "late", "--challenger", "other")
    found = verdict(invoke)
    assert found["outcome"] == "INCONCLUSIVE"
    assert found["days"]["counted"] == 1, "from the training date and the time labels take to mature"


def test_replayed_days_are_seen_days_of_the_trial_that_follows(world: World, invoke: Invoke) -> None:
    produce(world, worse)
    world.deploy(challengers=[{"name": "a_a_check", "model": "champion"}], policy=POLICY, slices=[])
    run(invoke, 0, DAYS - 1)
    deploy(world)
    invoke("replay", "late", "--challenger", "other")
    assert verdict(invoke)["outcome"] == "FAIL"
    deploy(world, policy={"rules": [{"metric": "brier_score", "is": "non_inferior", "margin": 5}]})
    invoke("replay", "late", "--challenger", "other")
    found = verdict(invoke)
    assert (found["outcome"], found["days"]["counted"]) == ("INCONCLUSIVE", 0)
    assert found["trial"]["opened_because"].startswith("the blocking rules changed since trial")


def test_predictions_in_another_order_find_their_rows_and_one_number_for_all_is_an_error_of_each(
    world: World, invoke: Invoke
) -> None:
    produce(world, better)
    world.change_production("UPDATE flights.prediction_log SET distance = right(request_id, 3)::float8")
    answers = "python:tests.integration.corpus.answers:"
    names = {"sorted": "sorted_by_value", "one": "one_for_all"}
    models = [{"name": name, "model": answers + function} for name, function in names.items()]
    world.deploy(challengers=models, policy=POLICY, slices=[])
    run(invoke, 0)
    rows = world.query(
        "SELECT m.name, r.request_id, p.value FROM shadow.prediction AS p "
        "JOIN shadow.model_version AS m ON m.id = p.challenger_id JOIN shadow.request AS r USING (snapshot_id, ordinal)"
    )
    found = {name: {request: value for of, request, value in rows if of == name} for name in names}
    assert found["sorted"] == {request: pytest.approx(int(request[-3:]) / 1000) for request in found["sorted"]}
    assert len(found["sorted"]) == PER_DAY
    assert set(found["one"].values()) == {None}
