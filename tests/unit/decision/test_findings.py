"""What a finding says, to the number and to the letter, against the same worked out another way."""

import datetime as dt
import math
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from shadow_deployment.config.policy import Policy
from shadow_deployment.decision.alpha import alpha_of_batch
from shadow_deployment.decision.series import Series
from shadow_deployment.decision.verdict import judge
from shadow_deployment.decision.words.finding import Finding
from shadow_deployment.decision.words.wording import missing_note, reason_of
from shadow_deployment.metrics.catalog import METRICS
from shadow_deployment.statistics.confidence_sequence import confidence_sequence

FIRST, DAYS, BURN_IN, EXPECTED, A_DAY = dt.date(2013, 3, 1), 60, 28, 60, 50
SUPERIOR = {"metric": "brier_score", "is": "superior"}
GUARDRAIL = {"metric": "brier_score", "is": "guardrail"}
FEW_ERRORS = {"metric": "error_rate", "is": "at_most", "value": 0.01}
AGREEMENT = {"metric": "agreement", "is": "at_least", "value": 0.8}
CONSTANT = "do not differ from each other: nothing can be concluded from them"
LIKE_IT = "would decide an effect like the one seen so far"
TOO_SMALL = "no number of days would decide an effect as small as the one seen so far"


def noise(kind: str, days: int = DAYS) -> np.ndarray:
    """Days around 0 with a standard deviation of about 0.1."""
    random = np.random.default_rng(11)
    if kind == "rare gains":
        drawn = random.exponential(size=days)
    elif kind == "rare losses":
        drawn = -random.exponential(size=days)
    else:
        drawn = random.standard_normal(days)
    if kind == "dependent":
        for day in range(1, days):
            drawn[day] += 0.7 * drawn[day - 1]
    return 0.1 * (drawn - drawn.mean()) / drawn.std()


def series(difference: ArrayLike, metric: str = "brier_score", name: str = "all", **changes: Any) -> Series:
    """Evidence with these daily differences, from a champion at 0.5."""
    gains = np.asarray(difference, np.float64)
    counts, champion = np.full(len(gains), A_DAY), np.full(len(gains), 0.5)
    usual = {
        "metric": metric,
        "slice": name,
        "days": tuple(FIRST + dt.timedelta(days=number) for number in range(len(gains))),
        "pairs": counts,
        "identical": np.zeros_like(counts),
        "champion": champion,
        "challenger": champion - METRICS[metric].sign * gains,
        "difference": gains,
    }
    return Series(**usual | changes)


def values(challenger: ArrayLike, metric: str = "error_rate", **changes: Any) -> Series:
    """Evidence with these daily values of the challenger, and none of the champion."""
    array = np.asarray(challenger, np.float64)
    zeros = np.zeros(len(array))
    return series(zeros, metric, **{"champion": zeros, "challenger": array} | changes)


def found(one: Series, rule: dict[str, Any], *, day: dt.date | None = None, **changes: Any) -> Finding:
    policy = Policy.model_validate({"burn_in": BURN_IN, "tuned_for": EXPECTED, "rules": [rule]} | changes)
    (finding,) = judge(policy, {(one.metric, one.slice): one}, day=day).findings
    assert (finding.metric, finding.slice, finding.is_) == (one.metric, "all", rule["is"])
    return finding


def boundary(t: int, alpha: float, expected: float) -> float:
    """The one-sided boundary of Waudby-Smith et al. at unit standard deviation."""
    rho2 = (-2 * math.log(alpha) + math.log(1 - 2 * math.log(alpha))) / expected
    return math.sqrt(2 * (t * rho2 + 1) / (t**2 * rho2) * math.log(1 + math.sqrt(t * rho2 + 1) / (2 * alpha)))


