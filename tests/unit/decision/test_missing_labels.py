"""Labels that never arrive: whether a PASS holds at their worst, and from which loss on it would not."""

import datetime as dt
import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray

from shadow_deployment.config.policy import Policy
from shadow_deployment.decision.safeguards.missing_labels import missing_label_warnings
from shadow_deployment.decision.series import Evidence, LedgerSeries, Series, Unlabelled, digest_of, gather
from shadow_deployment.decision.verdict import judge
from shadow_deployment.decision.words.finding import Finding, MissingLabels
from shadow_deployment.decision.words.wording import missing_labels_note
from shadow_deployment.metrics.catalog import METRICS

START = dt.date(2026, 1, 1)
SUPERIOR = {"metric": "brier_score", "is": "superior"}
Floats = NDArray[np.float64]


def days(count: int, first: int = 0) -> tuple[dt.date, ...]:
    return tuple(START + dt.timedelta(days=first + number) for number in range(count))


def gains(count: int = 60, mean: float = 0.05, seed: int = 1) -> Floats:
    return np.asarray(mean + 0.02 * np.random.default_rng(seed).standard_normal(count))


def series(difference: Floats, unlabelled: Unlabelled | None = None, **changes: Any) -> Series:
    count = len(difference)
    columns = {
        "champion": np.full(count, 0.3),
        "challenger": 0.3 - difference,
        "weight": np.full(count, 100.0),
        "pairs": np.full(count, 100),
    }
    whole = columns | {"days": days(count), "identical": None} | changes
    return Series(metric="brier_score", slice="all", difference=difference, unlabelled=unlabelled, **whole)


def unlabelled(least: float, weight: float = 5.0, count: int = 60, first: int = 0) -> Unlabelled:
    ones = np.ones(count)
    return Unlabelled(days(count, first), weight * ones, least * ones, -least * ones)


def found(one: Series, rule: dict[str, Any] = SUPERIOR, left_out: tuple[dt.date, ...] = (), **policy: Any) -> Finding:
    given = Policy.model_validate({"burn_in": 10, "rules": [rule]} | policy)
    (finding,) = judge(given, {("brier_score", "all"): one}, left_out=left_out).findings
    return finding


def effect(one: Series, rule: dict[str, Any] = SUPERIOR, **policy: Any) -> MissingLabels:
    finding = found(one, rule, **policy)
    assert finding.missing_labels is not None
    assert finding.outcome == "PASS", "what labels might have been is no evidence against it"
    assert finding.reason.endswith(missing_labels_note(finding.missing_labels))
    return finding.missing_labels


def filled(one: Series, gain: float) -> Series:
    """The series as it would be if every request without a label had one, and gained so much."""
    assert one.unlabelled is not None
    assert one.weight is not None
    total = one.weight + one.unlabelled.weight
    mean = (one.weight * one.difference + one.unlabelled.weight * gain) / total
    return series(mean, weight=total)


def test_a_pass_that_survives_the_worst_labels_says_so() -> None:
    held = effect(series(gains(), unlabelled(-0.2)))
    assert held == MissingLabels(pytest.approx(5 / 105), pytest.approx(0.2), holds=True)
    assert (
        "holds whatever the missing labels are (4.8% of the requests)"
        in found(series(gains(), unlabelled(-0.2))).reason
    )


@pytest.mark.parametrize("unit", ["day", "week"])
@pytest.mark.parametrize(
    "rule", [SUPERIOR, {"metric": "brier_score", "is": "non_inferior", "margin": 0.01}, SUPERIOR | {"is": "guardrail"}]
)
def test_the_tipping_point_is_where_the_verdict_would_turn(rule: dict[str, Any], unit: str) -> None:
    one = series(gains(120), unlabelled(-0.9, 40.0, 120))
    tips = effect(one, rule, unit=unit)
    assert not tips.holds
    assert tips.tipping_point is not None
    step = 2 * 0.96 / 16384
    assert found(filled(one, -tips.tipping_point), rule, unit=unit).outcome == "PASS"
    assert found(filled(one, -tips.tipping_point - step), rule, unit=unit).outcome != "PASS"
    assert f"lose more than {tips.tipping_point:.3g} each on average; at worst they lose 0.9" in missing_labels_note(
        tips
    )


def test_a_pass_that_needs_the_unlabelled_to_gain_says_how_much() -> None:
    difference = gains(mean=0.012, seed=5)
    tips = effect(series(difference, unlabelled(-0.9, 100.0, 30, first=30)))
    assert tips.tipping_point is not None
    assert -float(difference.mean()) < tips.tipping_point < 0
    assert f"holds only if requests without a label (33.3%) gain at least {-tips.tipping_point:.3g} each" in (
        missing_labels_note(tips)
    )


def test_what_does_not_pass_even_if_the_unlabelled_gain_as_much_has_no_tipping_point() -> None:
    """Labels that come on some days only make days differ more, whatever they say."""
    tips = effect(series(gains(mean=0.012), unlabelled(-0.9, 1000.0, 30, first=30)))
    assert (tips.holds, tips.tipping_point) == (False, None)
    assert missing_labels_note(tips) == "does not hold for every label that requests without a label (83.3%) may have"


