"""Every kind of rule: what it is held against, and that no data passes by missing or standing on its head."""

import datetime as dt
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose
from numpy.typing import ArrayLike

from shadow_deployment.config.policy import Policy, Rule
from shadow_deployment.config.validators import rule_problems
from shadow_deployment.decision.series import Series
from shadow_deployment.decision.verdict import judge
from shadow_deployment.decision.words.finding import Finding, Verdict
from shadow_deployment.metrics.catalog import METRICS
from shadow_deployment.statistics.confidence_sequence import confidence_sequence, weighted_confidence_sequence
from tests.builders import a_deployment

DAYS, BURN_IN, A_DAY = 60, 14, 50
FIRST = dt.date(2013, 3, 1)
WITH_MARGIN_ONLY = "belongs to non_inferior and equivalent only"
ORDER = {"FAIL": 0, "INCONCLUSIVE": 1, "PASS": 2}
NOISE = 0.005 * np.random.default_rng(20130301).standard_normal(DAYS)
NOISE -= NOISE.mean()

SUPERIOR = {"metric": "brier_score", "is": "superior"}
NON_INFERIOR = {"metric": "brier_score", "is": "non_inferior", "margin": 0.02}
RELATIVELY = {"metric": "brier_score", "is": "non_inferior", "relative_margin": 0.1}
GUARDRAIL = {"metric": "brier_score", "is": "guardrail"}
BOUNDED = [
    {"metric": "brier_score", "is": kind, "of": of, "value": value}
    for kind, of, value in [
        ("at_most", "value", 0.3),
        ("at_most", "change", 0.02),
        ("at_most", "relative_change", 0.1),
        ("at_least", "value", 0.1),
        ("at_least", "change", -0.02),
        ("at_least", "relative_change", -0.1),
    ]
]
SEQUENTIAL = [SUPERIOR, NON_INFERIOR, RELATIVELY, *BOUNDED]
DAILY = [
    *({**rule, "last": {"hold": 2, "of": 3}} for rule in BOUNDED),
    {"metric": "error_rate", "is": "at_most", "value": 0.3},
    {"metric": "error_rate", "is": "at_most", "of": "change", "value": 0.05},
    {"metric": "agreement", "is": "at_least", "value": 0.1, "last": {"hold": 1, "of": 4}},
]
EVERY_RULE = [*SEQUENTIAL, GUARDRAIL, *DAILY]


def paired(
    champion: ArrayLike, challenger: ArrayLike, metric: str = "brier_score", name: str = "all", **changes: Any
) -> Series:
    """Evidence of one metric: the means of champion and challenger on consecutive days."""
    first, second = (np.array(one) for one in np.broadcast_arrays(np.float64(champion), np.float64(challenger)))
    counts = np.full(len(second), A_DAY)
    usual = {
        "metric": metric,
        "slice": name,
        "days": tuple(FIRST + dt.timedelta(days=number) for number in range(len(second))),
        "pairs": counts,
        "identical": np.zeros_like(counts),
        "champion": first,
        "challenger": second,
        "difference": METRICS[metric].sign * (first - second),
    }
    return Series(**usual | changes)


def policy(*rules: dict[str, Any], **changes: Any) -> Policy:
    return Policy.model_validate({"burn_in": BURN_IN, "rules": list(rules)} | changes)


def judged(one: Series | Sequence[Series], *rules: dict[str, Any], **changes: Any) -> Verdict:
    found = [one] if isinstance(one, Series) else one
    return judge(policy(*rules, **changes), {(each.metric, each.slice): each for each in found})


def finding_on(one: Series, rule: dict[str, Any], **changes: Any) -> Finding:
    (finding,) = judged(one, rule, **changes).findings
    return finding


def good(rule: dict[str, Any], shape: np.ndarray = NOISE) -> Series:
    """Evidence on which a rule passes clearly."""
    return paired(np.full(len(shape), 0.2), (0.3 if rule["is"] == "at_least" else 0.1) + shape, rule["metric"])


def gains_of(rule: dict[str, Any], one: Series) -> np.ndarray:
    """By how much each day meets a rule, as the rules' descriptions say: not below 0 where it holds."""
    level, change = np.abs(one.champion), one.challenger - one.champion
    if rule["is"] in ("superior", "guardrail"):
        return one.difference
    if rule["is"] == "non_inferior":
        return one.difference + (rule["margin"] if "margin" in rule else rule["relative_margin"] * level)
    of = rule.get("of", "value")
    judged_on = one.challenger if of == "value" else change
    allowed = rule["value"] * (level if of == "relative_change" else 1.0)
    return judged_on - allowed if rule["is"] == "at_least" else allowed - judged_on


def is_relative(rule: dict[str, Any]) -> bool:
    return "relative_margin" in rule or rule.get("of") == "relative_change"


def worse(rule: dict[str, Any]) -> int:
    """The direction in which a challenger's value is more adverse to a rule."""
    return {"at_most": 1, "at_least": -1}.get(rule["is"], METRICS[rule["metric"]].sign)


@pytest.mark.parametrize(
    ("metric", "champion", "challenger", "outcome"),
    [
        ("brier_score", 0.2, 0.21, "PASS"),
        ("brier_score", 0.2, 0.22, "INCONCLUSIVE"),
        ("brier_score", 0.2, 0.23, "FAIL"),
        ("accuracy", 0.8, 0.75, "PASS"),
        ("accuracy", 0.8, 0.72, "INCONCLUSIVE"),
        ("accuracy", 0.8, 0.69, "FAIL"),
        ("r2", -0.5, -0.53, "PASS"),
        ("r2", -0.5, -0.55, "INCONCLUSIVE"),
        ("r2", -0.5, -0.57, "FAIL"),
        ("r2", -0.5, 0.1, "PASS"),
    ],
)
def test_a_relative_margin_is_a_share_of_what_the_champion_has(
    metric: str, champion: float, challenger: float, outcome: str
) -> None:
    finding = finding_on(paired(champion, challenger + NOISE, metric), RELATIVELY | {"metric": metric})
    assert (finding.outcome, finding.bound) == (outcome, -0.1)
    assert finding.estimate == pytest.approx(METRICS[metric].sign * (champion - challenger) / abs(champion))


