"""The champion changes only by promotion and rollback: refused with a reason, kept as history, whole after a crash."""

import contextlib
import hashlib
import io
import json
import os
import signal
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import psycopg
import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from shadow_deployment.cli.main import app
from shadow_deployment.config import discovery
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.connections import environment
from shadow_deployment.data.db import Session
from shadow_deployment.data.documents import FileDocument
from shadow_deployment.decision.words.finding import Finding, Outcome, Verdict
from shadow_deployment.errors import DeploymentError, ModelError, PermanentError, RegistryError
from shadow_deployment.ledger import predictions, verdicts
from shadow_deployment.ledger.registry import promotions
from shadow_deployment.ledger.registry.promotions import PromotionRecord
from shadow_deployment.ledger.writing import locks
from shadow_deployment.models.loading import model_digest
from shadow_deployment.pipeline.challengers.trials import open_trials
from shadow_deployment.pipeline.run import run_days
from shadow_deployment.promotion import registry
from shadow_deployment.promotion import request as promotion_request
from tests.builders import a_verdict
from tests.conftest import declare
from tests.faults.moments import dying
from tests.production import World, day, linear_model, moment

pytestmark = pytest.mark.usefixtures("stored_verdicts_stand")

POLICY = {"minimum_coverage": 0.2, "rules": [{"metric": "error_rate", "is": "at_most", "value": 0.5}]}
CALM = {"metric": "brier_score", "is": "superior", "role": "advisory"}
ALWAYS = {"allow_force": True}
CHANGED = "UPDATE flights.prediction_log SET model_version = %s"


def settings(world: World, **changes: Any) -> dict[str, Any]:
    """The deployment: two challengers that may be promoted, and the A/A check."""
    model = world.folder / "linear.onnx"
    if not model.exists():
        linear_model(model, {"dep_hour": 0.1, "distance": -0.0005})
    other = {"name": "other", "model": "logged:flights.prediction_log.other_probability"}
    linear = {"name": "linear", "version": "2", "model": f"onnx:{model}"}
    promotion = {"manifest": str(world.folder / "published" / "champion.json"), **changes.pop("promotion", {})}
    challengers = [other, linear, {"name": "a_a_check", "model": "champion"}]
    return {"challengers": challengers, "policy": POLICY, "promotion": promotion, **changes}


def by(name: str, reason: str = "it is better") -> dict[str, Any]:
    return {"approved_by": name, "reason": reason}


def judge(
    shadow: DeploymentContext,
    number: int,
    outcome: Outcome,
    name: str = "other",
    *,
    against: str = "7",
    alpha: float | None = None,
    session: Session[Any] | None = None,
) -> None:
    """Keep a verdict of a day, without any evidence for it, on an input of its own."""
    deployment = shadow.deployment
    challenger = deployment.challenger(name)
    finding = Finding("error_rate", "all", "at_most", "blocking", outcome, 0.5, "as the test says", alpha_pass=alpha)
    with contextlib.nullcontext(session) if session else shadow.ledger() as opened:
        key = predictions.challenger_id(opened, deployment, challenger, model_digest(challenger))
        new = a_verdict(
            day(number),
            key,
            Verdict(outcome, [] if outcome == "PASS" else ["as the test says"], [finding]),
            champion_version=against,
            trial=open_trials(opened, deployment, {challenger.name: key}, against)[challenger.name],
        )
        verdicts.store(opened, deployment, new)


@pytest.fixture(scope="module")
def passed(worlds: Callable[..., World]) -> World:
    """Both challengers pass on the first day, against the version 7 that the log says. Tests copy it."""
    world = worlds()
    shadow = world.shadow(**settings(world))
    for name in ("other", "linear", "a_a_check"):
        judge(shadow, 0, "PASS", name)
    return world


@pytest.fixture
def world(worlds: Callable[..., World], passed: World) -> World:
    return worlds(passed)


@pytest.fixture
def shadow(world: World) -> DeploymentContext:
    return world.shadow(**settings(world))


@pytest.fixture
def twice(worlds: Callable[..., World], passed: World) -> World:
    """`other` was promoted, the log followed, `linear` passed against it and was promoted too."""
    world = worlds(passed, own=True)
    shadow = world.shadow(**settings(world))
    registry.promote(shadow, "other", **by("ada"))
    world.change_production(CHANGED, ["1"])
    judge(shadow, 1, "PASS", "linear", against="1")
    registry.promote(shadow, "linear", **by("bob"))
    return world


