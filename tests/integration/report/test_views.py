"""What a page says of days that were really run: the same numbers as the verdict, the evidence and the requests."""

import datetime as dt
import io
import math
from collections.abc import Callable, Iterator
from dataclasses import astuple, replace
from typing import Any

import numpy as np
import psycopg
import pytest
from numpy.testing import assert_allclose
from rich.console import Console
from statsmodels.stats.proportion import proportion_confint

from shadow_deployment.base.numbers import percent
from shadow_deployment.context import DeploymentContext
from shadow_deployment.decision.series import gather
from shadow_deployment.decision.words.finding import Finding
from shadow_deployment.ledger import predictions, series, snapshots
from shadow_deployment.metrics.scores import Distribution, stability_index
from shadow_deployment.models.loading import model_digest
from shadow_deployment.pipeline import steps
from shadow_deployment.pipeline.challengers.basis import (
    basis_of,
    comparable_days,
    evidence_of,
    evidence_rows,
    labels_on,
    mature_labels,
)
from shadow_deployment.pipeline.history.verify import verify
from shadow_deployment.pipeline.run import run_days
from shadow_deployment.report import text
from shadow_deployment.report.analyses.decisions import confusion, sweep
from shadow_deployment.report.html import rendering
from shadow_deployment.report.queries import overview as listing
from shadow_deployment.report.queries import pages
from shadow_deployment.report.queries.predictions import wilson
from shadow_deployment.report.scorecard import HealthItem, ScoreRow
from shadow_deployment.report.views import DeploymentView
from tests.integration.ledger.test_score_bins import answers
from tests.production import SHADOW, World, day, unguarded

LAST = 6
CHANGES: dict[str, Any] = {
    "sample": {"rate": 0.7, "rates": {"JFK": 1.0}, "strata": ["origin"], "shard_rows": 25},
    "metrics": ["latency_p50", "latency_p95", "latency_p99", "population_stability_index", "kolmogorov_smirnov"],
    "challengers": [
        {"name": "a_a_check", "model": "champion"},
        {"name": "other", "model": "logged:flights.prediction_log.other_probability"},
        {"name": "worse", "version": "2", "model": "logged:flights.prediction_log.dep_hour"},
    ],
    "policy": {
        "burn_in": 3,
        "after_fail": "continue",
        "rules": [
            {"metric": "brier_score", "is": "superior"},
            {"metric": "log_loss", "is": "non_inferior", "relative_margin": 0.05, "slices": ["origin"]},
            {"metric": "accuracy", "is": "at_least", "value": -0.5, "of": "relative_change"},
            {"metric": "error_rate", "is": "at_most", "value": 0.5},
            {"metric": "calibration_error", "is": "at_most", "value": 0.5, "role": "advisory"},
        ],
    },
}


@pytest.fixture(scope="module")
def whole(worlds: Callable[..., World]) -> World:
    """Seven days; `worse` answers hours, so that its predictions are refused, and day 2 has two champions."""
    world = worlds(own=True)
    world.change_production(
        "UPDATE flights.prediction_log SET model_version = '8' WHERE predicted_at >= %s AND predicted_at < %s "
        "AND carrier = 'AA'",
        [day(2), day(3)],
    )
    problems = run_days(
        world.shadow(**CHANGES), [day(number) for number in range(LAST + 1)], Console(file=io.StringIO())
    )
    assert all("worse" in str(one) for one in problems)
    return world


@pytest.fixture(scope="module")
def shadow(whole: World) -> DeploymentContext:
    return whole.shadow(**CHANGES)


@pytest.fixture(scope="module")
def shown(shadow: DeploymentContext) -> DeploymentView:
    """The page on `other`, as of the newest day."""
    found = pages.deployment_page(shadow, "other")
    assert (found.state, found.error) == ("ready", None)
    return found


def key_of(session: Any, shadow: DeploymentContext, name: str) -> int:
    one = shadow.deployment.challenger(name)
    key = predictions.find_challenger(session, shadow.deployment, one, model_digest(one))
    assert key is not None
    return key


