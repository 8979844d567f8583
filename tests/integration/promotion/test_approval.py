"""Asking for a promotion: about the right case, once, not again after a rejection, and only while the case is so."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from shadow_deployment.context import DeploymentContext
from shadow_deployment.decision.words.finding import Finding
from shadow_deployment.errors import RegistryError
from shadow_deployment.ledger.registry.approval_requests import Answer
from shadow_deployment.promotion import approval, approval_text, registry
from tests.integration.promotion.promoting import CHANGED, by, judge, refusal, settings
from tests.production import SHADOW, World, day, linear_model, moment

pytestmark = pytest.mark.usefixtures("stored_verdicts_stand")


@pytest.fixture(scope="module")
def empty(worlds: Callable[..., World]) -> World:
    world = worlds()
    world.shadow(**settings(world))
    return world


@pytest.fixture
def world(worlds: Callable[..., World], empty: World) -> World:
    return worlds(empty, own=True)


@pytest.fixture
def shadow(world: World) -> DeploymentContext:
    return world.shadow(**settings(world))


def judged(shadow: DeploymentContext, outcomes: str, name: str = "other", *, first: int = 0) -> None:
    """Keep verdicts of successive days: P, F and I, and a dash where there is none."""
    words: dict[str, Any] = {"P": "PASS", "F": "FAIL", "I": "INCONCLUSIVE"}
    for number, letter in enumerate(outcomes, first):
        if letter in words:
            judge(shadow, number, words[letter], name)


def asked(shadow: DeploymentContext, number: int) -> str | None:
    found = approval.proposal_of_day(shadow, day(number))
    return found.request.challenger.name if found else None


def settle(shadow: DeploymentContext, run: str, given: Answer, name: str = "other") -> None:
    question, _ = approval.request_approval(shadow, name, run, by_hand=False)
    approval.record_decision(shadow, question, given, "ada", "as the test says")


def later(world: World, hours: int) -> None:
    """Let questions be as old: time is the database's own."""
    with psycopg.connect(world.postgres.uri(world.ledger, SHADOW)) as session:
        session.execute("ALTER TABLE shadow.approval_request DISABLE TRIGGER approval_request_is_append_only")
        session.execute(
            "UPDATE shadow.approval_request SET created_at = created_at - make_interval(hours => %s)", [hours]
        )
        session.execute("ALTER TABLE shadow.approval_request ENABLE TRIGGER approval_request_is_append_only")


@pytest.mark.parametrize(
    ("outcomes", "expected"), [("P", "other"), ("I", None), ("F", None), ("PI", None), ("IP", "other")]
)
def test_only_for_a_pass_of_the_day_is_approval_requested(
    shadow: DeploymentContext, outcomes: str, expected: str | None
) -> None:
    judged(shadow, outcomes)
    assert asked(shadow, len(outcomes) - 1) == expected


def test_for_the_a_a_check_approval_is_never_requested(shadow: DeploymentContext) -> None:
    judged(shadow, "P", "a_a_check")
    assert asked(shadow, 0) is None


def test_for_a_past_day_no_approval_is_requested(shadow: DeploymentContext) -> None:
    judged(shadow, "PP")
    assert asked(shadow, 0) is None
    assert asked(shadow, 1) == "other"


@pytest.mark.parametrize(
    ("outcomes", "since", "days"), [("PPP", 0, 3), ("PFPP", 2, 2), ("P-P", 0, 2), ("PPI", None, 0)]
)
def test_days_in_a_row_are_judged_days_without_interruption(
    shadow: DeploymentContext, outcomes: str, since: int | None, days: int
) -> None:
    judged(shadow, outcomes)
    found = approval.build_proposal(shadow, "other")
    assert (found.days, found.since) == (days, day(len(outcomes) - 1 if since is None else since))


def test_days_on_other_terms_are_not_in_the_row(world: World) -> None:
    judged(world.shadow(**settings(world)), "PP")
    stricter = {"minimum_coverage": 0.3}
    changed = world.shadow(**settings(world) | {"policy": settings(world)["policy"] | stricter})
    judged(changed, "P", first=2)
    assert approval.build_proposal(changed, "other").days == 1
    judge(changed, 3, "PASS", against="8")
    judge(changed, 4, "PASS")
    assert approval.build_proposal(changed, "other").since == day(4)


def test_a_day_judged_again_counts_as_it_was_judged_last(shadow: DeploymentContext) -> None:
    judged(shadow, "PPP")
    judge(shadow, 1, "INCONCLUSIVE")
    assert approval.build_proposal(shadow, "other").since == day(2)


