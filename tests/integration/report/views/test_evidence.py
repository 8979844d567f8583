"""What a page says of evidence is what the verdict, the ledger and the requests say."""

import datetime as dt
import math
from collections.abc import Callable, Iterator
from dataclasses import astuple
from typing import Any

import numpy as np
import psycopg
import pytest
from numpy.testing import assert_allclose
from statsmodels.stats.proportion import proportion_confint

from shadow_deployment.context import DeploymentContext
from shadow_deployment.decision.series import gather
from shadow_deployment.ledger import series, snapshots
from shadow_deployment.metrics.scores import Distribution, stability_index
from shadow_deployment.pipeline.challengers.basis import (
    basis_of,
    comparable_days,
    evidence_of,
    evidence_rows,
    labels_on,
    mature_labels,
)
from shadow_deployment.report import text
from shadow_deployment.report.analyses.decisions import confusion, sweep
from shadow_deployment.report.queries import overview as listing
from shadow_deployment.report.queries import pages
from shadow_deployment.report.queries.predictions import wilson
from shadow_deployment.report.views import DeploymentView
from tests.integration.ledger.test_score_bins import answers
from tests.integration.report.views.days import CHANGES, LAST, counted_evidence, key_of, stored
from tests.production import SHADOW, World, day, unguarded


def leaves(value: Any) -> Iterator[Any]:
    """Yield everything that views are made of."""
    if hasattr(value, "__dataclass_fields__"):
        for name in value.__dataclass_fields__:
            yield from leaves(getattr(value, name))
    elif isinstance(value, dict):
        for key, part in value.items():
            yield key
            yield from leaves(part)
    elif isinstance(value, tuple | list):
        for part in value:
            yield from leaves(part)
    else:
        yield value


def test_everything_is_plain_finite_and_in_utc(shown: DeploymentView, shadow: DeploymentContext) -> None:
    run = pages.run_page(shadow, day(3))
    for leaf in leaves((shown, run, listing.overview([shadow]))):
        assert type(leaf) in (int, float, str, bool, dt.date, dt.datetime, type(None)), repr(leaf)
        assert not isinstance(leaf, float) or math.isfinite(leaf)
        assert not isinstance(leaf, dt.datetime) or leaf.utcoffset() == dt.timedelta(0)


@pytest.mark.parametrize("name", ["other", "a_a_check"])
@pytest.mark.parametrize("number", [LAST, 5])
def test_the_last_point_of_a_sequence_is_the_finding(
    whole: World, shadow: DeploymentContext, name: str, number: int
) -> None:
    page = pages.deployment_page(shadow, name, day(number))
    assert page.day == day(number)
    findings = {(one["metric"], one["slice"]): one for one in stored(whole, name, number)}
    assert [one.rule.finding.metric for one in page.sequences] == ["brier_score", "log_loss", "accuracy"]
    for one in page.sequences:
        finding = one.rule.finding
        expected = findings[finding.metric, "all"]
        assert len(one.days) == expected["observations"] >= 2
        assert one.agrees
        for got, key in ((one.mean, "estimate"), (one.lower, "lower"), (one.upper, "upper")):
            assert got[-1] == (None if expected[key] is None else pytest.approx(expected[key], rel=1e-12))
        assert (finding.bound, finding.outcome) == (expected["bound"], expected["outcome"])
        assert finding.decided_on == (dt.date.fromisoformat(expected["decided_on"]) if expected["decided_on"] else None)
        assert (finding.alpha_pass, finding.alpha_fail) == (expected["alpha_pass"], expected["alpha_fail"])


def test_a_sequence_begins_with_the_burn_in_and_has_every_days_own_estimate(
    shadow: DeploymentContext, shown: DeploymentView
) -> None:
    brier = next(brier for brier in shown.sequences if brier.rule.finding.metric == "brier_score")
    assert (brier.rule.unit, brier.rule.holds_above, brier.per, brier.burn_in) == ("difference", True, "day", 3)
    assert brier.lower[:2] == brier.upper[:2] == (None, None)
    assert None not in brier.lower[2:] + brier.upper[2:]
    assert brier.burn_in_end == brier.days[2]
    weight = counted_evidence(shadow)["brier_score", "all"].weight
    assert_allclose(brier.mean, np.cumsum(weight * brier.observed) / np.cumsum(weight), rtol=1e-12)
    assert [brier.rule.unit for brier in shown.sequences] == ["difference", "share", "share"]


