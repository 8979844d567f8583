"""What is shown of verdicts, evidence and a deployment: nothing that decides is left out, and no text is markup."""

import datetime as dt
import io
import json
import re
from collections.abc import Mapping
from typing import Any, cast

import pytest
from rich.console import Console, RenderableType

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.db import Session
from shadow_deployment.decision.words.finding import Outcome
from shadow_deployment.ledger.verdicts import StoredVerdict
from shadow_deployment.report import text as report
from shadow_deployment.report.description import describe
from shadow_deployment.report.status import ChallengerStatus
from shadow_deployment.report.text import MOST_REASONS
from tests.builders import a_deployment
from tests.unit.report.records import a_line

DAY = dt.date(2013, 4, 30)
KEYS = {"metric", "slice", "is", "role", "outcome", "estimate", "lower", "upper", "bound", "observations", "reason"}


def finding(**changes: Any) -> dict[str, Any]:
    return {
        "metric": "brier_score",
        "slice": "all",
        "is": "superior",
        "role": "blocking",
        "outcome": "PASS",
        "estimate": 0.0123456,
        "lower": 0.001,
        "upper": None,
        "bound": 0.0,
        "observations": 60,
        "requests": 5000,
        "reason": "after 60 days the interval 0.001 to unbounded clears 0",
    } | changes


def stored(name: str = "gradient_boosting", **changes: Any) -> StoredVerdict:
    usual = dict.fromkeys(StoredVerdict.__dataclass_fields__) | {
        "name": name,
        "version": "1",
        "day": DAY,
        "days": {},
        "champion_version": "7",
        "outcome": "PASS",
        "reasons": [],
        "warnings": [],
        "explanation": "",
        "findings": [finding()],
        "decided_on": dt.date(2013, 4, 2),
    }
    return StoredVerdict(**usual | changes)


def verdicts(monkeypatch: pytest.MonkeyPatch, *found: StoredVerdict, as_of: dt.date | None = None) -> dict[str, Any]:
    def latest(session: object, deployment: Deployment, day: dt.date | None) -> Mapping[str, StoredVerdict]:
        assert day == as_of
        return {one.name: one for one in found}

    monkeypatch.setattr(report.ledger_verdicts, "latest", latest)
    monkeypatch.setattr(report, "alpha_of_next", lambda *_: 0.0076)
    outcomes = {one.name: cast(Outcome, one.outcome) for one in found}
    lines = tuple(a_line(each.name, outcomes.get(each.name)) for each in a_deployment().challengers)
    monkeypatch.setattr(report, "lines_of", lambda *_: ({}, lines))
    return report.verdicts(cast(Session[Any], None), a_deployment(), as_of)


def shown(renderable: RenderableType) -> str:
    console = Console(file=io.StringIO(), width=200, color_system=None)
    console.print(renderable)
    lines = cast(io.StringIO, console.file).getvalue().splitlines()
    return "\n".join(line.rstrip() for line in lines)


def row_with(text: str, start: str) -> str:
    (line,) = [line for line in text.splitlines() if line.strip().startswith(start)]
    return " ".join(line.split())


def test_verdicts_are_plain_data_in_the_order_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    found = verdicts(monkeypatch, stored("a_a_check", outcome="INCONCLUSIVE", decided_on=None), stored())
    assert (found["deployment"], found["as_of"]) == ("flight_delay", "2013-04-30")
    assert [one["name"] for one in found["challengers"]] == ["gradient_boosting", "logged_elsewhere", "a_a_check"]
    assert [one["outcome"] for one in found["challengers"]] == ["PASS", "INCONCLUSIVE", "INCONCLUSIVE"]
    assert [one["decided_on"] for one in found["challengers"]] == ["2013-04-02", None, None]
    assert found["challengers"][0]["findings"][0].keys() >= KEYS
    assert found["next_alpha"] == 0.0076
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("found", [[], [stored(version="0")]])
def test_a_challenger_that_was_never_judged_in_this_version_is_open_and_says_so(
    found: list[StoredVerdict], monkeypatch: pytest.MonkeyPatch
) -> None:
    challenger = verdicts(monkeypatch, *found)["challengers"][0]
    assert (challenger["outcome"], challenger["day"], challenger["findings"]) == ("INCONCLUSIVE", None, [])
    assert challenger["version"] == "1"
    assert "never judged" in challenger["reasons"][0]


def test_verdicts_are_those_of_the_day_that_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    assert verdicts(monkeypatch, stored(), as_of=dt.date(2013, 5, 5))["as_of"] == "2013-05-05"