def test_as_many_days_in_a_row_are_waited_for_as_the_deployment_says(world: World) -> None:
    shadow = world.shadow(**settings(world, promotion={"consecutive": 3}))
    judged(shadow, "PP")
    assert asked(shadow, 1) is None
    judged(shadow, "P", first=2)
    assert asked(shadow, 2) == "other"


def test_a_request_that_is_open_is_not_repeated(world: World, shadow: DeploymentContext) -> None:
    judged(shadow, "P")
    approval.request_approval(shadow, "other", "run 1", by_hand=False)
    judged(shadow, "P", first=1)
    assert asked(shadow, 1) is None
    assert "is still open" in refusal(lambda: approval.request_approval(shadow, "other", "run 2", by_hand=False))
    later(world, 25)
    assert asked(shadow, 1) is None  # nobody has answered, that was yesterday
    judged(shadow, "P", first=7)
    assert asked(shadow, 7) == "other"


@pytest.mark.parametrize("given", ["rejected", "approved"])
def test_what_was_decided_is_not_requested_again_however_many_days_pass(
    shadow: DeploymentContext, given: Answer
) -> None:
    judged(shadow, "P")
    settle(shadow, "run 1", given)
    judged(shadow, "P" * 30, first=1)
    assert asked(shadow, 30) is None
    message = refusal(lambda: approval.request_approval(shadow, "other", "run 2", by_hand=False))
    assert f"it was {given} by ada for {day(0)}" in message


def test_after_a_rejection_an_interruption_of_the_pass_makes_another_case(shadow: DeploymentContext) -> None:
    judged(shadow, "P")
    settle(shadow, "run 1", "rejected")
    judged(shadow, "IP", first=1)
    assert asked(shadow, 2) == "other"


def test_after_a_rejection_another_policy_makes_another_case(world: World, shadow: DeploymentContext) -> None:
    judged(shadow, "P")
    settle(shadow, "run 1", "rejected")
    changed = world.shadow(**settings(world) | {"policy": settings(world)["policy"] | {"minimum_coverage": 0.3}})
    judged(changed, "P", first=1)
    assert asked(changed, 1) == "other"


def test_after_a_rejection_the_same_day_by_another_policy_makes_another_case(
    world: World, shadow: DeploymentContext
) -> None:
    judged(shadow, "P")
    settle(shadow, "run 1", "rejected")
    changed = world.shadow(**settings(world) | {"policy": settings(world)["policy"] | {"minimum_coverage": 0.3}})
    judged(changed, "P")
    assert asked(changed, 0) == "other"


def test_after_a_rejection_another_model_makes_another_case(world: World, shadow: DeploymentContext) -> None:
    judged(shadow, "P", "linear")
    settle(shadow, "run 1", "rejected", "linear")
    linear_model(world.folder / "linear.onnx", {"dep_hour": 0.2, "distance": -0.0005})
    judged(shadow, "P", "linear", first=1)
    assert asked(shadow, 1) == "linear"


def test_what_timed_out_is_requested_again_after_some_days(world: World) -> None:
    shadow = world.shadow(**settings(world, promotion={"ask_again_days": 3}))
    judged(shadow, "P")
    settle(shadow, "run 1", "silence")
    judged(shadow, "PP", first=1)
    assert asked(shadow, 2) is None
    judged(shadow, "P", first=3)
    assert asked(shadow, 3) == "other"


def test_somebody_may_ask_by_hand_again(shadow: DeploymentContext) -> None:
    judged(shadow, "P")
    settle(shadow, "run 1", "rejected")
    question, _ = approval.request_approval(shadow, "other", "run 2", by_hand=True)
    made = approval.approve(shadow, question, approved_by="bob", reason="I insist", at=moment(1))
    assert (made.name, made.approved_by, made.reason) == ("other", "bob", "I insist")


def test_by_hand_no_case_is_promoted_that_stands_not(shadow: DeploymentContext) -> None:
    judged(shadow, "F")
    message = refusal(lambda: approval.request_approval(shadow, "other", "run 1", by_hand=True))
    assert f"its newest verdict, of {day(0)}, is FAIL, must be PASS" in message


def test_a_run_that_is_repeated_has_the_same_request(world: World, shadow: DeploymentContext) -> None:
    judged(shadow, "P")
    first, _ = approval.request_approval(shadow, "other", "run 1", by_hand=False)
    second, _ = approval.request_approval(shadow, "other", "run 1", by_hand=False)
    assert first == second
    assert world.query("SELECT count(*) FROM shadow.approval_request") == [(1,)]
    approval.record_decision(shadow, first, "rejected", "ada", "no")
    message = refusal(lambda: approval.request_approval(shadow, "other", "run 1", by_hand=True))
    assert f"the approval request of this run was rejected by ada for {day(0)}; trigger another run" in message


