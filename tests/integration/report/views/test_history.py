"""What a page says of runs, models and their health is what the ledger says."""

import datetime as dt
import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import psycopg
import pytest
from rich.console import Console

from shadow_deployment.base.numbers import percent
from shadow_deployment.context import DeploymentContext
from shadow_deployment.decision.words.finding import Finding
from shadow_deployment.pipeline import steps
from shadow_deployment.pipeline.history.verify import verify
from shadow_deployment.pipeline.run import run_days
from shadow_deployment.report.html import rendering
from shadow_deployment.report.queries import overview as listing
from shadow_deployment.report.queries import pages
from shadow_deployment.report.scorecard import HealthItem, ScoreRow
from shadow_deployment.report.views import DeploymentView
from tests.integration.ledger.test_score_bins import answers
from tests.integration.report.views.days import CHANGES, LAST, counted_evidence, stored
from tests.production import SHADOW, World, day, unguarded


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
    page = pages.deployment_page(shadow, "other", day(4))
    assert page.days == tuple(day(number) for number in range(LAST + 1))
    assert [one.day for one in page.history] == list(page.days[:5])
    assert page.day == page.last_day == day(4)
    assert all(one.day <= day(4) for one in (*page.labels, *page.validations))
    assert (page.compared[0].day, page.compared[-1].day, len(page.compared)) == (day(0), day(4), 4)


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
    page = pages.deployment_page(shadow, "other")
    assert (page.day, page.last_day, page.labels[-1].day) == (day(LAST), day(LAST + 1), day(LAST + 1))
    assert all(sequence.agrees for sequence in page.sequences)
    assert page.latency is not None
    assert page.scores is not None
    assert page.compared[-1].day == page.latency.days[-1] == page.scores.last == day(LAST)


def test_provenance_says_what_the_verdict_rests_on(whole: World, shown: DeploymentView) -> None:
    ((digest, design, code, model, snapshot),) = whole.query(
        "SELECT v.input_digest, v.design, v.code_version, m.digest, s.digest FROM shadow.verdict AS v "
        "JOIN shadow.model_version AS m ON m.id = v.challenger_id JOIN shadow.snapshot AS s ON s.day = v.day "
        "WHERE m.name = 'other' AND v.day = %s ORDER BY v.id DESC LIMIT 1",
        [day(LAST)],
    )
    verdict = shown.verdict
    assert verdict is not None
    assert shown.snapshot is not None
    assert (verdict.input_digest, verdict.design, verdict.code_version) == (digest, design, code)
    assert (verdict.model_digest, shown.snapshot.digest, verdict.champion_version) == (model, snapshot, "7")
    ((rows, population),) = whole.query(
        "SELECT sum(rows)::int, sum(population)::int FROM shadow.snapshot WHERE champion_versions = '{7}'"
    )
    sample = f"{rows} of {population} requests, {percent(rows / population)}; rate {rows / population:g}"
    assert f"<dt>Sample</dt><dd><code>{sample}</code>" in rendering.report(shown)
    assert 0.7 < rows / population < 1
    assert verdict.uri == "logged:flights.prediction_log.other_probability"


def test_a_run_shows_what_its_day_did(whole: World, shadow: DeploymentContext) -> None:
    run = pages.run_page(shadow, day(2)).run
    assert run is not None
    ((rows, shards),) = whole.query("SELECT rows, shards FROM shadow.snapshot WHERE day = %s", [day(2)])
    assert run.snapshot is not None
    assert (run.snapshot.population, run.snapshot.rows, run.shards) == (60, rows, shards)
    assert sorted(run.snapshot.champion_versions) == ["7", "8"]
    assert run.window.end - run.window.start == dt.timedelta(days=1)
    assert [(subject, step and step.success) for subject, step in run.validations.items()] == [
        ("inputs", True),
        ("a_a_check", True),
        ("other", True),
        ("worse", False),
    ]
    assert run.validations["worse"]
    assert (run.validations["worse"].failures or [])[0]["requests"]
    scored = dict(
        whole.query(
            "SELECT m.name, sum(errors)::int FROM shadow.scoring AS o "
            "JOIN shadow.model_version AS m ON m.id = o.challenger_id "
            "JOIN shadow.snapshot AS s ON s.id = o.snapshot_id WHERE s.day = %s GROUP BY 1",
            [day(2)],
        )
    )
    assert {name: step and step.errors for name, step in run.scoring.items()} == scored
    assert {step and (step.rows, step.shards) for step in run.scoring.values()} == {(rows, shards)}
    assert run.labels is not None
    assert run.labels.day == day(2)
    assert run.judged == dict.fromkeys(("a_a_check", "other", "worse"), "INCONCLUSIVE")


