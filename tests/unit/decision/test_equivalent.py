"""No difference that matters, one more bad day, and waiting that is futile."""

import datetime as dt
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from shadow_deployment.config.policy import Policy, Rule
from shadow_deployment.decision.alpha import AlphaSplit
from shadow_deployment.decision.calibration import calibrate
from shadow_deployment.decision.estimand import estimand_of, estimands_of
from shadow_deployment.decision.power import power_analysis
from shadow_deployment.decision.safeguards.left_out import at_their_worst
from shadow_deployment.decision.sequential import JudgingTerms, judge_sequence
from shadow_deployment.decision.series import Series
from shadow_deployment.decision.verdict import judge
from shadow_deployment.decision.words.finding import Finding
from shadow_deployment.decision.words.wording import change_needed, left_out_reason, measurement_of, rule_of
from shadow_deployment.report.html.intervals import picture
from shadow_deployment.report.scorecard import ModelScore, ScoreRow
from shadow_deployment.report.views import RuleView
from shadow_deployment.statistics.confidence_sequence import confidence_sequence
from shadow_deployment.statistics.margin import independent_margin

FIRST = dt.date(2024, 1, 1)
EQUIVALENT = {"metric": "brier_score", "is": "equivalent", "margin": 0.02}
RELATIVE = {"metric": "brier_score", "is": "equivalent", "relative_margin": 0.04}
SUPERIOR = {"metric": "brier_score", "is": "superior"}
NON_INFERIOR = {"metric": "brier_score", "is": "non_inferior", "margin": 0.02}
FUTILE = "; even if the truth were the best that the interval allows, it would not pass within {} days"


def days_of(mean: float, *, days: int = 120, noise: float = 0.02, seed: int = 0, slope: float = 0.0) -> Series:
    drawn = np.random.default_rng(seed).standard_normal(days)
    difference = mean + noise * (drawn - drawn.mean()) / drawn.std()
    champion = 0.5 + slope * np.arange(days)
    dates = tuple(FIRST + dt.timedelta(days=number) for number in range(days))
    return Series("brier_score", "all", dates, np.full(days, 100), None, champion, champion - difference, difference)


def finding(one: Series, rule: dict[str, Any] = EQUIVALENT, **changes: Any) -> Finding:
    policy = Policy.model_validate({"rules": [rule], "recent_days": 0, **changes})
    (found,) = judge(policy, {("brier_score", "all"): one}).findings
    return found


@pytest.mark.parametrize(
    ("mean", "outcome", "words"),
    [
        (0.0, "PASS", "lies within -0.02 to 0.02: enough data, no difference above 0.02"),
        (-0.008, "PASS", "lies within -0.02 to 0.02: enough data, no difference above 0.02"),
        (0.018, "INCONCLUSIVE", "reaches beyond -0.02 to 0.02; about "),
        (-0.022, "INCONCLUSIVE", "reaches beyond -0.02 to 0.02; about "),
        (0.04, "FAIL", "is entirely above 0.02, better"),
        (-0.04, "FAIL", "is entirely below -0.02, worse"),
    ],
)
@pytest.mark.parametrize("rule", [EQUIVALENT, RELATIVE])
def test_it_passes_within_the_margin_and_fails_beyond_it_on_either_side(
    mean: float, outcome: str, words: str, rule: dict[str, Any]
) -> None:
    found = finding(days_of(mean), rule)
    assert found.outcome == outcome
    if rule is EQUIVALENT:
        assert words in found.reason
    assert found.bounds == pytest.approx((-0.04, 0.04) if rule is RELATIVE else (-0.02, 0.02))


@pytest.mark.parametrize("mean", [0.0, 0.005, 0.05, -0.05])
def test_both_bounds_are_one_sided_at_the_alpha_toward_passing_and_half_of_that_toward_failing(mean: float) -> None:
    one, policy = days_of(mean), Policy.model_validate({"rules": [EQUIVALENT]})
    looks = judge_sequence(policy.rules[0], one, JudgingTerms(policy, AlphaSplit(0.03, 0.02)))
    passing, failing = (
        confidence_sequence(one.difference, alpha=alpha, burn_in=28, tuned_for=60) for alpha in (0.06, 0.02)
    )
    assert_allclose(looks.passes, (passing.lower > -0.02) & (passing.upper < 0.02))
    fails = (failing.upper < -0.02) | (failing.lower > 0.02)
    assert_allclose(looks.fails, fails)
    lower, upper = looks.natural_bounds
    assert_allclose(lower, np.where(failing.lower > 0.02, failing.lower, passing.lower), rtol=1e-9)
    assert_allclose(upper, np.where(failing.upper < -0.02, failing.upper, passing.upper), rtol=1e-9)