def view(world: World) -> list[tuple[Any, ...]]:
    return world.query("SELECT name, version, digest, uri, since, approved_by, number FROM shadow.champion")


def published(world: World) -> dict[str, Any] | None:
    path = world.folder / "published" / "champion.json"
    return json.loads(path.read_text()) if path.exists() else None


def as_published(world: World) -> dict[str, Any] | None:
    """What the manifest must hold, from the view."""
    rows = view(world)
    if not rows:
        return None
    ((name, version, digest, uri, since, approved_by, number),) = rows
    ((place, link),) = world.query(
        "SELECT c.number, c.hash FROM shadow.chain AS c JOIN shadow.promotion AS p ON p.id = c.subject_id "
        "WHERE c.kind = 'promotion' AND p.number = %s",
        [number],
    )
    return {
        "deployment": "late",
        "champion": {"name": name, "version": version, "digest": digest, "uri": uri},
        "number": number,
        "since": since.isoformat(),
        "approved_by": approved_by,
        "chain": {"number": place, "hash": link},
    }


def leftovers(path: Path) -> list[str]:
    """What lies beside a document but for the lock, which stays."""
    return [one.name for one in path.parent.iterdir() if one.name not in (path.name, f".{path.name}.lock")]


def refusal(call: Callable[[], object], error: type[Exception] = RegistryError) -> str:
    with pytest.raises(error) as caught:
        call()
    return str(caught.value)


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


def test_a_rollback_puts_the_previous_champion_back(twice: World) -> None:
    shadow = twice.shadow(**settings(twice))
    first, second = registry.history(shadow)
    back = registry.rollback(shadow, **by("cid", "complaints"))
    assert (back.number, back.kind, back.undoes, back.approved_by, back.reason) == (
        3,
        "rollback",
        2,
        "cid",
        "complaints",
    )
    assert (back.from_name, back.from_version, back.from_digest) == (second.name, second.version, second.digest)
    assert (back.name, back.version, back.digest, back.uri, back.model_id) == (
        first.name,
        first.version,
        first.digest,
        first.uri,
        first.model_id,
    )
    assert registry.history(shadow)[:2] == [first, PromotionRecord(**asdict(second) | {"undone_by": 3})]
    assert view(twice) == [("other", "1", first.digest, first.uri, back.created_at, "cid", 3)]
    assert published(twice) == as_published(twice)


def test_rolling_back_twice_goes_to_the_one_before_and_then_there_is_none(twice: World) -> None:
    shadow = twice.shadow(**settings(twice))
    registry.rollback(shadow, **by("cid"))
    registry.rollback(shadow, **by("cid"))
    assert [(one.kind, one.undoes, one.name, one.version) for one in registry.history(shadow)] == [
        ("promotion", None, "other", "1"),
        ("promotion", None, "linear", "2"),
        ("rollback", 2, "other", "1"),
        ("rollback", 1, "champion", "7"),
    ]
    assert "every promotion is rolled back already" in refusal(lambda: registry.rollback(shadow, **by("cid")))
    twice.change_production(CHANGED, ["7"])
    judge(shadow, 3, "PASS", "linear")
    assert registry.promote(shadow, "linear", **by("ada")).number == 5
    assert registry.rollback(shadow, **by("cid")).undoes == 5
    assert view(twice)[0][:2] == ("champion", "7")


def test_nothing_promoted_is_nothing_to_roll_back(shadow: DeploymentContext) -> None:
    assert "nothing to roll back: there was no promotion yet" in refusal(lambda: registry.rollback(shadow, **by("cid")))
    refusal(lambda: registry.promotion_to_undo(shadow))
    assert registry.history(shadow) == []


def test_a_rollback_of_a_named_promotion_is_done_once(twice: World) -> None:
    shadow = twice.shadow(**settings(twice))
    assert registry.promotion_to_undo(shadow).number == 2
    assert "undoes == 1, must be 2" in refusal(lambda: registry.rollback(shadow, **by("cid"), undoes=1))
    back = registry.rollback(shadow, **by("cid"), undoes=2)
    assert registry.rollback(shadow, **by("cid"), undoes=2) == back
    assert "undoes == 2, must be 1" in refusal(lambda: registry.rollback(shadow, **by("bob"), undoes=2))
    assert len(registry.history(shadow)) == 3


