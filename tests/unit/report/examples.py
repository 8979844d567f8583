"""Views to draw: a year of days, five challengers and fifty slices, made by a fixed seed; and hostile names."""

import datetime as dt
from dataclasses import fields, replace
from statistics import median
from typing import Any

import numpy as np

from shadow_deployment.config.window import Window
from shadow_deployment.decision.alpha import AlphaSplit
from shadow_deployment.decision.words.explanation import DisagreeingRequest
from shadow_deployment.decision.words.finding import Finding, Outcome
from shadow_deployment.ledger.alerts import StoredAlert
from shadow_deployment.ledger.checks.validations import ValidationRow
from shadow_deployment.ledger.page import OutcomeDay, QuadrantRow, ScoringRow
from shadow_deployment.ledger.registry.approval_requests import ApprovalRequest
from shadow_deployment.ledger.registry.promotions import CurrentChampion, PromotionRecord
from shadow_deployment.ledger.snapshots import Snapshot
from shadow_deployment.ledger.verdicts import StoredVerdict
from shadow_deployment.report.analyses.drift import DriftSeries, DriftView
from shadow_deployment.report.overview import ListedDeployment, Overview, UnreadableLedger
from shadow_deployment.report.scorecard import HealthItem, ModelScore, Scorecard, ScoreRow
from shadow_deployment.report.status import ChallengerStatus, Stage
from shadow_deployment.report.views import (
    ChallengerLine,
    DailySeries,
    DayView,
    DeploymentView,
    LabelDay,
    NoiseSeries,
    NoiseView,
    PredictionBin,
    QuadrantsView,
    Role,
    RuleView,
    ScoresView,
    SequenceView,
    SlicesView,
    SliceView,
)
from shadow_deployment.report.wording import LATENCY_NOTE, capitalised
from shadow_deployment.statistics.confidence_sequence import confidence_sequence

FIRST = dt.date(2013, 1, 1)
HOSTILE = '</text><script>alert(1)</script>"><img src=x onerror=alert(2)>'
UNITS = "Brier score, champion minus challenger: above 0 the challenger is better"


def moment(day: dt.date, hour: int = 3) -> dt.datetime:
    return dt.datetime.combine(day, dt.time(hour), dt.UTC)


def days_from(number: int, first: dt.date = FIRST) -> tuple[dt.date, ...]:
    return tuple(first + dt.timedelta(days=one) for one in range(number))


def finite(values: Any) -> tuple[float | None, ...]:
    return tuple(float(one) if np.isfinite(one) else None for one in values)


def a_sequence(
    number: int = 365, *, effect: float = 0.012, seed: int = 1, burn_in: int = 28, **changes: Any
) -> SequenceView:
    gains = np.random.default_rng(seed).normal(effect, 0.05, number)
    found = confidence_sequence(gains, alpha=0.0125, burn_in=burn_in, tuned_for=60, side="lower", method="robust")
    above = confidence_sequence(gains, alpha=0.0125, burn_in=burn_in, tuned_for=60, side="upper", method="robust")
    days = days_from(number)
    passed = found.lower > 0
    outcome: Outcome = "PASS" if passed[-1] else "FAIL" if above.upper[-1] < 0 else "INCONCLUSIVE"
    usual = SequenceView(
        rule=a_rule(outcome, decided_on=days[int(np.argmax(passed))] if outcome == "PASS" else None),
        per="day",
        days=days,
        observed=tuple(map(float, gains)),
        mean=tuple(map(float, found.estimate)),
        lower=finite(found.lower),
        upper=finite(above.upper),
        burn_in=burn_in,
        replayed=0,
        agrees=True,
    )
    return changed(usual, **changes)


def changed(view: Any, **changes: Any) -> Any:
    """Return a view with changes, each made where the field is: in the view, in its rule, or in its finding."""
    of_view = {field.name for field in fields(view)}
    inner = next((name for name in ("rule", "finding") if name in of_view), None)
    deeper = {name: value for name, value in changes.items() if name not in of_view}
    own = {name: value for name, value in changes.items() if name in of_view}
    return replace(view, **own, **({inner: changed(getattr(view, inner), **deeper)} if inner and deeper else deeper))


