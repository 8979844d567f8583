"""Custom metrics in a policy, which is judged by itself wherever it is: their direction, bounds and words."""

import datetime as dt
import json
from typing import Any

import numpy as np
import pytest

from shadow_deployment.config.policy import Policy, Rule
from shadow_deployment.decision.estimand import estimand_of
from shadow_deployment.decision.series import LedgerSeries, gather
from shadow_deployment.decision.verdict import VerdictBasis, conclude
from shadow_deployment.errors import DeploymentError
from tests.builders import a_deployment

PROFIT = {"name": "profit", "function": "python:money:profit", "better": "higher", "bounds": [-5, 20], "unit": "EUR"}
RULE = {"metric": "profit", "is": "superior"}
DAYS = 60
TRADED = [
    {"is": "superior"},
    {"is": "non_inferior", "margin": 0.5},
    {"is": "non_inferior", "relative_margin": 0.1},
    {"is": "at_least", "value": 3.0},
    {"is": "at_most", "value": -3.0},
    {"is": "at_least", "value": 0.5, "of": "change"},
    {"is": "at_most", "value": 0.5, "of": "relative_change"},
    {"is": "at_least", "value": -0.5, "of": "relative_change"},
]


def stored(rules: list[dict[str, Any]], policy: Any = None, **changes: Any) -> Policy:
    """Return a policy as it comes back from a verdict that was stored."""
    deployment = a_deployment(metrics=[{**PROFIT, **changes}], policy={"rules": rules, **(policy or {})})
    return Policy.model_validate(json.loads(deployment.policy.model_dump_json(by_alias=True)))


def evidence(champion: Any, challenger: Any, sign: int) -> Any:
    """Return a series of days of one request each."""
    ones = np.ones(len(champion))
    sums = {"champion_sum": champion, "challenger_sum": challenger, "difference_sum": sign * (champion - challenger)}
    squares = {"weight_squares": ones, "difference_sum_weighted": ones, "difference_squares_weighted": ones}
    counts = {"days": np.arange(len(champion)) + 9_000, "pairs": ones.astype(int)}
    return gather([LedgerSeries("profit", "all", "", counts, {"weight": ones, **sums, **squares})])


@pytest.mark.parametrize(("better", "outcome"), [("higher", "PASS"), ("lower", "FAIL")])
@pytest.mark.parametrize("method", ["robust", "betting"])
def test_a_stored_policy_is_judged_in_the_metrics_own_direction(better: str, outcome: str, method: str) -> None:
    random = np.random.default_rng(3)
    policy = stored([RULE], {"method": method, "weighting": "day", "tuned_for": 30}, better=better)
    champion = random.uniform(-5, 0, 300)
    series = evidence(champion, champion + random.uniform(15, 20, 300), -1 if better == "higher" else 1)
    last = dt.date(2000, 1, 1) + dt.timedelta(days=9_299)
    verdict = conclude(policy, VerdictBasis(last, 0.05, [], [], counted=series, shown=None))
    assert verdict.outcome == outcome
    assert str(policy.rules[0]) == "profit, EUR is better"


@pytest.mark.parametrize("bounds", [[-5, 20], [2, 3], [-7, -1]])
@pytest.mark.parametrize("better", ["higher", "lower"])
@pytest.mark.parametrize("rule", TRADED, ids=str)
def test_every_gain_lies_within_the_range_that_bets_rest_on(
    rule: dict[str, Any], better: str, bounds: list[int]
) -> None:
    (judged,) = stored([{"metric": "profit", **rule}], better=better, bounds=bounds).rules
    corners = np.array(np.meshgrid(bounds, bounds)).reshape(2, -1)
    inside = np.random.default_rng(1).uniform(*bounds, (2, DAYS))
    champion, challenger = np.hstack([corners, inside]).astype(float)
    (series,) = evidence(champion, challenger, judged.definition.sign).values()
    estimand = estimand_of(judged, series)
    low, high = estimand.range
    assert (estimand.gains >= low - 1e-9).all()
    assert (estimand.gains <= high + 1e-9).all()
    if "relative" not in str(rule):
        assert (estimand.gains.min(), estimand.gains.max()) == pytest.approx((low, high)), "no wider than needed"


def test_squares_are_kept_of_custom_metrics_for_the_unit_request() -> None:
    (series,) = evidence(np.ones(3), np.zeros(3), 1).values()
    assert series.squares is not None


def test_betting_needs_bounds() -> None:
    assert stored([RULE], {"method": "betting", "weighting": "day"}).rules[0].definition.bounds == (-5.0, 20.0)
    with pytest.raises(DeploymentError, match=r"'profit' has no bounds, which policy.method == 'betting' needs"):
        stored([RULE], {"method": "betting", "weighting": "day"}, bounds=None)


def test_only_rules_on_it_carry_its_declaration_and_another_title_changes_its_words_alone() -> None:
    other = {"metric": "brier_score", "is": "superior"}
    custom, built_in = stored([RULE, other], title="money earned", unit=None).rules
    assert isinstance(custom, Rule)
    assert custom.definition.title == "money earned"
    assert (custom.definition.higher_is_better, custom.definition.needs_label) == (True, True)
    assert built_in.custom is None
