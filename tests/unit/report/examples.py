"""Pages to draw, one of them with hostile names."""

import datetime as dt
from dataclasses import replace
from typing import Any

from shadow_deployment.config.window import Window
from shadow_deployment.decision.words.explanation import DisagreeingRequest
from shadow_deployment.ledger.page import ScoringRow
from shadow_deployment.report.overview import ListedDeployment, Overview, UnreadableLedger
from shadow_deployment.report.scorecard import HealthItem, Scorecard
from shadow_deployment.report.status import ChallengerStatus, Stage
from shadow_deployment.report.views import DayView, DeploymentView, NoiseView
from tests.unit.report.figures import (
    a_noise_series,
    a_rule,
    a_sequence,
    days_from,
    distances,
    drift,
    labels,
    latency,
    moment,
    noise,
    quadrants,
    rules,
    scores,
    slices,
)
from tests.unit.report.records import (
    POLICY,
    a_line,
    a_score_row,
    a_scorecard,
    a_validation,
    a_verdict,
    an_alert,
    approvals,
    challengers,
    champion,
    health,
    history,
    promotions,
    snapshots,
    validations,
)

HOSTILE = '</text><script>alert(1)</script>"><img src=x onerror=alert(2)>'


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
