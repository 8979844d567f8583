"""What a page says where there is nothing to show or something broke, of all deployments, and when it has changed."""

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from rich.console import Console

from shadow_deployment.config.actions import FORMER_CHAMPION
from shadow_deployment.config.deployment import Challenger
from shadow_deployment.context import DeploymentContext
from shadow_deployment.decision.words.finding import Finding, Outcome, Verdict
from shadow_deployment.errors import LedgerError, NotFoundError
from shadow_deployment.ledger import alerts, migrations, predictions, trials, verdicts
from shadow_deployment.ledger.alerts import Alert
from shadow_deployment.ledger.registry import approval_requests
from shadow_deployment.models.loading import model_digest
from shadow_deployment.pipeline import steps
from shadow_deployment.pipeline.challengers.trials import open_trials
from shadow_deployment.pipeline.run import run_days
from shadow_deployment.promotion import registry
from shadow_deployment.report.queries import overview as listing
from shadow_deployment.report.queries import pages
from shadow_deployment.report.views import DeploymentView
from tests.builders import a_verdict
from tests.production import SHADOW, World, day, unguarded

pytestmark = pytest.mark.usefixtures("stored_verdicts_stand")

OTHER = {"name": "other", "model": "logged:flights.prediction_log.other_probability"}
SECOND = {"name": "second", "model": "logged:flights.prediction_log.dep_hour"}
CONTROL = {"name": "a_a_check", "model": "champion"}
CHANNELS = {"channels": [{"kind": "webhook", "conn_id": "ops"}]}


@pytest.fixture
def empty(worlds: Callable[..., World]) -> World:
    return worlds()


@pytest.fixture(scope="module")
def ran(worlds: Callable[..., World]) -> World:
    """Two days of the usual deployment. Tests copy it."""
    world = worlds()
    assert run(world, 0, 1) == []
    return world


@pytest.fixture
def world(worlds: Callable[..., World], ran: World) -> World:
    return worlds(ran)


def run(world: World, *numbers: int, **changes: Any) -> list[Exception]:
    return list(run_days(world.shadow(**changes), [day(one) for one in numbers], Console(file=io.StringIO())))


def page_of(world: World, challenger: str | None = None, **changes: Any) -> DeploymentView:
    return pages.deployment_page(world.shadow(**changes), challenger)


def finding(outcome: Outcome, metric: str = "brier_score", **changes: Any) -> Finding:
    said = {"reason": "as the test says", "observations": 40, "requests": 900} | changes
    return Finding(metric, "all", changes.pop("is_", "superior"), "blocking", outcome, 0.0, **said)


def judge(
    shadow: DeploymentContext, number: int, outcome: Outcome, name: str, *found: Finding, reasons: Any = ()
) -> None:
    """Keep a verdict of a day without evidence for it."""
    one = shadow.deployment.challenger(name)
    with shadow.ledger() as session:
        key = predictions.challenger_id(session, shadow.deployment, one, model_digest(one))
        new = a_verdict(
            day(number),
            key,
            Verdict(outcome, list(reasons), list(found)),
            trial=open_trials(session, shadow.deployment, {one.name: key}, "7")[one.name],
            warnings=["a warning"],
            explanation="in plain words",
            judged_on={"number": number, "outcome": outcome, "name": name},
        )
        verdicts.store(session, shadow.deployment, new)


def line(shadow: DeploymentContext, name: str) -> Any:
    one = pages.deployment_page(shadow)
    assert (one.state, one.error) == ("ready", None) if one.last_day else ("empty", None)
    return next(line for line in one.challengers if line.name == name)


