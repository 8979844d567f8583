"""Where a challenger stands is what happened last to it."""

from collections.abc import Callable
from typing import Any, get_args

import pytest

from shadow_deployment.config.actions import StatusName
from shadow_deployment.context import DeploymentContext
from shadow_deployment.ledger import predictions
from shadow_deployment.ledger.registry import approval_requests
from shadow_deployment.models.loading import model_digest
from shadow_deployment.promotion import registry, status
from tests.integration.promotion.promoting import by, judge
from tests.integration.promotion.status.entries import deployed, standing
from tests.production import World, day

pytestmark = pytest.mark.usefixtures("stored_verdicts_stand")


def ask(
    shadow: DeploymentContext, answer: approval_requests.Answer | None = None, run_id: str = "run", name: str = "other"
) -> None:
    challenger = shadow.deployment.challenger(name)
    with shadow.ledger() as session:
        key = predictions.challenger_id(session, shadow.deployment, challenger, model_digest(challenger))
        about = {"topic": run_id, "day": day(0), "case_digest": run_id, "run_id": run_id}
        approval_requests.ask(session, shadow.deployment, challenger=key, **about)  # type: ignore[arg-type]
        if answer:
            newest = approval_requests.asked(session, shadow.deployment)[-1]
            approval_requests.answer(session, newest.id, answer, "bob" if answer == "rejected" else None, "not yet")


Step = Callable[[DeploymentContext], Any]


def judged(number: int, outcome: Any, name: str = "other") -> Step:
    return lambda shadow: judge(shadow, number, outcome, name)


def promoted(name: str = "other") -> Step:
    return lambda shadow: registry.promote(shadow, name, **by("ada", "at last"), force=True)


def rolled_back(shadow: DeploymentContext) -> None:
    registry.rollback(shadow, **by("cid", "complaints"))


def asked(answer: approval_requests.Answer | None = None, run_id: str = "run") -> Step:
    return lambda shadow: ask(shadow, answer, run_id)


STORIES: list[tuple[str, list[Step], dict[str, Any]]] = [
    ("nothing yet", [], {"status": "in_shadow", "since": None, "outcome": None, "reason": "it was never judged"}),
    ("open", [judged(0, "INCONCLUSIVE")], {"status": "in_shadow", "outcome": "INCONCLUSIVE", "day": day(0)}),
    ("passes", [judged(0, "PASS")], {"status": "passed", "outcome": "PASS", "reason": None, "approved_by": None}),
    ("fails", [judged(0, "PASS"), judged(1, "FAIL")], {"status": "failed", "reason": "as the test says"}),
    ("a past day is judged again", [judged(3, "FAIL"), judged(1, "PASS")], {"status": "failed", "day": day(3)}),
    ("a day is judged again", [judged(0, "PASS"), judged(0, "FAIL")], {"status": "failed", "outcome": "FAIL"}),
    ("asked", [judged(0, "PASS"), asked()], {"status": "asked", "reason": None}),
    ("asked, and passes on", [judged(0, "PASS"), asked(), judged(1, "PASS")], {"status": "asked", "day": day(1)}),
    ("asked, and fails", [judged(0, "PASS"), asked(), judged(1, "FAIL")], {"status": "failed"}),
    ("silence", [judged(0, "PASS"), asked("silence")], {"status": "passed"}),
    ("changed", [judged(0, "PASS"), asked("changed")], {"status": "passed"}),
    (
        "rejected, and passes on",
        [judged(0, "PASS"), asked("rejected"), judged(1, "PASS")],
        {"status": "rejected", "reason": "not yet", "approved_by": "bob", "outcome": "PASS", "promotion": None},
    ),
    (
        "rejected, and passes anew",
        [judged(0, "PASS"), asked("rejected"), judged(1, "INCONCLUSIVE"), judged(2, "PASS")],
        {"status": "passed"},
    ),
    ("asked again", [judged(0, "PASS"), asked("rejected"), asked(run_id="again")], {"status": "asked"}),
    (
        "asked again in vain",
        [judged(0, "PASS"), asked("rejected"), asked("silence", "again")],
        {"status": "passed"},
    ),
    (
        "promoted",
        [judged(0, "PASS"), promoted()],
        {"status": "promoted", "reason": "at last", "approved_by": "ada", "promotion": 1, "outcome": "PASS"},
    ),
    (
        "champion, judged against itself and asked about",
        [judged(0, "PASS"), promoted(), asked(), judged(1, "FAIL")],
        {"status": "promoted", "promotion": 1, "outcome": "FAIL", "day": day(1)},
    ),
    (
        "rolled back",
        [judged(0, "PASS"), asked(), promoted(), rolled_back, judged(1, "PASS")],
        {"status": "rolled_back", "reason": "complaints", "approved_by": "cid", "promotion": 2, "outcome": "PASS"},
    ),
    ("fails after it", [judged(0, "PASS"), promoted(), rolled_back, judged(1, "FAIL")], {"status": "failed"}),
    (
        "promoted again",
        [judged(0, "PASS"), promoted(), rolled_back, promoted()],
        {"status": "promoted", "promotion": 3},
    ),
    (
        "followed by another",
        [judged(0, "PASS"), promoted(), promoted("linear")],
        {"status": "in_shadow", "reason": "linear 2 has replaced it as champion", "promotion": 2, "approved_by": None},
    ),
    (
        "champion again by rollback of another",
        [judged(0, "PASS"), promoted(), promoted("linear"), rolled_back],
        {"status": "promoted", "reason": "complaints", "approved_by": "cid", "promotion": 3},
    ),
    ("another is asked about", [judged(0, "PASS"), lambda shadow: ask(shadow, name="linear")], {"status": "passed"}),
]


@pytest.mark.parametrize(("steps", "expected"), [one[1:] for one in STORIES], ids=[one[0] for one in STORIES])
def test_the_status_is_what_happened_last(
    shadow: DeploymentContext, steps: list[Step], expected: dict[str, Any]
) -> None:
    for step in steps:
        step(shadow)
    found = standing(shadow)
    assert {key: getattr(found, key) for key in expected} == expected
    assert (found.deployment, found.challenger, found.version) == ("late", "other", "1")
    assert found.status in get_args(StatusName)
    assert [one.challenger for one in status.statuses(shadow)] == ["other", "linear"]  # the A/A check never


def test_since_is_when_it_happened(world: World, shadow: DeploymentContext) -> None:
    for number in (0, 1, 2):
        judge(shadow, number, "PASS" if number else "INCONCLUSIVE")
    ((first,), *_) = world.query("SELECT judged_at FROM shadow.verdict WHERE outcome = 'PASS' ORDER BY id")
    assert standing(shadow).since == first
    judge(shadow, 1, "PASS")  # another revision of a day in between changes nothing
    assert standing(shadow).since == first
    registry.promote(shadow, "other", **by("ada"), force=True)
    ((promoted_at,),) = world.query("SELECT created_at FROM shadow.promotion")
    assert standing(shadow).since == promoted_at
    assert standing(shadow).content["since"] == promoted_at.isoformat()


def test_another_version_starts_anew(world: World, shadow: DeploymentContext) -> None:
    judge(shadow, 0, "PASS", "linear")
    registry.promote(shadow, "linear", **by("ada"), force=True)
    challengers = [one.model_dump() for one in shadow.deployment.challengers]
    challengers[1]["version"] = "3"
    found = standing(deployed(world, challengers=challengers), "linear")
    assert (found.version, found.status, found.outcome, found.promotion) == ("3", "in_shadow", None, None)