def stored(world: World, name: str, number: int) -> list[dict[str, Any]]:
    """Return the findings of the newest verdict of a day."""
    ((found,),) = world.query(
        "SELECT v.findings FROM shadow.verdict AS v JOIN shadow.model_version AS m ON m.id = v.challenger_id "
        "WHERE m.name = %s AND v.day = %s ORDER BY v.id DESC LIMIT 1",
        [name, day(number)],
    )
    return found


def leaves(value: Any) -> Iterator[Any]:
    """Yield everything that views are made of."""
    if hasattr(value, "__dataclass_fields__"):
        for name in value.__dataclass_fields__:
            yield from leaves(getattr(value, name))
    elif isinstance(value, dict):
        for key, one in value.items():
            yield key
            yield from leaves(one)
    elif isinstance(value, tuple | list):
        for one in value:
            yield from leaves(one)
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
    found = pages.deployment_page(shadow, name, day(number))
    assert found.day == day(number)
    findings = {(one["metric"], one["slice"]): one for one in stored(whole, name, number)}
    assert [one.rule.finding.metric for one in found.sequences] == ["brier_score", "log_loss", "accuracy"]
    for one in found.sequences:
        finding = one.rule.finding
        expected = findings[finding.metric, "all"]
        assert len(one.days) == expected["observations"] >= 2
        assert one.agrees
        for got, key in ((one.mean, "estimate"), (one.lower, "lower"), (one.upper, "upper")):
            assert got[-1] == (None if expected[key] is None else pytest.approx(expected[key], rel=1e-12))
        assert (finding.bound, finding.outcome) == (expected["bound"], expected["outcome"])
        assert finding.decided_on == (dt.date.fromisoformat(expected["decided_on"]) if expected["decided_on"] else None)
        assert (finding.alpha_pass, finding.alpha_fail) == (expected["alpha_pass"], expected["alpha_fail"])


def counted_evidence(shadow: DeploymentContext) -> Any:
    """The series of `other` that its verdict rests on, by metric and slice."""
    with shadow.ledger() as session:
        key = key_of(session, shadow, "other")
        basis = basis_of(session, shadow.deployment, shadow.deployment.challenger("other"), key, day(LAST))
        return evidence_of(session, shadow.deployment.policy, evidence_rows(session, key, basis, basis.compared))


def test_a_sequence_begins_with_the_burn_in_and_has_every_days_own_estimate(
    shadow: DeploymentContext, shown: DeploymentView
) -> None:
    one = next(one for one in shown.sequences if one.rule.finding.metric == "brier_score")
    assert (one.rule.unit, one.rule.holds_above, one.per, one.burn_in) == ("difference", True, "day", 3)
    assert one.lower[:2] == one.upper[:2] == (None, None)
    assert None not in one.lower[2:] + one.upper[2:]
    assert one.burn_in_end == one.days[2]
    weight = counted_evidence(shadow)["brier_score", "all"].weight
    assert_allclose(one.mean, np.cumsum(weight * one.observed) / np.cumsum(weight), rtol=1e-12)
    assert [one.rule.unit for one in shown.sequences] == ["difference", "share", "share"]