def test_a_run_of_a_day_that_was_not_sampled_has_only_its_window(shadow: DeploymentContext) -> None:
    page = pages.run_page(shadow, day(LAST + 1))
    assert page.run is not None
    assert (page.run.snapshot, page.run.shards, page.run.labels, page.run.validations) == (None, 0, None, {})
    assert set(page.run.judged.values()) == {None}
    assert page.day == day(LAST)
    before = pages.run_page(shadow, day(-5))
    assert (before.state, before.verdict) == ("empty", None)
    assert f"No day up to {day(-5)} was sampled" in str(before.next_step)


def test_without_a_name_the_one_that_needs_looking_at_is_shown(shadow: DeploymentContext) -> None:
    page = pages.deployment_page(shadow)
    assert page.challenger is not None
    assert [challenger.name for challenger in page.challengers] == ["a_a_check", "other", "worse"]
    lines = {challenger.name: challenger for challenger in page.challengers}
    assert page.challenger == lines["worse"]

    def first(**outcomes: Any) -> str:
        changed = [replace(line, outcome=outcomes.get(line.name, line.outcome)) for line in page.challengers]
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
        values = [session.execute(f"SHOW {name}").fetchone()[0] for name in names]
        assert values == ["on", "repeatable read", "20s"]
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
    slices = pages.deployment_page(world.shadow(**CHANGES), "other").slices
    assert slices is not None
    assert strange in {one.value for one in slices.slices}


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
    score = row.scores[0]
    assert score is not None
    assert (row.champion, score.champion, score.value) == pytest.approx((champion, champion, challenger))
    assert score.change == pytest.approx((challenger - champion) / champion)
    (stored_one,) = [one for one in stored(whole, "other", LAST) if one["metric"] == "brier_score"]
    assert score.finding is not None
    assert score.finding.to_json() == Finding.from_json(stored_one).to_json()
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
    page = pages.deployment_page(shadow, "a_a_check")
    assert page.latency is None
    assert "repeats the log" in page.missing["latency"]
    row = row_of(page, "latency_p50")
    assert row.scores[2] is None
    assert row.champion is not None


def health_of(view: DeploymentView) -> dict[str, HealthItem]:
    return {item.name: item for item in view.health}


def test_health_is_what_the_ledger_says(worlds: Callable[..., World], whole: World, shown: DeploymentView) -> None:
    health = health_of(shown)
    assert {name: item.level for name, item in health.items()} == {
        "A/A check": "good",
        "Drift": "good",
        "Label coverage": health["Label coverage"].level,
        "Days left out": health["Days left out"].level,
        "Sampling rate": "good",
        "Production serves": "good",
        "Alerts go to": "attention",
        "Replay check": "attention",
        "Ledger": "attention",
    }
    mature = [one for one in shown.labels if one.mature]
    share = sum(one.labelled for one in mature) / sum(one.sampled for one in mature)
    assert health["Label coverage"].word == percent(share)
    assert (health["Production serves"].word, health["Alerts go to"].word) == ("7", "nobody")
    assert "shadow verify late" in health["Ledger"].detail
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
    page = pages.deployment_page(shadow, "other")
    assert page.compared[0].day > day(0)
    assert page.sequences
    assert all(sequence.agrees for sequence in page.sequences), "the verdict rests on the days that are drawn"
    assert page.scorecard is not None
    assert page.scorecard.first == page.compared[0].day
