"""Alarms on series alone: when each is raised, how often without cause, and what an acknowledgement changes."""

import datetime as dt
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike
from sklearn.metrics import roc_auc_score

from shadow_deployment.config.policy import Policy, Rule
from shadow_deployment.decision.safeguards.too_good import (
    FEWEST_DAYS,
    Acknowledgement,
    Alarm,
    alarms,
    area_under_curve,
    settle,
)
from shadow_deployment.decision.series import Series
from shadow_deployment.statistics.confidence_sequence import confidence_sequence

FIRST = dt.date(2024, 1, 1)
LIVE = FIRST + dt.timedelta(days=40)
RULES = [Rule.model_validate({"metric": "brier_score", "is": "superior"})]


def series(metric: str, champion: ArrayLike, challenger: ArrayLike, *, identical: int = 0) -> Series:
    ours, theirs = np.asarray(challenger, float), np.asarray(champion, float)
    count = len(theirs)
    sign = -1 if metric == "roc_auc" else 1
    return Series(
        metric=metric,
        slice="all",
        days=tuple(FIRST + dt.timedelta(days=number) for number in range(count)),
        pairs=np.full(count, 1000),
        identical=np.full(count, identical),
        champion=theirs,
        challenger=ours,
        difference=sign * (theirs - ours),
    )


def kinds(*evidence: Series, **more: Any) -> list[str]:
    arguments: dict[str, Any] = {"auc": {}, "shared": {}, "live_from": LIVE} | more
    policy = Policy.model_validate({"rules": RULES, "too_good": arguments.pop("limits", {})})
    return [each.kind for each in alarms(policy, {(one.metric, "all"): one for one in evidence}, **arguments)]


@pytest.mark.parametrize(("loss", "raised"), [(0.0099, ["loss"]), (0.0101, []), (0.0, ["loss"]), (np.nan, [])])
def test_a_loss_below_a_twentieth_of_the_champions_is_too_good(loss: float, raised: list[str]) -> None:
    assert kinds(series("squared_error", [0.2, 0.2], [loss, loss])) == raised


def test_a_loss_that_no_day_has_raises_nothing() -> None:
    assert kinds(series("brier_score", [], [])) == []


def test_a_perfect_champion_makes_no_challenger_too_good() -> None:
    assert kinds(series("brier_score", [0.0, 0.0], [0.0, 0.0])) == []


def test_the_mean_loss_is_weighted_as_requests_are() -> None:
    one = series("brier_score", [0.2, 0.2], [0.001, 0.1])
    assert kinds(one) == []
    heavy = Series(**{**vars(one), "weight": np.array([1000.0, 1.0])})
    assert kinds(heavy) == ["loss"]


@pytest.mark.parametrize(
    ("champion", "challenger", "raised"), [(0.9, 0.996, ["auc"]), (0.985, 0.999, []), (0.9, 0.994, [])]
)
def test_a_ranking_is_too_good_where_the_champions_is_not(
    champion: float, challenger: float, raised: list[str]
) -> None:
    assert kinds(series("roc_auc", [champion], [challenger])) == raised
    assert kinds(auc={"champion": champion, "challenger": challenger}) == raised


def test_the_evidence_of_a_day_comes_before_bins() -> None:
    assert kinds(series("roc_auc", [0.9], [0.95]), auc={"champion": 0.9, "challenger": 1.0}) == []


def test_the_area_of_bins_is_that_of_scikit_learn_on_the_same_bins() -> None:
    random = np.random.default_rng(5)
    place, weight = random.integers(0, 20, 3000), random.uniform(1, 3, 3000)
    label = (random.random(3000) < place / 20).astype(float)
    bins = np.column_stack([np.bincount(place, weight), np.bincount(place, weight * label)])
    assert area_under_curve(bins) == pytest.approx(roc_auc_score(label, place, sample_weight=weight), abs=1e-12)


def test_labels_of_one_class_or_no_bin_have_no_area() -> None:
    assert np.isnan(area_under_curve(np.array([[3.0, 3.0]])))
    assert np.isnan(area_under_curve(np.empty((0, 2))))
    assert kinds(auc={"champion": float("nan"), "challenger": float("nan")}) == []


@pytest.mark.parametrize(("identical", "raised"), [(1000, ["same_as_champion"]), (999, [])])
def test_more_than_the_limit_of_equal_predictions_is_the_same_model(identical: int, raised: list[str]) -> None:
    assert kinds(series("error_rate", [0.0], [0.0], identical=identical)) == raised


def test_another_challenger_that_says_the_same_is_named() -> None:
    assert kinds(shared={"near": 0.9991, "far": 0.5}) == ["same_as_challenger"]


def test_replayed_days_that_were_learned_from_differ_from_live_ones() -> None:
    random = np.random.default_rng(3)
    noise = random.normal(0, 0.01, 70)
    gain = np.where(np.arange(70) < 40, 0.05, -0.01) + noise
    assert kinds(series("brier_score", np.full(70, 0.2), 0.2 - gain)) == ["replayed"]
    assert kinds(series("brier_score", np.full(70, 0.2), 0.2 - noise)) == []


@pytest.mark.parametrize(("replayed", "live"), [(FEWEST_DAYS - 1, 60), (60, FEWEST_DAYS - 1)])
def test_few_days_on_one_side_are_not_compared(replayed: int, live: int) -> None:
    gain = np.r_[np.full(replayed, 0.1), np.full(live, -0.1)] + np.random.default_rng(1).normal(
        0, 0.01, replayed + live
    )
    one = series("brier_score", np.full(len(gain), 0.2), 0.2 - gain)
    assert kinds(one, live_from=FIRST + dt.timedelta(days=replayed)) == []