def bounds_of(gains: np.ndarray, alpha: tuple[float, float] = (0.05, 0.05), **design: Any) -> tuple[Any, Any]:
    usual = {"burn_in": BURN_IN, "tuned_for": EXPECTED} | design
    lower = confidence_sequence(gains, alpha=alpha[0], side="lower", **usual)
    return lower.lower, confidence_sequence(gains, alpha=alpha[1], side="upper", **usual).upper


@pytest.mark.parametrize(
    ("mean", "outcome", "words"), [(0.1, "PASS", "clears 0"), (-0.1, "FAIL", "is entirely below 0")]
)
def test_a_decided_finding_holds_everything_that_it_was_judged_by(mean: float, outcome: Any, words: str) -> None:
    one = series(mean + noise("normal"), name="origin=JFK")
    everything = replace(one, slice="all")
    policy = Policy.model_validate({"rules": [SUPERIOR | {"slices": ["origin"]}]})
    verdict = judge(policy, {(each.metric, each.slice): each for each in (one, everything)}, alpha=policy.alpha / 4)
    lower, upper = bounds_of(one.difference, (0.05 / 4, alpha_of_batch(0.05, 1) / 2))
    decided = one.days[int(np.argmax(lower > 0 if outcome == "PASS" else upper < 0))]
    expected = Finding(
        metric="brier_score",
        slice="origin=JFK",
        is_="superior",
        role="blocking",
        outcome=outcome,
        bound=0.0,
        reason=f"after 60 days the interval {lower[-1]:.4g} to {upper[-1]:.4g} {words}",
        estimate=pytest.approx(mean),
        lower=pytest.approx(lower[-1]),
        upper=pytest.approx(upper[-1]),
        observations=60,
        requests=3000,
        alpha_pass=0.05 / 4,
        alpha_fail=alpha_of_batch(0.05, 1) / 2,
        decided_on=decided,
        more_days=None,
        champion=pytest.approx(one.champion.mean()),
        challenger=pytest.approx(one.challenger.mean()),
    )
    assert verdict.findings == [replace(expected, slice="all"), expected]
    words = {"PASS": "is better", "FAIL": "is worse"}[outcome]
    assert reason_of(verdict.findings[0]) == f"Brier score {words}: {expected.reason}"
    assert reason_of(verdict.findings[1]) == f"Brier score {words} in origin=JFK: {expected.reason}"
    if outcome == "FAIL":
        assert verdict.reasons == [reason_of(finding) for finding in verdict.findings]


def independent(t: int, alpha: float, method: str) -> float:
    """The margin of independent days; that of robust knows their variance with t - 1 degrees of freedom (Wallace)."""
    normal, degrees = boundary(t, alpha, EXPECTED), t - 1
    if method == "plain":
        return normal
    correction = (8 * degrees + 3) / (8 * degrees + 1)
    return math.sqrt(degrees / t * math.expm1((correction * normal) ** 2 * t / degrees))


def observations_missing(
    gains: np.ndarray, alpha: tuple[float, float], bounds: tuple[Any, Any], method: str
) -> int | None:
    """How many more observations would decide, one by one: the margins of today shrink as those of independent days."""
    count, effect, spread = len(gains), float(gains.mean()), float(gains.std(ddof=1))
    side = 0 if effect > 0 else 1
    if count >= BURN_IN:
        margin = abs(effect - float(bounds[side][-1]))
        spread *= max(1.0, margin / (spread * independent(count, alpha[side], method)))
    for later in range(max(count + 1, BURN_IN), 100_001):
        if spread * independent(later, alpha[side], method) < abs(effect):
            return later - count
    return None


