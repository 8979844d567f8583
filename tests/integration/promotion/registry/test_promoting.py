"""The champion changes only by promotion, refused with a reason and kept as history."""

import hashlib
import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from shadow_deployment.context import DeploymentContext
from shadow_deployment.decision.words.finding import Outcome
from shadow_deployment.errors import DeploymentError, ModelError
from shadow_deployment.ledger import verdicts
from shadow_deployment.pipeline.run import run_days
from shadow_deployment.promotion import registry
from tests.integration.promotion.promoting import (
    ALWAYS,
    CALM,
    CHANGED,
    POLICY,
    as_published,
    by,
    judge,
    published,
    refusal,
    settings,
    view,
)
from tests.production import World, day, linear_model, moment

pytestmark = pytest.mark.usefixtures("stored_verdicts_stand")


def test_a_day_that_passes_is_promoted_with_all_that_it_rests_on(worlds: Callable[..., World]) -> None:
    world = worlds()
    shadow = world.shadow(**settings(world))
    assert run_days(shadow, [day(0)], Console(file=io.StringIO())) == []
    found = registry.promotion_request(shadow, "other")
    assert (found.barred, found.problems) == ((), ())
    assert (found.champion.name, found.champion.version, found.champion.number) == ("champion", "7", 0)
    made = registry.promote(shadow, "other", **by("ada", "40 days"), expected=found, approved_at=moment(3))
    ((verdict_id, findings, policy, input_digest, challenger_id),) = world.query(
        "SELECT v.id, findings, policy, input_digest, challenger_id FROM shadow.verdict AS v "
        "JOIN shadow.model_version AS m ON m.id = challenger_id WHERE m.name = 'other'"
    )
    assert (made.verdict_id, made.findings, made.policy, made.input_digest, made.model_id) == (
        verdict_id,
        findings,
        policy,
        input_digest,
        challenger_id,
    )
    assert (made.number, made.kind, made.day, made.outcome, made.overridden) == (1, "promotion", day(0), "PASS", [])
    assert (made.from_name, made.from_version, made.compared_with) == ("champion", "7", "7")
    assert (made.name, made.version) == ("other", "1")
    assert (made.digest, made.uri) == (found.challenger.digest, "logged:flights.prediction_log.other_probability")
    assert (made.approved_by, made.reason, made.approved_at) == ("ada", "40 days", moment(3))
    assert (made.case_digest, made.code_version) == (found.digest, verdicts.CODE_VERSION)
    assert registry.history(shadow) == [made]
    assert view(world) == [("other", "1", made.digest, made.uri, made.created_at, "ada", 1)]
    assert published(world) == as_published(world)


def test_before_the_first_promotion_the_champion_is_what_the_log_says(world: World, shadow: DeploymentContext) -> None:
    assert view(world) == []
    assert registry.champion(shadow) is None
    assert registry.history(shadow) == []
    assert registry.publish(shadow) is None
    assert registry.promotion_request(shadow, "other").champion.version == "7"
    assert published(world) is None


def test_the_champions_own_file_is_kept_where_the_deployment_declares_it(world: World) -> None:
    file = linear_model(world.folder / "champion.onnx", {"dep_hour": 0.2})
    champion = {"model": f"onnx:{file}"}
    made = registry.promote(world.shadow(**settings(world, champion=champion)), "other", **by("ada"))
    assert (made.from_version, made.from_uri) == ("7", f"onnx:{file}")
    assert made.from_digest == hashlib.sha256(file.read_bytes()).hexdigest()


def other_file(world: World, shadow: DeploymentContext) -> None:
    linear_model(world.folder / "linear.onnx", {"dep_hour": 0.3, "distance": -0.0005})


def judged(
    number: int, outcome: Outcome, name: str = "linear", **terms: Any
) -> Callable[[World, DeploymentContext], None]:
    return lambda world, shadow: judge(shadow, number, outcome, name, **terms)


def promoted(world: World, shadow: DeploymentContext) -> None:
    registry.promote(shadow, "other", **by("ada"))


def nothing(world: World, shadow: DeploymentContext) -> None:
    """As it is."""


