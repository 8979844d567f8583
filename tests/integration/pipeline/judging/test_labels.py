"""Which labels a day has and expects, when it counts, and which days are compared again."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests import production
from tests.conftest import Invoke, declare
from tests.integration.pipeline.judging.days import PASSING, RUN, Produce, judged, known, labels_of, run
from tests.production import MATURITY, World, day, moment


def test_each_day_says_how_many_labels_it_has_and_how_many_are_expected(
    flown: tuple[pd.DataFrame, pd.DataFrame], late: World, invoke: Invoke
) -> None:
    days = [known(*flown, number, RUN) for number in range(RUN)]
    mature = [number + 1 + MATURITY <= RUN for number in range(RUN)]
    assert sum(mature) == 3
    final = sum(int(requests.label.notna().sum()) for requests in days[:3]) / sum(map(len, days[:3]))
    labelled = [int(requests.label.notna().sum()) for requests in days]
    assert labelled[-1] < final * len(days[-1]), "no label is late: the test does not test what is expected"
    assert labels_of(invoke, late) == [
        {
            "day": str(day(number)),
            "sampled": len(requests),
            "labelled": labelled[number],
            "expected": labelled[number] if mature[number] else max(labelled[number], round(final * len(requests))),
            "share": labelled[number] / len(requests),
            "contradicted": 0,
            "invalid": 0,
            "early": 0,
            "collected_until": min(moment(RUN), moment(number + 1 + MATURITY)).isoformat(),
            "mature": mature[number],
        }
        for number, requests in enumerate(days)
    ]


def test_how_many_labels_are_expected_is_open_before_any_day_is_complete(
    flying: tuple[World, Any], worlds: Callable[..., World], monkeypatch: pytest.MonkeyPatch, invoke: Invoke
) -> None:
    world = declare(worlds(production=flying[0].production), monkeypatch)
    run(world, range(2))
    rows = labels_of(invoke, world)
    assert [(row["expected"], row["mature"]) for row in rows] == [(None, False)] * 2
    code, out, _ = invoke("labels", "late")
    assert code == 0
    assert out.count("not yet") == 2


def test_a_day_without_a_run_has_no_labels_to_show(
    flying: tuple[World, Any], worlds: Callable[..., World], monkeypatch: pytest.MonkeyPatch, invoke: Invoke
) -> None:
    assert labels_of(invoke, declare(worlds(production=flying[0].production), monkeypatch)) == []


@pytest.mark.parametrize("coverage", [0.3, 1.0])
def test_a_day_counts_once_all_labels_were_there_or_are_no_longer_expected_whatever_coverage_a_pass_needs(
    coverage: float, flown: tuple[pd.DataFrame, pd.DataFrame], late: World, invoke: Invoke
) -> None:
    rule = {"metric": "brier_score", "is": "superior"}
    policy = {"burn_in": 2, "minimum_coverage": coverage, "rules": [rule]}
    for number in range(RUN):
        days = [known(*flown, earlier, number + 1) for earlier in range(number + 1)]
        ripe = [
            requests.label.count() == len(requests) or earlier + MATURITY <= number
            for earlier, requests in enumerate(days)
        ]
        (finding,) = judged(late, number, policy=policy).verdict.findings
        assert finding.observations == [*ripe, False].index(False)
    assert [row["mature"] for row in labels_of(invoke, late, policy=policy)] == ripe


def test_each_run_compares_exactly_the_days_whose_labels_changed_or_that_are_mature_now(
    flown: tuple[pd.DataFrame, pd.DataFrame], flying: tuple[World, list[dict[dt.date, dt.datetime]]]
) -> None:
    _, compared = flying
    again = 0
    for number in range(1, RUN):
        changed = {
            day(earlier)
            for earlier in range(number)
            if known(*flown, earlier, number + 1).label.count() > known(*flown, earlier, number).label.count()
        }
        before, after = compared[number - 1], compared[number]
        expected = changed | {day(number)} | {day(earlier) for earlier in range(number) if earlier == number - MATURITY}
        assert {one for one in after if after[one] != before.get(one)} == expected
        again += len(changed)
    assert again < (RUN - 1) * RUN / 2, "every day changed every time: the test does not test what is left alone"


def test_a_past_day_is_judged_as_it_was_although_labels_came_since(late: World) -> None:
    stored = {row[0]: (row[3], row[5], row[6]) for row in late.verdicts()}
    assert len(stored) == RUN
    for number in range(RUN):
        again = judged(late, number).verdict
        outcome, reasons, findings = stored[day(number)]
        assert (again.outcome, list(again.reasons)) == (outcome, reasons)
        assert [finding.estimate for finding in again.findings] == [finding["estimate"] for finding in findings]


@pytest.fixture(scope="module")
def slow_labels(produce: Produce) -> tuple[World, dict[str, Any]]:
    """Every request gets a label; that of a high answer three days later."""
    log, _ = production.synthetic(days=9, per_day=50, seed=8)
    probability = log.champion_probability.fillna(0.5)
    wait = np.where(probability > 0.6, 3, 0)
    known_at = [at + dt.timedelta(days=int(days)) for at, days in zip(log.predicted_at, wait, strict=True)]
    world = produce(log, log[["request_id"]].assign(is_late=(probability > 0.5).astype(int), known_at=known_at))
    changes = {"labels": {"maturity_days": 5}, "policy": PASSING | {"burn_in": 3}}
    run(world, range(9), **changes)
    return world, changes


def test_labels_that_are_late_are_no_missing_labels(slow_labels: tuple[World, dict[str, Any]]) -> None:
    world, changes = slow_labels
    assert not [warning for warning in judged(world, 8, **changes).warnings if "label" in warning]


def test_a_day_that_waits_still_expects_its_other_labels(
    slow_labels: tuple[World, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, invoke: Invoke
) -> None:
    world, changes = slow_labels
    rows = labels_of(invoke, declare(world, monkeypatch), **changes)
    assert [row["expected"] for row in rows] == [50] * 9
