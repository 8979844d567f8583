"""What never passes, although all else does.

Elsewhere: immature labels, a challenger identical to the champion and a champion that changed midway
(`day/test_verdicts.py`), a rule naming an unknown metric or slice (`tests/unit/config/test_contradictions.py`), and
each of them on series alone (`tests/unit/decision`).
"""

from collections.abc import Callable
from typing import Any

import pytest

from shadow_deployment.errors import SnapshotError
from shadow_deployment.pipeline import steps
from tests.integration.pipeline.judging.days import EMPTY, LENIENT, OTHER, PASSING, RUN, judged, run
from tests.production import World, day, moment


def closed(world: World, *rules: dict[str, Any], number: int = RUN - 1, **changes: Any) -> list[str]:
    """Return why rules do not pass that pass otherwise."""
    assert judged(world, RUN - 1, policy=PASSING).verdict.outcome == "PASS"
    verdict = judged(world, number, policy={"burn_in": 2, "rules": [LENIENT, *rules]}, **changes).verdict
    assert verdict.outcome == "INCONCLUSIVE"
    return list(verdict.reasons)


def test_a_metric_that_was_never_computed_never_passes(late: World) -> None:
    rule = {"metric": "latency_ratio_p95", "is": "at_most", "value": 1e9}
    assert closed(late, rule) == [
        "latency ratio p95 is not shown to be at most 1e+09: there is no evidence: no mature day has a labelled pair"
    ]


def test_a_slice_without_a_label_never_passes(late: World) -> None:
    rule = {"metric": "brier_score", "is": "at_most", "value": 1.0, "last": {"hold": 1, "of": 1}}
    assert judged(late, RUN - 1, policy={"rules": [rule]}).verdict.outcome == "PASS"
    (reason,) = closed(late, rule | {"slices": ["origin"]})
    assert reason.startswith(f"Brier score is not shown to be at most 1 in origin={EMPTY}: there is no evidence")


def test_too_few_requests_never_pass(late: World) -> None:
    rule = {"metric": "error_rate", "is": "at_most", "value": 0.5, "minimum_requests": 60 * RUN}
    assert judged(late, RUN - 1, policy={"rules": [rule]}).verdict.outcome == "PASS"
    reasons = closed(late, rule | {"minimum_requests": 60 * RUN + 1})
    few = f"{60 * RUN} requests are too few: {60 * RUN + 1} are required"
    assert reasons == [f"error rate is not shown to be at most 0.5: {few}"]


def test_answers_that_are_no_numbers_are_errors_and_never_evidence(continued: World) -> None:
    continued.change_production(
        "UPDATE flights.prediction_log SET other_probability = 'NaN' WHERE predicted_at >= %s", [moment(RUN)]
    )
    run(continued, range(RUN, RUN + 1), unanswered=1)
    row = continued.evidence().query("slice_column == 'all'").set_index(["day", "metric"]).loc[day(RUN)]
    assert (row.loc["error_rate"].challenger_sum, row.loc["agreement"].challenger_sum) == (60, 0)
    errors = continued.query("SELECT DISTINCT error FROM shadow.prediction WHERE day = %s", [day(RUN)])
    assert errors == [("the model predicted nan",)]
    verdict = judged(continued, RUN, policy=PASSING).verdict
    assert (verdict.outcome, verdict.findings[0].estimate) == ("FAIL", 1.0)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("part-00001.parquet", lambda content: content + b" "),
        ("manifest.json", lambda content: content.replace(b'"population": 60', b'"population": 61')),
    ],
)
def test_inputs_that_were_changed_stop_every_step_and_never_pass(
    name: str, change: Callable[[bytes], bytes], continued: World
) -> None:
    shadow = continued.shadow(challengers=[OTHER], policy=PASSING)
    steps.sample(shadow, day(RUN))
    ((location,),) = continued.query("SELECT location FROM shadow.snapshot WHERE day = %s", [day(RUN)])
    (path,) = (continued.snapshots / location).glob(f"*/{name}")
    path.write_bytes(change(path.read_bytes()))
    for step in (lambda: steps.validate_inputs(shadow, day(RUN)), lambda: steps.score(shadow, day(RUN), "other", 1)):
        with pytest.raises(SnapshotError, match="must be"):
            step()
    verdict = steps.judge(shadow, day(RUN), "other").verdict
    assert verdict.outcome == "INCONCLUSIVE"
    assert verdict.reasons[0] == f"the predictions of other for {day(RUN)} are incomplete"


def test_a_day_that_was_not_sampled_never_passes(late: World) -> None:
    assert closed(late, number=RUN)[0] == f"{day(RUN)} was not sampled"


def test_an_operational_rule_does_not_pass_on_the_value_of_an_earlier_day(continued: World) -> None:
    continued.change_production(
        "UPDATE flights.prediction_log SET other_probability = NULL WHERE predicted_at >= %s", [moment(RUN)]
    )
    distance, agreement = "population_stability_index", {"metric": "agreement", "is": "at_least", "value": 0.1}
    run(continued, range(RUN - 1, RUN + 1), unanswered=1, metrics=[distance])
    for rule, outcome in (({"metric": distance, "is": "at_most", "value": 99}, "INCONCLUSIVE"), (agreement, "FAIL")):
        assert judged(continued, RUN - 1, policy={"burn_in": 2, "rules": [rule]}).verdict.outcome == "PASS"
        assert judged(continued, RUN, policy={"burn_in": 2, "rules": [rule]}).verdict.outcome == outcome