def test_a_sequence_whose_evidence_has_changed_since_says_so(worlds: Callable[..., World], whole: World) -> None:
    world = worlds(whole)
    with psycopg.connect(world.postgres.uri(world.ledger, SHADOW)) as session, unguarded(session, "evidence_batch"):
        session.execute(
            "UPDATE shadow.evidence_batch SET difference_sum[array_position(metrics, 'brier_score')][1] = 1 "
            "WHERE needs_labels AND day = %s",
            [day(0)],
        )
    found = pages.deployment_page(world.shadow(**CHANGES), "other")
    assert {one.rule.finding.metric: one.agrees for one in found.sequences} == {
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
        found = gather(series.read(session, read, metrics={name for name, _ in expected}, squares=squares))
    assert {key: one.days for key, one in found.items()} == {key: one.days for key, one in expected.items()}
    for name, one in found.items():
        for field in ("pairs", "champion", "challenger", "difference", "weight"):
            assert (getattr(one, field) == getattr(expected[name], field)).all()
        if squares and expected[name].squares is not None:
            assert (one.squares == expected[name].squares).all()
        else:
            assert one.squares is None


def test_predictions_that_do_not_meet_their_expectations_count_and_are_named(shadow: DeploymentContext) -> None:
    found = pages.deployment_page(shadow, "worse")
    assert found.verdict is not None
    assert found.challenger is not None
    assert found.challenger.status.sentence.startswith("worse 2 fails against champion 7")
    assert found.sequences
    assert any("predictions do not meet their expectations on 6 days" in one for one in found.verdict.warnings)
    refused = [one for one in found.validations if not one.success]
    assert {(one.day, one.subject) for one in refused} == {(day(n), "predictions") for n in range(LAST + 1)}
    (failure,) = refused[0].failures or ()
    assert failure["expectation"].startswith("expect_column_values_to_be_between")
    assert 0 < len(failure["requests"]) <= 20
    assert all(one.startswith("f0") for one in failure["requests"])


def test_rules_are_in_order_with_their_unit_in_words_and_as_they_are_spelled(shown: DeploymentView) -> None:
    assert [(one.finding.metric, one.finding.slice, one.unit) for one in shown.rules] == [
        ("brier_score", "all", "difference"),
        ("log_loss", "all", "share"),
        ("log_loss", "origin=EWR", "share"),
        ("log_loss", "origin=JFK", "share"),
        ("log_loss", "origin=LGA", "share"),
        ("accuracy", "all", "share"),
        ("error_rate", "all", "value"),
        ("calibration_error", "all", "value"),
    ]
    assert [one.finding.role for one in shown.rules][-2:] == ["blocking", "advisory"]
    for one in shown.rules:
        finding = one.finding
        assert one.holds_above == (finding.is_ != "at_most")
        assert one.spelling.startswith(f"{{metric: {finding.metric}, is: {finding.is_}")
    assert shown.rules[1].text == "log loss is not worse by 0.05 of its value or more, overall and in every origin"
    assert shown.rules[6].text == "error rate is at most 50\xa0%"


def test_slices_come_in_the_order_of_what_their_intervals_show(
    shadow: DeploymentContext, shown: DeploymentView
) -> None:
    found = shown.slices
    assert found is not None
    assert (found.metric, found.left_out) == ("brier_score", 0)
    overall = next(one for one in shown.sequences if one.rule.finding.metric == "brier_score")
    assert found.overall == pytest.approx(overall.mean[-1])
    assert {one.name for one in found.slices} == {
        *(f"origin={one}" for one in ("EWR", "JFK", "LGA")),
        *(f"carrier={one}" for one in ("AA", "UA", "(null)")),
    }
    assert list(found.slices) == sorted(found.slices, key=lambda each: each.order)
    evidence = counted_evidence(shadow)
    for one in found.slices:
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
    found = shown.scores
    assert found is not None
    assert (found.unit, found.edges) == ("probability", tuple(number / 20 for number in range(21)))
    assert (found.days, found.first, found.last, found.requests) == (6, day(0), day(LAST), len(rows))
    for name, side in (("champion", found.champion), ("challenger", found.challenger)):
        bins = np.minimum(np.floor(rows[name] * 20), 19).astype(int)
        known = rows[rows.label.notna() & rows.day.isin(mature)]
        assert sum(one.labelled for one in side) == len(known) == found.labelled
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
    found = pages.deployment_page(world.shadow(**CHANGES), "other")
    assert found.drift is not None
    assert {one.kind for one in found.drift.series} == {"predictions"}
    assert found.drift.unknown == LAST + 1
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
        (str(one.day), one.sampled, one.labelled, one.expected, one.contradicted, one.mature) for one in shown.labels
    ] == [
        tuple(one[key] for key in ("day", "sampled", "labelled", "expected", "contradicted", "mature"))
        for one in expected
    ]
    assert all(one.waiting == (None if one.expected is None else one.expected - one.labelled) for one in shown.labels)