@pytest.mark.parametrize("champion", [0.2, 0.05, 3.0])
@pytest.mark.parametrize("lost", [0.0, 0.1, 0.2])
def test_a_relative_margin_on_a_steady_champion_is_an_absolute_one(champion: float, lost: float) -> None:
    one = paired(champion, champion * (1 + lost + NOISE))
    relative = finding_on(one, RELATIVELY)
    absolute = finding_on(one, NON_INFERIOR | {"margin": 0.1 * champion})
    assert relative.outcome == absolute.outcome
    assert_allclose(
        [relative.estimate, relative.lower, relative.upper],
        np.array([absolute.estimate, absolute.lower, absolute.upper], float) / champion,
        rtol=1e-9,
        atol=1e-15,
    )


@pytest.mark.parametrize(
    ("metric", "bound", "means", "outcome"),
    [
        ("brier_score", ("value", "at_most", 0.25), (0.9, 0.2), "PASS"),
        ("brier_score", ("value", "at_most", 0.25), (0.1, 0.3), "FAIL"),
        ("accuracy", ("value", "at_least", 0.7), (0.1, 0.8), "PASS"),
        ("accuracy", ("value", "at_least", 0.7), (0.9, 0.6), "FAIL"),
        ("brier_score", ("change", "at_most", -0.05), (0.3, 0.2), "PASS"),
        ("brier_score", ("change", "at_most", -0.05), (0.3, 0.28), "FAIL"),
        ("brier_score", ("change", "at_most", 0.05), (0.3, 0.32), "PASS"),
        ("brier_score", ("change", "at_least", -0.05), (0.3, 0.28), "PASS"),
        ("brier_score", ("change", "at_least", -0.05), (0.3, 0.2), "FAIL"),
        ("accuracy", ("change", "at_least", 0.05), (0.6, 0.7), "PASS"),
        ("accuracy", ("change", "at_least", 0.05), (0.6, 0.62), "FAIL"),
        ("brier_score", ("relative_change", "at_most", -0.2), (0.3, 0.2), "PASS"),
        ("brier_score", ("relative_change", "at_most", -0.2), (0.3, 0.28), "FAIL"),
        ("brier_score", ("relative_change", "at_most", 0.1), (0.3, 0.31), "PASS"),
        ("brier_score", ("relative_change", "at_most", 0.1), (0.3, 0.4), "FAIL"),
        ("accuracy", ("relative_change", "at_least", 0.1), (0.6, 0.7), "PASS"),
        ("accuracy", ("relative_change", "at_least", 0.1), (0.6, 0.63), "FAIL"),
        ("r2", ("relative_change", "at_least", 0.1), (-0.5, -0.4), "PASS"),
        ("r2", ("relative_change", "at_least", 0.1), (-0.5, -0.48), "FAIL"),
        ("r2", ("relative_change", "at_least", 0.1), (-0.5, -0.6), "FAIL"),
        ("r2", ("relative_change", "at_most", 0.1), (-0.5, -0.6), "PASS"),
    ],
)
@pytest.mark.parametrize("last", [None, {"hold": 1, "of": 1}])
def test_a_bound_is_on_the_value_its_change_or_its_relative_change(
    metric: str, bound: tuple[str, str, float], means: tuple[float, float], outcome: str, last: Any
) -> None:
    (of, kind, value), (champion, challenger) = bound, means
    rule = {"metric": metric, "is": kind, "of": of, "value": value, "last": last}
    finding = finding_on(paired(champion, challenger + NOISE, metric), rule)
    change = challenger + (NOISE[-1] if last else 0.0) - champion
    expected = {"value": change + champion, "change": change, "relative_change": change / abs(champion)}[of]
    assert (finding.outcome, finding.bound) == (outcome, value)
    assert finding.estimate == pytest.approx(expected)
    assert (finding.lower is None) is bool(last)


@pytest.mark.parametrize("rule", SEQUENTIAL)
@pytest.mark.parametrize("metric", ["brier_score", "accuracy", "r2", "squared_error"])
@pytest.mark.parametrize("seed", range(3))
def test_the_interval_is_the_sequence_of_what_the_rule_asks_in_the_unit_of_the_rule(
    rule: dict[str, Any], metric: str, seed: int
) -> None:
    random = np.random.default_rng(seed)
    champion = random.normal(-0.3 if metric == "r2" else 0.3, 0.4 if metric == "r2" else 0.05, DAYS)
    one = paired(champion, champion + random.normal(0.01, 0.05, DAYS), metric)
    rule = rule | {"metric": metric}
    finding = finding_on(one, rule)
    design = {"alpha": 0.05, "burn_in": BURN_IN, "tuned_for": 60}
    gains = gains_of(rule, one)
    lower = confidence_sequence(gains, side="lower", **design).lower[-1]
    upper = confidence_sequence(gains, side="upper", **design).upper[-1]
    level = np.abs(champion).mean() if is_relative(rule) else 1.0
    direction = -1 if rule["is"] == "at_most" else 1
    bounds = sorted(finding.bound + direction * gain / level for gain in (lower, upper))
    assert_allclose([finding.lower, finding.upper], bounds, rtol=1e-9)
    assert finding.estimate == pytest.approx(finding.bound + direction * gains.mean() / level)
    assert finding.outcome == ("PASS" if lower > 0 else "FAIL" if upper < 0 else "INCONCLUSIVE")


RELATIVE = [rule for rule in SEQUENTIAL if is_relative(rule)]
R2 = arrays(np.float64, 30, elements=st.floats(-2, 1, width=32))


@pytest.mark.parametrize("scale", [1.0, 1e-9, 1e-30])
@pytest.mark.parametrize("rule", RELATIVE)
def test_a_relative_rule_does_not_depend_on_the_unit_of_the_metric(rule: dict[str, Any], scale: float) -> None:
    key = "relative_margin" if "relative_margin" in rule else "value"
    champion, noise = np.full(40, 0.3), 0.02 * np.sin(np.arange(40))
    for challenger in (0.2, 0.3, 0.4):
        one = paired(scale * champion, scale * (challenger + noise), "r2")
        found = finding_on(one, rule | {"metric": "r2", key: 0.05})
        usual = finding_on(paired(champion, challenger + noise, "r2"), rule | {"metric": "r2", key: 0.05})
        assert (found.outcome, found.decided_on) == (usual.outcome, usual.decided_on)
        assert (found.lower, found.upper) == pytest.approx((usual.lower, usual.upper), rel=1e-6)