def a_rule(outcome: Outcome = "PASS", **changes: Any) -> RuleView:
    finding = Finding(
        metric="brier_score",
        slice="all",
        is_="superior",
        role="blocking",
        outcome=outcome,
        bound=0.0,
        reason="after 365 days the interval 0.001 to 0.02 clears 0",
        estimate=0.01234,
        lower=0.00123,
        upper=0.0234,
        observations=365,
        requests=182_500,
        alpha_pass=0.0125,
        alpha_fail=0.0125,
        decided_on=dt.date(2013, 4, 2) if outcome != "INCONCLUSIVE" else None,
        more_days=12 if outcome == "INCONCLUSIVE" else None,
    )
    usual = RuleView(
        finding, "Brier score is better", "difference", UNITS, False, "{metric: brier_score, is: superior}"
    )
    view: RuleView = changed(usual, **changes)
    return view


def rules() -> tuple[RuleView, ...]:
    return (
        a_rule(),
        a_rule(
            "INCONCLUSIVE",
            text="log loss is not worse by 0.005 or more",
            metric="log_loss",
            is_="non_inferior",
            bound=-0.005,
            lower=-0.0061,
            reason="after 365 days the interval -0.0061 to 0.0234 holds -0.005; about 12 more days would decide an "
            "effect like the one seen so far",
        ),
        a_rule(
            text="error rate is at most 0.001",
            metric="error_rate",
            is_="at_most",
            bound=0.001,
            estimate=0.0,
            lower=None,
            upper=None,
            unit="value",
            unit_words="share of requests",
            is_daily=True,
            observations=1,
            alpha_pass=None,
            alpha_fail=None,
            reason="0 is at most 0.001",
        ),
        a_rule(
            "FAIL",
            text="agreement with the champion is at least 0.8",
            metric="agreement",
            is_="at_least",
            role="advisory",
            bound=0.8,
            estimate=0.7312,
            lower=None,
            upper=None,
            unit="value",
            unit_words="share of requests",
            is_daily=True,
            reason="0.7312 is below 0.8",
        ),
        *(
            a_rule(
                "INCONCLUSIVE" if index % 7 else "FAIL",
                text="Brier score is not worse by 0.01 or more, overall and in every airport",
                is_="non_inferior",
                slice=name,
                role="advisory",
                bound=-0.01,
                estimate=-0.009 - index / 10_000,
                lower=-0.013 - index / 10_000,
                upper=0.005,
            )
            for index, name in enumerate(["all", *(f"airport={one}" for one in slice_names(50))])
        ),
    )


def slice_names(number: int) -> list[str]:
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    return [f"{letters[one % 26]}{letters[one * 7 % 26]}{letters[one // 26]}" for one in range(number)]


def slices(number: int = 50, names: list[str] | None = None) -> SlicesView:
    generator = np.random.default_rng(3)
    found = []
    for index, value in enumerate(names or slice_names(number)):
        estimate = float(generator.normal(0.008, 0.012))
        width = float(generator.uniform(0.005, 0.03))
        open_side = index % 17 == 5
        lower = None if open_side else estimate - width
        found.append(
            SliceView(
                name=f"airport={value}",
                estimate=estimate,
                lower=lower,
                upper=estimate + width,
                days=365 - 3 * index,
                requests=int(generator.integers(300, 60_000)),
            )
        )
    ordered = tuple(sorted(found, key=lambda one: one.order))
    alpha = AlphaSplit(0.05 / 106, 0.05 / 106)
    return SlicesView("brier_score", "Brier score", UNITS, 0.0121, ordered, 3, 0.95, alpha)


def binned(seed: int, shift: float) -> tuple[PredictionBin, ...]:
    generator = np.random.default_rng(seed)
    middle = (np.arange(20) + 0.5) / 20
    share = np.exp(-(((middle - 0.25 - shift) / 0.22) ** 2))
    share /= share.sum()
    requests = (share * 180_000).astype(int)
    rate = np.clip(middle + shift * generator.normal(0, 0.6, 20), 0, 1)
    width = 1.96 * np.sqrt(rate * (1 - rate) / np.maximum(requests, 1) + 1e-5)
    return tuple(
        PredictionBin(
            float(share[at]),
            int(requests[at]),
            int(requests[at] * 0.97),
            float(middle[at]),
            float(rate[at]),
            float(max(rate[at] - width[at], 0)),
            float(min(rate[at] + width[at], 1)),
            float(share[at]),
        )
        if requests[at]
        else PredictionBin(float(share[at]))
        for at in range(20)
    )