def test_labels_of_a_past_day_are_those_that_were_known_then(whole: World, shadow: DeploymentContext) -> None:
    then = pages.deployment_page(shadow, "other", day(3)).labels
    end = dt.datetime.combine(day(4), dt.time(), dt.UTC)
    assert [one.day for one in then] == [day(number) for number in range(4)]
    for one in then:
        ((known,),) = whole.query(
            "SELECT count(*) FROM shadow.label WHERE day = %s AND known_at <= %s AND conflict IS NULL", [one.day, end]
        )
        assert one.labelled == known
        assert one.collected_until is not None
        assert one.collected_until <= end
    assert [one.mature for one in then] == [True, False, False, False]
    final = then[0].labelled / then[0].sampled
    assert [one.expected for one in then] == [
        then[0].labelled,
        *(max(one.labelled, round(final * one.sampled)) for one in then[1:]),
    ]
    assert then[3].waiting


def test_latency_and_distances_are_by_day(whole: World, shown: DeploymentView) -> None:
    rows = answers(whole)
    assert shown.latency is not None
    assert shown.distances is not None
    assert shown.latency.days == shown.distances.days == tuple(day(number) for number in (0, 1, 3, 4, 5, 6))
    for place, one in enumerate(shown.latency.days):
        timed = rows[(rows.day == one) & rows.champion_latency_ms.notna()]
        middle = np.quantile(timed.champion_latency_ms, 0.5, method="inverted_cdf", weights=timed.weight)
        assert shown.latency.values["champion p50"][place] == pytest.approx(middle)
        assert set(shown.latency.values) == {
            f"{model} {key}" for model in ("champion", "challenger") for key in ("p50", "p95", "p99")
        }
        both = rows[rows.day == one]
        points = np.sort(np.concatenate([both.champion, both.challenger]))
        reached = [
            np.average(both[name].to_numpy()[:, None] <= points, axis=0, weights=both.weight)
            for name in ("champion", "challenger")
        ]
        distance = np.abs(reached[0] - reached[1]).max()
        assert shown.distances.values["kolmogorov_smirnov"][place] == pytest.approx(distance)
    assert shown.distances.bounds == {}
    assert not {"latency", "distances"} & set(shown.missing)


def test_the_control_shows_no_noise_and_stands_beside_the_others(shown: DeploymentView) -> None:
    assert shown.noise is not None
    assert shown.noise.metric == "brier_score"
    assert shown.noise.a_a_check is not None
    assert set(shown.noise.a_a_check.differences) == {0.0}
    assert [(one.name, one.role) for one in shown.noise.others] == [("other", "promotable"), ("worse", "promotable")]
    own = next(one for one in shown.sequences if one.rule.finding.metric == "brier_score")
    assert (shown.noise.others[0].days, shown.noise.others[0].differences) == (own.days, own.observed)
    assert shown.noise.others[0].deviation == pytest.approx(np.std(own.observed, ddof=1))


def test_the_days_before_and_after_one_are_there_and_history_ends_with_it(shadow: DeploymentContext) -> None:
    found = pages.deployment_page(shadow, "other", day(4))
    assert found.days == tuple(day(number) for number in range(LAST + 1))
    assert [one.day for one in found.history] == list(found.days[:5])
    assert found.day == found.last_day == day(4)
    assert all(one.day <= day(4) for one in (*found.labels, *found.validations))
    assert (found.compared[0].day, found.compared[-1].day, len(found.compared)) == (day(0), day(4), 4)


def test_a_day_that_is_compared_and_not_judged_yet_is_no_part_of_the_verdict(
    worlds: Callable[..., World], whole: World
) -> None:
    shadow = worlds(whole).shadow(**CHANGES)
    sampled = steps.sample(shadow, day(LAST + 1))
    steps.validate_inputs(shadow, day(LAST + 1))
    for shard in range(sampled.shards):
        steps.score(shadow, day(LAST + 1), "other", shard)
    steps.validate_predictions(shadow, day(LAST + 1), "other")
    assert steps.compare(shadow, day(LAST + 1)) > 0
    found = pages.deployment_page(shadow, "other")
    assert (found.day, found.last_day, found.labels[-1].day) == (day(LAST), day(LAST + 1), day(LAST + 1))
    assert all(one.agrees for one in found.sequences)
    assert found.latency is not None
    assert found.scores is not None
    assert found.compared[-1].day == found.latency.days[-1] == found.scores.last == day(LAST)