def test_a_relative_margin_is_of_the_champion_of_each_day_and_mirrors_exactly() -> None:
    one = days_of(0.003, slope=0.001)
    mirrored = Series(
        *("brier_score", "all", one.days, one.pairs, None),
        champion=one.champion,
        challenger=one.champion + one.difference,
        difference=-one.difference,
    )
    found, other = finding(one, RELATIVE), finding(mirrored, RELATIVE)
    assert (found.outcome, other.outcome) == ("PASS", "PASS")
    assert_allclose([found.estimate, found.lower, found.upper], np.negative([other.estimate, other.upper, other.lower]))
    assert found.estimate == pytest.approx(one.difference.mean() / one.champion.mean())


def test_equal_models_are_found_equivalent_and_those_at_the_margin_rarely() -> None:
    rng, runs = np.random.default_rng(3), 300
    policy = Policy.model_validate({"rules": [EQUIVALENT]})
    terms = JudgingTerms(policy, AlphaSplit(0.05, 0.05))
    passed = {0.0: 0, 0.02: 0}
    for mean in passed:
        for _ in range(runs):
            one = days_of(mean, days=200)
            one.difference[:] = mean + 0.03 * rng.standard_normal(200)
            passed[mean] += bool(judge_sequence(policy.rules[0], one, terms).passes.any())
    assert passed[0.0] == runs
    assert passed[0.02] / runs <= 0.05 + 2 * 0.0126


@pytest.mark.parametrize("sign", [1, -1])
def test_what_is_left_out_is_entered_at_its_worst_on_both_sides(sign: int) -> None:
    one, policy = days_of(sign * 0.008), Policy.model_validate({"rules": [EQUIVALENT], "recent_days": 0})
    rest = np.delete(np.arange(120), np.arange(5, 105, 5))
    columns = {name: getattr(one, name)[rest] for name in ("pairs", "champion", "challenger", "difference")}
    short = replace(one, days=tuple(one.days[place] for place in rest), **columns)
    evidence, left_out = {("brier_score", "all"): short}, [one.days[place] for place in range(5, 105, 5)]
    (alone,), (widened,) = (judge(policy, evidence, left_out=each).findings for each in ((), left_out))
    assert (alone.outcome, widened.outcome) == ("PASS", "INCONCLUSIVE")
    assert widened.reason == left_out_reason(alone.reason, 20)


def test_both_sides_read_alike_in_the_rules_unit() -> None:
    one = days_of(0.003)
    for rule, level in ((EQUIVALENT, 1.0), (RELATIVE, 0.5)):
        sides = estimands_of(Rule.model_validate(rule), one)
        assert_allclose([side.natural(side.mean) for side in sides], [0.003 / level] * 2, rtol=1e-9)


def test_days_left_out_are_entered_where_they_were_with_all_that_the_worst_day_has() -> None:
    one = replace(
        days_of(0.0, days=4, noise=0.0),
        difference=np.array([0.1, -0.3, 0.2, 0.0]),
        squares=np.arange(12.0).reshape(4, 3),
        pairs=np.array([1, 2, 3, 4]),
        weight=np.ones(4),
    )
    kept = [0, 1, 3]
    columns = {name: getattr(one, name)[kept] for name in ("difference", "squares", "pairs", "weight")}
    columns |= {name: getattr(one, name)[kept] for name in ("champion", "challenger")}
    short = replace(one, days=tuple(one.days[place] for place in kept), **columns)
    later = one.days[-1] + dt.timedelta(days=1)
    estimand = estimand_of(Rule.model_validate(SUPERIOR), short)
    entered = at_their_worst(estimand, short, [one.days[2], later])
    assert entered is not None
    assert entered.squares is not None
    assert (entered.days, entered.difference.tolist()) == (one.days, [0.1, -0.3, -0.3, 0.0])
    assert (entered.pairs.tolist(), entered.squares[2].tolist()) == ([1, 2, 2, 4], [3.0, 4.0, 5.0])
    assert at_their_worst(estimand, short, [later]) is None


def test_plan_and_calibrate_know_it() -> None:
    policy, one = Policy.model_validate({"rules": [EQUIVALENT]}), days_of(0.001)
    planned = power_analysis(one, policy.rules[0], policy, effect=0.02)
    assert planned.rule == "brier_score equivalent -0.02"
    assert planned.days is not None
    found = calibrate(policy, {("brier_score", "all"): one}, runs=50, days=60)
    assert found.left_out == ("brier_score equivalent -0.02: that it is not better by more than its margin",)


def test_its_words_name_both_bounds() -> None:
    found = finding(days_of(0.0))
    assert rule_of(found) == "brier_score equivalent 0.02"
    assert "must be equivalent (bounds -0.02 and 0.02)" in measurement_of(found, "Brier score", "days")
    assert "must return to within -0.02 to 0.02" in change_needed(finding(days_of(0.05)))


def test_its_picture_has_both_bounds() -> None:
    found = finding(days_of(0.008))
    view = RuleView(found, "Brier score differs by less than 0.02", "difference", "", is_daily=False)
    row = ScoreRow("brier_score", view.text, "blocking", (ModelScore(0.1, 0.11, found),), 0.11, rule=view)
    svg = picture(row, found)
    assert svg.count('class="bound"') == 2
    assert {">\N{MINUS SIGN}0.02<", ">0.02<"} <= set(re.findall(r">[^<>]+<", svg))
    assert row.reach is not None
    assert row.reach[0] <= -0.02 < 0.02 <= row.reach[1]