@given(champion=R2, challenger=R2, rule=st.sampled_from(RELATIVE), value=st.sampled_from([0.05, 0.5]))
@example(
    np.array([2.0**-149, *[0.0] * 29]), np.zeros(30), {"metric": "r2", "is": "at_least", "of": "relative_change"}, 0.05
)
@settings(max_examples=100)
def test_no_sign_of_the_champion_inverts_a_verdict(
    champion: np.ndarray, challenger: np.ndarray, rule: dict[str, Any], value: float
) -> None:
    key = "relative_margin" if "relative_margin" in rule else "value"
    rule = rule | {"metric": "r2", key: value}
    one = paired(champion, challenger, "r2")
    mean, outcome = gains_of(rule, one).mean(), finding_on(one, rule).outcome
    assert outcome != "PASS" or mean >= 0
    assert outcome != "FAIL" or mean <= 0


@pytest.mark.parametrize("rule", RELATIVE)
@pytest.mark.parametrize("challenger", [0.0, 0.2, -0.2])
def test_a_share_of_a_champion_that_is_zero_has_no_meaning_and_says_so(rule: dict[str, Any], challenger: float) -> None:
    for one in (rule, *([rule | {"last": {"hold": 1, "of": 2}}] if "value" in rule else [])):
        finding = finding_on(paired(0.0, challenger + NOISE), one)
        assert finding.outcome == "INCONCLUSIVE"
        assert finding.reason == "the champion's brier_score is 0: a share of it has no meaning"


def test_an_operational_share_of_a_champion_that_is_zero_has_no_meaning_and_says_so() -> None:
    rule = {"metric": "error_rate", "is": "at_most", "of": "relative_change", "value": 0.1}
    finding = finding_on(paired([0.0, 0.0], [0.0, 0.0], "error_rate"), rule)
    assert (finding.outcome, finding.reason[:31]) == ("INCONCLUSIVE", "the champion's error_rate is 0:")


@pytest.mark.parametrize(
    ("champion", "challenger", "rule", "outcome"),
    [
        (0.3, 0.2, {"of": "change", "is": "at_most", "value": -0.1}, "PASS"),
        (0.3, 0.2, {"of": "change", "is": "at_least", "value": -0.1}, "PASS"),
        (0.3, 0.2 + 1e-9, {"of": "change", "is": "at_most", "value": -0.1}, "FAIL"),
        (0.3, 0.2 - 1e-9, {"of": "change", "is": "at_least", "value": -0.1}, "FAIL"),
        (0.1, 0.3, {"of": "change", "is": "at_most", "value": 0.2}, "PASS"),
        (0.7, 0.1, {"of": "change", "is": "at_most", "value": -0.6}, "PASS"),
        (0.3, 0.27, {"of": "relative_change", "is": "at_most", "value": -0.1}, "PASS"),
        (0.3, 0.33, {"of": "relative_change", "is": "at_most", "value": 0.1}, "PASS"),
        (0.3, 0.33 + 1e-9, {"of": "relative_change", "is": "at_most", "value": 0.1}, "FAIL"),
        (0.3, 0.1 + 0.2, {"of": "value", "is": "at_most", "value": 0.3}, "PASS"),
    ],
)
def test_a_day_that_reaches_its_bound_meets_it_whatever_the_rounding(
    champion: float, challenger: float, rule: dict[str, Any], outcome: str
) -> None:
    rule = {"metric": "brier_score", "last": {"hold": 1, "of": 1}} | rule
    assert finding_on(paired([champion], [challenger]), rule).outcome == outcome


@pytest.mark.parametrize(("kind", "side"), [("at_most", "upper"), ("at_least", "lower")])
@pytest.mark.parametrize("of", ["change", "relative_change"])
@pytest.mark.parametrize("seed", range(8))
def test_an_interval_that_reaches_its_bound_meets_it_whatever_the_rounding(
    kind: str, side: str, of: str, seed: int
) -> None:
    """From 0.3 to 0.2, as far as the interval reaches: a required change of -0.1 is met."""
    rule = {"metric": "brier_score", "is": kind, "of": "change", "value": -0.1}
    noise = 0.01 * np.random.default_rng(seed).standard_normal(DAYS)
    reached = getattr(finding_on(paired(0.3, 0.3 + noise), rule), side)
    shifted = 0.3 + noise - 0.1 - reached
    rule = rule | ({"of": of, "value": -0.1 / 0.3} if of == "relative_change" else {})
    past = 1e-9 if kind == "at_most" else -1e-9
    assert finding_on(paired(0.3, shifted), rule).outcome == "PASS"
    assert finding_on(paired(0.3, shifted + past), rule).outcome == "INCONCLUSIVE"


@pytest.mark.parametrize("rule", [SUPERIOR, NON_INFERIOR, RELATIVELY])
@pytest.mark.parametrize("seed", range(8))
def test_an_interval_that_only_reaches_zero_or_the_margin_does_not_clear_it(rule: dict[str, Any], seed: int) -> None:
    noise = 0.01 * np.random.default_rng(seed).standard_normal(DAYS)
    level = 0.5 if is_relative(rule) else 1.0
    before = finding_on(paired(0.5, 0.5 + noise), rule)
    assert before.lower is not None
    reaching = 0.5 + noise + (before.lower - before.bound) * level
    assert finding_on(paired(0.5, reaching), rule).outcome == "INCONCLUSIVE"
    assert finding_on(paired(0.5, reaching - 1e-9), rule).outcome == "PASS"


@pytest.mark.parametrize("mean", [0.3, 0.01, 0.0, -0.001])
def test_a_guardrail_passes_unless_harm_is_shown(mean: float) -> None:
    finding = finding_on(paired(0.5, 0.5 - mean + NOISE), GUARDRAIL)
    assert finding.outcome == "PASS"
    assert finding.reason.endswith("shows no harm below 0")
    assert finding.upper is not None
    assert finding.upper > 0


@pytest.mark.parametrize("days", [1, BURN_IN - 1])
def test_a_guardrail_passes_before_a_bound_is_given_and_says_so(days: int) -> None:
    finding = finding_on(paired(0.2, 0.5 + NOISE[:days]), GUARDRAIL)
    assert finding.outcome == "PASS"
    assert finding.reason.startswith("no harm detected yet: ")
    assert finding.reason.endswith(f"first bound on day {BURN_IN}")