def test_a_sequence_whose_evidence_has_changed_since_says_so(worlds: Callable[..., World], whole: World) -> None:
    world = worlds(whole)
    with psycopg.connect(world.postgres.uri(world.ledger, SHADOW)) as session, unguarded(session, "evidence_batch"):
        session.execute(
            "UPDATE shadow.evidence_batch SET difference_sum[array_position(metrics, 'brier_score')][1] = 1 "
            "WHERE needs_labels AND day = %s",
            [day(0)],
        )
    page = pages.deployment_page(world.shadow(**CHANGES), "other")
    assert {sequence.rule.finding.metric: sequence.agrees for sequence in page.sequences} == {
        "brier_score": False,
        "log_loss": True,
        "accuracy": True,
    }


@pytest.mark.parametrize("squares", [False, True])
def test_series_are_those_that_verdicts_are_judged_on(shadow: DeploymentContext, squares: bool) -> None:
    with shadow.ledger() as session:
        key = key_of(session, shadow, "other")
        taken = snapshots.snapshots(session, shadow.deployment, None, None)
        basis = basis_of(session, shadow.deployment, shadow.deployment.challenger("other"), key, day(LAST))
        comparable = comparable_days(session, taken, key, "7")
        assert basis.compared == comparable
        assert comparable_days(session, taken, key_of(session, shadow, "worse"), "7") == comparable
        assert [one.day for one in comparable] == [day(number) for number in (0, 1, 3, 4, 5, 6)]
        rows = evidence_rows(session, key, basis, comparable)
        expected = evidence_of(session, shadow.deployment.policy, rows, squares=squares)
        mature = mature_labels(shadow.deployment, labels_on(session, shadow.deployment, comparable, day(LAST)))
        read = series.newest(session, key, comparable, mature, champion_version="7")
        assert read == rows
        read_again = gather(series.read(session, read, metrics={name for name, _ in expected}, squares=squares))
    assert {key: one.days for key, one in read_again.items()} == {key: one.days for key, one in expected.items()}
    for name, one in read_again.items():
        for field in ("pairs", "champion", "challenger", "difference", "weight"):
            assert (getattr(one, field) == getattr(expected[name], field)).all()
        if squares and expected[name].squares is not None:
            assert (one.squares == expected[name].squares).all()
        else:
            assert one.squares is None


def test_predictions_that_do_not_meet_their_expectations_count_and_are_named(shadow: DeploymentContext) -> None:
    page = pages.deployment_page(shadow, "worse")
    assert page.verdict is not None
    assert page.challenger is not None
    assert page.challenger.status.sentence.startswith("worse 2 fails against champion 7")
    assert page.sequences
    assert any("predictions do not meet their expectations on 6 days" in one for one in page.verdict.warnings)
    refused = [one for one in page.validations if not one.success]
    assert {(one.day, one.subject) for one in refused} == {(day(n), "predictions") for n in range(LAST + 1)}
    (failure,) = refused[0].failures or ()
    assert failure["expectation"].startswith("expect_column_values_to_be_between")
    assert 0 < len(failure["requests"]) <= 20
    assert all(one.startswith("f0") for one in failure["requests"])


def test_rules_are_in_order_with_their_unit_in_words_and_as_they_are_spelled(shown: DeploymentView) -> None:
    assert [(rule.finding.metric, rule.finding.slice, rule.unit) for rule in shown.rules] == [
        ("brier_score", "all", "difference"),
        ("log_loss", "all", "share"),
        ("log_loss", "origin=EWR", "share"),
        ("log_loss", "origin=JFK", "share"),
        ("log_loss", "origin=LGA", "share"),
        ("accuracy", "all", "share"),
        ("error_rate", "all", "value"),
        ("calibration_error", "all", "value"),
    ]
    assert [rule.finding.role for rule in shown.rules][-2:] == ["blocking", "advisory"]
    for rule in shown.rules:
        finding = rule.finding
        assert rule.holds_above == (finding.is_ != "at_most")
        assert rule.spelling.startswith(f"{{metric: {finding.metric}, is: {finding.is_}")
    assert shown.rules[1].text == "log loss is not worse by 0.05 of its value or more, overall and in every origin"
    assert shown.rules[6].text == "error rate is at most 50\xa0%"