def test_labels_that_only_make_days_differ_more_are_tried_too() -> None:
    missing = Unlabelled(days(30, 30), np.full(30, 100.0), np.full(30, 0.0), np.full(30, 0.9))
    tips = effect(series(gains(mean=0.02, seed=7), missing))
    assert (tips.holds, tips.tipping_point) == (False, None)


def test_a_slice_says_whether_it_holds() -> None:
    one = replace(series(gains(), unlabelled(-0.9, 40.0)), slice="origin=EWR")
    rule = SUPERIOR | {"slices": ["origin"]}
    evidence = {("brier_score", "all"): series(gains()), ("brier_score", "origin=EWR"): one}
    given = Policy.model_validate({"burn_in": 10, "rules": [rule]})
    _, finding = judge(given, evidence).findings
    assert finding.missing_labels == MissingLabels(pytest.approx(40 / 140), pytest.approx(0.9), holds=False)


def test_every_labelling_of_a_few_days_is_tried() -> None:
    """Two unlabelled requests a day on some of twelve days: PASS holds exactly where it holds under each labelling."""
    random = np.random.default_rng(5)
    verdicts = []
    for mean, seed in itertools.product((0.03, 0.06, 0.1), range(4)):
        difference = gains(12, mean, seed)
        low, high = -random.random(3), random.random(3)
        missing = Unlabelled(days(12)[3:12:3], np.full(3, 8.0), low, high)
        one = series(difference, missing)
        finding = found(one, method="plain")
        if finding.outcome != "PASS":
            continue
        outcomes = set()
        for labels in itertools.product((0, 1), repeat=3):
            gained, weight = np.zeros(12), np.zeros(12)
            gained[3:12:3], weight[3:12:3] = np.where(labels, high, low), 8.0
            whole = series((100 * difference + weight * gained) / (100 + weight), weight=100 + weight)
            outcomes.add(found(whole, method="plain").outcome)
        assert finding.missing_labels is not None
        verdicts.append(finding.missing_labels.holds)
        if finding.missing_labels.holds:
            assert outcomes == {"PASS"}
        else:
            assert outcomes != {"PASS"}
    assert set(verdicts) == {True, False}, "the days test nothing"


def test_days_without_any_label_count_at_their_worst() -> None:
    one = series(gains())
    with_whole_days = series(gains(), unlabelled(-1.0, 100.0, 30, first=60))
    assert found(one).missing_labels is None
    tips = effect(with_whole_days)
    assert not tips.holds
    assert tips.share == pytest.approx(1 / 3)


def test_slices_with_requests_without_a_label_are_each_judged_by_their_own() -> None:
    given = Policy.model_validate({"burn_in": 10, "rules": [SUPERIOR | {"slices": ["origin"]}]})
    holds, tips = series(gains(), unlabelled(-0.2)), series(gains(), unlabelled(-0.9, 40.0))
    evidence: Evidence = {
        ("brier_score", "all"): tips,
        ("brier_score", "origin=EWR"): replace(holds, slice="origin=EWR"),
    }
    found = [each.missing_labels for each in judge(given, evidence).findings]
    assert [each.holds for each in found if each is not None] == [False, True]


def test_left_out_days_are_at_their_worst_too() -> None:
    one = series(
        np.delete(gains(mean=0.014), [30, 31]), unlabelled(-0.2, 2.0, 20, first=10), days=days(30) + days(28, first=32)
    )
    alone, charged = found(one), found(one, left_out=days(2, first=30))
    assert (alone.outcome, charged.outcome) == ("PASS", "PASS")
    assert alone.missing_labels is not None
    assert charged.missing_labels is not None
    assert (alone.missing_labels.holds, charged.missing_labels.holds) == (True, False)


def test_a_margin_that_is_a_share_is_no_larger_for_requests_without_a_label() -> None:
    rule = {"metric": "brier_score", "is": "non_inferior", "relative_margin": 0.2}
    one = series(gains(60, 0.0), unlabelled(-0.02, 400.0))
    tips = effect(one, rule)
    absolute = effect(one, {"metric": "brier_score", "is": "non_inferior", "margin": 0.06})
    assert absolute.holds
    assert not tips.holds


def test_single_requests_are_judged_by_days_at_their_worst() -> None:
    difference = gains()
    squares = np.column_stack([np.full(60, 100.0), 100 * difference, 100 * difference**2 + 10])
    assert effect(series(difference, unlabelled(-0.2), squares=squares), unit="request").holds


@pytest.mark.parametrize(
    "rule",
    [
        {"metric": "brier_score", "is": "at_most", "value": 0.9},
        {"metric": "brier_score", "is": "at_most", "value": 0.9, "of": "change"},
    ],
)
def test_rules_that_compare_nothing_are_left_alone(rule: dict[str, Any]) -> None:
    assert found(series(gains(), unlabelled(-1.0)), rule).missing_labels is None