def scores() -> ScoresView:
    edges = tuple(float(one) / 20 for one in range(21))
    last = FIRST + dt.timedelta(days=364)
    return ScoresView("probability", edges, binned(1, 0.15), binned(2, 0.02), 365, FIRST, last)


def quadrants() -> QuadrantsView:
    span = (365, FIRST, FIRST + dt.timedelta(days=364))
    return QuadrantsView(
        0.5,
        (
            QuadrantRow(True, True, 21_000, 0.115, 20_500, 14_000, 0.112, 0.077, *span),
            QuadrantRow(True, False, 9_100, 0.051, 8_900, 3_300, 0.05, 0.019, *span),
            QuadrantRow(False, True, 5_300, 0.029, 5_100, 3_100, 0.028, 0.017, *span),
            QuadrantRow(False, False, 147_100, 0.805, 143_000, 18_000, 0.783, 0.099, *span),
        ),
    )


def drift(number: int = 365) -> DriftView:
    """Return the drift of twelve features, two of which move, and of the predictions of both models."""
    generator, days = np.random.default_rng(11), days_from(number)
    moves = {"distance": 0.6, "carrier": 0.15}

    def a_series(name: str, kind: Any = "feature") -> DriftSeries:
        trend = moves.get(name, 0.0) * np.linspace(0, 1, number)
        values = tuple(float(value) for value in trend + generator.exponential(0.02, number))
        shares = tuple(float(value) for value in generator.uniform(0.01, 0.03, number)) if kind == "feature" else ()
        return DriftSeries(name, kind, (None, *values[1:]), shares, 0.02 if shares else None, median(values[-7:]), 0.02)

    features = ["distance", "carrier", *(f"feature_{one}" for one in range(10))]
    models = [a_series(f"{model}'s predictions", "predictions") for model in ("champion", "challenger")]
    return DriftView(days, (*map(a_series, features), *models), 14, days[0], days[min(13, number - 1)], number >= 28)


def labels(number: int = 365) -> tuple[LabelDay, ...]:
    generator = np.random.default_rng(5)
    found = []
    for index, day in enumerate(days_from(number)):
        sampled = int(generator.integers(430, 560))
        age = number - index
        labelled = int(sampled * (0.97 if age > 3 else 0.3 * age))
        waiting = 0 if age > 3 else int(sampled * 0.97) - labelled
        found.append(
            LabelDay(
                day,
                sampled,
                labelled,
                labelled + waiting,
                contradicted=index % 90 // 89 * 3,
                invalid=0,
                early=0,
                collected_until=moment(day, 23),
                mature=age > 3,
            )
        )
    return tuple(found)


def latency(number: int = 365) -> DailySeries:
    generator = np.random.default_rng(6)

    def series(base: float) -> tuple[float | None, ...]:
        values = base * np.exp(generator.normal(0, 0.12, number))
        return tuple(None if index == 100 else float(one) for index, one in enumerate(values))

    keys = {"p50": 1.0, "p95": 3.1, "p99": 7.9}
    models = {"champion": 4.2, "challenger": 0.6}
    return DailySeries(
        days_from(number),
        {f"{model} {key}": series(base * times) for model, base in models.items() for key, times in keys.items()},
    )


def distances(number: int = 365) -> DailySeries:
    generator = np.random.default_rng(7)
    return DailySeries(
        days_from(number),
        {
            "population_stability_index": finite(0.08 + 0.03 * generator.standard_normal(number) ** 2),
            "kolmogorov_smirnov": finite(0.05 + 0.02 * np.abs(generator.standard_normal(number))),
        },
        {"population_stability_index": 0.2},
    )


def a_noise_series(name: str, role: Role, mean: float, spread: float, seed: int, number: int = 365) -> NoiseSeries:
    values = np.random.default_rng(seed).normal(mean, spread, number)
    return NoiseSeries(name, role, days_from(number), tuple(map(float, values)))


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