def test_slices_come_in_the_order_of_what_their_intervals_show(
    shadow: DeploymentContext, shown: DeploymentView
) -> None:
    slices = shown.slices
    assert slices is not None
    assert (slices.metric, slices.left_out) == ("brier_score", 0)
    overall = next(one for one in shown.sequences if one.rule.finding.metric == "brier_score")
    assert slices.overall == pytest.approx(overall.mean[-1])
    assert {one.name for one in slices.slices} == {
        *(f"origin={one}" for one in ("EWR", "JFK", "LGA")),
        *(f"carrier={one}" for one in ("AA", "UA", "(null)")),
    }
    assert list(slices.slices) == sorted(slices.slices, key=lambda each: each.order)
    evidence = counted_evidence(shadow)
    for one in slices.slices:
        expected = evidence["brier_score", one.name]
        assert one.estimate == pytest.approx(expected.mean_difference)
        assert (one.days, one.requests) == (len(expected.days), expected.total_requests)
        assert one.is_worse == (one.upper is not None and one.upper < 0)
        assert one.is_better == (one.lower is not None and one.lower > 0)


def test_reliability_is_that_of_the_requests_of_mature_days(whole: World, shown: DeploymentView) -> None:
    rows = answers(whole)
    rows = rows[rows.day != day(2)]
    mature = {one.day for one in shown.labels if one.mature}
    assert day(LAST) not in mature
    scores = shown.scores
    assert scores is not None
    assert (scores.unit, scores.edges) == ("probability", tuple(number / 20 for number in range(21)))
    assert (scores.days, scores.first, scores.last, scores.requests) == (6, day(0), day(LAST), len(rows))
    for name, side in (("champion", scores.champion), ("challenger", scores.challenger)):
        bins = np.minimum(np.floor(rows[name] * 20), 19).astype(int)
        known = rows[rows.label.notna() & rows.day.isin(mature)]
        assert sum(one.labelled for one in side) == len(known) == scores.labelled
        for number in range(20):
            one = side[number]
            inside, labelled = rows[bins == number], known[bins[known.index] == number]
            assert (one.requests, one.labelled) == (len(inside), len(labelled))
            assert one.share == pytest.approx(inside.weight.sum() / rows.weight.sum())
            if labelled.empty:
                assert (one.mean_label, one.lower, one.mean_prediction) == (None,) * 3
                continue
            assert one.mean_label == pytest.approx(np.average(labelled.label, weights=labelled.weight))
            assert one.mean_prediction == pytest.approx(np.average(labelled[name], weights=labelled.weight))
            n = labelled.weight.sum() ** 2 / (labelled.weight**2).sum()
            expected = proportion_confint(one.mean_label * n, n, method="wilson")
            assert (one.lower, one.upper) == pytest.approx(expected, abs=1e-9)


def test_quadrants_say_who_was_right_on_mature_days(whole: World, shown: DeploymentView) -> None:
    rows = answers(whole)
    rows = rows[rows.day != day(2)]
    mature = {one.day for one in shown.labels if one.mature}
    assert shown.quadrants is not None
    assert shown.quadrants.share(*shown.quadrants.rows) == pytest.approx(1)
    order = [(one.champion_yes, one.challenger_yes) for one in shown.quadrants.rows]
    assert order == [(True, True), (True, False), (False, True), (False, False)]
    for one in shown.quadrants.rows:
        inside = rows[((rows.champion >= 0.5) == one.champion_yes) & ((rows.challenger >= 0.5) == one.challenger_yes)]
        known = inside[inside.label.notna() & inside.day.isin(mature)]
        assert (one.requests, one.labelled) == (len(inside), len(known))
        assert one.champion_right == ((known.champion >= 0.5) == (known.label == 1)).sum()
        assert one.challenger_right == ((known.challenger >= 0.5) == (known.label == 1)).sum()
        assert one.labelled_weight == pytest.approx(known.weight.sum())
        assert one.positive_weight == pytest.approx(known.weight[known.label == 1].sum())


def test_a_sweep_at_the_threshold_is_the_confusion_matrix(shown: DeploymentView) -> None:
    assert shown.scores is not None
    assert shown.quadrants is not None
    assert shown.threshold == shown.quadrants.threshold == 0.5
    for model in ("champion", "challenger"):
        swept = sweep(getattr(shown.scores, model))[10]
        assert astuple(swept) == pytest.approx(astuple(confusion(shown.quadrants.rows, model, weighted=True)))