@pytest.mark.parametrize("days", [2, 10, BURN_IN - 1, BURN_IN, 45, DAYS])
@pytest.mark.parametrize("kind", ["normal", "dependent", "rare gains", "rare losses"])
@pytest.mark.parametrize("mean", [0.004, 0.015, -0.004, -0.015])
@pytest.mark.parametrize("method", ["robust", "plain"])
def test_how_many_more_days_are_needed_is_when_the_margins_of_today_will_have_shrunk_to_the_effect(
    days: int, kind: str, mean: float, method: str
) -> None:
    gains = noise(kind, days) + mean
    policy = Policy.model_validate({"rules": [SUPERIOR], "method": method, "recent_days": 0})
    (finding,) = judge(policy, {("brier_score", "all"): series(gains)}, alpha=policy.alpha / 3).findings
    bounds = bounds_of(gains, (0.05 / 3, 0.05), method=method)
    assert finding.outcome == "INCONCLUSIVE"
    assert finding.more_days == observations_missing(gains, (0.05 / 3, 0.05), bounds, method)
    if days >= BURN_IN:
        outlook = f"about {finding.more_days} more days {LIKE_IT}" if finding.more_days else TOO_SMALL
        assert finding.reason.partition("; even if")[0] == (
            f"after {days} days the interval {bounds[0][-1]:.4g} to {bounds[1][-1]:.4g} contains 0; {outlook}"
        )


@pytest.mark.parametrize(
    ("days", "burn_in", "words", "more"),
    [
        (1, 28, "1 day of evidence, first bound on day 28", 27),
        (1, 2, "1 day of evidence, first bound on day 2", 1),
        (27, 28, "27 days of evidence, first bound on day 28", None),
    ],
)
def test_before_the_burn_in_is_over_a_finding_says_when_it_will_be(
    days: int, burn_in: int, words: str, more: int | None
) -> None:
    one = series(noise("normal", DAYS)[:days] + 1)
    finding = found(one, SUPERIOR, burn_in=burn_in)
    assert (finding.outcome, finding.reason, finding.lower, finding.upper) == ("INCONCLUSIVE", words, None, None)
    assert finding.more_days == (more or 1)
    harmless = found(one, GUARDRAIL, burn_in=burn_in)
    assert (harmless.outcome, harmless.reason) == ("PASS", f"no harm detected yet: {words}")
    assert (harmless.more_days, harmless.decided_on) == (None, FIRST)


def test_weeks_are_counted_as_weeks_and_their_days_are_told() -> None:
    one_week = found(series(noise("normal", 7) + 1), SUPERIOR, unit="week")
    assert one_week.reason == "1 week of evidence, first bound on week 8"
    assert (one_week.observations, one_week.requests, one_week.more_days) == (1, 350, 49)
    two_weeks = found(series(noise("normal", 14) + 1), SUPERIOR, unit="week")
    assert two_weeks.reason == "2 weeks of evidence, first bound on week 8"
    open_ = found(series(noise("normal", 63) + 0.03), SUPERIOR, unit="week")
    assert open_.more_days is not None
    assert open_.more_days % 7 == 0
    weeks = open_.more_days // 7
    counted = "1 more week" if weeks == 1 else f"{weeks} more weeks"
    assert open_.reason.startswith("after 9 weeks the interval ")
    assert f" contains 0; about {counted} {LIKE_IT}" in open_.reason


def test_an_effect_of_nothing_is_decided_by_no_number_of_days() -> None:
    finding = found(series(np.resize([0.125, -0.125], DAYS)), SUPERIOR)
    assert (finding.outcome, finding.more_days) == ("INCONCLUSIVE", None)
    assert finding.reason.endswith(f" contains 0; {TOO_SMALL}")


def test_one_more_day_is_one_day() -> None:
    lower, _ = bounds_of(noise("normal"))
    finding = found(series(noise("normal") - lower[-1] - 1e-6), SUPERIOR)
    assert finding.more_days == 1
    assert finding.reason.endswith(f" contains 0; about 1 more day {LIKE_IT}")