def test_nothing_is_said_before_the_burn_in_or_of_what_does_not_pass() -> None:
    assert found(series(gains(9), unlabelled(-1.0, count=9)), SUPERIOR | {"is": "guardrail"}).missing_labels is None
    assert found(series(gains(60, -0.05), unlabelled(-1.0))).missing_labels is None


def row(counts: dict[str, list[int]], **sums: list[float]) -> LedgerSeries:
    numbers = {name: np.array(column, np.float64) for name, column in sums.items()}
    models = dict.fromkeys(("champion_sum", "challenger_sum", "difference_sum"), numbers["weight"])
    return LedgerSeries("brier_score", "all", "", {n: np.array(c) for n, c in counts.items()}, models | numbers)


def test_the_ledgers_sums_become_means_of_the_days_that_have_any() -> None:
    counts = {"days": [3, 1, 2], "pairs": [2, 4, 0]}
    sums = {"unlabelled_weight": [0.0, 2.0, 4.0], "unlabelled_least": [0, -1.0, -3.0], "unlabelled_most": [0, 1.0, 2.0]}
    evidence = gather([row(counts, weight=[2.0, 4.0, 0.0], **sums)])
    one = evidence["brier_score", "all"]
    assert one.unlabelled is not None
    first = dt.date(2000, 1, 1)
    assert one.unlabelled.days == (first + dt.timedelta(days=1), first + dt.timedelta(days=2))
    assert one.days == (first + dt.timedelta(days=1), first + dt.timedelta(days=3))
    assert_allclose(
        [one.unlabelled.weight, one.unlabelled.least, one.unlabelled.most], [[2, 4], [-0.5, -0.75], [0.5, 0.5]]
    )
    none = gather([row(counts, weight=[2.0, 4.0, 0.0], **{name: [0.0, 0.0, 0.0] for name in sums})])
    assert none["brier_score", "all"].unlabelled is None
    assert digest_of(evidence) != digest_of(none)


def test_what_labels_never_said_is_part_of_what_a_verdict_rests_on() -> None:
    def digest(least: float, first: int = 0) -> str:
        evidence: Evidence = {("brier_score", "all"): series(gains(), unlabelled(least, count=10, first=first))}
        return digest_of(evidence)

    assert len({digest(-0.2), digest(-0.2), digest(-0.3), digest(-0.2, first=1)}) == 3


def finding(missing: MissingLabels | None = None, **changes: Any) -> Finding:
    common = {"metric": "brier_score", "slice": "all", "is_": "superior", "role": "blocking", "outcome": "PASS"}
    return Finding(**{**common, "bound": 0.0, "reason": "", "lower": 0.1, "missing_labels": missing, **changes})


HOLDS, TIPS = MissingLabels(0.03, 0.5, holds=True), MissingLabels(0.03, 0.5, holds=False, tipping_point=0.02)
NEVER, LATE = MissingLabels(0.03, 0.5, holds=False), MissingLabels(0.03, 0.5, holds=False, tipping_point=0.3)


@pytest.mark.parametrize(
    ("findings", "said"),
    [
        ([finding(HOLDS)], []),
        (
            [finding(TIPS)],
            ['"Brier score is better" passes and holds unless requests without a label (3.0%) lose more than 0.02'],
        ),
        (
            [finding(NEVER, slice="origin=EWR"), finding(LATE, slice="origin=JFK"), finding(TIPS)],
            ['"Brier score is better" passes and holds unless requests without a label (3.0%) lose more than 0.02'],
        ),
        ([finding(TIPS, role="advisory")], []),
        ([finding(None, metric="error_rate")], []),
        ([finding(None, metric="roc_auc", lower=None)], []),
        ([finding(None, metric="roc_auc", outcome="FAIL")], []),
        (
            [finding(None, metric="roc_auc")],
            ["3 requests (3.0%) never got a label, and nothing bounds what they would"],
        ),
    ],
)
def test_the_finding_that_tips_first_is_a_warning(findings: list[Finding], said: list[str]) -> None:
    warnings = list(missing_label_warnings(findings, METRICS, "binary", 3, 100))
    assert len(warnings) == len(said)
    assert all(warning.startswith(text) for warning, text in zip(warnings, said, strict=True))


def test_others_that_tip_are_counted_and_a_regression_has_no_bounds() -> None:
    (warning,) = missing_label_warnings([finding(TIPS), finding(TIPS, slice="a=b")], METRICS, "binary", 3, 100)
    assert warning.endswith(", and 1 more finding likewise")
    squared = finding(None, metric="squared_error")
    assert "squared_error" in next(iter(missing_label_warnings([squared], METRICS, "regression", 3, 100)))
    assert not list(missing_label_warnings([squared], METRICS, "regression", 0, 100))


def test_a_stored_finding_is_read_back_whole() -> None:
    assert Finding.from_json(finding(TIPS).to_json()) == finding(TIPS)
    assert Finding.from_json(finding().to_json()) == finding()