def test_a_guardrail_fails_from_the_day_on_which_harm_is_shown() -> None:
    one = paired(0.5, 0.5025 + NOISE)
    finding = finding_on(one, GUARDRAIL)
    assert finding.outcome == "FAIL"
    assert "is entirely below 0" in finding.reason
    upper = confidence_sequence(one.difference, alpha=0.05, burn_in=BURN_IN, tuned_for=60, side="upper").upper
    assert finding.decided_on == one.days[int(np.argmax(upper < 0))]
    assert finding.upper == pytest.approx(upper[-1])


@pytest.mark.parametrize(
    ("one", "changes"),
    [
        (None, {}),
        (paired([], []), {}),
        (paired([0.5, math.nan], [0.5, 0.5]), {}),
        (paired(0.5, 0.5 + NOISE[:6]), {"unit": "week"}),
        (paired(0.5, 0.5 + NOISE), {"minimum_requests": DAYS * A_DAY + 1}),
    ],
)
def test_a_guardrail_never_passes_without_evidence(one: Series | None, changes: dict[str, Any]) -> None:
    rule = GUARDRAIL | {key: value for key, value in changes.items() if key == "minimum_requests"}
    unit = {key: value for key, value in changes.items() if key == "unit"}
    verdict = judged([] if one is None else one, rule, **unit)
    assert verdict.outcome == "INCONCLUSIVE"


@pytest.mark.parametrize(("hold", "of"), [(hold, of) for of in range(1, 5) for hold in range(1, of + 1)])
@pytest.mark.parametrize("metric", ["error_rate", "brier_score"])
def test_a_rule_on_the_last_days_waits_for_days_only_while_they_can_still_change_it(
    hold: int, of: int, metric: str
) -> None:
    rule = {"metric": metric, "is": "at_most", "value": 0.5, "last": {"hold": hold, "of": of}}
    for length in range(1, of + 3):
        for held in itertools.product([True, False], repeat=length):
            missing = max(of - length, 0)
            counts = [sum(held[-of:]) + sum(rest) for rest in itertools.product([0, 1], repeat=missing)]
            expected = {True: "PASS", False: "FAIL"}.get(counts[0] >= hold, "")
            if len({count >= hold for count in counts}) > 1:
                expected = "INCONCLUSIVE"
            finding = finding_on(paired(0.5, [0.4 if one else 0.6 for one in held], metric), rule)
            assert finding.outcome == expected, held
            assert f"it held on {sum(held[-of:])} of the last {min(length, of)} days" in finding.reason
            assert finding.reason.endswith(f"{hold} of {of} are required")
            assert (finding.alpha_pass, finding.alpha_fail, finding.lower) == (None, None, None)


def test_a_rule_on_the_last_days_without_a_day_is_open() -> None:
    rule = DAILY[0]
    assert judged([], rule).outcome == judged(paired([], []), rule).outcome == "INCONCLUSIVE"


@pytest.mark.parametrize(
    ("minimum", "open_slices"),
    [
        (0, []),
        (300, []),
        (301, ["origin=JFK"]),
        (1201, ["origin=EWR", "origin=JFK"]),
        (3001, ["all", "origin=EWR", "origin=JFK"]),
        ({}, []),
        ({"origin=JFK": 301}, ["origin=JFK"]),
        ({"JFK": 301}, ["origin=JFK"]),
        ({"JFK": 300, "EWR": 1201}, ["origin=EWR"]),
        ({"origin=JFK": 300, "JFK": 301}, []),
        ({"all": 3001}, ["all"]),
        ({"LGA": 9999}, []),
    ],
)
@pytest.mark.parametrize("rule", [SUPERIOR, GUARDRAIL, {"metric": "brier_score", "is": "at_most", "value": 0.9}])
def test_a_slice_with_too_few_requests_stays_open(
    rule: dict[str, Any], minimum: int | dict[str, int], open_slices: list[str]
) -> None:
    found = [
        replace(paired(0.5, 0.4 + NOISE, name=name), pairs=np.full(DAYS, pairs))
        for name, pairs in (("all", 50), ("origin=EWR", 20), ("origin=JFK", 5))
    ]
    verdict = judged(found, rule | {"slices": ["origin"], "minimum_requests": minimum})
    assert [finding.slice for finding in verdict.findings if finding.outcome != "PASS"] == open_slices
    assert verdict.outcome == ("INCONCLUSIVE" if open_slices else "PASS")
    for finding in verdict.findings:
        if finding.slice in open_slices:
            assert finding.reason.startswith(f"{finding.requests} requests are too few: ")


@pytest.mark.parametrize("missing", [[], [0], [6], [3, 4], list(range(14, 21)), [*range(20, 36), 41], [69]])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("days", [70, 75, 76, 77])
def test_a_week_is_seven_days_from_the_first_weighted_by_their_requests(
    missing: list[int], weighted: bool, days: int
) -> None:
    random = np.random.default_rng(days)
    numbers = np.array([number for number in range(days) if number not in missing])
    size = len(numbers)
    one = paired(
        random.normal(0.3, 0.05, size),
        random.normal(0.28, 0.05, size),
        days=tuple(FIRST + dt.timedelta(days=int(number)) for number in numbers),
        pairs=random.integers(1, 90, size),
        weight=random.uniform(1, 200, size) if weighted else None,
    )
    frame = pd.DataFrame({"number": numbers - numbers[0], "pairs": one.pairs, "difference": one.difference})
    frame["weight"] = one.weight if weighted else 1.0
    frame["week"] = frame.number // 7
    over = frame.week < (frame.number.max() + 1) // 7
    weeks = frame[over].groupby("week")
    weight = weeks.weight.sum().to_numpy()
    means = ((frame.weight * frame.difference)[over].groupby(frame.week).sum() / weeks.weight.sum()).to_numpy()
    finding = finding_on(one, SUPERIOR, unit="week", burn_in=56)
    weighted_means = weight * (means - means[:8].mean())
    expected = confidence_sequence(weighted_means, alpha=0.05, burn_in=8, tuned_for=60 / 7, side="lower")
    assert finding.observations == len(means)
    assert finding.requests == weeks.pairs.sum().sum()
    assert finding.estimate == pytest.approx(np.average(frame.difference[over], weights=frame.weight[over]))
    lower = means[:8].mean() + expected.lower[-1] / weight.mean()
    assert finding.lower == (pytest.approx(lower) if len(means) >= 8 else None)