@pytest.mark.parametrize("size", [1e200, 1e308])
@pytest.mark.parametrize("days", [10, DAYS])
def test_days_too_far_apart_for_arithmetic_are_left_open_without_a_warning(size: float, days: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        finding = found(series(size * noise("normal")[:days]), SUPERIOR)
    assert (finding.outcome, finding.more_days) == ("INCONCLUSIVE", None)


@pytest.mark.parametrize(("mean", "words"), [(0.1, "shows no harm below 0"), (-0.1, "is entirely below 0")])
def test_harm_is_told_in_words_of_its_own(mean: float, words: str) -> None:
    finding = found(series(mean + noise("normal")), GUARDRAIL)
    lower, upper = bounds_of(mean + noise("normal"))
    assert finding.reason == f"after 60 days the interval {lower[-1]:.4g} to {upper[-1]:.4g} {words}"
    assert (finding.outcome, finding.decided_on) == (
        ("PASS", FIRST) if mean > 0 else ("FAIL", FIRST + dt.timedelta(days=int(np.argmax(upper < 0))))
    )


def test_harm_that_was_shown_and_is_no_longer_is_told_as_such() -> None:
    days = np.append(noise("normal", 40) - 0.1, -20.0)  # still more harm, and so uneven that no bound shows it
    assert found(series(days[:40]), GUARDRAIL).outcome == "FAIL"
    lower, upper = bounds_of(days)
    finding = found(series(days), GUARDRAIL)
    assert (finding.outcome, finding.reason) == (
        "INCONCLUSIVE",
        f"after 41 days the interval {lower[-1]:.4g} to {upper[-1]:.4g} no longer shows, but has shown, harm below 0",
    )


@pytest.mark.parametrize("steady", [2, 30, DAYS - 1])
def test_an_interval_is_told_as_soon_as_days_differ(steady: int) -> None:
    days = noise("normal") + 0.1
    days[:steady] = 0.1
    lower, upper = bounds_of(days)
    assert found(series(days), SUPERIOR).reason.startswith(
        f"after 60 days the interval {lower[-1]:.4g} to {upper[-1]:.4g} "
    )


@pytest.mark.parametrize("unit", ["day", "request"])
@pytest.mark.parametrize("column", [0, 1, 2, None])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_sum_of_weights_or_squares_that_is_not_a_number_never_passes(
    unit: str, column: int | None, bad: float
) -> None:
    one = series(0.1 + noise("normal"))
    weight, squares = (
        np.full(DAYS, 50.0),
        np.column_stack([np.full(DAYS, 50.0), 50 * one.difference, np.full(DAYS, 30.0)]),
    )
    assert found(replace(one, weight=weight, squares=squares), SUPERIOR, unit=unit).outcome == "PASS"
    changed = weight if column is None else squares[:, column]
    changed[7] = bad
    finding = found(replace(one, weight=weight, squares=squares), SUPERIOR, unit=unit)
    assert (finding.outcome, finding.reason) == ("INCONCLUSIVE", "the value of 2013-03-08 is not a number")


def test_days_that_do_not_differ_are_told_so() -> None:
    steady = series(np.full(DAYS, 0.25))
    assert found(steady, SUPERIOR).reason == f"60 days of evidence {CONSTANT}"
    assert found(steady, GUARDRAIL).reason == f"no harm detected: 60 days of evidence {CONSTANT}"
    assert (found(steady, SUPERIOR).estimate, found(steady, SUPERIOR).more_days) == (0.25, None)


def test_an_interval_that_is_one_sided_by_rounding_is_not_told() -> None:
    """Days whose gains differ by rounding only have a sequence, which nothing may be concluded from."""
    rule = {"metric": "brier_score", "is": "at_most", "value": 0.5}
    finding = found(series(np.resize([0.0, 1e-13], DAYS)), rule)
    assert (finding.outcome, finding.reason) == ("INCONCLUSIVE", f"60 days of evidence {CONSTANT}")


@pytest.mark.parametrize(
    ("rule", "value", "outcome", "reason"),
    [
        (FEW_ERRORS, 0.0, "PASS", "0 on 2013-03-03 is at most 0.01"),
        (FEW_ERRORS, 0.0123456, "FAIL", "0.01235 on 2013-03-03 is not at most 0.01"),
        (AGREEMENT, 0.8, "PASS", "0.8 on 2013-03-03 is at least 0.8"),
        (AGREEMENT, 0.123456, "FAIL", "0.1235 on 2013-03-03 is not at least 0.8"),
        (FEW_ERRORS | {"value": 123456.0}, 99999.0, "PASS", "1e+05 on 2013-03-03 is at most 1.235e+05"),
    ],
)
def test_a_day_is_told_with_its_value_and_its_bound(
    rule: dict[str, Any], value: float, outcome: str, reason: str
) -> None:
    finding = found(values([0.5, 0.5, value], rule["metric"]), rule)
    assert (finding.outcome, finding.reason, finding.estimate) == (outcome, reason, pytest.approx(value))
    assert (finding.observations, finding.requests, finding.bound) == (3, 150, rule["value"])
    assert (finding.alpha_pass, finding.alpha_fail, finding.decided_on, finding.more_days) == (None,) * 4


HELD = "; it held on {} of the last {} days, {} of {} are required"


@pytest.mark.parametrize(
    ("numbers", "rates", "last", "outcome", "tail"),
    [
        ([0, 1, 2], [0, 0, 1], (2, 3), "PASS", (2, 3, 2, 3)),
        ([0, 1, 2], [0, 1, 1], (2, 3), "FAIL", (1, 3, 2, 3)),
        ([0, 1, 3], [0, 0, 0], (3, 3), "INCONCLUSIVE", (2, 2, 3, 3)),
        ([0, 2, 3], [1, 0, 0], (2, 3), "PASS", (2, 2, 2, 3)),
        ([0, 1, 3], [0, 1, 0], (2, 4), "PASS", (2, 3, 2, 4)),
        ([0, 4], [0, 0], (2, 4), "INCONCLUSIVE", (1, 1, 2, 4)),
        ([0, 3], [0, 0], (2, 4), "PASS", (2, 2, 2, 4)),
        ([0, 1, 2, 3], [1, 1, 0, 0], (3, 4), "FAIL", (2, 4, 3, 4)),
    ],
)
def test_the_last_days_are_days_of_the_calendar_and_one_without_a_value_speaks_for_neither_side(
    numbers: list[int], rates: list[int], last: tuple[int, int], outcome: str, tail: tuple[int, ...]
) -> None:
    days = tuple(FIRST + dt.timedelta(days=number) for number in numbers)
    rule = FEW_ERRORS | {"last": {"hold": last[0], "of": last[1]}}
    finding = found(values(rates, days=days), rule)
    held = "is" if rates[-1] == 0 else "is not"
    assert (finding.outcome, finding.reason) == (
        outcome,
        f"{rates[-1]} on {days[-1]} {held} at most 0.01" + HELD.format(*tail),
    )


def test_a_metric_without_labels_is_judged_on_the_day_itself_or_not_at_all() -> None:
    one, today = values([0.0, 0.0, 0.0]), FIRST + dt.timedelta(days=2)
    assert found(one, FEW_ERRORS, day=today).outcome == found(one, FEW_ERRORS).outcome == "PASS"
    later = found(one, FEW_ERRORS, day=today + dt.timedelta(days=1))
    assert (later.outcome, later.reason) == (
        "INCONCLUSIVE",
        "2013-03-04 has no value, the newest is of 2013-03-03",
    )
    assert (later.observations, later.requests, later.estimate) == (3, 150, None)
    assert later.more_days == 1, "the next day with requests decides it"


def test_a_metric_with_labels_is_judged_on_the_newest_day_that_is_ripe() -> None:
    rule = {"metric": "brier_score", "is": "at_most", "value": 0.3, "last": {"hold": 1, "of": 1}}
    finding = found(values([0.4, 0.2], "brier_score"), rule, day=FIRST + dt.timedelta(days=9))
    assert (finding.outcome, finding.estimate) == ("PASS", 0.2)
    assert finding.reason.startswith("0.2 on 2013-03-02 is at most 0.3; ")


def test_a_sequence_does_not_wait_for_the_day_itself() -> None:
    assert found(series(0.1 + noise("normal")), SUPERIOR, day=FIRST + dt.timedelta(days=99)).outcome == "PASS"


def test_a_share_too_large_for_arithmetic_is_told_as_unbounded() -> None:
    rule = FEW_ERRORS | {"of": "relative_change", "value": 0.5}
    with np.errstate(over="ignore"):
        finding = found(values([1e200], champion=np.array([1e-200])), rule)
    assert (finding.outcome, finding.estimate) == ("FAIL", None)
    assert finding.reason == "unbounded on 2013-03-01 is not at most 0.5"


NOTHING = "there is no evidence: no mature day has a labelled pair"


@pytest.mark.parametrize(
    ("one", "rule", "unit", "reason", "counts"),
    [
        (series([]), SUPERIOR, "day", NOTHING, (0, 0)),
        (series([0.1] * 6), SUPERIOR, "week", "no week of evidence is complete", (0, 0)),
        (series([0.1, math.nan, math.nan]), SUPERIOR, "day", "the value of 2013-03-02 is not a number", (3, 150)),
        (
            series([0.1] * 3),
            SUPERIOR | {"minimum_requests": 151},
            "day",
            "150 requests are too few: 151 are required",
            (3, 150),
        ),
        (
            values([0.1] * 3),
            FEW_ERRORS | {"of": "relative_change"},
            "day",
            "the champion's error_rate is 0: a share of it has no meaning",
            (3, 150),
        ),
    ],
)
def test_what_cannot_be_judged_says_why_and_how_much_there_was(
    one: Series, rule: dict[str, Any], unit: str, reason: str, counts: tuple[int, int]
) -> None:
    finding = found(one, rule, unit=unit)
    assert replace(finding, champion=None, challenger=None) == Finding(
        metric=rule["metric"],
        slice="all",
        is_=rule["is"],
        role="blocking",
        outcome="INCONCLUSIVE",
        bound=rule.get("value", 0.0),
        reason=reason,
        observations=counts[0],
        requests=counts[1],
    )


def test_a_value_of_a_column_may_hold_any_sign() -> None:
    names = ["all", "origin=a=b", "origin=", "origin", "original=x"]
    policy = Policy.model_validate({"rules": [SUPERIOR | {"slices": ["origin"]}]})
    verdict = judge(policy, {("brier_score", name): series([0.1], name=name) for name in names})
    assert [finding.slice for finding in verdict.findings] == ["all", "origin", "origin=", "origin=a=b"]


def test_every_column_is_judged_in_the_order_of_its_name_and_all_requests_once() -> None:
    names = ["all", "origin=JFK", "carrier=UA", "carrier=AA"]
    policy = Policy.model_validate({"rules": [SUPERIOR | {"slices": ["origin", "all", "carrier"]}]})
    verdict = judge(policy, {("brier_score", name): series([0.1], name=name) for name in names})
    assert [finding.slice for finding in verdict.findings] == ["all", "carrier=AA", "carrier=UA", "origin=JFK"]


def test_a_finding_counts_the_requests_that_lack_a_prediction() -> None:
    lacking = {"unanswered": np.full(DAYS, 2), "champion_missing": np.full(DAYS, 1)}
    policy = Policy.model_validate({"rules": [SUPERIOR]})
    (found,) = judge(policy, {("brier_score", "all"): series(noise("normal"), **lacking)}).findings
    assert (found.unanswered, found.champion_missing) == (120, 60)
    assert found.reason.endswith(missing_note(METRICS["brier_score"], 120, 60))
