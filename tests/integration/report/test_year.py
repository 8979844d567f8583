"""What a page says of many days and slices: every unit and method agrees with the verdict, slices are bounded."""

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import psycopg
import pytest

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.policy import Rule
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.db import Session
from shadow_deployment.decision.alpha import AlphaSplit, alpha_of_evidence
from shadow_deployment.decision.sequential import JudgingTerms, judge_sequence, newest
from shadow_deployment.decision.series import Series, gather
from shadow_deployment.decision.verdict import judge
from shadow_deployment.decision.words.finding import with_rules
from shadow_deployment.ledger import series as ledger_series
from shadow_deployment.ledger import snapshots, verdicts
from shadow_deployment.ledger.snapshots import Snapshot
from shadow_deployment.metrics.catalog import QUIET
from shadow_deployment.metrics.slices import ALL
from shadow_deployment.pipeline.challengers.basis import champion_of, labels_on, mature_labels
from shadow_deployment.pipeline.challengers.judging import judge_challenger
from shadow_deployment.pipeline.challengers.trials import open_trials
from shadow_deployment.report.queries import pages
from shadow_deployment.report.queries.rules import MOST_SLICES, alphas_of
from shadow_deployment.report.views import DeploymentView
from tests.bench import year
from tests.builders import a_deployment, a_verdict
from tests.production import SHADOW, World

DAYS, SLICES = 90, 55
RULES: list[dict[str, Any]] = [
    {"metric": "brier_score", "is": "superior", "slices": ["carrier"]},
    {"metric": "log_loss", "is": "non_inferior", "margin": 0.005},
    {"metric": "error_rate", "is": "at_most", "value": 0.9},
]


def deployment(**policy: Any) -> Deployment:
    return a_deployment(
        name="year",
        start=dt.date(2024, 1, 1),
        slices=["carrier"],
        sample={"rate": 0.1, "strata": [], "minimum_per_stratum": 0},
        challengers=[
            {"name": "better", "trained_until": "2023-12-01", "model": "logged:flights.prediction_log.better"},
            {"name": "a_a_check", "model": "champion"},
        ],
        expectations={"inputs": None, "predictions": None},
        metrics=["accuracy"],
        policy={"rules": RULES, "replay": "count", **policy},
    )


def evidence_on(
    session: Session[Any], one: Deployment, key: int, taken: list[Snapshot], day: dt.date
) -> dict[tuple[str, str], Series]:
    """Read what a verdict of a day would rest on, with the sums of squares."""
    metrics = QUIET | {rule.metric for rule in one.policy.rules}
    rows = ledger_series.newest(session, key, taken, mature_labels(one, labels_on(session, one, taken, day)))
    return gather(ledger_series.read(session, rows, metrics=metrics, squares=True))


@pytest.fixture(scope="module")
def filled(worlds: Callable[..., World]) -> World:
    """A ledger of a quarter, with more slices than are shown. Tests copy it."""
    world = worlds()
    with psycopg.connect(world.postgres.uri(world.ledger, SHADOW)) as session:
        year.fill(session, deployment(), days=DAYS, slices=SLICES)
    return world


def shown(world: World, **policy: Any) -> tuple[DeploymentView, list[dict[str, Any]]]:
    """Judge the newest day by a policy; return the page, and the findings as they were stored."""
    shadow = DeploymentContext(deployment(**policy), world.connection)
    with shadow.ledger() as session:
        _judge(session, shadow.deployment)
    found = pages.deployment_page(shadow, "better")
    assert found.error is None
    ((findings,),) = world.query(
        "SELECT findings FROM shadow.verdict WHERE challenger_id = 1 ORDER BY day DESC, id DESC LIMIT 1"
    )
    return found, findings


def _judge(session: Session[Any], one: Deployment) -> None:
    newest_day = snapshots.snapshots(session, one, None, None)[-1].day
    open_trials(session, one, {"better": 1}, champion_of(snapshots.snapshots(session, one, None, None)))
    judged = judge_challenger(session, one, one.challenger("better"), 1, newest_day)
    new = a_verdict(
        newest_day,
        1,
        judged.verdict,
        champion_version=judged.champion_version,
        trial=judged.trial,
        days=judged.days,
        warnings=judged.warnings,
        explanation=judged.explanation,
        judged_on=judged.judged_on,
    )
    verdicts.store(session, one, new)


POLICIES: list[dict[str, Any]] = [
    {},
    {"unit": "week"},
    {"unit": "request"},
    {"method": "plain", "burn_in": 40},
    {"method": "betting", "weighting": "day", "rules": [RULES[0], RULES[2]]},
    {"rules": [{"metric": "brier_score", "is": "guardrail"}, *RULES[1:]]},
    {
        "rules": [
            {"metric": "log_loss", "is": "non_inferior", "relative_margin": 0.1},
            {"metric": "brier_score", "is": "at_most", "value": 0.25},
            {"metric": "accuracy", "is": "at_least", "value": -0.9, "of": "change"},
        ]
    },
]