VERSIONED = {"challengers": [{"name": "linear", "version": "7", "model": "logged:flights.prediction_log.carrier"}]}
REFUSALS: list[tuple[str, Callable[[World, DeploymentContext], None], dict[str, Any], str]] = [
    ("inconclusive", judged(1, "INCONCLUSIVE"), {}, f"newest verdict, of {day(1)}, is INCONCLUSIVE, must be PASS"),
    ("failed", judged(1, "FAIL"), {}, f"newest verdict, of {day(1)}, is FAIL, must be PASS: as the test says"),
    ("failed the same day", judged(0, "FAIL"), {}, f"newest verdict, of {day(0)}, is FAIL, must be PASS"),
    ("another file", other_file, {}, "its model is now version 2 with digest"),
    ("another champion", promoted, {}, f"{day(0)} was judged against champion 7, but the champion is other 1"),
    (
        "another policy",
        nothing,
        {"policy": {**POLICY, "minimum_coverage": 0.3}},
        f"the policy has changed since {day(0)} was judged",
    ),
    ("no gate", nothing, {"policy": {**POLICY, "rules": [CALM]}}, "the policy has no blocking rule"),
    (
        "another design",
        nothing,
        {"sample": {"rate": 0.5}},
        f"the sampling design changed since {day(0)} was judged, which opens a new trial",
    ),
    (
        "against another",
        judged(1, "PASS", against="6"),
        {},
        "against champion 6, but the log now has version 7",
    ),
    ("the log's own version", nothing, VERSIONED, "its version 7 is also that of the current champion in the log"),
]


@pytest.mark.parametrize(
    ("prepare", "changes", "message"), [one[1:] for one in REFUSALS], ids=[one[0] for one in REFUSALS]
)
def test_what_stands_in_the_way_is_reported_and_forced_only_where_allowed(
    world: World, prepare: Callable[[World, DeploymentContext], None], changes: dict[str, Any], message: str
) -> None:
    prepare(world, world.shadow(**settings(world)))
    before = world.dump()
    shadow = world.shadow(**settings(world, **changes))
    assert message in refusal(lambda: registry.promote(shadow, "linear", **by("ada")))
    assert "promotion.allow_force == false" in refusal(
        lambda: registry.promote(shadow, "linear", **by("ada"), force=True)
    )
    assert any(message in one for one in registry.promotion_request(shadow, "linear").problems)
    assert world.dump() == before
    allowed = world.shadow(**settings(world, promotion=ALWAYS, **changes))
    assert "must not be empty" in refusal(lambda: registry.promote(allowed, "linear", **by("ada", " "), force=True))
    made = registry.promote(allowed, "linear", **by("ada", "the old one is down"), force=True)
    assert (made.kind, made.name, made.reason) == ("forced", "linear", "the old one is down")
    assert any(message in one for one in made.overridden)


def test_a_forced_promotion_needs_no_verdict_and_is_kept_as_forced(world: World) -> None:
    challengers = [{"name": "new", "model": "logged:flights.prediction_log.other_probability"}]
    shadow = world.shadow(**settings(world, challengers=challengers, promotion=ALWAYS))
    assert "it was never judged: run a day" in refusal(lambda: registry.promote(shadow, "new", **by("ada")))
    made = registry.promote(shadow, "new", **by("ada"), force=True)
    assert (made.kind, made.verdict_id, made.outcome, made.findings) == ("forced", None, None, [])
    assert made.overridden == ["it was never judged: run a day"]
    assert made.policy["minimum_coverage"] == POLICY["minimum_coverage"]
    assert [row[0] for row in view(world)] == ["new"]


@pytest.mark.parametrize("force", [False, True])
def test_the_control_and_the_champion_itself_are_never_promoted(world: World, force: bool) -> None:
    shadow = world.shadow(**settings(world, promotion=ALWAYS))
    control = refusal(lambda: registry.promote(shadow, "a_a_check", **by("ada"), force=force))
    assert "a_a_check is the A/A check, the champion against itself: it is never promoted" in control
    registry.promote(shadow, "other", **by("ada"))
    again = refusal(lambda: registry.promote(shadow, "other", **by("bob"), force=force))
    assert "it is already champion: other 1, by promotion 1 of" in again
    assert len(registry.history(shadow)) == 1


def test_an_unknown_challenger_and_a_missing_file_are_reported(world: World, shadow: DeploymentContext) -> None:
    assert "must be one of other" in refusal(lambda: registry.promote(shadow, "otter", **by("ada")), DeploymentError)
    (world.folder / "linear.onnx").unlink()
    refusal(lambda: registry.promote(shadow, "linear", **by("ada")), ModelError)


@pytest.mark.parametrize("words", [by(" "), by("ada", "")])
def test_who_and_why_are_never_empty(shadow: DeploymentContext, words: dict[str, Any]) -> None:
    assert "must not be empty" in refusal(lambda: registry.promote(shadow, "other", **words))
    registry.promote(shadow, "other", **by("ada"))
    assert "must not be empty" in refusal(lambda: registry.rollback(shadow, **words))


def test_a_log_whose_version_changed_since_stops_a_promotion(worlds: Callable[..., World], passed: World) -> None:
    world = worlds(passed, own=True)
    shadow = world.shadow(**settings(world))
    newest = "(SELECT max(predicted_at) FROM flights.prediction_log)"
    world.change_production(f"{CHANGED} WHERE predicted_at = {newest}", ["8"])
    message = refusal(lambda: registry.promote(shadow, "other", **by("ada")))
    assert f"{day(0)} was judged against champion 7, but the log now has version 8" in message


