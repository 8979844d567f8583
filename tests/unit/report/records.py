"""Verdicts, snapshots, promotions and alerts to draw."""

import datetime as dt
from dataclasses import replace
from typing import Any

from shadow_deployment.decision.words.finding import Outcome
from shadow_deployment.ledger.alerts import StoredAlert
from shadow_deployment.ledger.checks.validations import ValidationRow
from shadow_deployment.ledger.page import OutcomeDay
from shadow_deployment.ledger.registry.approval_requests import ApprovalRequest
from shadow_deployment.ledger.registry.promotions import CurrentChampion, PromotionRecord
from shadow_deployment.ledger.snapshots import Snapshot
from shadow_deployment.ledger.verdicts import StoredVerdict
from shadow_deployment.report.scorecard import HealthItem, ModelScore, Scorecard, ScoreRow
from shadow_deployment.report.status import ChallengerStatus, Stage
from shadow_deployment.report.views import ChallengerLine, Role, RuleView
from shadow_deployment.report.wording import LATENCY_NOTE, capitalised
from tests.unit.report.figures import FIRST, a_rule, days_from, moment, rules

STAGES: dict[Outcome | None, tuple[Stage, str, str]] = {
    "PASS": (
        "ready",
        "passes all 3 blocking rules against champion logistic-1, first on 2013-04-02.",
        "Approval of its promotion was requested on 2013-12-31 04:00 UTC, and nobody has answered yet.",
    ),
    "FAIL": (
        "failed",
        "fails against champion logistic-1: Brier score lies beyond its bound.",
        "Fix the challenger and give it a new version: that opens another trial. The champion stays.",
    ),
    "INCONCLUSIVE": (
        "undecided",
        "is not decided: log loss is open, about 12 more days would decide it.",
        "Wait: about 12 more days like those so far would decide it, to about 2014-01-12.",
    ),
    None: ("not_started", ": it was never judged: run a day.", "No verdict yet: it was never judged: run a day."),
}


def a_line(name: str, outcome: Outcome | None = "PASS", role: Role = "promotable", **changes: Any) -> ChallengerLine:
    stage, sentence, action = STAGES[outcome]
    usual = ChallengerLine(
        name=name,
        version="1",
        role=role,
        outcome=outcome,
        status=ChallengerStatus(stage, f"{name} 1 {sentence}".replace(" :", ":"), action),
        day=dt.date(2013, 12, 31) if outcome else None,
        decided_on=dt.date(2013, 4, 2) if outcome in {"PASS", "FAIL"} else None,
        days=365 if outcome else 0,
        requests=182_500 if outcome else 0,
        more_days=12 if outcome == "INCONCLUSIVE" else None,
        waiting=None,
    )
    return replace(usual, **changes)


def challengers() -> tuple[ChallengerLine, ...]:
    return (
        a_line("gradient_boosting"),
        a_line("gradient_boosting_percent", "FAIL"),
        a_line("neural", "INCONCLUSIVE"),
        a_line("linear", None),
        a_line("a_a_check", "INCONCLUSIVE", "a_a_check", more_days=None, waiting="the A/A check is never promoted"),
    )


def champion() -> CurrentChampion:
    return CurrentChampion("logistic", "logistic-1", None, None)


def a_verdict(outcome: Outcome = "PASS", **changes: Any) -> StoredVerdict:
    usual = StoredVerdict(
        name="gradient_boosting",
        version="1",
        uri="onnx:include/models/gradient_boosting.onnx",
        model_digest="sha256:" + "9f" * 32,
        id=1,
        challenger_id=1,
        day=dt.date(2013, 12, 31),
        champion_version="logistic-1",
        days={},
        design="sha256:" + "c3" * 32,
        outcome=outcome,
        reasons=[] if outcome == "PASS" else ["log loss non_inferior: the interval holds -0.005"],
        warnings=[
            "labels that never come depend on what the models answered: this verdict speaks of labelled requests",
        ],
        findings=[],
        policy={},
        input_digest="sha256:" + "b2" * 32,
        code_version="0.1.0",
        revision=2,
        chain_number=618,
        chain_hash="d4" * 32,
        judged_at=moment(dt.date(2014, 1, 1)),
        decided_on=dt.date(2013, 4, 2) if outcome != "INCONCLUSIVE" else None,
        trial=None,
        opened_at=None,
        batch=None,
        place=None,
        alpha=None,
        explanation="",
        opened_because=None,
        rules_digest=None,
        terms=None,
    )
    return replace(usual, **changes)


def snapshots(number: int = 365) -> tuple[Snapshot, ...]:
    where = "file:///var/lib/shadow/snapshots/flight_delay"
    return tuple(
        Snapshot(
            id=index,
            day=day,
            window_end=moment(day + dt.timedelta(days=1), 0),
            population=1000,
            rows=500,
            digest="sha256:" + "a1" * 32,
            location=f"{where}/{day}",
            champion_versions=["logistic-1"],
            labels_until=None,
            label_revision=0,
            labelled=0,
            contradicted=0,
            invalid=0,
            early=0,
            complete_at=None,
            numbered_versions=["logistic-1"],
            windows_json="[]",
            is_complete=True,
        )
        for index, day in enumerate(days_from(number))
    )


def a_validation(day: dt.date, subject: str = "inputs", failures: Any = None) -> ValidationRow:
    whose = (None, None, None) if subject == "inputs" else (1, "gradient_boosting", "1")
    return ValidationRow(day, 1, *whose, failures is None, 13, moment(day), failures)


