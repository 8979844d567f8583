"""Which evidence a verdict rests on, and what starts anew."""

import io
from typing import Any

import pandas as pd
from rich.console import Console

from shadow_deployment.pipeline import steps
from shadow_deployment.pipeline.run import run_days
from tests.integration.pipeline.day.worked_out import LENIENT, OTHER, RUN, run, settings, verdict_of
from tests.production import World, day, linear_model, moment


def test_a_champion_that_changes_midway_blocks_the_pass_and_evidence_starts_anew(changed: World) -> None:
    assert verdict_of(changed, "other", RUN - 1, policy=LENIENT).outcome == "PASS"
    changed.change_production(
        "UPDATE flights.prediction_log SET model_version = '8' WHERE predicted_at >= %s", [moment(RUN + 0.5)]
    )
    run(changed, [RUN, RUN + 1])
    mixed = verdict_of(changed, "other", RUN, policy=LENIENT)
    assert mixed.outcome == "INCONCLUSIVE"
    assert mixed.reasons[0] == f"the champion changed during {day(RUN)} (versions 7, 8); evidence starts over"
    after = verdict_of(changed, "other", RUN + 1, policy=LENIENT)
    assert after.outcome == "PASS"
    assert [finding.observations for finding in after.findings] == [1]
    versions = changed.evidence().query("challenger == 'other' and day >= @day(@RUN)")
    assert versions.groupby("day").champion_version.unique().map(sorted).tolist() == [["7", "8"], ["8"]]


def test_another_model_file_starts_evidence_anew(continued: World) -> None:
    before = continued.evidence()
    linear_model(continued.folder / "linear.onnx", {"dep_hour": -0.2, "distance": 0.001})
    run(continued, [RUN - 1])
    after = continued.evidence()
    fresh = after[~after.digest.isin(before.digest)]
    assert set(fresh.challenger) == {"linear"}
    assert set(fresh.day) == {day(RUN - 1)}
    pd.testing.assert_frame_equal(after[after.digest.isin(before.digest)].reset_index(drop=True), before)
    verdict = verdict_of(continued, "linear", RUN - 1, policy=LENIENT)
    assert [finding.observations for finding in verdict.findings] == [1]


def test_a_challenger_identical_to_the_champion_never_passes(whole: World) -> None:
    verdict = verdict_of(whole, "same", RUN - 1, policy=LENIENT)
    assert [finding.outcome for finding in verdict.findings] == ["PASS"]
    assert verdict.outcome == "INCONCLUSIVE"
    assert "identical to the champion's on 100.00% of" in verdict.reasons[0]


def test_the_control_never_passes(whole: World) -> None:
    verdict = verdict_of(whole, "a_a_check", RUN - 1, policy=LENIENT)
    assert [finding.outcome for finding in verdict.findings] == ["PASS"]
    assert verdict.outcome == "INCONCLUSIVE"
    assert verdict.reasons == [
        "this is the A/A check, the champion against itself: it measures noise and is never promoted"
    ]
    assert {outcome for _, name, _, outcome, *_ in whole.verdicts() if name == "a_a_check"} == {"INCONCLUSIVE"}
    differences = whole.evidence().query("challenger == 'a_a_check'")
    assert set(differences.difference_sum) == {0.0}


def test_a_day_counts_when_its_labels_are_mature(whole: World) -> None:
    rules = [{"metric": "brier_score", "is": "superior"}, {"metric": "error_rate", "is": "at_most", "value": 0.5}]

    def counted(number: int, **policy: Any) -> list[int]:
        verdict = verdict_of(whole, "other", number, policy={"burn_in": 2, "rules": rules, **policy})
        return [finding.observations for finding in verdict.findings]

    assert counted(4) == [2, 5]
    assert counted(3) == [1, 4]
    assert counted(2) == [0, 3]
    assert counted(4, minimum_coverage=0.3) == [2, 5]


def test_two_deployments_in_one_ledger_do_not_mix(continued: World) -> None:
    rows = (
        "SELECT d.name, e::text FROM shadow.evidence AS e JOIN shadow.deployment AS d ON d.id = deployment_id "
        "ORDER BY 1, 2"
    )
    before = continued.query(rows)
    shadow = continued.shadow(**settings(continued, name="second", challengers=[OTHER]))
    run_days(shadow, [day(0)], Console(file=io.StringIO()))
    after = continued.query(rows)
    assert [row for row in after if row[0] == "late"] == before
    assert len(after) > len(before)
    assert verdict_of(continued, "other", RUN - 1, policy=LENIENT).findings[0].observations == RUN


def test_another_sampling_design_starts_evidence_anew(continued: World) -> None:
    sample = {**settings(continued)["sample"], "rate": 0.7}
    run(continued, [RUN - 1], sample=sample)
    verdict = verdict_of(continued, "other", RUN - 1, sample=sample, policy=LENIENT)
    assert [finding.observations for finding in verdict.findings] == [1]
    assert continued.query("SELECT count(*), count(DISTINCT design) FROM shadow.snapshot WHERE day = %s", [day(4)]) == [
        (2, 2)
    ]


def test_a_verdict_is_history_and_judged_again_only_on_something_else(continued: World) -> None:
    before = continued.verdicts()
    shadow = continued.shadow(**settings(continued))
    steps.judge(shadow, day(RUN - 1), "other")
    assert continued.verdicts() == before
    lenient = continued.shadow(**settings(continued, policy=LENIENT))
    continued.register_before_the_first_day(lenient.deployment)
    steps.judge(lenient, day(RUN - 1), "other")
    new = [row for row in continued.verdicts() if row not in before]
    assert [(row[0], row[1], row[2], row[3]) for row in new] == [(day(RUN - 1), "other", 2, "PASS")]
    assert set(map(str, before)) < set(map(str, continued.verdicts()))