def test_what_was_shown_is_what_is_promoted_and_a_changed_request_is_made_anew(shadow: DeploymentContext) -> None:
    judged(shadow, "P")
    question, _ = approval.request_approval(shadow, "other", "run 1", by_hand=False)
    judged(shadow, "P", first=1)
    message = refusal(lambda: approval.approve(shadow, question, approved_by="ada", reason="yes", at=moment(1)))
    assert "the promotion request has changed since it was approved" in message
    assert registry.history(shadow) == []
    changed = approval.approval_request_of(shadow, "run 1", question.case_digest)
    assert (changed.answer, changed.answered_by) == ("changed", "ada")
    assert asked(shadow, 1) == "other"


def test_an_approval_is_the_same_promotion_when_its_task_runs_again(shadow: DeploymentContext) -> None:
    judged(shadow, "P")
    question, _ = approval.request_approval(shadow, "other", "run 1", by_hand=False)
    made = [approval.approve(shadow, question, approved_by="ada", reason="yes", at=moment(1)) for _ in range(2)]
    assert made[0] == made[1]
    assert approval.approval_request_of(shadow, "run 1", question.case_digest).answer == "approved"


def test_an_approval_whose_manifest_cannot_be_written_is_an_approval(world: World) -> None:
    blocked = world.folder / "file"
    blocked.write_text("no folder")
    shadow = world.shadow(**settings(world, promotion={"manifest": str(blocked / "champion.json")}))
    judged(shadow, "P")
    question, _ = approval.request_approval(shadow, "other", "run 1", by_hand=False)
    with pytest.raises(RegistryError, match=r"champion\.json"):
        approval.approve(shadow, question, approved_by="ada", reason="yes", at=moment(1))
    assert [one.name for one in registry.history(shadow)] == ["other"]
    assert approval.approval_request_of(shadow, "run 1", question.case_digest).answer == "approved"


def test_for_who_was_rolled_back_no_approval_is_requested_by_itself(world: World, shadow: DeploymentContext) -> None:
    judged(shadow, "P")
    registry.promote(shadow, "other", **by("ada"))
    registry.rollback(shadow, **by("bob"))
    judged(shadow, "P", first=1)
    assert asked(shadow, 1) is None
    question, _ = approval.request_approval(shadow, "other", "run 1", by_hand=True)
    assert approval.approve(shadow, question, approved_by="ada", reason="again", at=moment(2)).number == 3


def test_of_two_that_pass_approval_is_requested_for_one_and_the_other_is_named(shadow: DeploymentContext) -> None:
    judged(shadow, "P", "other")
    judged(shadow, "P", "linear")
    found = approval.proposal_of_day(shadow, day(0))
    assert found is not None
    assert {found.request.challenger.name, *found.rivals} == {"other", "linear"}


