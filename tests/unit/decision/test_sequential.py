"""Sequences of many slices computed at once are those of each by itself, to the last bit."""

import datetime as dt
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from shadow_deployment.config.policy import Policy
from shadow_deployment.decision.alpha import AlphaSplit, alpha_of_evidence
from shadow_deployment.decision.estimand import estimand_of, only_rounding
from shadow_deployment.decision.sequential import JudgingTerms, judge_sequence, judge_sequences, newest
from shadow_deployment.decision.series import Series
from shadow_deployment.decision.verdict import judge
from shadow_deployment.statistics.confidence_sequence import confidence_sequence, observations_needed
from shadow_deployment.statistics.margin import independent_margin

LENGTHS = (40, 31, 40, 1, 29, 40)
FIRST = dt.date(2024, 1, 1)


def policy(**changes: Any) -> Policy:
    rules = [{"metric": "brier_score", "is": "superior", "slices": ["carrier"]}]
    return Policy.model_validate({"rules": rules, "burn_in": 28, **changes})


def series(name: str, days: int, seed: int, *, memory: float = 0.0) -> Series:
    random = np.random.default_rng(seed)
    noise = random.normal(0.0, 0.05, days)
    for number in range(1, days):
        noise[number] += memory * noise[number - 1]
    champion, difference = 0.2 + random.random(days) / 10, 0.01 + noise
    count = np.full(days, 100)
    dates = tuple(FIRST + dt.timedelta(days=number) for number in range(days))
    return Series("brier_score", name, dates, count, 0 * count, champion, champion - difference, difference)


@pytest.mark.parametrize("method", ["robust", "plain", "betting"])
def test_many_at_once_are_each_by_itself_in_their_order(method: str) -> None:
    given = policy(method=method)
    rule, terms = given.rules[0], JudgingTerms(given, AlphaSplit(0.02, 0.007))
    many = [series(f"carrier={number}", days, number) for number, days in enumerate(LENGTHS)]
    asked = [(one, estimand_of(rule, one)) for one in many]
    for one, (_, estimand), found in zip(many, asked, judge_sequences(rule, asked, terms), strict=True):
        expected = {
            side: confidence_sequence(
                estimand.gains,
                alpha=alpha,
                burn_in=28,
                tuned_for=60,
                side=side,
                method=given.method,
                bounds=(-1.0, 1.0),
            )
            for side, alpha in (("lower", 0.02), ("upper", 0.007))
        }
        assert_allclose(found.lower, expected["lower"].lower, rtol=1e-9, atol=1e-12)
        assert_allclose(found.upper, expected["upper"].upper, rtol=1e-9, atol=1e-12)
        assert_allclose(found.estimate, expected["lower"].estimate, rtol=1e-12, atol=1e-15)
        alone = judge_sequence(rule, one, terms)
        assert_array_equal(found.lower, alone.lower)
        assert_array_equal(found.upper, alone.upper)
        assert_array_equal(found.passes, alone.passes)
        assert_array_equal(found.fails, alone.fails)
        assert found.newest_bounds == tuple(float(bound[-1]) for bound in found.natural_bounds)


