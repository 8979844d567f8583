"""Days, chosen after they were seen, through the command line alone."""

import datetime as dt
import json
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.conftest import Invoke, declare
from tests.integration.wrong_passes.story import (
    DAYS,
    POLICY,
    TRAINED_UNTIL,
    better,
    deploy,
    judge_again,
    logged,
    newest_verdict,
    produce,
    run,
    run_all,
    verdicts,
)
from tests.production import World, day


@pytest.fixture(scope="module")
def passed(worlds: Callable[..., World], empty_production: str) -> World:
    """All days of an honest better challenger."""
    world = worlds(own=True, production=empty_production)
    produce(world, better)
    run_all(world, deploy(world))
    return world


@pytest.fixture
def honest(passed: World, worlds: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> World:
    """A copy of that world with the same deployment; its production is shared."""
    world = declare(worlds(passed), monkeypatch)
    deploy(world)
    return world


def test_an_honest_better_challenger_passes_and_says_what_it_rests_on(honest: World, invoke: Invoke) -> None:
    verdict = newest_verdict(invoke)
    assert verdict["outcome"] == "PASS", verdict["reasons"]
    assert any(
        warning.endswith(f"rests on the declared training date {TRAINED_UNTIL}") for warning in verdict["warnings"]
    )
    assert (verdict["trial"]["number"], verdict["trial"]["alpha"]) == (1, pytest.approx(0.05 * 6 / math.pi**2))
    assert verdict["days"] == {
        "counted": DAYS,
        "waiting": 0,
        "left_out": [],
        "replayed": DAYS,
        "live": 0,
        "champion_versions": [{"version": "7", "days": DAYS}],
        "concluded_on": None,
        "period": "day",
    }
    (finding,) = verdict["findings"]
    assert (finding["unanswered"], finding["champion_missing"]) == (0, 0)
    ((gain, pairs),) = honest.query(
        "SELECT avg((champion - l.value) ^ 2 - (p.value - l.value) ^ 2), count(*) FROM shadow.request "
        "JOIN shadow.prediction AS p USING (snapshot_id, ordinal) JOIN shadow.label AS l USING (snapshot_id, ordinal)"
    )
    assert (finding["estimate"], finding["requests"]) == (pytest.approx(gain, rel=1e-12), pairs)


def test_days_that_the_same_model_was_seen_on_elsewhere_do_not_count(honest: World, invoke: Invoke) -> None:
    deploy(honest, name="again")
    code, _, err = invoke("run", "again", "--from", day(0), "--to", day(DAYS - 1))
    assert code == 0, err
    _, out, _ = invoke("verdict", "again", "--json")
    (verdict,) = json.loads(out)["challengers"]
    assert (verdict["outcome"], verdict["days"]["counted"], verdict["days"]["left_out"]) == ("INCONCLUSIVE", 0, [])


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
    verdict = newest_verdict(invoke)
    assert verdict["outcome"] != "PASS"
    assert verdict["days"]["counted"] == DAYS
    assert any("predictions do not meet their expectations on 5 days" in warning for warning in verdict["warnings"])


def test_a_challenger_that_has_turned_worse_does_not_pass_on_how_good_it_was(world: World, invoke: Invoke) -> None:
    def worse_at_last(log: pd.DataFrame, random: np.random.Generator) -> "np.ndarray[Any, Any]":
        sharper = log.late + 0.15 * (log.label - log.late)
        blurred = np.clip(log.late + random.normal(0, 0.25, len(log)), 0.01, 0.99)
        return np.where(log.number < DAYS - 4, sharper, blurred)

    produce(world, worse_at_last)
    deploy(world, policy={"recent_days": 0, "method": "plain"})
    run(invoke, 0, DAYS - 1)
    for recent_days, outcome in ((0, "PASS"), (4, "INCONCLUSIVE")):
        verdict = judge_again(world, invoke, policy={"recent_days": recent_days, "method": "plain"})
        assert verdict["outcome"] == outcome, verdict["reasons"]
        (finding,) = verdict["findings"]
        assert finding["lower"] > 0, "the mean over all days is shown to be better"
    assert f"but no longer lately: since {day(0)} " in finding["reason"]
    assert " better, in the last 4 days " in finding["reason"]
    assert finding["reason"].endswith(" worse")


def test_requests_of_days_that_go_up_and_down_together_do_not_pass_as_so_many_requests(
    world: World, invoke: Invoke
) -> None:
    def of_days(log: pd.DataFrame, random: np.random.Generator) -> "np.ndarray[Any, Any]":
        return good_where(log.number % 7 < 4, log, random)

    def of_requests(log: pd.DataFrame, random: np.random.Generator) -> "np.ndarray[Any, Any]":
        return good_where(random.random(len(log)) < 4 / 7, log, random)

    produce(world, of_requests, of_days=of_days)
    both = [logged("other_probability"), logged("of_days")]
    deploy(world, challengers=both, policy={"unit": "request", "alpha": 0.05 * len(both)})
    run(invoke, 0, DAYS - 1)
    apart, together = verdicts(invoke)
    assert apart["outcome"] == "PASS", apart["reasons"]
    verdict = judge_again(world, invoke, challenger=logged("of_days"), policy={"unit": "day"})
    for one, is_refused in ((together, True), (verdict, False)):
        assert one["outcome"] == "INCONCLUSIVE"
        reason = one["findings"][0]["reason"]
        assert ("days differ by more than their requests explain (design effect " in reason) is is_refused


def good_where(is_good: "np.ndarray[Any, Any]", log: pd.DataFrame, random: np.random.Generator) -> Any:
    blurred = np.clip(log.late + random.normal(0, 0.22, len(log)), 0.01, 0.99)
    return np.where(is_good, log.late, blurred)


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
    verdict = newest_verdict(invoke)
    assert verdict["outcome"] == "INCONCLUSIVE"
    bad = [number for number in range(good[-1]) if number % 3 == 0]
    assert verdict["days"]["left_out"] == [{"day": str(day(number)), "why": "not run"} for number in bad]
    assert f"{len(bad)} days are left out, at most 2 may be" in verdict["reasons"][0]
    assert "shadow run late --missing" in verdict["reasons"][0]
    code, _, err = invoke("run", "late", "--missing")
    assert code == 0, err
    filled = newest_verdict(invoke)
    assert filled["days"]["left_out"] == []
    assert filled["outcome"] != "PASS"
    assert filled["trial"]["number"] == 1


def test_a_check_of_the_champion_begins_with_its_first_sampled_day(world: World, invoke: Invoke) -> None:
    produce(world, better)
    world.deploy(challengers=[{"name": "a_a_check", "model": "champion"}], policy=POLICY, slices=[])
    run(invoke, 4, 5)
    days = newest_verdict(invoke)["days"]
    assert [days[name] for name in ("counted", "waiting", "left_out", "replayed", "live")] == [2, 0, [], 2, 0]


def test_one_day_left_out_is_entered_at_its_worst(world: World, invoke: Invoke) -> None:
    produce(world, better)
    deploy(world)
    run(invoke, 0, 4)
    run(invoke, 6, DAYS - 1)
    verdict = newest_verdict(invoke)
    assert verdict["days"]["left_out"] == [{"day": str(day(5)), "why": "not run"}]
    assert any(
        f"1 day left out, entered at the worst value counted so far: {day(5)}" in warning
        for warning in verdict["warnings"]
    )


def test_a_day_that_is_not_over_or_not_the_deployments_is_refused_and_nothing_is_written(
    world: World, invoke: Invoke
) -> None:
    produce(world, better)
    deploy(world)
    run(invoke, 0)
    before = world.dump()
    for wanted, words in (
        ("2062-01-05", "day == 2062-01-05, must be over: its window ends at 2062-01-06 00:00 UTC"),
        (str(dt.datetime.now(dt.UTC).date()), "must be over: its window ends at"),
        (str(day(-1)), f"day == {day(-1)}, must be at least {day(0)} (start)"),
    ):
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


def test_a_withdrawn_day_is_named_charged_and_never_the_newest(honest: World, invoke: Invoke) -> None:
    code, out, _ = invoke(
        "withdraw", "late", "--day", day(DAYS - 1), "--reason", "the log was loaded twice", "--by", "ada"
    )
    assert (code, out.strip()) == (0, f"{day(DAYS - 1)} is withdrawn")
    assert newest_verdict(invoke)["day"] == str(day(DAYS - 2))
    code, out, _ = invoke("withdraw", "late", "--day", day(5), "--reason", "the log was loaded twice", "--by", "ada")
    code, _, err = run(invoke, 5)
    assert code == 1
    assert f"{day(5)} was withdrawn: the log was loaded twice" in " ".join(err.split())
    run(invoke, DAYS - 2)
    assert newest_verdict(invoke)["days"]["left_out"] == [{"day": str(day(5)), "why": "withdrawn"}]
    assert honest.query("SELECT withdrawn_by FROM shadow.withdrawal ORDER BY day") == [("ada",), ("ada",)]
    code, _, err = invoke("withdraw", "late", "--day", day(60), "--reason", "never there")
    assert code == 1
    assert "must be a day that was sampled" in err
