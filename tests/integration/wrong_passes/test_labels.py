"""Labels, chosen after they were seen, through the command line alone."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Invoke, declare
from tests.integration.wrong_passes.story import (
    DAYS,
    PER_DAY,
    better,
    deploy,
    judge_again,
    newest_verdict,
    produce,
    run,
    worse,
)
from tests.production import World, day


def known_early(world: World, share: str) -> None:
    world.change_production(
        f"UPDATE flights.outcome SET known_at = known_at - interval '90 days' WHERE request_id {share}"
    )


def labels(invoke: Invoke) -> list[dict[str, Any]]:
    code, out, err = invoke("labels", "late", "--json")
    assert code == 0, err
    return [json.loads(line) for line in out.splitlines()]


def test_labels_that_were_known_before_their_requests_are_no_evidence(world: World, invoke: Invoke) -> None:
    produce(world, better)
    deploy(world, policy={"minimum_coverage": 0.01})
    known_early(world, ">= 'f'")
    run(invoke, 0, DAYS - 1)
    verdict = newest_verdict(invoke)
    assert verdict["outcome"] == "INCONCLUSIVE"
    words = "1680 requests (100.00%) had a label known before the request: known_at of flights.outcome is before"
    assert [
        reason
        for reason in verdict["reasons"]
        if reason.startswith(words) and "policy.max_invalid_labels == 0.001" in reason
    ]
    assert {(row["early"], row["labelled"]) for row in labels(invoke)} == {(PER_DAY, 0)}


def test_one_label_that_was_known_before_its_request_is_named_and_not_used(world: World, invoke: Invoke) -> None:
    produce(world, better)
    deploy(world)
    known_early(world, "= 'f00001'")
    run(invoke, 0, DAYS - 1)
    verdict = newest_verdict(invoke)
    assert verdict["outcome"] == "PASS", verdict["reasons"]
    assert any(
        warning.startswith("1 request (0.06%) had a label known before the request") for warning in verdict["warnings"]
    )
    assert [(row["early"], row["labelled"]) for row in labels(invoke)][:2] == [(1, PER_DAY - 1), (0, PER_DAY)]


OVERWRITTEN = (
    "DELETE FROM flights.outcome AS o USING flights.outcome AS w WHERE w.wrong AND w.request_id = o.request_id "
    "AND o.wrong IS NULL; UPDATE flights.outcome SET is_late = 1 - is_late WHERE wrong"
)


def test_contradicting_labels_bar_a_pass_until_production_has_corrected_them(
    world: World, worlds: Callable[..., World], invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    produce(world, better)
    deploy(world)
    world.change_production(
        "ALTER TABLE flights.outcome ADD COLUMN wrong bool; INSERT INTO flights.outcome "
        "SELECT request_id, 1 - is_late, known_at + interval '1 minute', true FROM flights.outcome ORDER BY 1 LIMIT 10"
    )
    run(invoke, 0, DAYS - 1)
    verdict = newest_verdict(invoke)
    assert verdict["outcome"] == "INCONCLUSIVE"
    assert verdict["reasons"][0].startswith("10 requests have contradictory labels in flights.outcome")
    assert labels(invoke)[0]["contradicted"] == 10
    for correction in ("DELETE FROM flights.outcome WHERE wrong", OVERWRITTEN):
        corrected = declare(worlds(world, own=True), monkeypatch)
        deploy(corrected)
        corrected.change_production(correction)
        run(invoke, DAYS - 1)
        verdict = newest_verdict(invoke)
        assert verdict["outcome"] == "PASS", verdict["reasons"]
        assert labels(invoke)[0]["contradicted"] == 0


def test_an_invalid_label_is_set_aside_and_the_day_goes_on(world: World, invoke: Invoke) -> None:
    produce(world, better)
    deploy(world)
    world.change_production("UPDATE flights.outcome SET is_late = 7 WHERE request_id = 'f00003'")
    assert run(invoke, 0, DAYS - 1)[0] == 0
    verdict = newest_verdict(invoke)
    assert verdict["outcome"] == "PASS", verdict["reasons"]
    words = "1 request (0.06%) had an invalid label: '7'; flights.outcome.is_late must be 0 or 1"
    assert any(warning.startswith(words) for warning in verdict["warnings"])
    assert [(row["invalid"], row["labelled"]) for row in labels(invoke)][:2] == [(1, PER_DAY - 1), (0, PER_DAY)]


def test_too_many_invalid_labels_bar_a_pass_until_production_has_corrected_them(world: World, invoke: Invoke) -> None:
    produce(world, better)
    deploy(world)
    world.change_production("UPDATE flights.outcome SET is_late = is_late + 7 WHERE request_id < 'f00010'")
    run(invoke, 0, DAYS - 1)
    verdict = newest_verdict(invoke)
    assert verdict["outcome"] == "INCONCLUSIVE"
    words = "10 requests (0.60%) had an invalid label: "
    assert verdict["reasons"][0].startswith(words)
    assert verdict["reasons"][0].startswith(f"{words}'7', '8'; ")
    assert "at most 0.10% may (policy.max_invalid_labels == 0.001)" in verdict["reasons"][0]
    world.change_production("UPDATE flights.outcome SET is_late = is_late - 7 WHERE is_late > 1")
    run(invoke, DAYS - 1)
    assert newest_verdict(invoke)["outcome"] == "PASS"


def test_labels_of_too_few_requests_bar_a_pass_and_make_no_day_mature(world: World, invoke: Invoke) -> None:
    produce(world, better)
    terms = {"labels": {"maturity_days": 1}}
    deploy(world, policy={"minimum_coverage": 0.95, "method": "plain"}, **terms)
    world.change_production("DELETE FROM flights.outcome WHERE right(request_id, 1) = '1'")
    run(invoke, 0, DAYS - 1)
    verdict = newest_verdict(invoke)
    assert verdict["outcome"] == "INCONCLUSIVE", verdict["reasons"]
    assert (verdict["days"]["counted"], verdict["days"]["waiting"]) == (DAYS - 1, 1)
    words = (
        "90.0% of the requests of 13 counted days have a label, at least 95.0% must (policy.minimum_coverage == 0.95)"
    )
    assert words in verdict["reasons"]
    verdict = judge_again(world, invoke, policy={"minimum_coverage": 0.85, "method": "plain"}, **terms)
    assert verdict["outcome"] == "PASS", verdict["reasons"]
    assert (verdict["days"]["counted"], verdict["days"]["waiting"]) == (DAYS - 1, 1)


def at(invoke: Invoke, number: int) -> str:
    code, out, err = invoke("verdict", "late", "--json", "--as-of", day(number))
    assert code == 0, err
    return out


def test_labels_may_be_texts_and_another_text_is_invalid(world: World, invoke: Invoke) -> None:
    produce(world, better)
    world.change_production(
        "ALTER TABLE flights.outcome ALTER is_late TYPE text USING CASE is_late WHEN 1 THEN 'yes' ELSE 'no' END; "
        "UPDATE flights.outcome SET is_late = 'maybe' WHERE request_id = 'f00000'"
    )
    deploy(world, labels={"positive": "yes", "negative": "no"})
    code, _, err = run(invoke, 0, DAYS - 1)
    assert code == 0, err
    verdict = newest_verdict(invoke)
    assert verdict["outcome"] == "PASS", verdict["reasons"]
    words = "'maybe'; flights.outcome.is_late must be 'yes' or 'no'"
    assert any(words in warning for warning in verdict["warnings"])


def withhold(world: World, where: str) -> None:
    """Take away the labels of the requests of which something holds."""
    world.change_production(
        "DELETE FROM flights.outcome AS o USING flights.prediction_log AS r "
        f"WHERE o.request_id = r.request_id AND {where}"
    )


WRONG = "abs(r.other_probability - o.is_late) > abs(r.champion_probability - o.is_late)"


@pytest.mark.parametrize(
    ("challenger", "where", "said"),
    [
        (better, "right(r.request_id, 2) = '07'", "holds whatever the missing labels are"),
        (better, WRONG, "holds whatever the missing labels are"),
        (worse, WRONG, "holds unless requests"),
    ],
)
def test_labels_that_never_come_are_entered_at_their_worst(
    challenger: Any, where: str, said: str, world: World, invoke: Invoke
) -> None:
    """By chance; where a better challenger is wrong; where a worse one is, so that the labels that come flatter it."""
    produce(world, challenger)
    withhold(world, where)
    deploy(world, policy={"minimum_coverage": 0.01, "method": "plain"}, labels={"maturity_days": 1})
    assert run(invoke, 0, DAYS - 1)[0] == 0
    verdict = newest_verdict(invoke)
    assert verdict["outcome"] == "PASS", "what labels might have been is no evidence against it"
    (finding,) = verdict["findings"]
    assert f"; {said}" in finding["reason"]
    assert any('"Brier score is better" passes and holds unless' in warning for warning in verdict["warnings"]) is (
        "unless" in said
    )
    ((share, least),) = world.query(
        "SELECT sum(unlabelled_weight) / sum(unlabelled_weight + weight), "
        "sum(unlabelled_least) / sum(unlabelled_weight) FROM shadow.evidence "
        "WHERE metric = 'brier_score' AND slice_column = 'all' AND is_final"
    )
    ((expected, worst),) = world.query(
        "SELECT avg((l.value IS NULL)::int), avg(CASE WHEN l.value IS NULL THEN "
        "least(r.champion ^ 2 - p.value ^ 2, (1 - r.champion) ^ 2 - (1 - p.value) ^ 2) END) FROM shadow.request AS r "
        "JOIN shadow.prediction AS p USING (snapshot_id, ordinal) "
        "LEFT JOIN shadow.label AS l USING (snapshot_id, ordinal) WHERE r.day <= %s",
        [day(DAYS - 2)],
    )
    assert (share, least) == (pytest.approx(float(expected)), pytest.approx(worst))
    missing = finding["missing_labels"]
    assert (missing["share"], missing["at_most"]) == (pytest.approx(float(expected)), pytest.approx(-worst))
    assert missing["holds"] is (said != "holds unless requests")


def test_a_day_that_is_judged_again_without_a_new_fact_gets_the_same_verdict(world: World, invoke: Invoke) -> None:
    """Neither labels that arrived since, nor labels that contradict others since, are facts of the judged day."""
    produce(world, better)
    deploy(world)
    world.change_production(
        "UPDATE flights.outcome SET known_at = known_at + interval '50 hours' WHERE right(request_id, 1) < '4'; "
        "INSERT INTO flights.outcome SELECT request_id, 1 - is_late, known_at + interval '20 hours' "
        "FROM flights.outcome WHERE right(request_id, 2) = '00'"
    )
    run(invoke, 0, 8)
    before = at(invoke, 8)
    assert json.loads(before)["challengers"][0]["days"]["waiting"] > 0
    run(invoke, 9, DAYS - 1)
    assert labels(invoke)[8]["contradicted"] > 0
    run(invoke, 8)
    assert at(invoke, 8) == before
    assert world.query("SELECT max(revision) FROM shadow.verdict") == [(1,)]