def test_approval_is_requested_for_the_challenger_further_ahead(
    shadow: DeploymentContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged(shadow, "P", "other")
    judged(shadow, "P", "linear")
    for ahead, behind in (("other", "linear"), ("linear", "other")):
        lead = {ahead: 2.0, behind: 1.0}
        monkeypatch.setattr(approval, "_lead", lambda one, lead=lead: lead[one.request.challenger.name])
        found = approval.proposal_of_day(shadow, day(0))
        assert found is not None
        assert (found.request.challenger.name, found.rivals) == (ahead, (behind,))


def test_the_log_that_has_moved_on_is_no_case(world: World, shadow: DeploymentContext) -> None:
    judged(shadow, "P")
    world.change_production(CHANGED, ["8"])
    assert asked(shadow, 0) is None


def test_the_request_shows_its_terms_and_what_each_answer_does(world: World) -> None:
    shadow = world.shadow(**settings(world, promotion={"response_hours": 5, "ask_again_days": 9}))
    judged(shadow, "PP")
    _, found = approval.request_approval(shadow, "other", "run 1", by_hand=False)
    assert approval_text.subject(shadow.deployment, found) == (
        "Promote other 1 to champion of late, in place of champion 7?"
    )
    text = approval_text.body(shadow.deployment, found, "https://airflow/shadow/deployments/late?challenger=other")
    assert found.request.verdict is not None
    assert "against champion 7 on" in text
    assert "on 2 consecutive judged days since" in text
    assert "| error rate is at most 0\\.5 | all | PASS |" in text
    assert "within 5 hours" in text
    assert "9 days" in text
    trials = "trial 1 of 1 against champion 7 \\(1 model; trials\\: 1 PASS, 0 FAIL, 0 open\\); `shadow trials late`"
    order = ("Look at its page first](https://airflow/shadow/", "There are no warnings", "**Approve**", trials)
    assert [text.index(words) for words in order] == sorted(text.index(words) for words in order)
    for digest in (found.request.digest, found.request.verdict.input_digest):
        assert f"`{digest[:12]}`" in text
        assert digest not in text


def a_proposal(found: approval.Proposal, *findings: Finding, warnings: Sequence[str] = ()) -> approval.Proposal:
    """Return a proposal whose verdict has other findings and warnings."""
    verdict = found.request.verdict
    assert verdict is not None
    verdict = replace(verdict, findings=[each.to_json() for each in findings], warnings=list(warnings))
    return replace(found, request=replace(found.request, verdict=verdict))


@pytest.mark.parametrize(
    ("metric", "champion", "ends", "cells"),
    [
        (
            "brier_score",
            0.2,
            (0.01, 0.03, 0.05),
            "| Brier score (lower is better) | 0.2 | 0.17 | {minus}15.0 % | {minus}25.0 % to {minus}5.0 % (92.50 %) |",
        ),
        (
            "accuracy",
            0.8,
            (0.04, 0.08, None),
            "| accuracy (higher is better) | 0.8 | 0.88 | 10.0 % | 5.0 % to ∞ (92.50 %) |",
        ),
    ],
)
def test_the_request_says_how_much_better_in_per_cent_of_the_champion(
    shadow: DeploymentContext, metric: str, champion: float, ends: tuple[Any, ...], cells: str
) -> None:
    judged(shadow, "P")
    found = approval.build_proposal(shadow, "other")
    lower, estimate, upper = ends
    challenger = champion - estimate if metric == "brier_score" else champion + estimate
    finding = Finding(metric, "all", "superior", "blocking", "PASS", 0.0, "as the test says", estimate, lower, upper)
    finding = replace(finding, alpha_pass=0.05, alpha_fail=0.025, champion=champion, challenger=challenger)
    shown = a_proposal(found, finding, replace(finding, slice="origin=JFK"), replace(finding, role="advisory"))
    text = approval_text.body(shadow.deployment, shown).replace("\N{NO-BREAK SPACE}", " ")
    assert text.count("is better)") == 1
    assert cells.format(minus="\N{MINUS SIGN}") in text


def test_the_request_names_every_warning_before_the_answers(shadow: DeploymentContext) -> None:
    judged(shadow, "P")
    found = approval.build_proposal(shadow, "other")
    text = approval_text.body(shadow.deployment, a_proposal(found, warnings=["68 days | were replayed", "two"]))
    assert text.index("- 68 days \\| were replayed") < text.index("- two") < text.index("**Approve**")
    assert "There are no warnings" not in text


def test_a_trial_opened_meanwhile_changes_the_promotion_request(world: World, shadow: DeploymentContext) -> None:
    judged(shadow, "P")
    question, _ = approval.request_approval(shadow, "other", "run 1", by_hand=False)
    judged(shadow, "F", "linear")
    message = refusal(lambda: approval.approve(shadow, question, approved_by="ada", reason="yes", at=moment(1)))
    assert "the promotion request has changed since it was approved" in message
    assert registry.history(shadow) == []


def test_a_rejection_against_the_service_stands_when_its_version_changes(world: World) -> None:
    shadow = world.shadow(**settings(world, requests={"champion_identity": "service"}))
    for number, version in enumerate(("8", "9")):
        world.change_production(CHANGED, [version])
        judge(shadow, number, "PASS", against="service")
        found = approval.build_proposal(shadow, "other")
        assert found.request.champion.version == version
        assert found.request.problems == ()
        if number == 0:
            settle(shadow, "run 1", "rejected")
    assert asked(shadow, 1) is None


def test_names_of_production_are_text_in_the_request() -> None:
    hostile = "a|b\n# <script>alert(1)</script> [x](http://y) `z` {{ 7 }}"
    shown = approval_text.plain(hostile)
    assert "\n" not in shown
    assert "\\|" in shown
    assert "\\<script\\>" in shown
    assert "\\[x\\]\\(http\\://y\\)" in shown


def test_approval_requests_and_decisions_are_append_only(world: World, shadow: DeploymentContext) -> None:
    judged(shadow, "P")
    settle(shadow, "run 1", "rejected")
    for statement in (
        "UPDATE shadow.approval_decision SET decision = 'approved'",
        "DELETE FROM shadow.approval_decision",
        "UPDATE shadow.approval_request SET terms_digest = ''",
        "TRUNCATE shadow.approval_request CASCADE",
    ):
        with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
            world.query(statement)