@pytest.mark.parametrize(("burn_in", "weeks"), [(2, 8), (28, 8), (56, 8), (57, 9), (70, 10)])
def test_a_bound_of_weeks_is_given_when_the_burn_in_is_over_and_not_before_eight(burn_in: int, weeks: int) -> None:
    random = np.random.default_rng(1)
    one = paired(np.full(7 * weeks, 0.5), 0.2 + 0.01 * random.standard_normal(7 * weeks))
    last = one.days[-1]
    finding = finding_on(one, SUPERIOR, unit="week", burn_in=burn_in)
    assert (finding.outcome, finding.observations, finding.decided_on) == ("PASS", weeks, last)
    shorter = paired(one.champion[:-1], one.challenger[:-1])
    early = finding_on(shorter, SUPERIOR, unit="week", burn_in=burn_in)
    assert (early.outcome, early.observations, early.lower) == ("INCONCLUSIVE", weeks - 1, None)
    assert early.reason == f"{weeks - 1} weeks of evidence, first bound on week {weeks}"


def test_before_the_first_week_is_over_nothing_is_said() -> None:
    finding = finding_on(paired(0.5, 0.2 + NOISE[:6]), SUPERIOR, unit="week")
    assert (finding.outcome, finding.reason) == ("INCONCLUSIVE", "no week of evidence is complete")


@pytest.mark.parametrize("unit", ["day", "week"])
def test_days_that_may_still_be_needed_are_days_whatever_the_unit(unit: str) -> None:
    random = np.random.default_rng(4)
    one = paired(np.full(84, 0.5), 0.499 + 0.01 * random.standard_normal(84))
    finding = finding_on(one, SUPERIOR, unit=unit)
    assert finding.outcome == "INCONCLUSIVE"
    assert finding.more_days is not None
    more = finding.more_days // (7 if unit == "week" else 1)
    assert finding.more_days == more * (7 if unit == "week" else 1)
    assert f"about {more} more {unit}" in finding.reason


@pytest.mark.parametrize("rule", DAILY)
def test_a_rule_on_days_judges_days_whatever_the_unit(rule: dict[str, Any]) -> None:
    assert finding_on(good(rule), rule, unit="week") == finding_on(good(rule), rule, unit="day")


def requests(days: int = 40, better: float = 0.03) -> tuple[Series, list[tuple[np.ndarray, np.ndarray]]]:
    """Days of requests with weights of their own: the series, and each day's weights and differences."""
    random = np.random.default_rng(7)
    drawn = []
    for _ in range(days):
        size = int(random.integers(5, 40))
        weight = random.choice([1.0, 2.5, 10.0], size)
        drawn.append((weight, random.normal(better, 0.3, size)))
    means = np.array([np.average(difference, weights=weight) for weight, difference in drawn])
    one = paired(
        np.full(days, 0.5),
        0.5 - means,
        pairs=np.array([len(weight) for weight, _ in drawn]),
        weight=np.array([weight.sum() for weight, _ in drawn]),
        squares=np.array([[(w**2).sum(), (w**2 * d).sum(), (w**2 * d**2).sum()] for w, d in drawn]),
    )
    return replace(one, difference=means), drawn


@pytest.mark.parametrize("margin", [None, 0.01, 0.1])
@pytest.mark.parametrize("better", [0.05, 0.0, -0.15])
def test_requests_as_units_are_judged_by_the_sequence_of_the_requests_themselves(
    margin: float | None, better: float
) -> None:
    one, drawn = requests(better=better)
    rule = SUPERIOR if margin is None else NON_INFERIOR | {"margin": margin}
    finding = finding_on(one, rule, unit="request", burn_in=20, tuned_for=50)
    gains = [(weight, difference + (margin or 0.0)) for weight, difference in drawn]

    def sums(of: Any) -> list[float]:
        return [float(of(weight, gain).sum()) for weight, gain in gains]

    counts = [len(weight) for weight, _ in gains]
    lower, upper = (
        weighted_confidence_sequence(
            count=counts,
            weight=sums(lambda w, _: w),
            weight_difference=sums(lambda w, g: w * g),
            weight2=sums(lambda w, _: w**2),
            weight2_difference=sums(lambda w, g: w**2 * g),
            weight2_difference2=sums(lambda w, g: w**2 * g**2),
            alpha=0.05,
            burn_in=20,
            tuned_for=50 * float(np.mean(counts[:20])),
            side=side,
        )
        for side in ("lower", "upper")
    )
    shift = margin or 0.0
    weight, difference = (np.concatenate(columns) for columns in zip(*drawn, strict=True))
    assert finding.estimate == pytest.approx(np.average(difference, weights=weight))
    assert_allclose([finding.lower, finding.upper], [lower.lower[-1] - shift, upper.upper[-1] - shift], rtol=1e-9)
    assert finding.outcome == ("PASS" if lower.lower[-1] > 0 else "FAIL" if upper.upper[-1] < 0 else "INCONCLUSIVE")
    assert (finding.observations, finding.requests) == (40, sum(counts))


def test_requests_as_units_give_no_bound_before_the_burn_in_in_days() -> None:
    one, _ = requests(days=19)
    assert finding_on(one, SUPERIOR, unit="request", burn_in=20).lower is None
    assert finding_on(requests(days=20)[0], SUPERIOR, unit="request", burn_in=20).lower is not None


BETS = np.random.default_rng(9).beta(2, 6, 300)
CHAMPIONS = np.random.default_rng(10).beta(6, 2, 300)


