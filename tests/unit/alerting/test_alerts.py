"""What alerts say, and what makes two of them the same."""

import datetime as dt
import json
from dataclasses import replace
from typing import Any

import pytest

from shadow_deployment.alerting import formats
from shadow_deployment.alerting import messages as alerts
from shadow_deployment.alerting.deadlines import due, intervals
from shadow_deployment.alerting.gate_alert import MOST_FINDINGS, SILENT, gate_failed_alert, problems_in
from shadow_deployment.config.actions import FORMER_CHAMPION, Alerts
from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.config.window import window_of
from shadow_deployment.errors import GateFailed, LedgerError
from shadow_deployment.ledger.alerts import Alert
from shadow_deployment.ledger.verdicts import StoredVerdict
from tests.builders import a_deployment

DAY = dt.date(2013, 5, 3)
BAD = "gradient_boosting"
BRIER = (
    "- Brier score: -0.09421, interval -0.1696 to -0.01878, must be superior (bound 0), n = 61 days with 61234 requests"
)
LINK = "http://airflow.example/dags/shadow_flight_delay/runs/r/tasks/gate"


def finding(**changes: Any) -> dict[str, Any]:
    return {
        "metric": "brier_score",
        "slice": "all",
        "is": "superior",
        "role": "blocking",
        "outcome": "FAIL",
        "bound": 0.0,
        "reason": "after 61 days the interval -0.1696 to -0.01878 lies beyond 0",
        "estimate": -0.094213,
        "lower": -0.16961,
        "upper": -0.018779,
        "observations": 61,
        "requests": 61234,
        **changes,
    }


def verdict(name: str = BAD, outcome: str = "FAIL", day: dt.date = DAY, **changes: Any) -> StoredVerdict:
    found = [finding(outcome="FAIL" if outcome == "FAIL" else "PASS")]
    known: dict[str, Any] = {
        "name": name,
        "version": "1",
        "day": day,
        "champion_version": "logistic-1",
        "outcome": outcome,
        "reasons": ["brier_score superior: the reason"],
        "warnings": [],
        "explanation": "",
        "findings": found,
        "days": {},
    }
    return StoredVerdict(**dict.fromkeys(StoredVerdict.__dataclass_fields__) | known | changes)


def closed(*problems: str, verdicts: list[StoredVerdict] | None = None, **changes: Any) -> Alert:
    stored = {one.name: one for one in verdicts or []}
    failing = [f"{one.name} FAILS: {one.reasons[0]}" for one in stored.values() if one.outcome == "FAIL"]
    return gate_failed_alert(a_deployment(), DAY, problems=[*failing, *problems], verdicts=stored, link=LINK, **changes)


def with_deadline(clock: str, timezone: str = "Europe/Berlin", **changes: Any) -> Deployment:
    deployment = a_deployment(timezone=timezone, **changes)
    return deployment.model_copy(update={"alerts": Alerts(deadline=clock)})


def test_a_failing_challenger_is_alerted_with_its_rule_and_numbers() -> None:
    alert = closed(verdicts=[verdict()])
    assert alert.title == "flight_delay: gate closed for 2013-05-03: gradient_boosting FAILS"
    assert alert.lines == (
        "gradient_boosting 1 FAILS against champion logistic-1",
        BRIER,
    )
    assert alert.window == "2013-05-03 00:00 to 2013-05-04 00:00 UTC"
    assert "explain flight_delay --challenger gradient_boosting" in alert.todo
    assert alert.link == LINK
    [challenger] = alert.details["challengers"]
    assert challenger["findings"][0]["upper"] == -0.018779


def test_a_window_is_shown_in_utc_where_days_begin_elsewhere() -> None:
    deployment = a_deployment(timezone="America/New_York", schedule="30 6 * * *")
    alert = gate_failed_alert(deployment, DAY, problems=["x"], verdicts={})
    assert alert.window == "2013-05-03 10:30 to 2013-05-04 10:30 UTC"


def test_advisory_and_passing_rules_are_no_part_of_an_alert() -> None:
    rules = [finding(metric="log_loss", role="advisory"), finding(metric="accuracy", outcome="PASS"), finding()]
    alert = closed(verdicts=[verdict(findings=rules)])
    assert len(alert.lines) == 2
    assert "Brier score" in alert.lines[1]


