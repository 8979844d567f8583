"""What a page says where there is nothing to show or something broke."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from shadow_deployment.config.actions import FORMER_CHAMPION
from shadow_deployment.config.deployment import Challenger
from shadow_deployment.decision.words.finding import Finding, Outcome
from shadow_deployment.errors import LedgerError, NotFoundError
from shadow_deployment.ledger import migrations
from shadow_deployment.report.queries import overview as listing
from shadow_deployment.report.queries import pages
from tests.integration.report.states.acting import (
    CONTROL,
    OTHER,
    SECOND,
    asked,
    finding,
    judge,
    line,
    page_of,
    promoted,
    told,
)
from tests.production import SHADOW, World, day

pytestmark = pytest.mark.usefixtures("stored_verdicts_stand")


def test_without_a_day_the_page_says_how_to_begin(empty: World) -> None:
    shadow = empty.shadow()
    page = pages.deployment_page(shadow)
    assert (page.state, page.error, page.day, page.rules) == ("empty", None, None, ())
    assert "Unpause the DAG shadow_late" in str(page.next_step)
    assert f"shadow run late --from {day(0)}" in str(page.next_step)
    assert [one.name for one in page.challengers] == ["other", "a_a_check"]
    assert all(one.outcome is None for one in page.challengers)
    assert "was never judged" in page.missing["verdict"]
    assert "never judged" in page.missing["sequences"]
    assert "passes when every blocking rule holds" in page.policy_words
    assert page.champion is not None
    assert str(page.champion) == "champion none, as the log says"
    assert (page.last_day, page.last_run) == (None, None)


def test_a_ledger_that_is_not_migrated_is_an_error_that_says_what_to_do(worlds: Callable[..., World]) -> None:
    world = worlds()
    migrations.migrate(world.connection("shadow_owner"), "down")
    shadow = world.shadow()
    for page in (pages.deployment_page(shadow), pages.run_page(shadow, day(0))):
        assert page.state == "broken"
        assert "run shadow migrate" in str(page.error)
    assert pages.run_page(shadow, day(0)).run is None
    assert pages.deployment_page(shadow).policy_words
    with pytest.raises(LedgerError):
        pages.fingerprint(shadow)


def test_a_name_that_is_no_challenger_is_an_error_that_lists_them(world: World) -> None:
    with pytest.raises(NotFoundError, match="challenger == 'nobody', must be one of other, a_a_check"):
        page_of(world, "nobody")


def test_a_challenger_that_was_never_judged_says_so_and_the_rest_is_shown(world: World) -> None:
    page = page_of(world, "second", challengers=[OTHER, SECOND, CONTROL])
    assert (page.state, page.verdict, page.day) == ("ready", None, None)
    assert "it was never judged" in str(page.next_step)
    assert "it was never judged" in page.missing["rules"]
    assert len(page.labels) == 2
    newer = page_of(world, "other", challengers=[{**OTHER, "version": "2"}, CONTROL])
    assert newer.challenger is not None
    assert newer.challenger.outcome is None
    assert f"version 2 was never judged, 1 last on {day(1)}" in newer.challenger.status.sentence
    assert newer.missing["slices"] == newer.challenger.waiting
    redrawn = page_of(world, "other", sample={"rate": 0.5})
    assert (redrawn.state, redrawn.verdict) == ("empty", None)
    assert redrawn.challenger is not None
    assert "the sampling design has changed since it was judged" in redrawn.challenger.status.sentence
    assert redrawn.missing["scores"] == redrawn.challenger.waiting


def test_sections_that_are_empty_say_what_would_fill_them(world: World) -> None:
    page = page_of(world, "other", challengers=[OTHER])
    assert "add latency_p50, latency_p95, latency_p99 to the deployment's metrics" in page.missing["latency"]
    assert "population_stability_index" in page.missing["distances"]
    assert page.missing["promotions"] == "nothing was promoted yet"
    assert "alerts go nowhere" in page.missing["alerts"]
    assert "add a challenger with model: champion" in page.missing["a_a_check"]
    assert "a_a_check" not in page_of(world, "other").missing
    assert not {"scores", "quadrants", "labels", "history", "verdict", "compared"} & set(page.missing)
    with psycopg.connect(world.postgres.uri(world.ledger, SHADOW)) as session:
        session.execute("TRUNCATE shadow.score_bin, shadow.quadrant, shadow.disagreement")
    again = page_of(world, "other")
    assert (again.scores, again.quadrants, again.disagreements) == (None, None, ())
    assert "the next run compares them again" in again.missing["scores"]


BRIER_OPEN, LOG_LOSS_OPEN = (
    f"{name} is not shown to be better: as the test says" for name in ("Brier score", "log loss")
)


@pytest.mark.parametrize(
    ("outcome", "found", "reasons", "sentence", "more", "waiting"),
    [
        ("PASS", [finding("PASS")], [], "other 1 passes its blocking rule against champion 7.", None, None),
        (
            "FAIL",
            [finding("PASS"), finding("FAIL", "log_loss")],
            ["log loss is worse: as the test says"],
            "other 1 fails against champion 7: log loss is worse: as the test says.",
            None,
            None,
        ),
        (
            "INCONCLUSIVE",
            [finding("PASS"), finding("INCONCLUSIVE", more_days=3), finding("INCONCLUSIVE", "log_loss", more_days=12)],
            [BRIER_OPEN, LOG_LOSS_OPEN],
            (
                "other 1 is not decided against champion 7: 1 of 3 blocking rules passed, "
                "about 12 more days would decide the rest."
            ),
            12,
            None,
        ),
        (
            "INCONCLUSIVE",
            [finding("INCONCLUSIVE", more_days=3), finding("INCONCLUSIVE", "log_loss")],
            [BRIER_OPEN, LOG_LOSS_OPEN],
            '0 of 2 blocking rules passed, and waiting does not decide "log loss is better".',
            None,
            LOG_LOSS_OPEN,
        ),
        (
            "INCONCLUSIVE",
            [finding("PASS")],
            ["its labels contradict each other"],
            "other 1 cannot pass against champion 7: its labels contradict each other.",
            None,
            "its labels contradict each other",
        ),
    ],
    ids=["passes", "fails", "waits", "stuck", "barred"],
)
def test_a_verdict_is_one_sentence_and_says_how_long_to_wait(
    empty: World, outcome: Outcome, found: list[Finding], reasons: list[str], sentence: str, more: Any, waiting: Any
) -> None:
    shadow = empty.shadow()
    judge(shadow, 0, outcome, "other", *found, reasons=reasons)
    shown = line(shadow, "other")
    assert shown.status.sentence.endswith(sentence)
    assert (shown.outcome, shown.more_days, shown.waiting) == (outcome, more, waiting)
    assert (shown.days, shown.requests, shown.day) == (40, 900, day(0))


def test_a_decision_says_when_it_was_first_reached(empty: World) -> None:
    shadow = empty.shadow()
    for number, outcome in enumerate(("INCONCLUSIVE", "PASS", "INCONCLUSIVE", "PASS")):
        judge(shadow, number, outcome, "other", finding(outcome))
    assert line(shadow, "other").decided_on == day(1)
    assert (
        line(shadow, "other").status.sentence
        == f"other 1 passes its blocking rule against champion 7, first on {day(1)}."
    )
    stricter = empty.shadow(policy={"alpha": 0.01})
    judge(stricter, 4, "PASS", "other", finding("PASS"))
    assert line(stricter, "other").decided_on == day(4)


def test_what_happens_next_follows_from_the_outcome_and_the_promotion(world: World) -> None:
    def after(outcome: Outcome, **promotion: Any) -> str:
        shadow = world.shadow(promotion=promotion)
        judge(shadow, 3, outcome, "other", finding(outcome, more_days=5 if outcome == "INCONCLUSIVE" else None))
        return str(pages.deployment_page(shadow, "other").next_step)

    assert "about 5 more days" in after("INCONCLUSIVE")
    assert "asked to approve its promotion;" in after("PASS")
    assert "passed on 3 days in a row" in after("PASS", consecutive=3)
    assert "promoted by the policy" in after("PASS", approval="automatic")
    assert "give it a new version" in after("FAIL")
    assert "Nothing" in str(page_of(world, "a_a_check").next_step)


def test_a_former_champion_that_is_watched_is_there_while_it_is_judged(world: World) -> None:
    usual = world.shadow()
    former = Challenger(name=FORMER_CHAMPION, version="7", model=OTHER["model"])
    challengers = [*usual.deployment.challengers, former]
    watching = replace(usual, deployment=usual.deployment.model_copy(update={"challengers": challengers}))
    judge(watching, 1, "PASS", FORMER_CHAMPION, finding("PASS"))
    shadow = world.shadow()
    page = pages.deployment_page(shadow, FORMER_CHAMPION)
    assert page.challenger is not None
    assert (page.challenger.role, page.challenger.version) == ("watched", "7")
    assert "the former champion is better than the one that followed it" in page.challenger.status.sentence
    assert page.next_step == "Roll back, or acknowledge it and say why."
    assert {one.name: one.role for one in page.challengers} == {
        "other": "promotable",
        "a_a_check": "a_a_check",
        FORMER_CHAMPION: "watched",
    }
    judge(shadow, 2, "INCONCLUSIVE", "other", finding("INCONCLUSIVE", more_days=1))
    assert [one.name for one in pages.deployment_page(shadow).challengers] == ["other", "a_a_check"]


def test_promotions_and_rollbacks_are_a_timeline_newest_first(world: World) -> None:
    page = pages.deployment_page(promoted(world), "other")
    assert [(change.number, change.kind, change.name, change.approved_by) for change in page.promotions] == [
        (2, "rollback", "champion", "bob"),
        (1, "forced", "other", "ada"),
    ]
    assert (page.promotions[0].undoes, page.promotions[1].undone_by) == (1, 2)
    assert page.promotions[1].reason == "better on <all> days"
    assert page.promotions[1].overridden
    assert page.champion is not None
    assert (page.champion.number, page.champion.approved_by) == (2, "bob")


def test_approval_requests_are_shown_with_their_answer(world: World, worlds: Callable[..., World]) -> None:
    (open_one,) = pages.deployment_page(asked(worlds(world), None), "other").approvals
    assert (open_one.challenger, open_one.day, open_one.answer) == ("other", day(1), None)
    (answered,) = pages.deployment_page(asked(world, "rejected"), "other").approvals
    assert (answered.answer, answered.answered_by, answered.reason) == ("rejected", "ada", "not now")


@pytest.mark.parametrize(
    ("attempts", "undelivered"),
    [((), 1), (("no route",), 1), (("no route", None), 0), ((None,), 0)],
    ids=["not tried", "failed", "failed and sent", "sent"],
)
def test_alerts_that_did_not_arrive_are_counted(world: World, attempts: tuple[Any, ...], undelivered: int) -> None:
    shadow = told(world, *attempts)
    (listed,) = listing.overview([shadow]).deployments
    assert listed.undelivered == bool(undelivered)
    (alert,) = pages.deployment_page(shadow, "other").alerts
    assert (alert.kind, alert.content["title"], len(alert.undelivered)) == ("failed", "late: gate closed", undelivered)
    assert alert.delivered == ([] if undelivered else ["webhook:ops"])