@pytest.mark.parametrize(
    ("rule", "low", "high"),
    [
        ({"is": "superior"}, -1, 1),
        ({"is": "non_inferior", "margin": 0.1}, -0.9, 1.1),
        ({"is": "at_most", "value": 0.4}, -0.6, 0.4),
        ({"is": "at_least", "value": 0.1}, -0.1, 0.9),
        ({"is": "at_most", "of": "change", "value": 0.1}, -0.9, 1.1),
        ({"is": "at_least", "of": "change", "value": -0.9}, -0.1, 1.9),
    ],
)
def test_bets_are_placed_within_the_bounds_of_what_the_rule_asks(rule: dict[str, Any], low: float, high: float) -> None:
    rule = {"metric": "brier_score"} | rule
    one = paired(CHAMPIONS, BETS)
    finding = finding_on(one, rule, method="betting")
    gains = gains_of(rule, one)
    bets = confidence_sequence(
        gains, alpha=0.05, burn_in=BURN_IN, tuned_for=60, side="lower", method="betting", bounds=(low, high)
    )
    reached = finding.upper if rule["is"] == "at_most" else finding.lower
    direction = -1 if rule["is"] == "at_most" else 1
    assert finding.outcome == "PASS"
    assert reached == pytest.approx(finding.bound + direction * bets.lower[-1])
    assert finding.decided_on == one.days[int(np.argmax(bets.lower > 0))]


@given(
    values=arrays(np.float64, (2, 30), elements=st.floats(0, 1, width=32)),
    rule=st.sampled_from([rule for rule in [*SEQUENTIAL, GUARDRAIL] if rule.get("of") != "relative_change"]),
    metric=st.sampled_from(["brier_score", "accuracy"]),
)
@settings(max_examples=100)
def test_whatever_lies_between_zero_and_one_can_be_bet_on(
    values: np.ndarray, rule: dict[str, Any], metric: str
) -> None:
    assert finding_on(paired(*values, metric), rule | {"metric": metric}, method="betting").outcome in ORDER


SHIFTED = arrays(np.float64, st.integers(0, 30), elements=st.floats(0, 1, width=32))


@given(
    values=SHIFTED,
    shift=st.floats(0, 2),
    rule=st.sampled_from([*SEQUENTIAL, GUARDRAIL]),
    unit=st.sampled_from(["day", "week"]),
    method=st.sampled_from(["robust", "plain"]),
)
@settings(max_examples=200)
def test_a_challenger_that_is_worse_on_every_day_is_judged_no_better(
    values: np.ndarray, shift: float, rule: dict[str, Any], unit: str, method: str
) -> None:
    champion = np.full(len(values), 0.5)
    before, after = (
        finding_on(paired(champion, one), rule, unit=unit, method=method, burn_in=5).outcome
        for one in (values, values + shift * worse(rule))
    )
    assert (before, after) != ("FAIL", "PASS")
    if len(values) and np.ptp(values) > 1e-6:
        assert ORDER[after] <= ORDER[before]


@given(values=SHIFTED, data=st.data(), rule=st.sampled_from(DAILY))
@settings(max_examples=150)
def test_a_day_that_is_worse_is_judged_no_better(values: np.ndarray, data: st.DataObject, rule: dict[str, Any]) -> None:
    harm = data.draw(arrays(np.float64, len(values), elements=st.floats(0, 1, width=32)))
    before, after = (
        finding_on(paired(np.full(len(values), 0.5), one, rule["metric"]), rule).outcome
        for one in (values, values + harm * worse(rule))
    )
    assert ORDER[after] <= ORDER[before]


@given(values=SHIFTED, shift=st.floats(0, 0.5), rule=st.sampled_from([SUPERIOR, NON_INFERIOR, *BOUNDED[:2]]))
@settings(max_examples=50)
def test_a_bettor_turns_no_fail_into_a_pass(values: np.ndarray, shift: float, rule: dict[str, Any]) -> None:
    champion, shrunk = np.full(len(values), 0.5), values / 2
    before, after = (
        finding_on(paired(champion, one), rule, method="betting", burn_in=5).outcome for one in (shrunk, shrunk + shift)
    )
    assert (before, after) != ("FAIL", "PASS")


@pytest.mark.parametrize("rule", EVERY_RULE)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("column", ["champion", "challenger", "difference"])
def test_no_rule_passes_with_a_number_missing_anywhere(rule: dict[str, Any], bad: float, column: str) -> None:
    shape = np.resize(NOISE, 70)
    for unit in ("day", "week"):
        one = good(rule, shape)
        assert finding_on(one, rule, unit=unit).outcome == "PASS"
        for position in (0, 30, len(shape) - 1):
            values = getattr(one, column).copy()
            values[position] = bad
            finding = finding_on(replace(one, **{column: values}), rule, unit=unit)
            assert finding.outcome == "INCONCLUSIVE"
            assert finding.reason == f"the value of {one.days[position]} is not a number"


@dataclass(frozen=True)
class ChangeThreshold:
    """TFMA's GenericChangeThreshold, which holds of the change of a metric."""

    higher_is_better: bool
    absolute: float | None = None
    relative: float | None = None

    def holds(self, baseline: float, candidate: float) -> bool:
        change = candidate - baseline
        pairs = [(change, self.absolute), (np.float64(change) / baseline, self.relative)]
        return all(got >= asked if self.higher_is_better else got <= asked for got, asked in pairs if asked is not None)

    def rules(self, metric: str) -> list[dict[str, Any]]:
        kind = "at_least" if self.higher_is_better else "at_most"
        asked = {"change": self.absolute, "relative_change": self.relative}
        return [
            {"metric": metric, "is": kind, "of": of, "value": value} for of, value in asked.items() if value is not None
        ]


@dataclass(frozen=True)
class ValueThreshold:
    """TFMA's GenericValueThreshold."""

    lower_bound: float | None = None
    upper_bound: float | None = None

    def holds(self, baseline: float, candidate: float) -> bool:
        above = self.lower_bound is None or candidate >= self.lower_bound
        return above and (self.upper_bound is None or candidate <= self.upper_bound)

    def rules(self, metric: str) -> list[dict[str, Any]]:
        bounds = {"at_least": self.lower_bound, "at_most": self.upper_bound}
        return [{"metric": metric, "is": kind, "value": value} for kind, value in bounds.items() if value is not None]


@dataclass(frozen=True)
class MetricThreshold:
    """MLflow's MetricThreshold: a value to reach, and by how much at least the candidate must be better."""

    greater_is_better: bool
    threshold: float | None = None
    min_absolute_change: float | None = None
    min_relative_change: float | None = None

    def holds(self, baseline: float, candidate: float) -> bool:
        sign = 1 if self.greater_is_better else -1
        failed = [
            self.threshold is not None and not sign * candidate >= sign * self.threshold,
            self.min_absolute_change is not None
            and not sign * candidate >= sign * (baseline + sign * self.min_absolute_change),
            self.min_relative_change is not None
            and sign * (candidate - baseline) / np.float64(baseline) < self.min_relative_change,
        ]
        return not any(failed)

    def rules(self, metric: str) -> list[dict[str, Any]]:
        kind, sign = ("at_least", 1) if self.greater_is_better else ("at_most", -1)
        asked = {
            "value": self.threshold,
            "change": None if self.min_absolute_change is None else sign * self.min_absolute_change,
            "relative_change": None if self.min_relative_change is None else sign * self.min_relative_change,
        }
        return [
            {"metric": metric, "is": kind, "of": of, "value": value} for of, value in asked.items() if value is not None
        ]