def test_after_a_promotion_only_evidence_against_the_new_champion_counts(
    worlds: Callable[..., World], passed: World
) -> None:
    world = worlds(passed, own=True)
    shadow = world.shadow(**settings(world))
    registry.promote(shadow, "other", **by("ada"))
    judge(shadow, 1, "PASS", "linear")
    assert "collect evidence against it, logged as version 1 or other@1" in refusal(
        lambda: registry.promote(shadow, "linear", **by("ada"))
    )
    judge(shadow, 2, "PASS", "linear", against="other@1")
    assert "but the log now has version 7" in refusal(lambda: registry.promote(shadow, "linear", **by("ada")))
    world.change_production(CHANGED, ["other@1"])
    made = registry.promote(shadow, "linear", **by("ada"))
    assert (made.from_name, made.from_version, made.from_digest) == ("other", "1", registry.history(shadow)[0].digest)


def test_a_log_without_versions_allows_the_first_promotion_alone(world: World) -> None:
    shadow = world.shadow(**settings(world, requests={"version": None}))
    for name in ("other", "linear"):
        judge(shadow, 1, "PASS", name, against="unversioned")
    registry.promote(shadow, "other", **by("ada"))
    message = refusal(lambda: registry.promote(shadow, "linear", **by("ada")))
    assert "declare requests.version, so that the log names the champion" in message
    registry.rollback(shadow, **by("ada"))
    assert "declare requests.version" in refusal(lambda: registry.promote(shadow, "linear", **by("ada")))


def test_a_past_day_never_overrules_a_newer_one(world: World, shadow: DeploymentContext) -> None:
    past = registry.promotion_request(shadow, "other", day(0))
    assert past.problems == ()
    judge(shadow, 2, "PASS")
    late = registry.promotion_request(shadow, "other", day(0))
    assert any(f"the verdict of {day(0)} is superseded by that of {day(2)}, PASS" in one for one in late.problems)
    for expected in (past, late):
        message = refusal(lambda one=expected: registry.promote(shadow, "other", **by("ada"), expected=one))  # type: ignore[misc]
        assert f"the verdict of {day(0)} is superseded by that of {day(2)}, PASS" in message
    judge(shadow, 3, "FAIL")
    judge(shadow, 1, "PASS")  # as a backfill would, after the newer day
    assert f"of {day(3)}, is FAIL" in refusal(lambda: registry.promote(shadow, "other", **by("ada")))
    assert registry.history(shadow) == []


def test_the_case_of_a_day_that_was_not_judged_says_so(shadow: DeploymentContext) -> None:
    assert registry.promotion_request(shadow, "other", day(5)).problems == (
        f"it was never judged on {day(5)}: run a day",
    )


@pytest.mark.parametrize("as_text", [False, True])
@pytest.mark.parametrize(
    ("change", "what"),
    [
        (judged(0, "PASS"), "verdict"),
        (judged(1, "PASS"), "verdict"),
        (other_file, "challenger"),
    ],
    ids=["judged again", "a day more", "another file"],
)
def test_what_changes_between_asking_and_approving_stops_the_promotion(
    world: World,
    shadow: DeploymentContext,
    change: Callable[[World, DeploymentContext], None],
    what: str,
    as_text: bool,
) -> None:
    found = registry.promotion_request(shadow, "linear")
    change(world, shadow)
    expected = found.digest if as_text else found
    message = refusal(lambda: registry.promote(shadow, "linear", **by("ada"), expected=expected))
    assert "the promotion request has changed since it was approved" in message
    assert as_text or f"since it was approved: {what}" in message
    assert registry.history(shadow) == []
    allowed = world.shadow(**settings(world, promotion=ALWAYS))
    refusal(lambda: registry.promote(allowed, "linear", **by("ada"), expected=expected, force=True))
    assert registry.history(shadow) == []


def test_a_case_is_the_same_as_long_as_nothing_has_changed(shadow: DeploymentContext) -> None:
    first, again = registry.promotion_request(shadow, "other"), registry.promotion_request(shadow, "other")
    assert first.digest == again.digest != registry.promotion_request(shadow, "linear").digest
    assert registry.promote(shadow, "other", **by("ada"), expected=first.digest).number == 1


def test_an_approved_case_is_promoted_once_however_often_it_is_called(shadow: DeploymentContext) -> None:
    found = registry.promotion_request(shadow, "other")
    made = registry.promote(shadow, "other", **by("ada"), expected=found)
    assert registry.promote(shadow, "other", **by("ada"), expected=found) == made
    assert registry.promote(shadow, "other", **by("ada"), expected=found.digest) == made
    assert "the champion has changed meanwhile" in refusal(
        lambda: registry.promote(shadow, "other", **by("bob"), expected=found)
    )
    assert registry.history(shadow) == [made]
