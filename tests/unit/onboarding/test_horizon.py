"""Days to a verdict: what is planned is the power of a series that numpy makes of the same losses."""

import datetime as dt
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from shadow_deployment.base.paths import PROJECT
from shadow_deployment.config.deployment import Deployment, load_deployment
from shadow_deployment.config.window import window_of
from shadow_deployment.decision.alpha import alpha_of_trial
from shadow_deployment.decision.power import power_analysis
from shadow_deployment.decision.series import Series
from shadow_deployment.onboarding.preview.answers import ModelAnswers
from shadow_deployment.onboarding.preview.days import PreviewedDay
from shadow_deployment.onboarding.preview.horizon import RuleHorizon, horizons

PER_DAY, DAYS = 200, 12
GAIN = 0.02


@pytest.fixture(scope="module")
def deployment() -> Deployment:
    found = load_deployment(PROJECT / "include" / "deployments" / "examples" / "logged_predictions.yaml")
    policy = found.policy.model_copy(update={"unit": "day", "rules": found.policy.rules[:1]})
    sample = found.sample.model_copy(update={"strata": [], "minimum_per_stratum": 0, "rate": 1.0})
    return found.model_copy(update={"policy": policy, "sample": sample, "challengers": found.challengers[:1]})


def previewed(deployment: Deployment, population: int = PER_DAY) -> tuple[list[PreviewedDay], list[pa.Table]]:
    """Return days, the newest first as they are read, with a challenger that errs less."""
    random = np.random.default_rng(20260301)
    days, scored = [], []
    for number in reversed(range(DAYS)):
        window = window_of(deployment, dt.date(2026, 3, 1) + dt.timedelta(days=number))
        truth = random.random(PER_DAY)
        champion, challenger = (np.clip(truth + random.normal(0, spread, PER_DAY), 0, 1) for spread in (0.3, 0.1))
        rows = pa.table({"champion": champion, "stratum": ["all"] * PER_DAY})
        labels = (random.random(PER_DAY) < truth).astype(float)
        labels[:5] = np.nan
        days.append(PreviewedDay(window, {"all": population}, rows, labels, labels, 0, 0.1))
        scored.append(pa.table({"value": challenger}))
    return days, scored


def planned(deployment: Deployment, *, is_remote: bool = False, population: int = PER_DAY) -> RuleHorizon:
    days, scored = previewed(deployment, population)
    (answers,) = horizons(
        deployment, days, [ModelAnswers("graph_model", "logged:x.y", is_remote=is_remote, tables=scored)], GAIN
    )
    return answers


def test_it_rests_on_the_differences_of_the_two_models(deployment: Deployment) -> None:
    days, scored = previewed(deployment)
    champion, challenger, squares = [], [], []
    for day, table in zip(reversed(days), reversed(scored), strict=True):
        known = np.isfinite(day.labels)
        left, right = ((each[known] - day.labels[known]) ** 2
                       for each in (day.requests["champion"].to_numpy(), table["value"].to_numpy()))  # fmt: skip
        champion.append(left.mean())
        challenger.append(right.mean())
        squares.append((known.sum(), (left - right).sum(), ((left - right) ** 2).sum()))
    series = Series(
        "brier_score",
        "all",
        tuple(day.window.day for day in reversed(days)),
        np.full(DAYS, PER_DAY - 5),
        None,
        np.array(champion),
        np.array(challenger),
        np.array(champion) - np.array(challenger),
        np.full(DAYS, PER_DAY - 5.0),
        np.array(squares),
    )
    (rule,) = deployment.policy.rules
    effect, alpha = GAIN * float(np.mean(champion)), alpha_of_trial(0.05, place=1, size=1)
    expected = power_analysis(series, rule, deployment.policy, effect=effect, alpha=alpha).days
    found = planned(deployment)
    assert expected is not None
    assert expected > 28, "beyond the burn-in, so that it tells variances apart"
    assert (found.days, found.basis) == (expected, "the two models' differences")


def test_the_sample_of_a_run_is_larger_than_that_of_a_preview(deployment: Deployment) -> None:
    few, many = planned(deployment), planned(deployment, population=20 * PER_DAY)
    assert few.days is not None
    assert many.days is not None
    assert many.days < few.days


def test_a_server_is_planned_with_the_champions_own_losses(deployment: Deployment) -> None:
    own, remote = planned(deployment), planned(deployment, is_remote=True)
    assert remote.basis == "the champion's own losses"
    assert own.days is not None
    assert remote.days is None or remote.days > own.days, "what the two have in common does not cancel"


def test_a_margin_is_planned_for_a_challenger_that_is_as_good(deployment: Deployment) -> None:
    rule = deployment.policy.rules[0].model_copy(update={"is_": "non_inferior", "relative_margin": GAIN})
    policy = deployment.policy.model_copy(update={"rules": [rule]})
    found = planned(deployment.model_copy(update={"policy": policy}))
    assert (found.days, found.effect) == (planned(deployment).days, "as good as the champion")


def test_a_day_alone_says_nothing(deployment: Deployment) -> None:
    days, scored = previewed(deployment)
    answers = ModelAnswers("graph_model", "logged:x.y", is_remote=False, tables=scored[:1])
    (found,) = horizons(deployment, days[:1], [answers], GAIN)
    assert (found.days, found.reason) == (None, "fewer than two days have labels and a loss")
    unlabelled = [replace(day, labels=np.full(PER_DAY, np.nan)) for day in days]
    (found,) = horizons(deployment, unlabelled, [replace(answers, tables=scored)], GAIN)
    assert found.reason == "fewer than two days have labels and a loss"