def test_many_failing_slices_are_counted() -> None:
    rules = [finding(slice=f"origin={number}") for number in range(MOST_FINDINGS + 2)]
    alert = closed(verdicts=[verdict(findings=rules)])
    assert alert.lines[1].startswith("- Brier score in origin=0: ")
    assert alert.lines[-1] == "- and 2 more rules or slices"
    assert len(alert.lines) == MOST_FINDINGS + 2


def test_a_rule_without_an_interval_gives_its_reason() -> None:
    daily = finding(metric="agreement", **{"is": "at_least"}, lower=None, upper=None, estimate=0.25, bound=0.001)
    [_, line] = closed(verdicts=[verdict(findings=[daily | {"reason": "0.25 today"}])]).lines
    assert line.startswith("- agreement with the champion: 0.25, must be at least 0.001")
    assert line.endswith(": 0.25 today")


def test_where_a_week_is_the_unit_n_is_not_called_days() -> None:
    weekly = a_deployment(policy={"unit": "week"})
    alert = gate_failed_alert(weekly, DAY, problems=[], verdicts={BAD: verdict()})
    assert "n = 61 observations with" in alert.lines[1]


def test_verdicts_of_another_day_or_outcome_are_no_alarm() -> None:
    others = [verdict(day=DAY - dt.timedelta(days=1)), verdict("a_a_check", "INCONCLUSIVE")]
    alert = closed("something else", verdicts=others)
    assert "FAILS against" not in "\n".join(alert.lines)


@pytest.mark.parametrize(
    ("problem", "task"),
    [
        ("inputs do not meet their expectations: x", "validate_inputs"),
        ("predictions of trees were not validated: see the tasks before the gate", "validate_predictions"),
        ("trees was not judged on 2013-05-03: see its tasks before the gate", "judge, and the tasks before it"),
        ("2013-05-03 was not sampled: see the task sample", "sample"),
    ],
)
def test_a_problem_names_the_task_to_look_at(problem: str, task: str) -> None:
    alert = closed(problem)
    assert alert.lines == (f"{problem} [task {task}]",)
    assert alert.title.endswith(problem[:40]) or problem[:40] in alert.title
    assert "clear the run from that task" in alert.todo


def test_a_problem_that_is_not_understood_is_shown_as_it_is() -> None:
    line = f"{FORMER_CHAMPION} 3 is better than its successor, champion 4, by every rule: roll back"
    alert = closed(line, verdicts=[verdict()])
    assert alert.lines[-1] == line
    assert alert.title.endswith("gradient_boosting FAILS and 1 problem")


def test_a_former_champion_that_fails_is_no_alarm() -> None:
    former = verdict(FORMER_CHAMPION)
    deployment = a_deployment()
    watched = [*deployment.challengers, Challenger(name=FORMER_CHAMPION, model="onnx:former.onnx")]
    deployment = deployment.model_copy(update={"challengers": watched})
    alert = gate_failed_alert(deployment, DAY, problems=["x"], verdicts={FORMER_CHAMPION: former})
    assert alert.lines == ("x",)


def test_observed_values_and_errors_of_evaluation_stay_out() -> None:
    error = GateFailed(
        "d on 2013-05-03: the gate is closed\n"
        "inputs do not meet their expectations: expect_column_max_to_be_between(max_value=1) income: observed 98765.5; "
        "expect_column_values_to_not_be_null() plan: 3 of 60 rows (5.00%) do not meet it\n"
        "predictions of x do not meet their expectations: expect_foo() y: could not be evaluated: got 4711"
    )
    first, second = problems_in(error)
    assert "98765" not in first
    assert "3 of 60 rows (5.00%)" in first
    assert "income" in first
    assert second.endswith("could not be evaluated")


def test_what_the_gate_says_is_shown_and_of_a_foreign_error_only_its_type() -> None:
    assert problems_in(GateFailed("d: the gate is closed\na\nb")) == ("a", "b")
    assert problems_in(LedgerError("connection x: no schema")) == ("connection x: no schema",)
    assert problems_in(ValueError("4711 is the customer")) == ("the gate ended with ValueError: see its log",)
    assert problems_in(None) == (SILENT,)


def test_without_the_ledger_the_gates_own_words_are_shown() -> None:
    alert = gate_failed_alert(a_deployment(), DAY, problems=["trees FAILS: worse"], verdicts={})
    assert alert.lines == ("trees FAILS: worse",)