@pytest.mark.parametrize("policy", POLICIES, ids=str)
def test_whatever_the_policy_the_last_point_is_the_finding(
    worlds: Callable[..., World], filled: World, policy: dict[str, Any]
) -> None:
    found, findings = shown(worlds(filled), **policy)
    overall = [one for one in findings if one["slice"] == ALL and one["alpha_pass"] is not None]
    assert len(found.sequences) == len(overall) > 0
    for got, expected in zip(found.sequences, overall, strict=True):
        assert got.agrees
        finding = got.rule.finding
        assert (finding.metric, finding.is_, finding.outcome) == (
            expected["metric"],
            expected["is"],
            expected["outcome"],
        )
        assert got.mean[-1] == pytest.approx(expected["estimate"], rel=1e-9)
        for bound, key in ((got.lower, "lower"), (got.upper, "upper")):
            assert bound[-1] == (None if expected[key] is None else pytest.approx(expected[key], rel=1e-9))
            assert bound[: got.burn_in - 1] == (None,) * (got.burn_in - 1)
            assert None not in bound[got.burn_in - 1 :]
        assert got.burn_in_end == got.days[got.burn_in - 1]
        assert got.per == ("week" if policy.get("unit") == "week" else "day")
        assert len(got.days) == (DAYS // 7 if got.per == "week" else DAYS)
    assert found.challenger is not None
    assert found.challenger.days == (DAYS // 7 * 7 if policy.get("unit") == "week" else DAYS)
    assert found.challenger.requests == year.PER_DAY * found.challenger.days


@pytest.mark.parametrize("policy", POLICIES, ids=str)
def test_slices_have_intervals_that_hold_for_all_of_them_at_once(
    worlds: Callable[..., World], filled: World, policy: dict[str, Any]
) -> None:
    world = worlds(filled)
    found, _ = shown(world, **policy)
    assert found.slices is not None
    assert (len(found.slices.slices), found.slices.left_out) == (MOST_SLICES, SLICES - MOST_SLICES)
    assert list(found.slices.slices) == sorted(found.slices.slices, key=lambda each: each.order)
    one = deployment(**policy)
    with DeploymentContext(one, world.connection).ledger() as session:
        taken = snapshots.snapshots(session, one, None, None)
        evidence = evidence_on(session, one, 1, taken, taken[-1].day)
    of = {name: series for (metric, name), series in evidence.items() if metric == found.slices.metric}
    shown_ones = {each.name for each in found.slices.slices}
    requests = {name: series.observed(one.policy).total_requests for name, series in of.items() if name != ALL}
    fewest = min(each.requests for each in found.slices.slices)
    assert all(requests[name] <= fewest for name in set(requests) - shown_ones), "those with most requests are shown"
    given = AlphaSplit(one.policy.alpha / (2 * SLICES), one.policy.alpha / (2 * SLICES))
    assert (found.slices.alpha, found.slices.level) == (given, 1 - one.policy.alpha)
    if one.policy.unit == "day":
        assert found.slices.overall == pytest.approx(of[ALL].observed(one.policy).mean_difference)
    rule = Rule.model_validate({"metric": found.slices.metric, "is": "superior"})
    for each in found.slices.slices:
        looks = judge_sequence(rule, of[each.name].observed(one.policy), JudgingTerms(one.policy, given))
        assert (each.lower, each.upper) == pytest.approx((looks.lower[-1], looks.upper[-1]), rel=1e-9)
        assert each.estimate == pytest.approx(float(looks.estimate[-1]))


def test_the_newest_look_of_many_is_that_of_each_whatever_their_lengths(filled: World) -> None:
    one = deployment()
    with DeploymentContext(one, filled.connection).ledger() as session:
        taken = snapshots.snapshots(session, one, None, None)
        whole = evidence_on(session, one, 1, taken, taken[-1].day)
        short = evidence_on(session, one, 1, taken[:50], taken[-1].day)
        shorter = evidence_on(session, one, 1, taken[:5], taken[-1].day)
    key = ("brier_score", "carrier=c3")
    many = [short[key], whole[key], shorter[key], whole["brier_score", "carrier=c7"], short["brier_score", ALL]]
    terms = JudgingTerms(one.policy, AlphaSplit(0.05, 0.01))
    found = newest(one.policy.rules[0], many, terms)
    assert found.shape == (5, 3)
    for row, series in zip(found, many, strict=True):
        looks = judge_sequence(one.policy.rules[0], series, terms)
        np.testing.assert_allclose(row, [looks.estimate[-1], looks.lower[-1], looks.upper[-1]], rtol=1e-12)
    assert np.isneginf(found[2, 1])
    assert newest(one.policy.rules[0], [], terms).shape == (0, 3)


def test_alphas_without_a_sequence_are_those_that_one_would_have(filled: World) -> None:
    one = deployment()
    with DeploymentContext(one, filled.connection).ledger() as session:
        taken = snapshots.snapshots(session, one, None, None)
        evidence = evidence_on(session, one, 1, taken, taken[-1].day)
    for alpha in (one.policy.alpha, 0.01):
        given = alpha_of_evidence(one.policy, evidence, to_pass=alpha)
        verdict = judge(one.policy, evidence, alpha=alpha)
        findings = list(with_rules(verdict.findings, one.policy))
        assert alphas_of(one.policy, findings, 0.99) == given
        unknown = [(rule, replace(found, alpha_pass=None, alpha_fail=None)) for rule, found in findings]
        assert alphas_of(one.policy, unknown, alpha) == given


def test_a_challenger_that_was_judged_by_an_older_policy_is_shown_with_its_rules(filled: World) -> None:
    changed = deployment(rules=[{"metric": "accuracy", "is": "superior"}])
    found = pages.deployment_page(DeploymentContext(changed, filled.connection), "better")
    assert {one.finding.metric for one in found.rules} == {"brier_score", "log_loss", "error_rate"}
    assert all(one.agrees for one in found.sequences)
    assert len(found.rules) == 3 + SLICES


def test_bounded_lists_are_bounded(filled: World) -> None:
    found = pages.deployment_page(DeploymentContext(deployment(), filled.connection), "better")
    assert len(found.disagreements) == 20
    assert {one.day for one in found.disagreements} <= {one.day for one in found.labels[-7:]}
    assert len(found.history) == len(found.days) == len(found.labels) == DAYS
    assert found.scores is not None
    assert found.scores.days == DAYS
    assert len(found.validations) == 2 * DAYS