def test_drift_of_features_is_what_was_kept_and_of_predictions_that_of_their_bins(
    whole: World, shown: DeploymentView
) -> None:
    assert shown.drift is not None
    by_name = {one.name: one for one in shown.drift.series}
    assert set(by_name) == {"dep_hour", "distance", "champion's predictions", "challenger's predictions"}
    assert (shown.drift.reference_days, shown.drift.first, shown.drift.is_settled) == (3, day(0), False)
    kept = whole.query(
        "SELECT psi FROM shadow.drift JOIN shadow.snapshot AS s ON s.id = snapshot_id WHERE feature = 'distance' "
        "AND psi IS NOT NULL ORDER BY s.day"
    )
    assert by_name["distance"].values == tuple(psi for (psi,) in kept)
    assert len(shown.drift.days) == LAST
    rows = answers(whole)
    compared = sorted(set(rows.day) - {day(2)})  # two champions answered on day 2
    before, today = rows[rows.day.isin(compared[:3])], rows[rows.day == compared[-1]]
    for model in ("champion", "challenger"):
        places, now = (np.minimum(np.floor(each[model] * 20), 19) for each in (before, today))
        reference = Distribution(places.to_numpy(), before.weight.to_numpy())
        ends = reference.bin_ends(10)
        expected = stability_index(
            reference.shares(ends), Distribution(now.to_numpy(), today.weight.to_numpy()).shares(ends)
        )
        series = by_name[f"{model}'s predictions"]
        assert series.values[-1] == pytest.approx(expected)
        assert series.lately is None, "seven days have no week against one reference"
    health = next(one for one in shown.health if one.name == "Drift")
    assert (health.level, health.word, health.section) == ("good", "too early", "drift")


def test_a_page_whose_days_were_sampled_before_drift_was_kept_says_so(
    whole: World, worlds: Callable[..., World]
) -> None:
    world = worlds(whole, production=whole.production)
    with psycopg.connect(world.postgres.uri(world.ledger, SHADOW)) as session, unguarded(session, "drift"):
        session.execute("DELETE FROM shadow.drift")
    page = pages.deployment_page(world.shadow(**CHANGES), "other")
    assert page.drift is not None
    assert {one.kind for one in page.drift.series} == {"predictions"}
    assert page.drift.unknown == LAST + 1
    with psycopg.connect(world.postgres.uri(world.ledger, SHADOW)) as session:
        session.execute("DELETE FROM shadow.score_bin")
    bare = pages.deployment_page(world.shadow(**CHANGES), "other")
    assert bare.drift is None
    assert bare.missing["drift"].startswith("no day was compared with the first ones")
    health = next(one for one in bare.health if one.name == "Drift")
    assert (health.level, health.word) == ("attention", "not known")


def test_wilson_is_that_of_statsmodels_and_stays_within_0_and_1() -> None:
    for share, n in ((0.0, 5.0), (1.0, 3.0), (0.3, 10.0), (0.77, 1234.5), (0.5, 0.7)):
        expected = proportion_confint(share * n, n, method="wilson")
        assert wilson(share, n) == pytest.approx(expected, abs=1e-9)
        assert 0 <= wilson(share, n)[0] <= share <= wilson(share, n)[1] <= 1


def test_labels_are_those_of_the_command_line(shadow: DeploymentContext, shown: DeploymentView) -> None:
    with shadow.ledger() as session:
        expected = text.maturity(session, shadow.deployment)
    assert [
        (str(labels.day), labels.sampled, labels.labelled, labels.expected, labels.contradicted, labels.mature)
        for labels in shown.labels
    ] == [
        tuple(labels[key] for key in ("day", "sampled", "labelled", "expected", "contradicted", "mature"))
        for labels in expected
    ]
    assert all(
        labels.waiting == (None if labels.expected is None else labels.expected - labels.labelled)
        for labels in shown.labels
    )


def test_labels_of_a_past_day_are_those_that_were_known_then(whole: World, shadow: DeploymentContext) -> None:
    then = pages.deployment_page(shadow, "other", day(3)).labels
    end = dt.datetime.combine(day(4), dt.time(), dt.UTC)
    assert [labels.day for labels in then] == [day(number) for number in range(4)]
    for labels in then:
        ((known,),) = whole.query(
            "SELECT count(*) FROM shadow.label WHERE day = %s AND known_at <= %s AND conflict IS NULL",
            [labels.day, end],
        )
        assert labels.labelled == known
        assert labels.collected_until is not None
        assert labels.collected_until <= end
    assert [labels.mature for labels in then] == [True, False, False, False]
    final = then[0].labelled / then[0].sampled
    assert [labels.expected for labels in then] == [
        then[0].labelled,
        *(max(labels.labelled, round(final * labels.sampled)) for labels in then[1:]),
    ]
    assert then[3].waiting