def test_one_more_bad_day_lowers_the_bound_by_its_share_of_all_days() -> None:
    one = days_of(0.01)
    plain, charged = finding(one, SUPERIOR), finding(one, SUPERIOR | {"worst_day": 0.3})
    assert charged.lower == pytest.approx(plain.lower - 0.3 / 120)
    assert (charged.upper, charged.estimate) == (plain.upper, plain.estimate)
    assert "one more day that lost 0.3 included" in charged.reason
    weekly = finding(one, SUPERIOR | {"worst_day": 0.3}, unit="week")
    assert weekly.lower == pytest.approx(finding(one, SUPERIOR, unit="week").lower - 0.3 / 119)
    disaster = finding(one, SUPERIOR | {"worst_day": 1.0})
    assert (plain.outcome, disaster.outcome) == ("PASS", "INCONCLUSIVE")
    both = finding(days_of(0.0), EQUIVALENT | {"worst_day": 0.3})
    without = finding(days_of(0.0))
    assert_allclose([both.lower, both.upper], [without.lower - 0.3 / 120, without.upper + 0.3 / 120])


@pytest.mark.parametrize(
    ("rule", "mean", "noise", "horizon", "is_futile"),
    [
        (SUPERIOR, -0.003, 0.02, 365, True),
        (SUPERIOR, 0.003, 0.02, 365, False),
        (SUPERIOR, 0.001, 0.02, 125, True),
        (SUPERIOR, 0.001, 0.02, 120, False),
        (NON_INFERIOR, -0.0195, 0.02, 365, False),
        (EQUIVALENT, 0.0, 0.3, 365, True),
        (EQUIVALENT, 0.018, 0.02, 365, False),
    ],
)
def test_a_rule_that_even_the_best_truth_would_not_decide_in_time_says_so(
    rule: dict[str, Any], mean: float, noise: float, horizon: int, is_futile: bool
) -> None:
    found = finding(days_of(mean, noise=noise), rule, horizon=horizon)
    assert found.outcome == "INCONCLUSIVE"
    assert found.reason.endswith(FUTILE.format(horizon)) == is_futile


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        (SUPERIOR, {}),
        (SUPERIOR, {"method": "plain"}),
        (SUPERIOR | {"worst_day": 0.1}, {}),
        (SUPERIOR | {"worst_day": 0.1}, {"unit": "week"}),
    ],
)
def test_it_is_futile_up_to_the_day_on_which_the_best_truth_would_pass(
    rule: dict[str, Any], changes: dict[str, Any]
) -> None:
    drawn = np.random.default_rng(1).standard_normal(140)
    drawn = np.convolve(drawn, [1.0, 0.7, 0.4])[:140]  # days that resemble those before widen the margin
    one = days_of(0.0, days=140)
    one.difference[:] = 0.001 + 0.02 * (drawn - drawn.mean())
    policy = Policy.model_validate({"rules": [rule], "recent_days": 0, **changes})
    terms = JudgingTerms(policy, AlphaSplit(policy.alpha, policy.alpha))
    observed, length = one.observed(policy), policy.days_per_observation
    looks, seen = judge_sequence(policy.rules[0], observed, terms), len(observed.days)
    estimate, lower, upper = (float(each[-1]) for each in (looks.estimate, looks.lower, looks.upper))
    charge = rule.get("worst_day", 0.0) / length
    times = np.arange(seen, 5 * seen + 1.0)
    shape = independent_margin(times, policy.alpha, terms.tuned_for, policy.method)
    independent = looks.estimand.linearised.std(ddof=1) * shape[0]
    margin = max(estimate - lower - charge / seen, independent) * shape / shape[0]
    passes = (seen * estimate + (times - seen) * upper - charge) / times > margin
    first = int(times[passes.argmax()])
    assert seen + 1 < first < 5 * seen, "there is a day before which it is futile, and one from which it is not"
    assert [finding(one, rule, horizon=length * each, **changes).is_futile for each in (first - 1, first)] == [
        True,
        False,
    ]


def test_what_is_called_futile_does_not_pass_where_the_best_truth_comes_true() -> None:
    one = days_of(-0.003)
    found = finding(one, SUPERIOR)
    assert found.reason.endswith(FUTILE.format(365))
    assert found.upper is not None
    passed = 0
    for seed in range(100):
        drawn = np.random.default_rng(seed).standard_normal(245)
        later = np.concatenate([one.difference, found.upper + 0.02 * (drawn - drawn.mean())])
        bounds = confidence_sequence(later, alpha=0.1, burn_in=28, tuned_for=60)
        passed += bool(bounds.lower[-1] > 0)
    assert passed <= 5