def test_provenance_says_what_the_verdict_rests_on(whole: World, shown: DeploymentView) -> None:
    ((digest, design, code, model, snapshot),) = whole.query(
        "SELECT v.input_digest, v.design, v.code_version, m.digest, s.digest FROM shadow.verdict AS v "
        "JOIN shadow.model_version AS m ON m.id = v.challenger_id JOIN shadow.snapshot AS s ON s.day = v.day "
        "WHERE m.name = 'other' AND v.day = %s ORDER BY v.id DESC LIMIT 1",
        [day(LAST)],
    )
    found = shown.verdict
    assert found is not None
    assert shown.snapshot is not None
    assert (found.input_digest, found.design, found.code_version) == (digest, design, code)
    assert (found.model_digest, shown.snapshot.digest, found.champion_version) == (model, snapshot, "7")
    ((rows, population),) = whole.query(
        "SELECT sum(rows)::int, sum(population)::int FROM shadow.snapshot WHERE champion_versions = '{7}'"
    )
    sample = f"{rows} of {population} requests, {percent(rows / population)}; rate {rows / population:g}"
    assert f"<dt>Sample</dt><dd><code>{sample}</code>" in rendering.report(shown)
    assert 0.7 < rows / population < 1
    assert found.uri == "logged:flights.prediction_log.other_probability"


def test_a_run_shows_what_its_day_did(whole: World, shadow: DeploymentContext) -> None:
    found = pages.run_page(shadow, day(2)).run
    assert found is not None
    ((rows, shards),) = whole.query("SELECT rows, shards FROM shadow.snapshot WHERE day = %s", [day(2)])
    assert found.snapshot is not None
    assert (found.snapshot.population, found.snapshot.rows, found.shards) == (60, rows, shards)
    assert sorted(found.snapshot.champion_versions) == ["7", "8"]
    assert found.window.end - found.window.start == dt.timedelta(days=1)
    assert [(subject, one and one.success) for subject, one in found.validations.items()] == [
        ("inputs", True),
        ("a_a_check", True),
        ("other", True),
        ("worse", False),
    ]
    assert found.validations["worse"]
    assert (found.validations["worse"].failures or [])[0]["requests"]
    scored = dict(
        whole.query(
            "SELECT m.name, sum(errors)::int FROM shadow.scoring AS o "
            "JOIN shadow.model_version AS m ON m.id = o.challenger_id "
            "JOIN shadow.snapshot AS s ON s.id = o.snapshot_id WHERE s.day = %s GROUP BY 1",
            [day(2)],
        )
    )
    assert {name: one and one.errors for name, one in found.scoring.items()} == scored
    assert {one and (one.rows, one.shards) for one in found.scoring.values()} == {(rows, shards)}
    assert found.labels is not None
    assert found.labels.day == day(2)
    assert found.judged == dict.fromkeys(("a_a_check", "other", "worse"), "INCONCLUSIVE")


def test_a_run_of_a_day_that_was_not_sampled_has_only_its_window(shadow: DeploymentContext) -> None:
    found = pages.run_page(shadow, day(LAST + 1))
    assert found.run is not None
    assert (found.run.snapshot, found.run.shards, found.run.labels, found.run.validations) == (None, 0, None, {})
    assert set(found.run.judged.values()) == {None}
    assert found.day == day(LAST)
    before = pages.run_page(shadow, day(-5))
    assert (before.state, before.verdict) == ("empty", None)
    assert f"No day up to {day(-5)} was sampled" in str(before.next_step)


