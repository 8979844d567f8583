"""Predictions, chosen after they were seen, through the command line alone."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.conftest import Invoke
from tests.integration.wrong_passes.story import (
    DAYS,
    PER_DAY,
    POLICY,
    RULE,
    better,
    deploy,
    logged,
    newest_verdict,
    produce,
    run,
    verdicts,
    worse,
)
from tests.production import World, day


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


def test_no_usable_prediction_where_it_would_be_wrong_is_charged_or_where_a_metric_is_no_sum_counted(
    world: World, invoke: Invoke
) -> None:
    produce(world, unanswered_where_wrong, invalid=invalid_where_wrong)
    metrics = ("brier_score", "log_loss", "accuracy", "closeness", "roc_auc")
    deploy(
        world,
        challengers=[logged("other_probability"), logged("invalid")],
        policy={
            "max_unanswered": 1.0,
            "alpha": 0.05 * 2 * len(metrics),  # as if each were judged alone
            "rules": [{"metric": metric, "is": "superior"} for metric in metrics],
        },
        metrics=[CLOSENESS],
    )
    run(invoke, 0, DAYS - 1)
    for verdict in verdicts(invoke):
        assert verdict["outcome"] == "FAIL", verdict["reasons"]
        *charged, ranked = verdict["findings"]
        for finding in charged:
            assert finding["outcome"] == "FAIL", finding["reason"]
            assert finding["requests"] == DAYS * PER_DAY, "every request is in the pairs"
            assert f"{finding['unanswered']} requests unanswered, counted" in finding["reason"]
        assert len(charged) == len(metrics) - 1
        assert ranked["unanswered"] == charged[0]["unanswered"] == DAYS * PER_DAY - ranked["requests"] > 0
        assert f"({ranked['unanswered']} requests unanswered, left out)" in ranked["reason"]


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
    verdict = newest_verdict(invoke)
    assert verdict["outcome"] != "PASS"
    assert any("have no usable prediction of the challenger" in reason for reason in verdict["reasons"])


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
    verdict = newest_verdict(invoke)
    assert verdict["outcome"] == ("INCONCLUSIVE" if fallback == "champion" else "FAIL")
    share = 100 * ((DAYS - 1) * PER_DAY / 3 + PER_DAY / 3) / (DAYS * PER_DAY)
    assert (
        f"{share:.3g} % of the requests on {DAYS} days have no usable prediction of the challenger, at most 0.1 % may "
        f"(policy.max_unanswered == 0.001); most on {day(5)}: 66.7 %"
    ) in verdict["reasons"]
    if fallback == "champion":
        brier, errors = verdict["findings"]
        assert (brier["outcome"], errors["outcome"]) == ("PASS", "PASS"), "nothing but the share stands in the way"
        deploy(world, policy={"fallback": fallback, "rules": rules, "max_unanswered": 0.4})
        run(invoke, DAYS - 1)
        assert newest_verdict(invoke)["trial"]["opened_because"] == "the blocking rules changed since trial 1"


def test_a_champion_that_logged_nothing_for_half_of_the_requests_cannot_be_beaten(world: World, invoke: Invoke) -> None:
    produce(world, better)
    world.change_production(
        "UPDATE flights.prediction_log SET champion_probability = 'NaN' WHERE hashtext(request_id) & 1 = 0"
    )
    deploy(world)
    run(invoke, 0, DAYS - 1)
    verdict = newest_verdict(invoke)
    assert verdict["outcome"] == "INCONCLUSIVE"
    (reason,) = [each for each in verdict["reasons"] if "policy.max_champion_missing == 0.001" in each]
    assert "have no usable prediction of the champion, at most 0.1 % may" in reason
    (finding,) = verdict["findings"]
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
    verdict = newest_verdict(invoke)
    assert verdict["outcome"] == "INCONCLUSIVE"
    assert any("predictions are identical to the champion's" in reason for reason in verdict["reasons"])


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
    predictions = {name: {request: value for of, request, value in rows if of == name} for name in names}
    assert predictions["sorted"] == {
        request: pytest.approx(int(request[-3:]) / 1000) for request in predictions["sorted"]
    }
    assert len(predictions["sorted"]) == PER_DAY
    assert set(predictions["one"].values()) == {None}