def test_a_rollback_needs_neither_model_nor_verdict_nor_production(twice: World) -> None:
    (twice.folder / "linear.onnx").unlink()
    shadow = DeploymentContext(
        twice.deploy(**settings(twice)), lambda name: twice.connection({"shadow_db": name}[name])
    )
    assert registry.rollback(shadow, **by("cid")).name == "other"


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Any]]:
    """Do things in threads with sessions of their own that all have looked before the first may change anything."""

    def call(*actions: Callable[[], PromotionRecord]) -> list[Any]:
        together, lock = threading.Barrier(len(actions)), locks.whole

        def meeting(*arguments: Any) -> None:
            together.wait(120)
            lock(*arguments)

        def outcome(action: Callable[[], PromotionRecord]) -> PromotionRecord | str:
            try:
                return action()
            except RegistryError as error:
                return str(error)

        monkeypatch.setattr(locks, "whole", meeting)
        with ThreadPoolExecutor(len(actions)) as threads:
            return sorted(threads.map(outcome, actions), key=lambda one: isinstance(one, str))

    return call


def test_of_two_promotions_at_once_one_wins_and_the_other_says_why(
    world: World, shadow: DeploymentContext, at_once: Callable[..., list[Any]]
) -> None:
    won, lost = at_once(
        lambda: registry.promote(shadow, "other", **by("ada")),
        lambda: registry.promote(shadow, "linear", **by("bob")),
    )
    assert registry.history(shadow) == [won]
    assert f"the champion has changed meanwhile to {won.champion}" in lost
    assert f"approved by {won.approved_by}" in lost
    assert published(world) == as_published(world)


def test_two_rollbacks_at_once_go_one_step_back(twice: World, at_once: Callable[..., list[Any]]) -> None:
    shadow = twice.shadow(**settings(twice))
    won, lost = at_once(lambda: registry.rollback(shadow, **by("ada")), lambda: registry.rollback(shadow, **by("bob")))
    assert (won.undoes, won.name) == (2, "other")
    assert "the champion has changed meanwhile" in lost
    assert [one.kind for one in registry.history(shadow)] == ["promotion", "promotion", "rollback"]


def test_the_same_call_twice_at_once_is_one_promotion(
    shadow: DeploymentContext, at_once: Callable[..., list[Any]]
) -> None:
    found = registry.promotion_request(shadow, "other")
    first, second = at_once(*[lambda: registry.promote(shadow, "other", **by("ada"), expected=found)] * 2)
    assert [first] == [second] == registry.history(shadow)