Threshold = ChangeThreshold | ValueThreshold | MetricThreshold
HIGHER: list[Threshold] = [
    ValueThreshold(lower_bound=0.7),
    ValueThreshold(lower_bound=0.55, upper_bound=0.85),
    ChangeThreshold(True, absolute=0.05),
    ChangeThreshold(True, absolute=-0.05),
    ChangeThreshold(True, relative=0.1),
    ChangeThreshold(True, relative=-0.1),
    ChangeThreshold(True, absolute=-0.05, relative=0.01),
    MetricThreshold(True, threshold=0.7),
    MetricThreshold(True, min_absolute_change=0.05),
    MetricThreshold(True, min_relative_change=0.1),
    MetricThreshold(True, threshold=0.65, min_absolute_change=0.02, min_relative_change=0.05),
]
LOWER: list[Threshold] = [
    ValueThreshold(upper_bound=0.3),
    ChangeThreshold(False, absolute=0.05),
    ChangeThreshold(False, absolute=-0.05),
    ChangeThreshold(False, relative=0.1),
    ChangeThreshold(False, relative=-0.1),
    MetricThreshold(False, threshold=0.3),
    MetricThreshold(False, min_absolute_change=0.05),
    MetricThreshold(False, min_relative_change=0.1),
    MetricThreshold(False, threshold=0.35, min_absolute_change=0.02, min_relative_change=0.05),
]


def judged_by(threshold: Threshold, metric: str, baseline: float, candidate: float, **changes: Any) -> str:
    steady = np.full(DAYS, baseline)
    return judged(paired(steady, candidate + NOISE, metric, **changes), *threshold.rules(metric)).outcome


@pytest.mark.parametrize(
    ("metric", "threshold"), [*(("accuracy", one) for one in HIGHER), *(("brier_score", one) for one in LOWER)]
)
def test_what_thresholds_of_other_tools_say_can_be_said_and_is_judged_alike_where_it_is_clear(
    metric: str, threshold: Threshold
) -> None:
    outcomes = set()
    for baseline, candidate in itertools.product([0.2, 0.4, 0.6, 0.8], [0.13, 0.26, 0.33, 0.47, 0.53, 0.62, 0.74, 0.9]):
        expected = "PASS" if threshold.holds(baseline, candidate) else "FAIL"
        outcomes.add(expected)
        assert judged_by(threshold, metric, baseline, candidate) == expected, (baseline, candidate)
    assert outcomes == {"PASS", "FAIL"}


@pytest.mark.parametrize(
    ("metric", "threshold"), [*(("accuracy", one) for one in HIGHER), *(("brier_score", one) for one in LOWER)]
)
def test_no_threshold_passes_on_what_is_not_a_number_or_missing(metric: str, threshold: Threshold) -> None:
    for baseline, candidate in ((0.5, math.nan), (math.nan, 0.5), (math.nan, math.nan)):
        assert judged_by(threshold, metric, baseline, candidate) == "INCONCLUSIVE"
    assert judged([], *threshold.rules(metric)).outcome == "INCONCLUSIVE"
    other = paired(0.5, 0.1 + NOISE, "log_loss")
    assert judged(other, *threshold.rules(metric)).outcome == "INCONCLUSIVE"


def test_what_other_tools_are_known_to_let_through_is_not() -> None:
    relative = MetricThreshold(True, min_relative_change=0.1)
    assert relative.holds(0.5, math.nan), "the defect is gone: this test protects nothing"
    assert judged_by(relative, "accuracy", 0.5, math.nan) == "INCONCLUSIVE"


@pytest.mark.parametrize(
    "threshold", [ChangeThreshold(True, relative=0.1), MetricThreshold(True, min_relative_change=0.1)]
)
def test_a_negative_baseline_inverts_the_thresholds_of_other_tools_and_not_the_verdict(threshold: Threshold) -> None:
    better, much_worse = -0.4, -0.6
    assert not threshold.holds(-0.5, better)
    assert threshold.holds(-0.5, much_worse)
    assert judged_by(threshold, "r2", -0.5, better) == "PASS"
    assert judged_by(threshold, "r2", -0.5, much_worse) == "FAIL"


@pytest.mark.parametrize(
    "threshold",
    [
        ChangeThreshold(False, relative=0.1),
        ChangeThreshold(True, relative=-0.1),
        MetricThreshold(True, min_relative_change=0.1),
    ],
)
@pytest.mark.parametrize("candidate", [-0.5, 0.0, 0.5])
def test_a_baseline_of_zero_decides_nothing_about_shares(threshold: Threshold, candidate: float) -> None:
    assert judged_by(threshold, "brier_score", 0.0, candidate) == "INCONCLUSIVE"


def test_a_change_that_is_just_reached_is_met_where_rounding_makes_other_tools_refuse_it() -> None:
    threshold = MetricThreshold(False, min_absolute_change=0.1)
    assert not threshold.holds(0.3, 0.2)
    (rule,) = threshold.rules("brier_score")
    assert judged(paired([0.3], [0.2]), rule | {"last": {"hold": 1, "of": 1}}).outcome == "PASS"


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (RELATIVELY, "Brier score is not worse by 0.1 of its value or more"),
        (GUARDRAIL, "Brier score is not shown to be worse"),
        (BOUNDED[1], "change of Brier score is at most 0.02"),
        (BOUNDED[5], "relative change of Brier score is at least -0.1"),
        (
            DAILY[0] | {"slices": ["origin"]},
            "Brier score is at most 0.3, on 2 of the last 3 days, overall and in every origin",
        ),
    ],
)
def test_each_kind_of_rule_can_be_read_as_words(rule: dict[str, Any], words: str) -> None:
    assert str(Rule.model_validate(rule)) == words