def test_numbers_of_a_try_make_no_other_case() -> None:
    one = closed("inputs do not meet it: 3 of 60 rows (5.00%)", verdicts=[verdict()])
    other = closed(
        "inputs do not meet it: 17 of 60 rows (28.33%)", verdicts=[verdict(findings=[finding(estimate=-0.2)])]
    )
    assert one.signature == other.signature


@pytest.mark.parametrize(
    "other",
    [
        closed(verdicts=[verdict(findings=[finding(slice="origin=EWR")])]),
        closed(verdicts=[verdict(findings=[finding(metric="log_loss")])]),
        closed(verdicts=[verdict(findings=[finding(**{"is": "guardrail"})])]),
        closed(verdicts=[verdict(version="2")]),
        closed("trees_2 was not judged", verdicts=[verdict()]),
        closed(verdicts=[verdict()], reopened="another"),
    ],
)
def test_another_rule_slice_version_or_problem_is_another_case(other: Alert) -> None:
    assert other.signature != closed(verdicts=[verdict()]).signature


def test_names_with_digits_are_told_apart() -> None:
    assert closed("trees_2 was not judged").signature != closed("trees_3 was not judged").signature


def test_another_former_champion_is_another_case() -> None:
    problem = f"{FORMER_CHAMPION} 3 is better than 4"
    one, other = verdict(FORMER_CHAMPION, "PASS", version="3"), verdict(FORMER_CHAMPION, "PASS", version="5")
    assert closed(problem, verdicts=[one]).signature != closed(problem, verdicts=[other]).signature


def test_recovery_is_one_for_what_was_alerted() -> None:
    previous = closed(verdicts=[verdict()])
    good = {BAD: verdict(outcome="PASS"), "old": verdict("old", "PASS", day=DAY - dt.timedelta(days=9))}
    alert = alerts.recovered(a_deployment(), DAY, previous=previous, verdicts=good, link=LINK)
    assert alert.title == "flight_delay: gate open again for 2013-05-03"
    assert alert.lines == (f"previous alert, of 2013-05-03: {previous.title}", "gradient_boosting: PASS")
    other = alerts.recovered(a_deployment(), DAY, previous=replace(previous, signature="x"), verdicts=good)
    assert other.signature != alert.signature


def test_a_late_day_says_when_it_was_due_and_how_far_it_is() -> None:
    deployment = with_deadline("06:00")
    moment = due(deployment, DAY)
    assert moment is not None
    alert = alerts.late(deployment, DAY, due=moment, state="running", progress=["2 of 3 challengers were judged"])
    assert alert.title == "flight_delay: 2013-05-03 is late: not done by 06:00 Europe/Berlin on 2013-05-04"
    assert alert.lines == ("the run is running", "2 of 3 challengers were judged")
    assert alert.details == {"due": "2013-05-04T04:00:00+00:00", "state": "running"}


def test_a_promotion_is_alerted_with_who_and_why() -> None:
    known: dict[str, Any] = {"kind": "promoted", "name": "trees", "version": "2", "approved_by": "ada", "link": LINK}
    known["reason"] = "it is better"
    alert = alerts.champion_changed(a_deployment(), DAY, **known, request_digest="c0ffee", number=4)
    assert alert.title == "flight_delay: the champion is trees 2"
    assert "approved by: ada" in alert.lines
    assert "reason: it is better" in alert.lines
    assert alert.details["case"] == "c0ffee"
    assert alerts.champion_changed(a_deployment(), DAY, **known, number=6).signature != alert.signature


def test_an_approval_request_and_a_rollback_are_alerted() -> None:
    question = alerts.approval_requested(
        a_deployment(), DAY, challenger="trees", version="2", request_digest="c", link=LINK
    )
    assert question.title == "flight_delay: promote trees 2?"
    again = alerts.approval_requested(a_deployment(), DAY, challenger="trees", version="2", request_digest="d")
    assert again.signature != question.signature
    known: dict[str, Any] = {"name": "old", "version": "1", "approved_by": "bob", "reason": "worse", "number": 5}
    back = alerts.champion_changed(a_deployment(), DAY, kind="rolled_back", **known)
    assert back.title == "flight_delay: rolled back, the champion is old 1 again"
    assert back.kind == "rolled_back"


HOSTILE = 'trees<script>\r\nBcc: x@y\u202e\u2028<!channel> & "q" *b* \x00end'