def test_without_a_day_the_page_says_how_to_begin(empty: World) -> None:
    shadow = empty.shadow()
    found = pages.deployment_page(shadow)
    assert (found.state, found.error, found.day, found.rules) == ("empty", None, None, ())
    assert "Unpause the DAG shadow_late" in str(found.next_step)
    assert f"shadow run late --from {day(0)}" in str(found.next_step)
    assert [one.name for one in found.challengers] == ["other", "a_a_check"]
    assert all(one.outcome is None for one in found.challengers)
    assert "was never judged" in found.missing["verdict"]
    assert "never judged" in found.missing["sequences"]
    assert "passes when every blocking rule holds" in found.policy_words
    assert found.champion is not None
    assert str(found.champion) == "champion none, as the log says"
    assert (found.last_day, found.last_run) == (None, None)


def test_a_ledger_that_is_not_migrated_is_an_error_that_says_what_to_do(worlds: Callable[..., World]) -> None:
    world = worlds()
    migrations.migrate(world.connection("shadow_owner"), "down")
    shadow = world.shadow()
    for found in (pages.deployment_page(shadow), pages.run_page(shadow, day(0))):
        assert found.state == "broken"
        assert "run shadow migrate" in str(found.error)
    assert pages.run_page(shadow, day(0)).run is None
    assert pages.deployment_page(shadow).policy_words
    with pytest.raises(LedgerError):
        pages.fingerprint(shadow)


def test_a_name_that_is_no_challenger_is_an_error_that_lists_them(world: World) -> None:
    with pytest.raises(NotFoundError, match="challenger == 'nobody', must be one of other, a_a_check"):
        page_of(world, "nobody")


def test_a_challenger_that_was_never_judged_says_so_and_the_rest_is_shown(world: World) -> None:
    found = page_of(world, "second", challengers=[OTHER, SECOND, CONTROL])
    assert (found.state, found.verdict, found.day) == ("ready", None, None)
    assert "it was never judged" in str(found.next_step)
    assert "it was never judged" in found.missing["rules"]
    assert len(found.labels) == 2
    other = page_of(world, "other", challengers=[{**OTHER, "version": "2"}, CONTROL])
    assert other.challenger is not None
    assert other.challenger.outcome is None
    assert f"version 2 was never judged, 1 last on {day(1)}" in other.challenger.status.sentence
    assert other.missing["slices"] == other.challenger.waiting
    redrawn = page_of(world, "other", sample={"rate": 0.5})
    assert (redrawn.state, redrawn.verdict) == ("empty", None)
    assert redrawn.challenger is not None
    assert "the sampling design has changed since it was judged" in redrawn.challenger.status.sentence
    assert redrawn.missing["scores"] == redrawn.challenger.waiting


def test_sections_that_are_empty_say_what_would_fill_them(world: World) -> None:
    found = page_of(world, "other", challengers=[OTHER])
    assert "add latency_p50, latency_p95, latency_p99 to the deployment's metrics" in found.missing["latency"]
    assert "population_stability_index" in found.missing["distances"]
    assert found.missing["promotions"] == "nothing was promoted yet"
    assert "alerts go nowhere" in found.missing["alerts"]
    assert "add a challenger with model: champion" in found.missing["a_a_check"]
    assert "a_a_check" not in page_of(world, "other").missing
    assert not {"scores", "quadrants", "labels", "history", "verdict", "compared"} & set(found.missing)
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
    one = line(shadow, "other")
    assert one.status.sentence.endswith(sentence)
    assert (one.outcome, one.more_days, one.waiting) == (outcome, more, waiting)
    assert (one.days, one.requests, one.day) == (40, 900, day(0))


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
    found = pages.deployment_page(shadow, FORMER_CHAMPION)
    assert found.challenger is not None
    assert (found.challenger.role, found.challenger.version) == ("watched", "7")
    assert "the former champion is better than the one that followed it" in found.challenger.status.sentence
    assert found.next_step == "Roll back, or acknowledge it and say why."
    assert {one.name: one.role for one in found.challengers} == {
        "other": "promotable",
        "a_a_check": "a_a_check",
        FORMER_CHAMPION: "watched",
    }
    judge(shadow, 2, "INCONCLUSIVE", "other", finding("INCONCLUSIVE", more_days=1))
    assert [one.name for one in pages.deployment_page(shadow).challengers] == ["other", "a_a_check"]