def validations(number: int = 365) -> tuple[ValidationRow, ...]:
    failure = {
        "expectation": "expect_column_values_to_be_between",
        "column": "distance",
        "detail": "3 of 512 values lie outside 0 to 5000",
        "requests": [f"2013-06-0{one}-EWR-UA-{one}" for one in range(1, 4)],
    }
    return tuple(
        a_validation(day, subject, [failure] if index == 153 and subject == "inputs" else None)
        for index, day in enumerate(days_from(number))
        for subject in ("inputs", "predictions")
    )


def history(number: int = 365) -> tuple[OutcomeDay, ...]:
    return tuple(
        OutcomeDay(day, "INCONCLUSIVE" if index < 90 or 120 < index < 140 else "PASS", 1 + (index % 50 == 0))
        for index, day in enumerate(days_from(number))
    )


def promotions() -> tuple[PromotionRecord, ...]:
    def make(number: int, kind: Any, day: dt.date, **changes: Any) -> PromotionRecord:
        usual = PromotionRecord(
            number=number,
            kind=kind,
            undoes=None,
            undone_by=None,
            from_name="logistic",
            from_version="1",
            from_digest=None,
            from_uri=None,
            from_model_id=None,
            name="trees",
            version="1",
            digest=None,
            uri=None,
            model_id=None,
            verdict_id=None,
            day=day,
            compared_with=None,
            outcome=None,
            findings=[],
            input_digest=None,
            policy={},
            overridden=[],
            case_digest=None,
            code_version="0.1.0",
            approved_by="dana",
            approved_at=moment(day, 9),
            reason="better on every rule",
            database_user="shadow_writer",
            os_user="airflow",
            created_at=moment(day, 9),
        )
        return replace(usual, **changes)

    return (
        make(3, "forced", dt.date(2013, 10, 5), overridden=["its newest verdict is INCONCLUSIVE, must be PASS"]),
        make(2, "rollback", dt.date(2013, 7, 1), undoes=1, reason="complaints"),
        make(1, "promotion", dt.date(2013, 6, 1), undone_by=2),
    )


def approvals() -> tuple[ApprovalRequest, ...]:
    asked = dt.date(2013, 12, 31)
    open_one = ApprovalRequest(
        2, "gradient_boosting", "1", "topic", asked, "case", "run 1", moment(asked, 4), None, None, None, None
    )
    answered = replace(
        open_one,
        id=1,
        day=dt.date(2013, 5, 31),
        answer="approved",
        answered_by="dana",
        reason="fine",
        answered_at=moment(dt.date(2013, 6, 1), 9),
        asked_at=moment(dt.date(2013, 5, 31), 4),
    )
    return (open_one, answered)


def an_alert(text: str = "the gate failed: inputs", channel: str = "slack", error: str = "refused") -> StoredAlert:
    day = dt.date(2013, 6, 3)
    other = "email" if channel == "slack" else channel
    return StoredAlert(1, day, "failed", "signature", {"title": text}, moment(day), [channel], {other: error})


POLICY = """### Shadow deployment `flight_delay`

Each day a sample of the requests in `flights.prediction_log` is answered by `gradient_boosting`, `a_a_check`.

- **Sample:** 0.5 of the requests in each origin, at most 100,000 a day
- **Error rate:** 0.05 of promoting a challenger that is not better

A challenger passes when every blocking rule holds:

1. Brier score is better *(blocking)*
2. log loss is not worse by 0.005 or more *(blocking)*
"""


def a_score(rule: RuleView, value: float | None = 0.1627, champion: float | None = 0.1814) -> ModelScore:
    return ModelScore(value, champion, rule.finding)


def a_score_row(
    *judged: RuleView, values: tuple[float, ...] = (0.1627, 0.2920), champion: float | None = 0.1814, **changes: Any
) -> ScoreRow:
    """Return the row of a rule with a column for each of its findings."""
    first = judged[0]
    usual = ScoreRow(
        metric=first.finding.metric,
        title=capitalised(first.text),
        group="blocking",
        scores=tuple(a_score(rule, value, champion) for rule, value in zip(judged, values, strict=False)),
        champion=champion,
        rule=first,
    )
    return replace(usual, **changes)


def a_scorecard(columns: tuple[ChallengerLine, ...] | None = None) -> Scorecard:
    """Return a scorecard of two challengers: one better, one worse; with slices, and metrics of no rule."""
    better, worse = a_rule(), a_rule("FAIL", estimate=-0.11, lower=-0.1858, upper=-0.0121, reason="is below 0")
    in_slices = tuple(a_score_row(better, worse, slice=f"origin={name}") for name in "AB")
    daily = rules()[2]
    return Scorecard(
        columns or challengers()[:2],
        (
            a_score_row(better, worse, slices=in_slices),
            a_score_row(daily, daily, values=(0.0, 0.0), champion=0.0, what="on 2013-12-31"),
            ScoreRow("roc_auc", "ROC AUC", "other", (ModelScore(0.6691, 0.6418), ModelScore(0.6344, 0.6418)), 0.6418),
            ScoreRow(
                "latency_p50",
                "Latency p50",
                "other",
                (ModelScore(0.6, 4.2, compares=False), None),
                4.2,
                note=LATENCY_NOTE,
            ),
        ),
        FIRST,
        dt.date(2013, 12, 31),
        ("gradient_boosting_percent",),
    )


def health() -> tuple[HealthItem, ...]:
    return (
        HealthItem("A/A check", "good", "as expected", "no difference on 365\xa0days", "operation"),
        HealthItem("Alerts go to", "attention", "nobody", "alerts.channels is empty: nobody is told", "history"),
        HealthItem("Ledger", "alarm", "differs", "row 7 of the chain is gone", "provenance"),
    )