def test_without_a_name_the_one_that_needs_looking_at_is_shown(shadow: DeploymentContext) -> None:
    found = pages.deployment_page(shadow)
    assert found.challenger is not None
    assert [one.name for one in found.challengers] == ["a_a_check", "other", "worse"]
    lines = {one.name: one for one in found.challengers}
    assert found.challenger == lines["worse"]

    def first(**outcomes: Any) -> str:
        changed = [replace(line, outcome=outcomes.get(line.name, line.outcome)) for line in found.challengers]
        return pages.summary.first_to_look_at(changed).name

    assert first(a_a_check="PASS", other="FAIL", worse="INCONCLUSIVE") == "other"
    assert first(a_a_check="PASS", other="INCONCLUSIVE", worse="FAIL") == "worse"
    assert first(a_a_check="PASS", other="FAIL", worse="PASS") == "worse"
    assert first(other=None, worse="INCONCLUSIVE") == "worse"


def test_reading_writes_nothing_and_a_page_is_of_one_moment(
    whole: World, shadow: DeploymentContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = whole.dump()
    pages.deployment_page(shadow)
    pages.run_page(shadow, day(1))
    listing.overview([shadow])
    assert whole.dump() == before

    def settings(session: Any, *_: Any) -> DeploymentView:
        names = ("transaction_read_only", "transaction_isolation", "statement_timeout")
        found = [session.execute(f"SHOW {name}").fetchone()[0] for name in names]
        assert found == ["on", "repeatable read", "20s"]
        return DeploymentView("late", "ready")

    monkeypatch.setattr(pages, "read_page", settings)
    assert pages.deployment_page(shadow).error is None


def test_names_are_as_they_were_written(worlds: Callable[..., World], whole: World) -> None:
    world = worlds(whole)
    strange = "<b>\"AA'\u202e"
    with psycopg.connect(world.postgres.uri(world.ledger, SHADOW)) as session:
        changed = "UPDATE shadow.evidence_batch SET slice_values = array_replace(slice_values, 'AA', %s)"
        with unguarded(session, "evidence_batch"):
            session.execute(changed, [strange])
    found = pages.deployment_page(world.shadow(**CHANGES), "other").slices
    assert found is not None
    assert strange in {one.value for one in found.slices}


def row_of(view: DeploymentView, metric: str, group: str = "") -> ScoreRow:
    assert view.scorecard is not None
    return next(row for row in view.scorecard.rows if row.metric == metric and group in ("", row.group))


def test_the_scorecard_has_every_kept_metric_of_every_model(shadow: DeploymentContext, shown: DeploymentView) -> None:
    card = shown.scorecard
    assert card is not None
    assert [line.name for line in card.columns] == ["other", "worse", "a_a_check"]
    assert {row.metric for row in card.rows} == set(shadow.deployment.tracked)
    groups = {row.metric: row.group for row in card.rows}
    assert [groups[name] for name in ("brier_score", "calibration_error", "latency_p95")] == [
        "blocking", "advisory", "other",
    ]  # fmt: skip
    assert [words for words, _ in card.groups()] == [
        "Blocking rules",
        "Advisory rules",
        "Other kept metrics, of no rule",
    ]


def test_a_score_is_what_the_verdict_rests_on(whole: World, shadow: DeploymentContext, shown: DeploymentView) -> None:
    row = row_of(shown, "brier_score")
    champion, challenger = counted_evidence(shadow)["brier_score", "all"].means
    other = row.scores[0]
    assert other is not None
    assert (row.champion, other.champion, other.value) == pytest.approx((champion, champion, challenger))
    assert other.change == pytest.approx((challenger - champion) / champion)
    (stored_one,) = [one for one in stored(whole, "other", LAST) if one["metric"] == "brier_score"]
    assert other.finding is not None
    assert other.finding.to_json() == Finding.from_json(stored_one).to_json()
    check = row.scores[2]
    assert check is not None
    assert (check.value, check.change) == (check.champion, 0.0)
    assert [part.slice for part in row_of(shown, "log_loss").slices] == ["origin=EWR", "origin=JFK", "origin=LGA"]
    assert row.slices == ()


def test_a_daily_rule_has_the_newest_days_value_and_latencies_are_not_compared(shown: DeploymentView) -> None:
    rate = row_of(shown, "error_rate")
    assert rate.what == f"on {day(LAST)}"
    assert rate.scores[0] is not None
    assert rate.scores[0].finding is not None
    assert rate.scores[0].value == pytest.approx(rate.scores[0].finding.estimate)
    latency = row_of(shown, "latency_p50")
    assert latency.scores[0] is not None
    assert (latency.scores[0].change, latency.scores[2]) == (None, None)
    assert latency.scores[0].value is not None
    assert latency.champion is not None
    assert "batch scoring" in latency.note
    assert row_of(shown, "agreement").champion is None


def test_the_a_a_check_has_no_latency_of_its_own(shadow: DeploymentContext) -> None:
    found = pages.deployment_page(shadow, "a_a_check")
    assert found.latency is None
    assert "repeats the log" in found.missing["latency"]
    row = row_of(found, "latency_p50")
    assert row.scores[2] is None
    assert row.champion is not None


def health_of(view: DeploymentView) -> dict[str, HealthItem]:
    return {item.name: item for item in view.health}


def test_health_is_what_the_ledger_says(worlds: Callable[..., World], whole: World, shown: DeploymentView) -> None:
    found = health_of(shown)
    assert {name: item.level for name, item in found.items()} == {
        "A/A check": "good",
        "Drift": "good",
        "Label coverage": found["Label coverage"].level,
        "Days left out": found["Days left out"].level,
        "Sampling rate": "good",
        "Production serves": "good",
        "Alerts go to": "attention",
        "Replay check": "attention",
        "Ledger": "attention",
    }
    mature = [one for one in shown.labels if one.mature]
    share = sum(one.labelled for one in mature) / sum(one.sampled for one in mature)
    assert found["Label coverage"].word == percent(share)
    assert (found["Production serves"].word, found["Alerts go to"].word) == ("7", "nobody")
    assert "shadow verify late" in found["Ledger"].detail
    shadow = worlds(whole).shadow(**CHANGES)
    before = pages.fingerprint(shadow)
    assert verify(shadow, [day(1)]).difference is None
    assert pages.fingerprint(shadow) != before
    item = health_of(pages.deployment_page(shadow, "other"))["Ledger"]
    assert (item.level, item.word) == ("good", "verified")
    assert f"{day(1)}: 1 chain, 1 trials, 1 days" in item.detail


def test_a_ledger_that_differs_is_an_alarm(worlds: Callable[..., World], whole: World) -> None:
    world = worlds(whole)
    with psycopg.connect(world.postgres.uri(world.ledger, SHADOW)) as session, unguarded(session, "evidence_batch"):
        session.execute(
            "UPDATE shadow.evidence_batch SET difference_sum[array_position(metrics, 'brier_score')][1] = 1 "
            "WHERE needs_labels AND day = %s",
            [day(1)],
        )
    shadow = world.shadow(**CHANGES)
    difference = verify(shadow).difference
    assert difference is not None
    item = health_of(pages.deployment_page(shadow, "other"))["Ledger"]
    assert (item.level, item.word) == ("alarm", "differs")
    assert difference in item.detail


def test_days_that_the_challenger_may_have_learned_from_are_not_drawn(worlds: Callable[..., World]) -> None:
    world = worlds(own=True)
    trained = {"name": "other", "model": "logged:flights.prediction_log.other_probability", "trained_until": day(-1)}
    policy = CHANGES["policy"] | {"replay": "count"}
    shadow = world.shadow(**CHANGES | {"challengers": [trained], "policy": policy})
    run_days(shadow, [day(number) for number in range(LAST + 1)], Console(file=io.StringIO()))
    found = pages.deployment_page(shadow, "other")
    assert found.compared[0].day > day(0)
    assert found.sequences
    assert all(one.agrees for one in found.sequences), "the verdict rests on the days that are drawn"
    assert found.scorecard is not None
    assert found.scorecard.first == found.compared[0].day