def test_hostile_names_come_out_as_one_line_of_text() -> None:
    alert = closed(f"{HOSTILE} is odd", verdicts=[verdict(findings=[finding(slice=f"origin={HOSTILE}")])])
    assert all(line == " ".join(line.split()) for line in (alert.title, *alert.lines))
    assert "\x00" not in json.dumps(alert.content())
    assert "\u202e" not in formats.text(alert)
    assert formats.subject(alert).isascii()
    markup = formats.markup(alert)
    assert "<script>" not in markup
    assert "trees&lt;script&gt;" in markup
    message = formats.slack(replace(alert, title=HOSTILE))
    assert "<!channel>" not in message["text"]
    assert "&lt;!channel&gt; &amp;" in message["text"]
    assert message["mrkdwn"] is False


def test_long_things_are_cut_to_what_channels_take() -> None:
    problems = [f"problem {'x' * 900} {number}" for number in range(60)]
    alert = closed(*problems)
    assert len(alert.lines) == alerts.MOST_LINES + 1
    assert alert.lines[-1] == "and 20 more lines"
    assert len(formats.subject(alert)) == formats.LONGEST_SUBJECT
    blocks = formats.slack(alert)["blocks"]
    assert len(blocks) <= 50
    assert len(blocks[0]["text"]["text"]) <= 150
    assert all(0 < len(block["text"]["text"]) <= 3000 for block in blocks if block["type"] == "section")
    shown = "\n".join(block["text"]["text"] for block in blocks if block["type"] == "section")
    assert all(line in shown for line in alert.lines)


def test_an_alert_comes_back_from_json_as_it_was() -> None:
    alert = closed("a problem", verdicts=[verdict()])
    content = json.loads(formats.as_json(alert))
    assert Alert.stored(content) == alert
    assert content["id"] == alert.id
    assert content["text"] == formats.text(alert)
    assert replace(alert, day=DAY + dt.timedelta(days=1)).id != alert.id


@pytest.mark.parametrize(
    ("clock", "day", "local"),
    [
        ("06:00", dt.date(2024, 5, 3), "2024-05-04 06:00 +0200"),
        ("06:00", dt.date(2024, 3, 30), "2024-03-31 06:00 +0200"),  # the clock goes forward at 2:00
        ("06:00", dt.date(2024, 3, 31), "2024-04-01 06:00 +0200"),
        ("06:00", dt.date(2024, 10, 26), "2024-10-27 06:00 +0100"),  # and back at 3:00
        ("06:00", dt.date(2024, 10, 27), "2024-10-28 06:00 +0100"),
        ("02:30", dt.date(2024, 3, 30), "2024-03-31 03:30 +0200"),  # there is no 2:30
        ("02:30", dt.date(2024, 10, 26), "2024-10-27 02:30 +0100"),  # there are two
    ],
)
def test_the_deadline_is_the_local_time_on_every_day(clock: str, day: dt.date, local: str) -> None:
    deployment = with_deadline(clock)
    moment = due(deployment, day)
    assert moment is not None
    assert f"{moment.astimezone(deployment.zone):%Y-%m-%d %H:%M %z}" == local
    assert moment - window_of(deployment, day).start in intervals(deployment)


def test_a_deadline_before_the_hour_of_the_schedule_is_the_next_days() -> None:
    deployment = with_deadline("06:00", schedule="0 22 * * *")
    assert due(deployment, DAY) == dt.datetime(2013, 5, 5, 4, tzinfo=dt.UTC)
    same = with_deadline("22:00", schedule="0 22 * * *")
    assert due(same, DAY) == dt.datetime(2013, 5, 5, 20, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("timezone", "hours"),
    [("UTC", [30]), ("Asia/Kolkata", [30]), ("Europe/Berlin", [29, 30, 31]), ("Australia/Lord_Howe", [29.5, 30, 30.5])],
)
def test_there_is_an_interval_for_each_length_that_occurs(timezone: str, hours: list[float]) -> None:
    found = intervals(with_deadline("06:00", timezone))
    assert [one.total_seconds() / 3600 for one in found] == hours


def test_every_day_of_ten_years_has_its_interval() -> None:
    deployment = with_deadline("06:00", "America/New_York")
    lengths = set(intervals(deployment))
    for number in range(3650):
        day = deployment.start + dt.timedelta(days=number)
        moment = due(deployment, day)
        assert moment is not None
        assert moment - window_of(deployment, day).start in lengths


def test_without_a_deadline_nothing_is_due() -> None:
    assert due(a_deployment(), DAY) is None
    assert intervals(a_deployment()) == []