def promoted(world: World) -> DeploymentContext:
    """Promote `other` and take that back."""
    shadow = world.shadow(promotion={"allow_force": True})
    registry.promote(shadow, "other", approved_by="ada", reason="better on <all> days", force=True)
    registry.rollback(shadow, approved_by="bob", reason="worse")
    return shadow


def asked(world: World, answer: approval_requests.Answer | None) -> DeploymentContext:
    shadow = world.shadow()
    with shadow.ledger() as session:
        one = shadow.deployment.challenger("other")
        key = predictions.challenger_id(session, shadow.deployment, one, model_digest(one))
        approval_requests.ask(
            session, shadow.deployment, challenger=key, topic="t", day=day(1), case_digest="c", run_id="a run"
        )
        session.commit()
        if answer is not None:
            approval_requests.answer(
                session, approval_requests.asked(session, shadow.deployment)[0].id, answer, "ada", "not now"
            )
    return shadow


def told(world: World, *attempts: str | None) -> DeploymentContext:
    shadow = world.shadow(alerts=CHANNELS)
    with shadow.ledger() as session:
        alert = Alert("failed", "late", day(1), "signature", "late: gate closed", todo="look")
        alerts.put(session, shadow.deployment, alert, ["webhook:ops"])
        for error in attempts:
            alerts.record(session, alerts.history(session, shadow.deployment)[0], "webhook:ops", error)
    return shadow


def test_promotions_and_rollbacks_are_a_timeline_newest_first(world: World) -> None:
    found = pages.deployment_page(promoted(world), "other")
    assert [(one.number, one.kind, one.name, one.approved_by) for one in found.promotions] == [
        (2, "rollback", "champion", "bob"),
        (1, "forced", "other", "ada"),
    ]
    assert (found.promotions[0].undoes, found.promotions[1].undone_by) == (1, 2)
    assert found.promotions[1].reason == "better on <all> days"
    assert found.promotions[1].overridden
    assert found.champion is not None
    assert (found.champion.number, found.champion.approved_by) == (2, "bob")


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
    (one,) = listing.overview([shadow]).deployments
    assert one.undelivered == bool(undelivered)
    (alert,) = pages.deployment_page(shadow, "other").alerts
    assert (alert.kind, alert.content["title"], len(alert.undelivered)) == ("failed", "late: gate closed", undelivered)
    assert alert.delivered == ([] if undelivered else ["webhook:ops"])


def again(world: World) -> DeploymentContext:
    """Compare a day once more, by statements that have changed."""
    shadow = world.shadow()
    with psycopg.connect(world.postgres.uri(world.ledger, SHADOW)) as session, unguarded(session, "comparison"):
        session.execute("UPDATE shadow.comparison SET method_digest = 'older'")
    before = pages.fingerprint(shadow)
    assert steps.compare(shadow, day(0)) == 0
    assert pages.fingerprint(shadow) != before
    return shadow


def validated(world: World) -> DeploymentContext:
    """Record another outcome of a validation."""
    shadow = world.shadow()
    with psycopg.connect(world.postgres.uri(world.ledger, SHADOW)) as session, unguarded(session, "validation"):
        session.execute("UPDATE shadow.validation SET success = false, validated_at = now()")
    return shadow


def labelled(world: World) -> DeploymentContext:
    shadow = world.shadow()
    steps.sample(shadow, day(2))
    before = pages.fingerprint(shadow)
    steps.collect_labels(shadow, day(2))
    assert pages.fingerprint(shadow) != before
    return shadow


def sampled(world: World) -> DeploymentContext:
    shadow = world.shadow()
    steps.sample(shadow, day(2))
    return shadow


def scored(world: World) -> DeploymentContext:
    shadow = sampled(world)
    before = pages.fingerprint(shadow)
    steps.score(shadow, day(2), "other", 0)
    assert pages.fingerprint(shadow) != before
    return shadow


