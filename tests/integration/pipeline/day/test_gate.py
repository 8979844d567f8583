"""The gate, and what stops a day before it."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from shadow_deployment.errors import GateFailed, LedgerError
from shadow_deployment.pipeline import steps
from shadow_deployment.pipeline.run import run_day
from tests.conftest import Invoke
from tests.integration.pipeline.day.worked_out import RUN, run, settings
from tests.production import World, day


def test_a_day_without_requests_gives_no_evidence_and_says_so(
    continued: World, caplog: pytest.LogCaptureFixture
) -> None:
    before = continued.evidence()
    with caplog.at_level(logging.WARNING):
        assert run(continued, [20]) == []
    assert f"no requests in flights.prediction_log from {day(20)} 00:00 to {day(21)} 00:00 UTC" in caplog.text
    assert continued.query("SELECT rows, population, shards FROM shadow.snapshot WHERE day = %s", [day(20)]) == [
        (0, 0, 0)
    ]
    assert set(continued.evidence().day) == set(before.day)
    judged = [row for row in continued.verdicts() if row[0] == day(20)]
    assert {row[3] for row in judged} == {"INCONCLUSIVE"}
    assert len(judged) == 4
    again = continued.dump()
    run(continued, [20])
    assert continued.dump() == again


def test_the_very_first_day_may_be_without_requests(reading: World, invoke: Invoke) -> None:
    reading.deploy()
    code, out, _ = invoke("run", "late", "--from", day(20))
    assert code == 0
    assert "INCONCLUSIVE" in out
    assert reading.evidence().empty


def test_the_gate_lets_inconclusive_through_and_stops_a_fail(continued: World) -> None:
    names = ("other", "linear", "same", "a_a_check")
    assert steps.gate(continued.shadow(**settings(continued)), day(RUN - 1)) == dict.fromkeys(names, "INCONCLUSIVE")
    strict = {"burn_in": 2, "rules": [{"metric": "error_rate", "is": "at_most", "value": 0.0}]}
    shadow = continued.shadow(**settings(continued, policy=strict))
    continued.register_before_the_first_day(shadow.deployment)
    for name in names:
        steps.judge(shadow, day(2), name)
    with pytest.raises(GateFailed, match=r"other FAILS: error rate is not at most 0: 0\.\d+ on 2024-03-03"):
        steps.gate(shadow, day(2))


def test_the_gate_is_closed_on_the_first_day_of_a_fail_alone_however_often_and_in_which_order_days_are_run(
    continued: World,
) -> None:
    strict = {"burn_in": 2, "rules": [{"metric": "error_rate", "is": "at_most", "value": 0.0}]}
    shadow = continued.shadow(**settings(continued, policy=strict))
    continued.register_before_the_first_day(shadow.deployment)
    colours = {}
    for number in (2, 1, 0, 1, 2, 0):
        for name in ("other", "linear", "same", "a_a_check"):
            steps.judge(shadow, day(number), name)
        try:
            steps.gate(shadow, day(number), ["other"])
            colours[number] = "green"
        except GateFailed:
            colours[number] = "red"
    assert colours == {0: "green", 1: "red", 2: "green"}  # nothing is unanswered on the first day


def test_the_gate_is_closed_on_the_first_of_the_days_whose_predictions_fail_their_expectations(
    worlds: Callable[..., World], tmp_path: Path
) -> None:
    suite = tmp_path / "impossible.json"
    above_all = {"type": "expect_column_mean_to_be_between", "kwargs": {"column": "probability", "min_value": 2}}
    suite.write_text(json.dumps({"name": "predictions", "expectations": [above_all]}))
    world = worlds()
    shadow = world.shadow(expectations={"predictions": str(suite)})
    for number in (0, 1):
        assert run_day(shadow, day(number))
    with pytest.raises(GateFailed, match="predictions of other do not meet their expectations"):
        steps.gate(shadow, day(0))
    assert set(steps.gate(shadow, day(1)).values()) == {"INCONCLUSIVE"}


def test_the_gate_is_closed_for_a_day_that_was_not_sampled_or_not_judged(continued: World) -> None:
    shadow = continued.shadow(**settings(continued))
    with pytest.raises(GateFailed, match="was not sampled: see the task sample"):
        steps.gate(shadow, day(RUN))
    steps.sample(shadow, day(RUN))
    with pytest.raises(GateFailed) as closed:
        steps.gate(shadow, day(RUN))
    assert "inputs were not validated" in str(closed.value)
    assert f"other was not judged on {day(RUN)}" in str(closed.value)


def test_a_step_out_of_turn_says_which_one_is_missing(continued: World) -> None:
    shadow = continued.shadow(**settings(continued))
    for step in (steps.validate_inputs, steps.compare):
        with pytest.raises(LedgerError, match="was not sampled; run its sample step first"):
            step(shadow, day(RUN))
    steps.sample(shadow, day(RUN))
    steps.score(shadow, day(RUN), "linear", 0)
    with pytest.raises(
        LedgerError, match=r"linear has predictions for 25 of the \d+ requests .* scoring is incomplete"
    ):
        steps.validate_predictions(shadow, day(RUN), "linear")