def test_equal_days_are_called_different_rarely_although_they_are_looked_at_daily() -> None:
    random = np.random.default_rng(20240301)
    wrong, histories = 0, 200
    for _ in range(histories):
        shocks = random.normal(0, 0.01, 160)
        gain = np.zeros(160)
        for number in range(1, 160):
            gain[number] = 0.3 * gain[number - 1] + shocks[number]
        looks = (series("brier_score", np.full(end, 0.2), 0.2 - gain[:end]) for end in range(60, 161, 10))
        wrong += any(kinds(one) for one in looks)
    assert wrong <= 6, "at 1 % two of 200 are expected"


def test_an_acknowledgement_is_of_one_kind_of_alarm() -> None:
    raised = [Alarm("loss", "its loss is small"), Alarm("auc", "it ranks well")]
    known = Acknowledgement("loss", "ada", "the label is a rule", dt.datetime(2024, 3, 1, tzinfo=dt.UTC))
    blocked, warnings = settle(raised, {"loss": known}, command="shadow acknowledge")
    assert blocked == ["it ranks well; then shadow acknowledge"]
    assert warnings == ["its loss is small; acknowledged by ada on 2024-03-01: the label is a rule"]


def texts(*evidence: Series, **more: Any) -> list[str]:
    arguments: dict[str, Any] = {"auc": {}, "shared": {}, "live_from": LIVE} | more
    policy = Policy.model_validate({"rules": RULES})
    return [each.text for each in alarms(policy, {(one.metric, "all"): one for one in evidence}, **arguments)]


def test_an_alarm_says_what_was_seen_the_limit_and_where_to_look() -> None:
    (loss,) = texts(series("squared_error", [0.2, 0.2], [0.002, 0.002]))
    assert loss == (
        "too good to be true: its squared error is 0.002, 1.00% of the champion's 0.2, less than "
        "policy.too_good.loss_ratio == 0.05: look for a feature that is known only with the label"
    )
    (ranking,) = texts(auc={"champion": 0.9, "challenger": 0.996})
    assert ranking == (
        "too good to be true: its area under the ROC curve is 0.9960, the champion's 0.9000, above "
        "policy.too_good.auc == 0.995: look for a feature that is known only with the label"
    )
    (shared,) = texts(shared={"near": 0.9995})
    assert shared == (
        "its predictions are identical to those of challenger near on 99.95% of the newest requests, more than "
        "policy.too_good.identical == 0.999: look whether it is the same model"
    )
    gain = np.where(np.arange(70) < 40, 0.05, -0.01) + np.resize([0.001, -0.001], 70)
    (replayed,) = texts(series("brier_score", np.full(70, 0.2), 0.2 - gain))
    assert replayed == (
        "its Brier score is smaller than the champion's by 0.05 on 40 replayed days and by -0.01 on 30 live days, "
        "which differ at policy.too_good.replayed_alpha == 0.01: look for labels of the replayed days in its training "
        "data, and for features that were filled in later"
    )


def test_predictions_are_the_same_as_a_share_of_the_requests_that_both_answered() -> None:
    one = series("error_rate", [0.0], [0.0], identical=700)
    missing = replace(one, unanswered=np.array([200]), champion_missing=np.array([100]))
    (same,) = texts(missing)
    assert same == (
        "its predictions are identical to the champion's on 100.00% of 700 requests, more than "
        "policy.too_good.identical == 0.999: look whether it is the same model"
    )
    assert texts(replace(missing, unanswered=np.array([190]))) == []
    assert texts(replace(one, pairs=np.array([1]), identical=np.array([1]))) != []


def test_limits_themselves_are_no_alarm() -> None:
    assert kinds(auc={"champion": 0.9, "challenger": 0.995}) == []
    assert kinds(auc={"champion": 0.98, "challenger": 0.999}) == []
    assert kinds(shared={"near": 0.999}) == []


@pytest.mark.parametrize("is_smaller", [True, False])
def test_replayed_and_live_days_differ_where_their_sequences_lie_apart(is_smaller: bool) -> None:
    """At the whole error rate by the number of losses and two groups of days; a loss with few days is passed over."""
    noise = np.random.default_rng(8).normal(0, 0.01, (2, 60))
    policy = Policy.model_validate({"rules": RULES})
    alpha = policy.too_good.replayed_alpha / 2 / 2
    (low, high), (live_low, live_high) = (
        (float(each.lower[-1]), float(each.upper[-1]))
        for each in (confidence_sequence(days, alpha=alpha, burn_in=14, tuned_for=policy.tuned_for) for days in noise)
    )
    apart = high - live_low if is_smaller else low - live_high
    live_from = FIRST + dt.timedelta(days=60)
    for extra, raised in ((1e-6, ["replayed"]), (-1e-6, [])):
        gain = np.r_[noise[0], noise[1] + apart + (extra if is_smaller else -extra)]
        few = series("brier_score", np.full(20, 0.2), np.full(20, 0.2))
        many = series("log_loss", np.full(120, 0.2), 0.2 - gain)
        assert kinds(few, many, live_from=live_from) == raised


def test_a_fortnight_on_each_side_is_compared() -> None:
    gain = np.r_[np.full(14, 0.1), np.full(14, -0.1)] + np.resize([0.001, -0.001], 28)
    one = series("brier_score", np.full(28, 0.2), 0.2 - gain)
    assert kinds(one, live_from=FIRST + dt.timedelta(days=14)) == ["replayed"]
