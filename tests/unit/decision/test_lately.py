"""What a PASS asks of the newest days, and the alarm of a model that has got worse."""

import datetime as dt
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from shadow_deployment.config.policy import Policy
from shadow_deployment.decision.safeguards.lately import lately, successor_got_worse, turned
from shadow_deployment.decision.series import Series
from shadow_deployment.decision.verdict import judge
from shadow_deployment.decision.words.finding import Finding

FIRST = dt.date(2013, 1, 1)
SUPERIOR = {"metric": "brier_score", "is": "superior"}
NON_INFERIOR = {"metric": "brier_score", "is": "non_inferior", "margin": 0.05}
EQUIVALENT = {"metric": "brier_score", "is": "equivalent", "margin": 0.05}
GUARDRAIL = {"metric": "brier_score", "is": "guardrail"}
AT_MOST = {"metric": "brier_score", "is": "at_most", "value": 0.6}


def days_of(*parts: tuple[int, float], noise: float = 0.02, seed: int = 0) -> Series:
    """Days with these mean differences, one part after the other."""
    mean = np.concatenate([np.full(number, value) for number, value in parts])
    difference = mean + noise * np.random.default_rng(seed).standard_normal(len(mean))
    count = np.full(len(mean), 100)
    days = tuple(FIRST + dt.timedelta(days=number) for number in range(len(mean)))
    champion = np.full(len(mean), 0.5)
    return Series("brier_score", "all", days, count, None, champion, champion - difference, difference)


def finding(one: Series, rule: dict[str, Any] = SUPERIOR, **changes: Any) -> Finding:
    policy = Policy.model_validate({"rules": [rule], **changes})
    (found,) = judge(policy, {("brier_score", "all"): one}).findings
    return found


TURNED = days_of((200, 0.03), (57, -0.02))
FEW = days_of((200, 0.03), (20, -0.02))


def test_what_turned_worse_does_not_pass_and_both_means_are_shown() -> None:
    found = finding(TURNED)
    assert (found.outcome, found.decided_on) == ("INCONCLUSIVE", None)
    assert found.lower is not None
    assert found.lower > 0
    means = TURNED.difference.mean(), TURNED.difference[-56:].mean()
    both = f"since 2013-01-01 {means[0]:.3g} better, in the last 56 days {-means[1]:.3g} worse"
    assert found.reason.endswith(f" clears 0, but no longer lately: {both}")
    assert finding(TURNED, recent_days=0).outcome == "PASS"
    longer = finding(TURNED, recent_days=250)
    assert "no longer lately" not in longer.reason, "of the newest 250 days most are better"
    assert longer.outcome == "INCONCLUSIVE", "but the weekly means show it"


def test_the_newest_days_are_calendar_days_and_weigh_as_their_requests() -> None:
    one = days_of((100, 0.03), (28, -0.02), noise=0.001)
    policy = Policy.model_validate({"rules": [SUPERIOR]})

    def holds(series: Series) -> bool:
        means = lately(policy.rules[0], series, policy)
        assert means is not None
        assert means.held
        return means.holds

    assert holds(one)
    weight = np.where(np.arange(128) < 72, 1.0, np.where(np.arange(128) < 100, 0.1, 1.0))
    assert not holds(replace(one, weight=weight))
    kept = np.r_[0:72, 100:128]
    gap = Series(
        "brier_score",
        "all",
        tuple(one.days[number] for number in kept),
        one.pairs[kept],
        None,
        one.champion[kept],
        one.challenger[kept],
        one.difference[kept],
    )
    assert not holds(gap)


@pytest.mark.parametrize(
    ("rule", "after", "passes"),
    [
        (NON_INFERIOR, -0.02, True),
        (NON_INFERIOR, -0.06, False),
        (EQUIVALENT, -0.02, True),
        (EQUIVALENT, -0.06, False),
        (EQUIVALENT, 0.06, False),
        (GUARDRAIL, -0.02, True),
        (AT_MOST, -0.05, True),
    ],
)
def test_the_newest_days_must_be_on_the_side_of_the_rules_own_bound(
    rule: dict[str, Any], after: float, passes: bool
) -> None:
    found = finding(days_of((400, 0.0 if rule is EQUIVALENT else 0.03), (57, after)), rule)
    assert (found.outcome == "PASS") == passes, found.reason
    assert passes or "but no longer lately" in found.reason


def test_means_of_a_relative_rule_are_shares_of_the_champions_value() -> None:
    one = days_of((100, 0.03), (28, 0.01))
    policy = Policy.model_validate({"rules": [{"metric": "brier_score", "is": "non_inferior", "relative_margin": 0.1}]})
    means = lately(policy.rules[0], one, policy)
    assert means is not None
    assert means.since_first == pytest.approx(one.difference.mean() / 0.5)
    assert means.newest == pytest.approx(one.difference[-56:].mean() / 0.5)


def test_a_change_that_the_newest_days_do_not_show_yet_is_the_alarms() -> None:
    one = days_of((203, 0.03), (28, -0.02), noise=0.01)
    assert one.difference[-56:].mean() > 0
    found = finding(one)
    assert found.outcome == "INCONCLUSIVE"
    changed = FIRST + dt.timedelta(days=203)
    assert found.reason.endswith(f"weekly means have fallen below that bound since about the week from {changed}")
    assert finding(one, recent_days=0).outcome == "PASS"


def test_slices_with_other_days_have_weeks_of_their_own() -> None:
    """The same days 8 days later, with a gap, change 8 days later; one without a change does not."""
    rule = Policy.model_validate({"rules": [SUPERIOR]})
    one, calm = days_of((203, 0.03), (28, -0.02), noise=0.01), days_of((231, 0.03), noise=0.01)
    kept = np.delete(np.arange(231), [17, 18, *range(70, 77)])
    shifted = replace(one, days=tuple(day + dt.timedelta(days=8) for day in one.days))
    gappy = replace(
        shifted,
        days=tuple(shifted.days[number] for number in kept),
        **{name: getattr(one, name)[kept] for name in ("pairs", "champion", "challenger", "difference")},
    )
    changed = FIRST + dt.timedelta(days=203)
    later = changed + dt.timedelta(days=8)
    assert turned(rule.rules[0], [gappy, one, calm, shifted], rule) == [later, changed, None, later]


def test_means_that_disagree_are_shown_where_nothing_is_decided() -> None:
    found = finding(days_of((80, -0.008), (60, 0.004), noise=0.04, seed=3))
    assert found.outcome == "INCONCLUSIVE"
    assert "; since 2013-01-01 " in found.reason
    assert found.reason.endswith(" better")


def test_a_watched_former_champion_that_has_become_the_better_one_is_an_alarm() -> None:
    policy = Policy.model_validate(
        {"rules": [SUPERIOR, GUARDRAIL, {**SUPERIOR, "metric": "log_loss", "role": "monitor"}]}
    )
    promoted_got_worse = days_of((140, -0.02), (70, 0.03))
    ((metric, since),) = successor_got_worse(policy, {("brier_score", "all"): promoted_got_worse})
    assert (metric, since) == ("brier_score", FIRST + dt.timedelta(days=140))
    assert not list(successor_got_worse(policy, {("brier_score", "all"): days_of((210, -0.02))}))
    assert not list(successor_got_worse(policy, {("log_loss", "all"): promoted_got_worse}))
    assert not list(successor_got_worse(policy, {("brier_score", "all"): days_of((5, 0.03))}))
