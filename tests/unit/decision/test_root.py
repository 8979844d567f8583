"""Beside a mean squared error stands its root, which has the label's unit, wherever a value is shown to people."""

import datetime as dt
import io
from dataclasses import replace

import numpy as np
from rich.console import Console

from shadow_deployment.config.policy import Rule
from shadow_deployment.decision.series import Series
from shadow_deployment.decision.trial import Trial
from shadow_deployment.decision.verdict import judge
from shadow_deployment.decision.words.explanation import explain
from shadow_deployment.decision.words.wording import daily_reason, value_of
from shadow_deployment.report.html import cells
from shadow_deployment.report.scorecard import ModelScore, ScoreRow
from shadow_deployment.report.text import evidence_table
from tests.builders import a_deployment
from tests.unit.decision.histories import evidence, series

DAY = dt.date(2024, 3, 1)
RULE = {"metric": "squared_error", "is": "at_most", "value": 9.0}
TRIAL = Trial(1, 3, "challenger", "7", {}, "", DAY, 2, 2, 0.0076, "", dt.datetime(2024, 3, 1, tzinfo=dt.UTC), None, 0)


def errors(days: int = 40) -> Series:
    noise = np.random.default_rng(1).normal(0, 0.01, days)
    one = series(4 + noise, "squared_error")
    return replace(one, champion=np.full(days, 9.0), challenger=4 + noise, difference=5 - noise)


def test_only_a_mean_squared_error_has_a_root() -> None:
    assert value_of("squared_error", 4.0) == "4 (RMSE 2)"
    assert value_of("absolute_error", 4.0) == "4"
    assert value_of("squared_error", None) == "-"


def test_a_daily_reason_says_the_root_of_a_value_and_not_of_a_change() -> None:
    rule = Rule.model_validate(RULE | {"last": {"hold": 1, "of": 2}})
    assert daily_reason(rule, DAY, 4.0, holds=True, held=1, recent=1).startswith("4 (RMSE 2) on 2024-03-01")
    change = rule.model_copy(update={"of": "change"})
    assert daily_reason(change, DAY, 4.0, holds=True, held=1, recent=1).startswith("4 on 2024-03-01")


def test_a_table_of_evidence_shows_the_root_of_both_models() -> None:
    row = {
        **dict.fromkeys(("day", "challenger", "slice"), "x"), **dict.fromkeys(("requests", "labelled", "pairs"), 1),
        "metric": "squared_error", "champion": 9.0, "challenger_value": 4.0, "difference": 5.0,
    }  # fmt: skip
    file = io.StringIO()
    Console(file=file, width=200).print(evidence_table(iter([row])))
    assert "9 (RMSE 3)" in file.getvalue()
    assert "4 (RMSE 2)" in file.getvalue()
    assert "5 (RMSE" not in file.getvalue()


def test_a_page_shows_the_root_of_a_value() -> None:
    row = ScoreRow("squared_error", "Squared error", "other", (ModelScore(4.0, 9.0),), 9.0)
    assert (cells.value(row, 4.0), cells.value(row, 9.0)) == ("4.000 (RMSE 2)", "9.000 (RMSE 3)")
    other = ScoreRow("absolute_error", "Absolute error", "other", (ModelScore(4.0, 9.0),), 9.0)
    assert cells.value(other, 4.0) == "4.000"


def test_an_explanation_says_what_both_models_reach_and_what_its_trial_spends() -> None:
    deployment = a_deployment(
        task="regression", metrics=[], tolerance=1.0, policy={"rules": [{"metric": "squared_error", "is": "superior"}]}
    )
    found = evidence(errors())
    verdict = judge(deployment.policy, found, alpha=TRIAL.alpha)
    challenger = deployment.challengers[0]
    text = explain(deployment, challenger, verdict, found, champion="champion 7", trial=TRIAL, warnings=[])
    assert "- mean squared error: champion 9 (RMSE 3), challenger 4 (RMSE 2)" in text
    assert "- trial 3, in batch 2, with alpha 0.0076 toward PASS" in text
    check = replace(TRIAL, batch=None, place=None)
    text = explain(deployment, challenger, verdict, found, champion="champion 7", trial=check, warnings=[])
    assert "- trial 3, which spends no alpha" in text