def rejudged(world: World) -> DeploymentContext:
    shadow = world.shadow()
    judge(shadow, 1, "PASS", "other", finding("PASS"))
    return shadow


def withdrawn(world: World) -> DeploymentContext:
    """Take a day back by hand: its verdicts are shown no more."""
    shadow = world.shadow()
    with shadow.ledger() as session:
        trials.withdraw(session, shadow.deployment, day(1), by="ada", reason="the log was loaded twice")
    return shadow


CHANGING: list[Callable[[World], DeploymentContext]] = [
    sampled,
    scored,
    labelled,
    again,
    validated,
    rejudged,
    withdrawn,
    promoted,
    lambda world: asked(world, None),
    lambda world: asked(world, "approved"),
    told,
    lambda world: told(world, "no route"),
    lambda world: told(world, "no route", None),
    lambda world: world.shadow(policy={"alpha": 0.01}),
    lambda world: world.shadow(challengers=[OTHER]),
]


@pytest.mark.parametrize("change", CHANGING)
def test_whatever_changes_a_page_changes_its_fingerprint(
    world: World, change: Callable[[World], DeploymentContext]
) -> None:
    before = pages.fingerprint(world.shadow())
    assert pages.fingerprint(world.shadow()) == before
    assert pages.fingerprint(change(world)) != before


def test_attempts_to_deliver_and_answers_change_the_fingerprint_by_themselves(world: World) -> None:
    shadow = told(world)
    found = [pages.fingerprint(shadow)]
    with shadow.ledger() as session:
        alerts.record(session, alerts.history(session, shadow.deployment)[0], "webhook:ops", "no route")
    found.append(pages.fingerprint(shadow))
    asked(world, None)
    found.append(pages.fingerprint(shadow))
    with shadow.ledger() as session:
        approval_requests.answer(
            session, approval_requests.asked(session, shadow.deployment)[0].id, "silence", None, "nobody"
        )
    found.append(pages.fingerprint(shadow))
    assert len(set(found)) == 4


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("comparison", "compared_at"),
        ("validation", "validated_at"),
        ("scoring", "scored_at"),
    ],
)
def test_a_row_that_is_written_again_changes_the_fingerprint_to_the_microsecond(
    world: World, table: str, column: str
) -> None:
    shadow = world.shadow()
    before = pages.fingerprint(shadow)
    with psycopg.connect(world.postgres.uri(world.ledger, SHADOW)) as session, unguarded(session, table):
        assert session.execute(f"UPDATE shadow.{table} SET {column} = {column} - interval '1 microsecond'").rowcount
    assert pages.fingerprint(shadow) != before


def test_labels_that_were_collected_change_the_fingerprint(world: World) -> None:
    shadow = world.shadow()
    before = pages.fingerprint(shadow)
    world.query(
        "INSERT INTO shadow.label_collection "
        "SELECT snapshot_id, collection + 1, labels_until + interval '1 microsecond', arrival, labelled, "
        "contradicted, invalid, early FROM shadow.label_collection ORDER BY 2 DESC LIMIT 1 RETURNING 1"
    )
    assert pages.fingerprint(shadow) != before


def test_a_replay_check_changes_the_fingerprint(world: World) -> None:
    shadow = world.shadow()
    before = pages.fingerprint(shadow)
    world.query(
        "INSERT INTO shadow.replay_check (snapshot_id, revision, digest, model, tolerance, checked, mismatched, "
        "largest, worst) SELECT max(id), 9, '', '', 0.1, 10, 0, 0, '[]' FROM shadow.snapshot RETURNING 1"
    )
    assert pages.fingerprint(shadow) != before


def test_another_deployment_does_not_change_the_fingerprint_or_the_page(world: World) -> None:
    shadow = world.shadow()
    before = pages.deployment_page(shadow)
    assert run(world, 0, name="second") == []
    assert pages.deployment_page(shadow) == before