def noise() -> NoiseView:
    others = tuple(a_noise_series(f"challenger_{one}", "promotable", 0.004 * one, 0.05, 10 + one) for one in range(4))
    return NoiseView("brier_score", "Brier score", a_noise_series("a_a_check", "a_a_check", 0.0, 0.001, 9), others)


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


def a_deployment_page(**changes: Any) -> DeploymentView:
    lines = challengers()
    second = a_sequence(
        text="log loss is not worse by 0.005 or more",
        metric="log_loss",
        is_="non_inferior",
        bound=-0.005,
        effect=0.002,
        seed=4,
    )
    usual = DeploymentView(
        name="flight_delay",
        state="ready",
        champion=champion(),
        challengers=lines,
        challenger=lines[0],
        next_step="Approval of its promotion was requested on 2013-12-31 04:00 UTC, and nobody has answered yet.",
        day=dt.date(2013, 12, 31),
        days=days_from(365),
        last_day=dt.date(2013, 12, 31),
        verdict=a_verdict(),
        explanation="gradient_boosting 1 against champion logistic-1: PASS\n\nWhat was compared\n- requests",
        scorecard=a_scorecard(),
        health=health(),
        rules=rules(),
        sequences=(a_sequence(), second),
        slices=slices(),
        scores=scores(),
        quadrants=quadrants(),
        disagreements=tuple(
            DisagreeingRequest(
                dt.date(2013, 12, 30), f"2013-12-30-EWR-UA-{one}", 0.1, 0.9, 1.0 if one % 2 else None,
                {"origin": "EWR", "carrier": "UA"},
            )
            for one in range(5)
        ),
        threshold=0.5,
        drift=drift(),
        labels=labels(),
        latency=latency(),
        validations=validations(),
        distances=distances(),
        noise=noise(),
        history=history(),
        promotions=promotions(),
        approvals=approvals(),
        alerts=(an_alert(),),
        policy_words=POLICY,
        compared=snapshots(),
        snapshot=snapshots()[-1],
    )  # fmt: skip
    return replace(usual, **changes)


def a_small_page(**changes: Any) -> DeploymentView:
    """Return a page with every section, and no more rows than it takes to see them."""
    page = a_deployment_page()
    usual = replace(
        page,
        sequences=(a_sequence(40, effect=0.03),),
        slices=slices(6),
        rules=page.rules[:6],
        disagreements=page.disagreements[:2],
        drift=drift(12),
        labels=labels(12),
        latency=latency(12),
        distances=distances(12),
        validations=page.validations[290:310],
        history=history(12),
    )
    return replace(usual, **changes)


def an_empty_page(**changes: Any) -> DeploymentView:
    step = "no day was sampled yet: run shadow run flight_delay --from 2013-03-01, or unpause its DAG"
    usual = DeploymentView(
        name="flight_delay",
        state="empty",
        next_step=step,
        challengers=(a_line("gradient_boosting", None),),
        challenger=a_line("gradient_boosting", None),
        policy_words=POLICY,
        missing={"rules": "it was never judged"},
    )
    return replace(usual, **changes)


def a_broken_page() -> DeploymentView:
    error = "connection shadow_db is not declared: set AIRFLOW_CONN_SHADOW_DB"
    return DeploymentView(name="flight_delay", state="broken", error=error)


