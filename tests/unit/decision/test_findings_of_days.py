"""What a finding says of single days, of slices, and of what cannot be judged."""

import datetime as dt
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from shadow_deployment.config.policy import Policy
from shadow_deployment.decision.series import Series
from shadow_deployment.decision.verdict import judge
from shadow_deployment.decision.words.finding import Finding
from shadow_deployment.decision.words.wording import missing_note
from shadow_deployment.metrics.catalog import METRICS
from tests.unit.decision.noisy import DAYS, FEW_ERRORS, FIRST, SUPERIOR, found, noise, series, values

HELD = "; it held on {} of the last {} days, {} of {} are required"


@pytest.mark.parametrize(
    ("numbers", "rates", "last", "outcome", "tail"),
    [
        ([0, 1, 2], [0, 0, 1], (2, 3), "PASS", (2, 3, 2, 3)),
        ([0, 1, 2], [0, 1, 1], (2, 3), "FAIL", (1, 3, 2, 3)),
        ([0, 1, 3], [0, 0, 0], (3, 3), "INCONCLUSIVE", (2, 2, 3, 3)),
        ([0, 2, 3], [1, 0, 0], (2, 3), "PASS", (2, 2, 2, 3)),
        ([0, 1, 3], [0, 1, 0], (2, 4), "PASS", (2, 3, 2, 4)),
        ([0, 4], [0, 0], (2, 4), "INCONCLUSIVE", (1, 1, 2, 4)),
        ([0, 3], [0, 0], (2, 4), "PASS", (2, 2, 2, 4)),
        ([0, 1, 2, 3], [1, 1, 0, 0], (3, 4), "FAIL", (2, 4, 3, 4)),
    ],
)
def test_the_last_days_are_days_of_the_calendar_and_one_without_a_value_speaks_for_neither_side(
    numbers: list[int], rates: list[int], last: tuple[int, int], outcome: str, tail: tuple[int, ...]
) -> None:
    days = tuple(FIRST + dt.timedelta(days=number) for number in numbers)
    rule = FEW_ERRORS | {"last": {"hold": last[0], "of": last[1]}}
    finding = found(values(rates, days=days), rule)
    held = "is" if rates[-1] == 0 else "is not"
    assert (finding.outcome, finding.reason) == (
        outcome,
        f"{rates[-1]} on {days[-1]} {held} at most 0.01" + HELD.format(*tail),
    )


def test_a_metric_without_labels_is_judged_on_the_day_itself_or_not_at_all() -> None:
    one, today = values([0.0, 0.0, 0.0]), FIRST + dt.timedelta(days=2)
    assert found(one, FEW_ERRORS, day=today).outcome == found(one, FEW_ERRORS).outcome == "PASS"
    later = found(one, FEW_ERRORS, day=today + dt.timedelta(days=1))
    assert (later.outcome, later.reason) == (
        "INCONCLUSIVE",
        "2013-03-04 has no value, the newest is of 2013-03-03",
    )
    assert (later.observations, later.requests, later.estimate) == (3, 150, None)
    assert later.more_days == 1, "the next day with requests decides it"


def test_a_metric_with_labels_is_judged_on_the_newest_day_that_is_ripe() -> None:
    rule = {"metric": "brier_score", "is": "at_most", "value": 0.3, "last": {"hold": 1, "of": 1}}
    finding = found(values([0.4, 0.2], "brier_score"), rule, day=FIRST + dt.timedelta(days=9))
    assert (finding.outcome, finding.estimate) == ("PASS", 0.2)
    assert finding.reason.startswith("0.2 on 2013-03-02 is at most 0.3; ")


def test_a_sequence_does_not_wait_for_the_day_itself() -> None:
    assert found(series(0.1 + noise("normal")), SUPERIOR, day=FIRST + dt.timedelta(days=99)).outcome == "PASS"


NOTHING = "there is no evidence: no mature day has a labelled pair"


@pytest.mark.parametrize(
    ("one", "rule", "unit", "reason", "counts"),
    [
        (series([]), SUPERIOR, "day", NOTHING, (0, 0)),
        (series([0.1] * 6), SUPERIOR, "week", "no week of evidence is complete", (0, 0)),
        (series([0.1, math.nan, math.nan]), SUPERIOR, "day", "the value of 2013-03-02 is not a number", (3, 150)),
        (
            series([0.1] * 3),
            SUPERIOR | {"minimum_requests": 151},
            "day",
            "150 requests are too few: 151 are required",
            (3, 150),
        ),
        (
            values([0.1] * 3),
            FEW_ERRORS | {"of": "relative_change"},
            "day",
            "the champion's error_rate is 0: a share of it has no meaning",
            (3, 150),
        ),
    ],
)
def test_what_cannot_be_judged_says_why_and_how_much_there_was(
    one: Series, rule: dict[str, Any], unit: str, reason: str, counts: tuple[int, int]
) -> None:
    finding = found(one, rule, unit=unit)
    assert replace(finding, champion=None, challenger=None) == Finding(
        metric=rule["metric"],
        slice="all",
        is_=rule["is"],
        role="blocking",
        outcome="INCONCLUSIVE",
        bound=rule.get("value", 0.0),
        reason=reason,
        observations=counts[0],
        requests=counts[1],
    )


def test_a_value_of_a_column_may_hold_any_sign() -> None:
    names = ["all", "origin=a=b", "origin=", "origin", "original=x"]
    policy = Policy.model_validate({"rules": [SUPERIOR | {"slices": ["origin"]}]})
    verdict = judge(policy, {("brier_score", name): series([0.1], name=name) for name in names})
    assert [finding.slice for finding in verdict.findings] == ["all", "origin", "origin=", "origin=a=b"]


def test_every_column_is_judged_in_the_order_of_its_name_and_all_requests_once() -> None:
    names = ["all", "origin=JFK", "carrier=UA", "carrier=AA"]
    policy = Policy.model_validate({"rules": [SUPERIOR | {"slices": ["origin", "all", "carrier"]}]})
    verdict = judge(policy, {("brier_score", name): series([0.1], name=name) for name in names})
    assert [finding.slice for finding in verdict.findings] == ["all", "carrier=AA", "carrier=UA", "origin=JFK"]


def test_a_finding_counts_the_requests_that_lack_a_prediction() -> None:
    lacking = {"unanswered": np.full(DAYS, 2), "champion_missing": np.full(DAYS, 1)}
    policy = Policy.model_validate({"rules": [SUPERIOR]})
    (found,) = judge(policy, {("brier_score", "all"): series(noise("normal"), **lacking)}).findings
    assert (found.unanswered, found.champion_missing) == (120, 60)
    assert found.reason.endswith(missing_note(METRICS["brier_score"], 120, 60))
