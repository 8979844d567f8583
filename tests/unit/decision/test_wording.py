"""A finding as plain data and in words."""

import datetime as dt
import json
from dataclasses import replace
from typing import Any

import pytest

from shadow_deployment.decision.words import wording
from shadow_deployment.decision.words.finding import Finding, findings_of
from shadow_deployment.metrics.catalog import METRICS

DECIDED = Finding(
    metric="brier_score",
    slice="origin=JFK",
    is_="non_inferior",
    role="blocking",
    outcome="PASS",
    bound=-0.005,
    reason="after 61 days the interval 0.006308 to 0.0722 clears -0.005",
    estimate=0.01886,
    lower=0.0063081,
    upper=0.07220,
    observations=61,
    requests=6100,
    alpha_pass=0.025,
    alpha_fail=0.0125,
    decided_on=dt.date(2013, 3, 31),
)
CLAIM = "Brier score is not worse than the margin allows in origin=JFK"
ALPHAS = "[alpha 0.025 to pass, 0.0125 to fail]"
DAILY = Finding(
    "error_rate", "all", "at_most", "advisory", "FAIL", 0.001, "0.2 on 2013-05-03 is not at most 0.001", 0.2
)


@pytest.mark.parametrize("finding", [DECIDED, DAILY, replace(DECIDED, more_days=4, decided_on=None)])
def test_a_stored_finding_is_the_finding_that_was_judged(finding: Finding) -> None:
    stored = json.loads(json.dumps(finding.to_json(), allow_nan=False))
    assert findings_of([stored]) == [finding]
    assert (stored["is"], "is_" in stored) == (finding.is_, False)
    assert findings_of([stored | {"of_another_version": 1}]) == [finding]


@pytest.mark.parametrize(
    ("render", "decided", "daily"),
    [
        (wording.name_of, f'"{CLAIM}"',
         '"error rate is at most 0.001"'),
        (wording.metric_in_slice, "Brier score in origin=JFK", "error rate"),
        (wording.rule_of, "brier_score non_inferior 0.005", "error_rate at_most 0.001 (advisory)"),
        (wording.rule_in_words, "Brier score is not worse than the margin allows",
         "error rate is at most 0.001 (advisory)"),
        (wording.interval_of, "0.006308 to 0.0722", "-"),
        (wording.reason_of, f"{CLAIM}: {DECIDED.reason}",
         f"error rate is not at most 0.001: {DAILY.reason}"),
        (wording.summary_of, f"pass         brier_score non_inferior in origin=JFK: {DECIDED.reason}",
         f"fail         error_rate at_most in all (advisory): {DAILY.reason}"),
        (wording.explanation_of,
         f"PASS since the evidence of 2013-03-31: {CLAIM}: {DECIDED.reason} {ALPHAS}",
         f"FAIL: error rate is at most 0.001 (advisory): {DAILY.reason}"),
    ],
)  # fmt: skip
def test_the_same_finding_reads_the_same_everywhere(render: Any, decided: str, daily: str) -> None:
    assert (render(DECIDED), render(DAILY)) == (decided, daily)


@pytest.mark.parametrize(
    ("is_", "fails", "is_open"),
    [
        ("superior", "log loss is worse", "log loss is not shown to be better"),
        ("non_inferior", "log loss is worse than the margin allows", "log loss may be worse than the margin allows"),
        ("equivalent", "log loss is not equivalent", "log loss is not shown to be equivalent"),
        ("guardrail", "log loss is worse", "log loss may be worse"),
        ("at_most", "log loss is not at most 0.5", "log loss is not shown to be at most 0.5"),
        ("at_least", "log loss is not at least 0.5", "log loss is not shown to be at least 0.5"),
    ],
)
def test_a_reason_says_what_its_outcome_shows_and_no_more(is_: str, fails: str, is_open: str) -> None:
    finding = Finding("log_loss", "all", is_, "blocking", "FAIL", 0.5, "why")
    assert wording.reason_of(finding) == f"{fails}: why"
    assert wording.reason_of(replace(finding, outcome="INCONCLUSIVE")) == f"{is_open}: why"


def test_names_of_metrics_are_read_by_people() -> None:
    assert [wording.title_of(name) for name in ("roc_auc", "latency_p95", "profit_per_call")] == [
        "ROC AUC",
        "latency p95",
        "profit per call",
    ]


def test_a_measurement_ends_with_its_reason_where_it_has_no_interval() -> None:
    assert wording.measurement_of(DECIDED, "Brier score", "days") == (
        "Brier score in origin=JFK: 0.01886, interval 0.006308 to 0.0722, must be not inferior (bound -0.005), "
        "n = 61 days with 6100 requests"
    )
    missing = replace(DECIDED, unanswered=12, champion_missing=1)
    assert wording.measurement_of(missing, "Brier score", "days").endswith(
        "n = 61 days with 6100 requests (12 unanswered, 1 without the champion's prediction)"
    )
    assert wording.measurement_of(DAILY, "share of errors", "days") == (
        f"share of errors: 0.2, must be at most 0.001, n = 0 days with 0 requests: {DAILY.reason}"
    )


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"outcome": "FAIL"}, "must return to above -0.005: fix the challenger and give it a new version"),
        ({"outcome": "FAIL", "is_": "at_least", "bound": 0.9}, "must return to at least 0.9: fix the challenger"),
        ({"outcome": "INCONCLUSIVE", "more_days": 4}, "would be decided by about 4 more days like those so far"),
        ({"outcome": "INCONCLUSIVE"}, f"is not decided by waiting: {DECIDED.reason}"),
    ],
)
def test_what_would_change_a_finding(changes: dict[str, Any], text: str) -> None:
    assert wording.change_needed(replace(DECIDED, **changes)).startswith(f"Brier score in origin=JFK {text}")


@pytest.mark.parametrize(
    ("metric", "note"),
    [
        (
            "brier_score",
            " (2 requests unanswered, counted; 1 request without the champion's prediction, counted as equal)",
        ),
        ("agreement", " (2 requests unanswered, counted; 1 request without the champion's prediction, left out)"),
        ("roc_auc", " (2 requests unanswered, left out; 1 request without the champion's prediction, left out)"),
        ("bias", " (2 requests unanswered, left out; 1 request without the champion's prediction, left out)"),
        ("error_rate", ""),
    ],
)
def test_a_reason_says_how_many_requests_lack_a_prediction_and_whether_they_count(metric: str, note: str) -> None:
    assert wording.missing_note(METRICS[metric], 2, 1) == note
    assert wording.missing_note(METRICS[metric], 0, 0) == ""