@pytest.mark.parametrize(
    ("rule", "key", "problem"),
    [
        ({"is": "non_inferior"}, "margin", "is missing"),
        ({"is": "equivalent"}, "margin", "is missing"),
        (
            {"is": "guardrail", "worst_day": 1.0},
            "worst_day",
            "== 1.0, belongs to superior, non_inferior, equivalent only",
        ),
        ({"is": "non_inferior", "margin": 0.1, "relative_margin": 0.1}, "margin", "== 0.1, excludes relative_margin"),
        (
            {"is": "superior", "relative_margin": 0.1},
            "relative_margin",
            f"== 0.1, {WITH_MARGIN_ONLY}",
        ),
        ({"is": "guardrail", "margin": 0.1}, "margin", f"== 0.1, {WITH_MARGIN_ONLY}"),
        ({"is": "guardrail", "value": 0.1}, "value", "== 0.1, belongs to at_most and at_least only"),
        ({"is": "superior", "of": "change"}, "of", "== 'change', belongs to at_most and at_least only"),
        ({"is": "superior", "last": {"hold": 1, "of": 2}}, "last", "belongs to at_most and at_least only"),
        (
            {"is": "at_most", "value": 1.0, "last": {"hold": 3, "of": 2}},
            "last",
            "== hold 3 of 2: hold must not exceed of",
        ),
        ({"is": "at_most", "of": "change"}, "value", "is missing"),
        ({"metric": "agreement", "is": "guardrail"}, "is", "== 'guardrail', must be at_most or at_least"),
        (
            {"metric": "agreement", "is": "at_least", "of": "change", "value": 0.0},
            "of",
            "== 'change', must be value: the champion has no agreement of its own",
        ),
        ({"is": "superior", "slices": ["dest"]}, "slices", "== 'dest', must be one of the deployment's slices: origin"),
    ],
)
def test_a_rule_that_contradicts_itself_is_named_with_what_is_wrong(
    rule: dict[str, Any], key: str, problem: str
) -> None:
    (found,) = rule_problems(Rule.model_validate({"metric": "brier_score"} | rule), a_deployment())
    assert found[0] == key
    assert found[1].startswith(problem)


@pytest.mark.parametrize(
    ("rule", "unit", "method", "problem"),
    [
        (SUPERIOR, "request", "robust", None),
        (NON_INFERIOR, "request", "robust", None),
        (DAILY[0], "request", "robust", None),
        (RELATIVELY, "request", "robust", "is"),
        (BOUNDED[0], "request", "robust", "is"),
        ({"metric": "roc_auc", "is": "superior"}, "request", "robust", "is"),
        (SUPERIOR, "day", "betting", None),
        ({"metric": "log_loss", "is": "superior"}, "day", "betting", "metric"),
        ({"metric": "log_loss", "is": "at_most", "value": 1.0, "last": {"hold": 1, "of": 1}}, "day", "betting", None),
    ],
)
def test_a_unit_or_method_that_cannot_judge_a_rule_is_refused(
    rule: dict[str, Any], unit: str, method: str, problem: str | None
) -> None:
    usable = {"rules": [{"metric": "brier_score", "is": "superior"}], "unit": unit, "method": method}
    usable |= {"weighting": "day"} if method == "betting" else {}
    found = list(rule_problems(Rule.model_validate(rule), a_deployment(policy=usable)))
    assert [key for key, _ in found] == ([] if problem is None else [problem])


@pytest.mark.parametrize("metric", ["accuracy", "brier_score"])
def test_a_guardrail_does_not_pass_where_every_day_is_equally_worse(metric: str) -> None:
    champion, challenger = (1.0, 0.0) if metric == "accuracy" else (0.0, 1.0)
    one = paired(np.full(DAYS, champion), challenger, metric)
    assert finding_on(one, GUARDRAIL | {"metric": metric}).outcome != "PASS"


@pytest.mark.parametrize(("kind", "value"), [("at_most", 0.1), ("at_least", 0.1)])
def test_whatever_lies_between_zero_and_one_can_be_bet_on_relatively_too(kind: str, value: float) -> None:
    champion = np.resize([0.0, 0.5], DAYS)
    rule = {"metric": "accuracy", "is": kind, "of": "relative_change", "value": value}
    assert finding_on(paired(champion, np.ones(DAYS), "accuracy"), rule, method="betting").outcome in ORDER


def test_bets_on_single_requests_are_refused() -> None:
    usable = {"rules": [SUPERIOR], "unit": "request"}
    with pytest.raises(Exception, match="betting"):
        a_deployment(policy=usable | {"method": "betting"})


def test_a_day_is_shown_with_its_own_relative_change() -> None:
    rule = {"metric": "latency_p95", "is": "at_most", "of": "relative_change", "value": 0.1}
    assert finding_on(paired([2.0, 4.0, 10.0], [2.0, 4.0, 12.0], "latency_p95"), rule).estimate == pytest.approx(0.2)


@pytest.mark.parametrize("challenger", [0.0, 5.0])
def test_a_share_of_a_champion_that_is_zero_on_the_day_has_no_meaning(challenger: float) -> None:
    rule = {"metric": "latency_p95", "is": "at_most", "of": "relative_change", "value": 0.1}
    one = paired([0.0, 4.0, 0.0], [0.0, 4.0, challenger], "latency_p95")
    assert finding_on(one, rule).outcome == "INCONCLUSIVE"


def test_days_that_differ_by_rounding_say_so() -> None:
    steps = np.resize([0, 1, 2], DAYS) * np.spacing(0.5)
    finding = finding_on(paired(0.5, 0.3 + steps), BOUNDED[0])
    assert "do not differ from each other" in finding.reason


@pytest.mark.parametrize(
    ("rule", "spelling"),
    [
        (RELATIVELY, "{metric: brier_score, is: non_inferior, relative_margin: 0.1}"),
        (
            DAILY[0] | {"slices": ["origin"]},
            "{metric: brier_score, is: at_most, value: 0.3, slices: [origin], last: {hold: 2, of: 3}}",
        ),
    ],
)
def test_a_rule_can_be_read_as_its_file_spells_it(rule: dict[str, Any], spelling: str) -> None:
    assert Rule.model_validate(rule).spelling == spelling
    assert Rule.model_validate(yaml.safe_load(spelling)) == Rule.model_validate(rule)