@pytest.mark.parametrize(
    "rule",
    [
        {"is": "superior"},
        {"is": "superior", "worst_day": 0.05},
        {"is": "non_inferior", "relative_margin": 0.02},
        {"is": "equivalent", "margin": 0.02},
        {"is": "guardrail"},
        {"is": "at_most", "value": 0.25},
    ],
)
@pytest.mark.parametrize("changes", [{}, {"unit": "week", "burn_in": 14}, {"unit": "request"}])
def test_the_newest_look_alone_decides_what_the_last_of_all_does(rule: dict[str, Any], changes: dict[str, Any]) -> None:
    given = policy(rules=[{"metric": "brier_score", **rule}], **changes)
    terms = JudgingTerms(given, AlphaSplit(0.02, 0.007))
    many = [series("all", days, seed) for seed, days in enumerate([*LENGTHS, 200, 200])]
    many.append(replace(many[0], difference=np.full(40, 0.01), challenger=many[0].champion - 0.01))
    many = [replace(one, squares=one.pairs[:, None] * np.array([[1.0, 0.0, 0.2]])) for one in many]
    observed = [one.observed(given) for one in many]
    judged = [(one, estimand_of(given.rules[0], one)) for one in observed if one.days]
    every = judge_sequences(given.rules[0], judged, terms)
    newest = judge_sequences(given.rules[0], judged, terms, "newest")
    for all_looks, look in zip(every, newest, strict=True):
        for name in ("estimate", "lower", "upper", "passes", "fails", "blind"):
            assert_allclose(getattr(look, name)[-1], getattr(all_looks, name)[-1], rtol=1e-12, atol=1e-14)
        assert len(look.estimate) == (len(all_looks.estimate) if rule["is"] == "guardrail" else 1)


def test_the_newest_looks_of_many_are_those_of_each_in_the_order_asked_for() -> None:
    given = policy()
    terms = JudgingTerms(given, AlphaSplit(0.02, 0.007, {"carrier=3": 0.001}))
    many = [series(f"carrier={number}", days, number) for number, days in enumerate(LENGTHS)]
    found = newest(given.rules[0], many, terms)
    assert found.shape == (len(many), 3)
    for row, one in zip(found, many, strict=True):
        looks = judge_sequence(given.rules[0], one, terms)
        assert_allclose(row, [looks.estimate[-1], looks.lower[-1], looks.upper[-1]], rtol=1e-12)
    assert_array_equal(found[3, 1:], [-math.inf, math.inf])  # a single day
    assert newest(given.rules[0], [], terms).shape == (0, 3)


def test_a_gain_within_rounding_of_no_change_is_none_in_the_rules_unit() -> None:
    """0.1 + 0.2 is not 0.3: a share that is 0 but for rounding is shown as 0, one that is not as it is."""
    one = series("all", 40, 1)
    rule = policy(rules=[{"metric": "brier_score", "is": "non_inferior", "margin": 0.3}]).rules[0]
    estimand = estimand_of(rule, one)
    gains = np.array([0.1 + 0.2, 0.3 + 1e-9, 0.5])
    assert_allclose(estimand.naturals(gains), [0.0, 1e-9, 0.2], rtol=1e-6, atol=0)
    assert estimand.naturals(gains)[0] == 0.0
    assert [estimand.natural(gain) for gain in gains.tolist()] == estimand.naturals(gains).tolist()


def test_numbers_that_are_all_0_differ_by_nothing() -> None:
    assert only_rounding(np.zeros(3), np.zeros(3)).all()


def test_days_to_come_are_counted_with_the_margin_as_wide_as_it_is_now() -> None:
    given, one = policy(), series("all", 60, 0, memory=0.6)
    found = judge(given, {("brier_score", "all"): one}).findings[0]
    assert found.outcome == "INCONCLUSIVE"
    terms = JudgingTerms(given, alpha_of_evidence(given, {("brier_score", "all"): one}, to_pass=given.alpha))
    alpha, estimand = terms.alpha.to_pass, estimand_of(given.rules[0], one)
    looks = judge_sequence(given.rules[0], one, terms)
    effect, spread = float(estimand.gains.mean()), float(estimand.gains.std(ddof=1))
    independent = spread * float(independent_margin(np.float64(60), alpha, terms.tuned_for, given.method))
    ratio = float((looks.estimate - looks.lower)[-1]) / independent
    assert ratio > 1.2
    assert effect > 0
    needed = observations_needed(effect, spread * ratio, alpha=alpha, tuned_for=terms.tuned_for, burn_in=28)
    assert needed is not None
    assert found.more_days == needed - 60
    assert not math.isclose(
        needed,
        observations_needed(effect, spread, alpha=alpha, tuned_for=terms.tuned_for, burn_in=28) or 0,
    )