def test_a_terminal_shows_outcome_reasons_and_a_line_for_each_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    findings = [
        finding(),
        finding(**{"is": "non_inferior", "bound": -0.005, "slice": "origin=JFK", "outcome": "FAIL", "upper": 0.5}),
        finding(metric="error_rate", **{"is": "at_most"}, bound=0.001, lower=None, role="advisory"),
        finding(metric="log_loss", outcome="INCONCLUSIVE", estimate=None, lower=None, upper=0.25),
    ]
    text = shown(report.text(verdicts(monkeypatch, stored(findings=findings, outcome="FAIL", reasons=["one reason"]))))
    assert "flight_delay as of 2013-04-30" in text
    assert row_with(text, "FAIL").endswith("2013-04-02 gradient_boosting 1 Failed")
    assert "\n  next Fix the challenger and give it a new version" in text
    assert "\n  one reason\n" in text
    assert row_with(text, "brier_score superior") == "brier_score superior all pass 0.01235 0.001 to ∞ 60"
    assert row_with(text, "brier_score non_inferior") == (
        "brier_score non_inferior 0.005 origin=JFK fail 0.01235 0.001 to 0.5 60"
    )
    assert row_with(text, "error_rate") == "error_rate at_most 0.001 (advisory) all pass 0.01235 - 60"
    assert row_with(text, "log_loss") == "log_loss superior all inconclusive - -∞ to 0.25 60"


def test_the_a_a_check_is_as_expected_and_not_open(monkeypatch: pytest.MonkeyPatch) -> None:
    found = verdicts(monkeypatch, stored("a_a_check", outcome="INCONCLUSIVE", reasons=["it is never promoted"]))
    expected = ChallengerStatus("as_expected", "it measures the noise.", "Nothing.")
    found["challengers"][2]["status"] = expected.content
    text = shown(report.text(found))
    assert row_with(text, "A/A check: as expected").endswith("a_a_check 1")
    assert "it measures the noise." in text
    assert "it is never promoted" not in text


def test_many_reasons_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    reasons = [f"reason {number}" for number in range(MOST_REASONS + 3)]
    text = shown(report.text(verdicts(monkeypatch, stored(reasons=reasons))))
    assert f"reason {MOST_REASONS - 1}\n  and 3 more" in text
    assert f"reason {MOST_REASONS}" not in text


def test_brackets_in_data_are_text_and_not_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    strange = stored(
        reasons=["[red]a slice[/red] [/]"], warnings=["[/] few labels"], findings=[finding(slice="origin=[bold]JFK[/]")]
    )
    text = shown(report.text(verdicts(monkeypatch, strange)))
    assert "[red]a slice[/red] [/]" in text
    assert "[/] few labels" in text
    assert "origin=[bold]JFK[/]" in text


def test_evidence_is_a_line_for_each_row_and_what_is_missing_is_a_dash() -> None:
    row = {
        "day": "2013-03-01",
        "challenger": "gradient_boosting",
        "slice": "carrier=[b]AA",
        "metric": "agreement",
        "requests": 100,
        "labelled": 90,
        "pairs": 80,
        "champion": None,
        "challenger_value": 0.123456,
        "difference": -0.5,
    }
    text = shown(report.evidence_table(iter([row])))
    assert text.startswith("gradient_boosting, agreement, carrier=[b]AA\n")
    assert row_with(text, "2013-03-01").split() == ["2013-03-01", "100", "90", "80", "-", "0.1235", "-0.5"]


def test_evidence_is_a_table_for_each_challenger_metric_and_slice() -> None:
    usual = {"requests": 9, "labelled": 9, "pairs": 9, "champion": 0.1, "challenger_value": 0.1, "difference": 0.0}
    rows = [
        usual | {"day": day, "challenger": "trees", "metric": metric, "slice": "all"}
        for metric in ("accuracy", "brier_score")
        for day in ("2013-03-01", "2013-03-02")
    ]
    text = shown(report.evidence_table(iter(rows)))
    assert re.findall("^(?:trees|2013).{8}", text, re.MULTILINE) == [
        *("trees, accura", "2013-03-01  ", "2013-03-02  "),
        *("trees, brier_", "2013-03-01  ", "2013-03-02  "),
    ]


@pytest.mark.parametrize(
    "words",
    [
        "### Shadow deployment `flight_delay`",
        "`flights.prediction_log` is answered by `gradient_boosting`, `logged_elsewhere`, `a_a_check`",
        "0.5 of the requests in each origin, at least 100, at most 100,000 a day",
        "`flights.outcome.is_late`, expected for up to 3 days",
        "0.05 of promoting a challenger that is not better",
        "whichever of `gradient_boosting`, `logged_elsewhere` it is, and however many are tried in a year.",
        "no verdict before 28 of them",
        "1. Brier score is better *(blocking)*",
        "2. log loss is not worse by 0.005 or more, overall and in every origin *(blocking)*",
        "3. error rate is at most 0.001 *(blocking)*",
        "4. agreement with the champion is at least 0.8 *(advisory, shown only)*",
    ],
)
def test_a_deployment_is_described_with_its_policy_in_words(words: str) -> None:
    assert words in describe(a_deployment())