def test_the_manifest_is_written_whole_or_not_at_all(
    world: World, shadow: DeploymentContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.promote(shadow, "other", **by("ada"))
    path = world.folder / "published" / "champion.json"
    assert registry.publish(shadow) == str(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    before = path.read_bytes()

    def full(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", full)
        message = refusal(lambda: registry.rollback(shadow, **by("ada")))
    assert "the champion is champion 7, by promotion 2" in message
    assert "No space left on device" in message
    assert "champion late --publish" in message
    assert [one.kind for one in registry.history(shadow)] == ["promotion", "rollback"]
    assert path.read_bytes() == before
    assert leftovers(path) == []
    registry.publish(shadow)
    assert published(world) == as_published(world)
    assert published(world) != json.loads(before)


def test_publishing_twice_gives_the_same_file(world: World, shadow: DeploymentContext) -> None:
    registry.promote(shadow, "other", **by("ada"))
    path = world.folder / "published" / "champion.json"
    before = path.read_bytes()
    path.unlink()
    for _ in range(2):
        assert registry.publish(shadow) == str(path)
        assert path.read_bytes() == before


def test_who_writes_the_manifest_last_has_read_the_ledger_last(twice: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A promotion whose process is slow to write must not put its champion over a newer one."""
    shadow = twice.shadow(**settings(twice))
    publish = registry.publish

    def slow(one: DeploymentContext) -> None:
        monkeypatch.setattr(registry, "publish", publish)
        registry.rollback(shadow, **by("bob"))
        publish(one)

    monkeypatch.setattr(registry, "publish", slow)
    registry.rollback(shadow, **by("ada"))
    assert published(twice) == as_published(twice)
    assert as_published(twice) is not None
    assert view(twice)[0][:2] == ("champion", "7")


def test_one_process_at_a_time_reads_the_champion_and_writes_the_manifest(
    world: World, shadow: DeploymentContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.promote(shadow, "other", **by("ada"))
    moments: list[list[tuple[Any, ...]]] = []

    def watched(where: Any, name: str) -> None:
        function = getattr(where, name)

        def call(*arguments: Any) -> Any:
            moments.append(world.query("SELECT pg_try_advisory_lock(hashtextextended('shadow/manifest/late', 0))"))
            return function(*arguments)

        monkeypatch.setattr(where, name, call)

    (world.folder / "published" / "champion.json").unlink()
    watched(promotions, "champion")
    watched(Path, "replace")
    registry.publish(shadow)
    assert moments == [[(False,)], [(False,)]]


def test_without_a_manifest_in_the_file_none_is_written(world: World) -> None:
    shadow = world.shadow(**settings(world, promotion={"manifest": None}))
    registry.promote(shadow, "other", **by("ada"))
    assert registry.publish(shadow) is None
    assert published(world) is None


@pytest.mark.parametrize("uri", ["file://host/champion.json", "folder/", ""])
def test_a_manifest_is_a_file(world: World, uri: str) -> None:
    message = refusal(lambda: world.deploy(**settings(world, promotion={"manifest": uri})), DeploymentError)
    assert "promotion.manifest ==" in message
    assert "must be file:///an/absolute/file, a path, or s3://BUCKET/KEY" in message


def program(variables: dict[str, str], digest: str, fault: tuple[Any, str, str, int] | None) -> None:
    """Promote in a process of its own, which dies where the fault says."""
    os.environ.update(variables)
    shadow = DeploymentContext(discovery.find_deployment("late"), environment)
    promotion_request.outcome_now = lambda *_: "PASS"  # type: ignore[assignment]
    if fault is not None:
        dying(*fault)
    registry.promote(shadow, "other", **by("ada"), expected=digest)


Run = Callable[[World, str, "tuple[Any, str, str, int] | None"], int]


@pytest.fixture(scope="module")
def run(processes: ForkServerContext) -> Run:
    def call(world: World, digest: str, fault: tuple[Any, str, str, int] | None) -> int:
        process = processes.Process(target=program, args=(world.variables(), digest, fault))
        process.start()
        process.join(300)
        assert process.exitcode is not None
        return process.exitcode

    return call


PLACES: list[tuple[Any, str, str, int]] = [
    (psycopg.Cursor, "execute", "before", 10),
    (psycopg.Connection, "commit", "before", 4),
    (psycopg.Connection, "commit", "after", 4),
    (FileDocument, "replace", "before", 1),
    (Path, "replace", "before", 1),
    (Path, "replace", "after", 1),
]


@pytest.mark.parametrize(
    ("where", "name", "when", "fewest"), PLACES, ids=lambda one: getattr(one, "__name__", str(one))
)
def test_killed_anywhere_it_leaves_the_old_or_the_new_champion_and_runs_to_its_end_again(
    worlds: Callable[..., World], passed: World, run: Run, where: Any, name: str, when: str, fewest: int
) -> None:
    digest = registry.promotion_request(passed.shadow(**settings(passed)), "other").digest
    world, deaths = deployed(worlds(passed)), 0
    untouched = world.dump()
    while (ended := run(world, digest, (where, name, when, deaths + 1))) == -signal.SIGKILL:
        deaths += 1
        made = registry.history(world.shadow(**settings(world)))
        assert [(row[0], row[-1]) for row in view(world)] == [(one.name, one.number) for one in made]
        assert published(world) in (None, as_published(world))
        if not made:
            assert world.dump() == untouched
            continue
        assert [(one.number, one.approved_by, one.case_digest) for one in made] == [(1, "ada", digest)]
        assert run(world, digest, None) == 0
        assert registry.history(world.shadow(**settings(world))) == made
        assert published(world) == as_published(world)
        assert leftovers(world.folder / "published" / "champion.json") == []
        world = deployed(worlds(passed))
    assert (ended, len(view(world)), published(world)) == (0, 1, as_published(world))
    assert deaths >= fewest


def deployed(world: World) -> World:
    world.deploy(**settings(world))
    return world


def test_between_the_first_statement_and_the_commit_nothing_is_seen(
    worlds: Callable[..., World], passed: World
) -> None:
    """The row and everything that it rests on are one transaction: another session sees all of it or none."""
    world = worlds(passed)
    shadow = world.shadow(**settings(world))
    seen: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        add = promotions.add

        def watched(*arguments: Any, **keywords: Any) -> PromotionRecord:
            made = add(*arguments, **keywords)
            seen.append(len(view(world)))
            raise PermanentError(str(made.number))

        patch.setattr(promotions, "add", watched)
        refusal(lambda: registry.promote(shadow, "other", **by("ada")), PermanentError)
    assert seen == [0]
    assert view(world) == []
    assert published(world) is None


@pytest.fixture
def command(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Call a command of the registry in the world."""
    declare(world, monkeypatch)
    world.deploy(**settings(world))

    def call(*arguments: str, answer: str | None = None) -> Result:
        return CliRunner().invoke(app, list(arguments), input=answer)

    return call


WORDS = ("--approved-by", "ada", "--reason", "it is better [really]")


def test_promote_shows_the_case_and_asks(world: World, command: Callable[..., Result]) -> None:
    for answer in ("n\n", ""):
        ended = command("promote", "late", "--challenger", "other", *WORDS, answer=answer)
        assert ended.exit_code == 1
        assert "would follow champion 7, as the log says" in ended.output
        assert f"PASS of {day(0)} against champion 7" in ended.output
        assert "Promote other?" in ended.output
        assert view(world) == []
    ended = command("promote", "late", "--challenger", "other", *WORDS, answer="y\n")
    assert (ended.exit_code, len(view(world))) == (0, 1)
    assert "late: the champion is other 1, by promotion 1" in ended.output


def test_promote_says_what_is_in_the_way_before_it_asks(world: World, command: Callable[..., Result]) -> None:
    ended = command("promote", "late", "--challenger", "a_a_check", *WORDS, "--yes")
    assert isinstance(ended.exception, RegistryError)
    assert "in the way a_a_check is the A/A check" in ended.output
    assert "?" not in ended.output
    ended = command("promote", "late", "--challenger", "other", *WORDS, "--yes", "--force")
    assert "promotion.allow_force == false" in str(ended.exception)
    world.deploy(**settings(world, promotion=ALWAYS))
    assert command("promote", "late", "--challenger", "other", *WORDS, "--yes", "--force").exit_code == 0
    assert registry.history(world.shadow(**settings(world)))[0].kind == "forced"


def test_rollback_shows_what_it_takes_back_and_asks(world: World, command: Callable[..., Result]) -> None:
    assert isinstance(command("rollback", "late", *WORDS, "--yes").exception, RegistryError)
    command("promote", "late", "--challenger", "other", *WORDS, "--yes")
    ended = command("rollback", "late", *WORDS, answer="n\n")
    assert "takes back other 1, by promotion 1" in ended.output
    assert "champion again: champion 7" in ended.output
    assert (ended.exit_code, len(registry.history(world.shadow(**settings(world))))) == (1, 1)
    assert command("rollback", "late", *WORDS, answer="y\n").exit_code == 0
    assert view(world)[0][:2] == ("champion", "7")


def test_the_champion_and_its_history_are_shown(world: World, command: Callable[..., Result]) -> None:
    assert (
        "nothing was promoted yet: the champion is what flights.prediction_log says"
        in command("champion", "late").output
    )
    assert json.loads(command("champion", "late", "--json").output) is None
    assert command("promotions", "late", "--json").output == ""
    command("promote", "late", "--challenger", "other", *WORDS, "--yes")
    command("rollback", "late", *WORDS, "--yes")
    (name, version, digest, uri, since, approved_by, number) = view(world)[0]
    assert json.loads(command("champion", "late", "--json").output) == {
        "name": name,
        "version": version,
        "digest": digest,
        "uri": uri,
        "number": number,
        "since": since.isoformat(),
        "approved_by": approved_by,
    }
    assert "late: champion 7, by promotion 2" in command("champion", "late").output
    rows = [json.loads(line) for line in command("promotions", "late", "--json").output.splitlines()]
    assert [(row["number"], row["kind"], row["undoes"], row["undone_by"]) for row in rows] == [
        (1, "promotion", None, 2),
        (2, "rollback", 1, None),
    ]
    table = " ".join(command("promotions", "late").output.split())
    assert "rollback of 1" in table
    assert "it is better [really]" in table


def test_champion_publishes_again(world: World, command: Callable[..., Result]) -> None:
    assert "wrote nothing" in command("champion", "late", "--publish").output
    command("promote", "late", "--challenger", "other", *WORDS, "--yes")
    path = world.folder / "published" / "champion.json"
    path.unlink()
    ended = command("champion", "late", "--publish")
    assert f"wrote {path}" in ended.output.replace("\n", "")
    assert published(world) == as_published(world)