def a_hostile_page() -> DeploymentView:
    """Return the page with markup, quotes, turned writing and 300 characters where names are."""
    page = a_deployment_page()
    quoted = 'the "best" & <b>boldest</b>'
    turned = "\u202egnitsoob\u202c {{ 7 * 7 }}"
    lines = (
        a_line(quoted, status=ChallengerStatus("ready", HOSTILE, HOSTILE, HOSTILE)),
        a_line(HOSTILE, "FAIL"),
        a_line(turned, "INCONCLUSIVE"),
        a_line("n" * 300, None),
    )
    assert page.scores
    of_hostile = a_score_row(
        a_rule(text=HOSTILE, spelling=HOSTILE, reason=HOSTILE), title=HOSTILE, what=turned, note=HOSTILE
    )
    return replace(
        page,
        scorecard=Scorecard(lines[:1], (replace(of_hostile, slices=(replace(of_hostile, slice=HOSTILE),)),)),
        health=(HealthItem(HOSTILE, "alarm", quoted, turned, "history"),),
        challengers=lines,
        challenger=lines[0],
        verdict=a_verdict(reasons=[HOSTILE], warnings=[turned], uri=HOSTILE),
        explanation=HOSTILE,
        rules=(a_rule(text=HOSTILE, slice=f"airport={HOSTILE}", reason=HOSTILE), *rules()),
        sequences=(a_sequence(text=HOSTILE, slice=HOSTILE, unit_words=HOSTILE),),
        slices=slices(names=[HOSTILE, quoted, turned, "$x^2$", "datum.x + 1", "x" * 300, "\x00\x1b[31m"]),
        disagreements=(replace(page.disagreements[0], request_id=HOSTILE, slices={HOSTILE: turned}),),
        drift=replace(drift(12), series=(replace(drift(12).series[0], name=HOSTILE),)),
        noise=NoiseView("brier_score", "Brier score", None, (a_noise_series(HOSTILE, "promotable", 0.0, 0.1, 1),)),
        promotions=tuple(replace(one, approved_by=HOSTILE, reason=HOSTILE) for one in page.promotions),
        alerts=(an_alert(HOSTILE, HOSTILE, HOSTILE),),
        policy_words=f"- **x** `{HOSTILE}` ![image](http://example.org/a.png) <script>alert(1)</script>",
    )


def a_row(name: str, stage: Stage, sentence: str = "is as its stage says.", **changes: Any) -> ListedDeployment:
    usual = ListedDeployment(
        name=name,
        status=ChallengerStatus(stage, sentence, "Look at it."),
        owner="Operations research",
        champion=champion(),
        last_day=dt.date(2013, 12, 31),
        lines=(a_line("gradient_boosting"),),
    )
    return replace(usual, **changes)


def an_overview() -> Overview:
    """Return the list in all of its states, beside a ledger that cannot be read."""
    wrong = "deployment fraud:\n  rules[1].metric == 'brier', must be brier_score (fraud.yaml:31)"
    day = {"last_day": dt.date(2013, 6, 3)}
    rows = (
        a_row("fraud", "broken", wrong, owner=None, lines=(), champion=None, last_day=None),
        a_row("prices", "promoted_not_served", "trees 2 was promoted on 2013-05-02, production still serves 7.", **day),
        a_row("flight_delay", "ready", "gradient_boosting 1 passes all 3 blocking rules.", undelivered=1),
        a_row(
            "churn",
            "not_started",
            "trees 1: it was never judged: run a day.",
            lines=(a_line("trees", None),),
            last_day=None,
            owner="Sales",
        ),
        a_row("arrivals", "failed", "trees 3 fails against 7: brier_score is entirely below 0 (worse).", owner="Sales"),
        a_row("demand", "collecting", "trees 1 has 12 of the 28 days.", lines=(a_line("trees", days=12),)),
        a_row("lost", "ready", status=None, lines=(), champion=None, last_day=None),
    )
    error = "connection eu_ledger is lost or not there: Connection refused"
    return Overview(rows, (UnreadableLedger("eu_ledger", error, ("lost",)),))


def a_run() -> DeploymentView:
    day = dt.date(2013, 6, 3)
    failure = {
        "expectation": "expect_column_values_to_be_between",
        "column": "distance",
        "detail": "3 of 512",
        "requests": ["r1", "r2"],
    }
    challengers = (a_line("gradient_boosting"), a_line("linear", None))
    return a_small_page(
        day=day,
        challengers=challengers,
        run=DayView(
            window=Window(day, moment(day, 0), moment(day + dt.timedelta(days=1), 0)),
            judged={"gradient_boosting": "PASS", "linear": None},
            snapshot=replace(snapshots(1)[0], day=day, rows=512),
            shards=1,
            labels=labels(1)[0],
            validations={"inputs": a_validation(day, failures=[failure]), "gradient_boosting": None},
            scoring={"gradient_boosting": ScoringRow("gradient_boosting", "1", 1, 512, 2, 1, moment(day, 2))},
        ),
    )
