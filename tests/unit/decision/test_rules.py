"""What each rule is held against: the bound, the margin and the share, whatever the rounding."""

from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose

from shadow_deployment.config.policy import Rule
from shadow_deployment.metrics.catalog import METRICS
from shadow_deployment.statistics.confidence_sequence import confidence_sequence
from tests.builders import a_deployment
from tests.unit.decision.paired import (
    BOUNDED,
    BURN_IN,
    DAILY,
    DAYS,
    GUARDRAIL,
    NOISE,
    NON_INFERIOR,
    ORDER,
    RELATIVELY,
    SEQUENTIAL,
    SUPERIOR,
    finding_on,
    gains_of,
    is_relative,
    paired,
)


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
