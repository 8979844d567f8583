"""How each challenger stands, in words for others: a status, since when, and why; and the file that tells them."""

import datetime as dt
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from shadow_deployment.config.actions import Status
from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.documents import revise
from shadow_deployment.errors import DeploymentError, RegistryError, ShadowError
from shadow_deployment.ledger import approval_requests, judged, promotions
from shadow_deployment.ledger.approval_requests import Question
from shadow_deployment.ledger.judged import Judged
from shadow_deployment.ledger.promotions import Promotion
from shadow_deployment.promotion.json_entries import EntriesError, new, set_key

logger = logging.getLogger(__name__)

KEY = "shadow"  # the one key of an entry that is ours
STATUSES = ("in_shadow", "passed", "failed", "asked", "rejected", "promoted", "rolled_back")
_OUTCOMES = {"PASS": "passed", "FAIL": "failed", "INCONCLUSIVE": "in_shadow"}
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class ChallengerStatus:
    """How one challenger stands, as the version that the deployment names.

    `status` is promoted while it is champion. Otherwise it is what happened last of: a verdict whose outcome is another
    than before it (in_shadow, passed or failed), a question that nobody has answered yet (asked), the rejection of the
    newest question (rejected), a rollback from it (rolled_back), and a promotion of another one over it (in_shadow). So
    a rejection or a rollback stands until a verdict of another outcome, a question or a promotion follows it; days that
    only confirm the verdict before them change nothing.

    `since` is when that happened, `day` and `outcome` are of the newest verdict, `reason` and `approved_by` belong to
    the status, and `promotion` is the number of the newest change of champion that it was part of.
    """

    deployment: str
    challenger: str
    version: str
    status: str
    since: dt.datetime | None
    day: dt.date | None
    outcome: str | None
    reason: str | None
    approved_by: str | None
    promotion: int | None

    @property
    def content(self) -> dict[str, Any]:
        """This as JSON knows it: times in UTC and days as text."""
        return {key: value.isoformat() if isinstance(value, dt.date) else value for key, value in asdict(self).items()}


def statuses(context: DeploymentContext) -> list[ChallengerStatus]:
    """Return how each challenger that can be promoted stands now, whatever day a run is about."""
    deployment = context.deployment
    with context.ledger() as session:
        verdicts = judged.judged(session, deployment)
        history = promotions.history(session, deployment)
        asked = approval_requests.asked(session, deployment)
    return [
        _standing(deployment, one, verdicts.get((one.name, one.version)), history, asked)
        for one in deployment.promotable
    ]


def update(context: DeploymentContext) -> bool:
    """Write how each challenger stands into its entry of the status file; return whether that changed the file.

    The ledger is read after the file, and the file is written only if nobody has written it since: whoever writes last
    has read last, and nothing that others write there is lost. Does nothing where the deployment has no status file.
    Raises RegistryError or TransientError where the file cannot be used; it then stays as it is.
    """
    deployment, declared = context.deployment, context.deployment.status
    if declared is None:
        return False
    ids = _ids(deployment, declared)
    try:
        document = context.cloud.document(declared.file, declared.conn_id)
    except ShadowError as error:
        raise _told(deployment, declared, error) from error

    def change(content: bytes | None) -> bytes:
        found = statuses(context)
        try:
            return _changed(content, declared.key, {ids[one.challenger]: one.content for one in found})
        except EntriesError as error:
            raise RegistryError(f"{document} {error}; it stays as it is") from error

    try:
        return revise(document, change)
    except ShadowError as error:
        raise _told(deployment, declared, error) from error


def update_quietly(context: DeploymentContext) -> None:
    """Do the same after a verdict or a promotion, which stand whatever becomes of the file: a failure is logged."""
    try:
        update(context)
    except ShadowError as error:
        logger.error("%s", error)  # noqa: TRY400 (its text is for the user)
    except Exception:
        logger.exception("deployment %s: the status file is not written", context.deployment.name)


def _told(deployment: Deployment, declared: Status, error: ShadowError) -> ShadowError:
    return type(error)(
        f"deployment {deployment.name}: status.file == {declared.file!r} is not written: {error}; mend that and write "
        f"it again: shadow status {deployment.name} --write"
    )


def _ids(deployment: Deployment, declared: Status) -> dict[str, str]:
    ids = {one.name: declared.ids.get(one.name, f"{deployment.name}/{one.name}") for one in deployment.promotable}
    for name, identity in ids.items():
        others = [other for other in ids if other != name and ids[other] == identity]
        if others:
            raise DeploymentError(
                f"deployment {deployment.name}: status.ids.{name} == {identity!r} is the entry of {', '.join(others)} "
                "too, must be one of its own"
            )
    return ids


def _changed(content: bytes | None, list_key: str, entries: dict[str, dict[str, Any]]) -> bytes:
    mark = _BOM if content is not None and content.startswith(_BOM) else b""
    try:
        text = new(list_key) if content is None else content.removeprefix(mark).decode()
    except UnicodeDecodeError as error:
        raise EntriesError(f"is no JSON: byte {error.start} is no UTF-8") from None
    for identity, value in entries.items():
        text = set_key(text, list_key, identity, KEY, value)
    return mark + text.encode()


@dataclass(frozen=True)
class _Event:
    """Something that has happened to a challenger."""

    at: dt.datetime
    status: str
    reason: str | None
    by: str | None = None


def _standing(
    deployment: Deployment,
    challenger: Challenger,
    verdict: Judged | None,
    history: list[Promotion],
    asked: list[Question],
) -> ChallengerStatus:
    model = (challenger.name, challenger.version)
    own = [one for one in history if model in ((one.name, one.version), (one.from_name, one.from_version))]
    last = max(_events(model, verdict, history, asked), key=lambda one: one.at, default=None)
    return ChallengerStatus(
        deployment=deployment.name,
        challenger=challenger.name,
        version=challenger.version,
        status=last.status if last else "in_shadow",
        since=last.at if last else None,
        day=verdict.day if verdict else None,
        outcome=verdict.outcome if verdict else None,
        reason=last.reason if last else "it was never judged",
        approved_by=last.by if last else None,
        promotion=own[-1].number if own else None,
    )


def _events(
    model: tuple[str, str], verdict: Judged | None, history: list[Promotion], asked: list[Question]
) -> Iterator[_Event]:
    """Yield what has happened; while it is champion only that, as nothing else counts then."""
    if history and (history[-1].name, history[-1].version) == model:
        yield _Event(history[-1].created_at, "promoted", history[-1].reason, history[-1].approved_by)
        return
    if verdict:
        yield _Event(verdict.since, _OUTCOMES[verdict.outcome], next(iter(verdict.reasons), None))
    for one in history:
        if (one.from_name, one.from_version) == model and one.kind == "rollback":
            yield _Event(one.created_at, "rolled_back", one.reason, one.approved_by)
        elif (one.from_name, one.from_version) == model:
            yield _Event(one.created_at, "in_shadow", f"{one.name} {one.version} has followed it as champion")
    question = next((one for one in reversed(asked) if (one.challenger, one.version) == model), None)
    if question and question.answer is None:
        yield _Event(question.asked_at, "asked", None)
    elif question and question.answer == "rejected" and question.answered_at:
        yield _Event(question.answered_at, "rejected", question.reason, question.answered_by)
