"""The status of each challenger, since when and why, and the file that publishes it."""

import datetime as dt
import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from shadow_deployment.config.actions import STATUS_KEY, Status, StatusName
from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.documents import revise
from shadow_deployment.errors import DeploymentError, RegistryError, ShadowError
from shadow_deployment.ledger import verdicts
from shadow_deployment.ledger.registry import approval_requests, promotions
from shadow_deployment.ledger.registry.approval_requests import ApprovalRequest
from shadow_deployment.ledger.registry.promotions import PromotionRecord
from shadow_deployment.ledger.verdicts import VerdictOutcome
from shadow_deployment.promotion.json_entries import EntriesError, UnknownEntryError, new, set_keys

logger = logging.getLogger(__name__)

_OUTCOMES: dict[str, StatusName] = {"PASS": "passed", "FAIL": "failed", "INCONCLUSIVE": "in_shadow"}
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class RecordedStatus:
    """The status of one challenger, in the version that the deployment names.

    `status` is promoted while it is champion. Otherwise the latest event decides: a verdict with a new outcome
    (in_shadow, passed or failed), an open approval request (asked), the rejection of the newest one (rejected), a
    rollback from it (rolled_back), or its replacement as champion by another promotion (in_shadow). So a rejection or a
    rollback stands until a verdict with another outcome, an approval request or a promotion; days that only confirm the
    verdict change nothing.

    `since` is the time of that event, `day` and `outcome` are those of the newest verdict, `reason` and `approved_by`
    belong to the status, and `promotion` is the number of the newest change of champion that it was part of.
    `newer_versions` says which newer versions of the model wait in MLflow, and why.
    """

    deployment: str
    challenger: str
    version: str
    status: StatusName
    since: dt.datetime | None
    day: dt.date | None
    outcome: str | None
    reason: str | None
    approved_by: str | None
    promotion: int | None
    newer_versions: str | None = None

    @property
    def content(self) -> dict[str, Any]:
        """The status for JSON: times in UTC and days as text."""
        return {key: value.isoformat() if isinstance(value, dt.date) else value for key, value in asdict(self).items()}


def statuses(context: DeploymentContext) -> list[RecordedStatus]:
    """Return the current status of each challenger that can be promoted."""
    deployment = context.deployment
    with context.ledger() as session:
        outcomes = verdicts.outcomes(session, deployment)
        history = promotions.history(session, deployment)
        requests = approval_requests.asked(session, deployment)
    return [
        _status(deployment, challenger, outcomes.get((challenger.name, challenger.version)), history, requests)
        for challenger in deployment.promotable
    ]


def update(context: DeploymentContext) -> bool:
    """Write each challenger's status into its entry of the status file, if there is one; return whether it changed.

    The ledger is read after the file, and the file is written only if nobody has written it since: whoever writes last
    has read last, and nobody's changes are lost.

    Raises:
        RegistryError: the file cannot be used; it is unchanged.
        TransientError: the same, and worth another try.
    """
    deployment, declared = context.deployment, context.deployment.status
    if declared is None:
        return False
    ids = _ids(deployment, declared)
    try:
        document = context.cloud.document(declared.file, declared.conn_id)
    except ShadowError as error:
        raise _not_written(deployment, declared, error) from error

    def change(content: bytes | None) -> bytes:
        entries = {ids[status.challenger]: _keys(declared, status) for status in statuses(context)}
        try:
            return _with_entries(f"deployment {deployment.name}: {document}", content, declared.key, entries)
        except EntriesError as error:
            raise RegistryError(f"{document} {error}; it is unchanged") from error

    try:
        return revise(document, change)
    except ShadowError as error:
        raise _not_written(deployment, declared, error) from error


def update_quietly(context: DeploymentContext) -> None:
    """Update the file after a verdict or a promotion, which stand whether that succeeds or not: a failure is logged."""
    try:
        update(context)
    except ShadowError as error:
        logger.error("%s", error)  # noqa: TRY400 (its text is for the user)
    except Exception:
        logger.exception("deployment %s: the status file is not written", context.deployment.name)


def _not_written(deployment: Deployment, declared: Status, error: ShadowError) -> ShadowError:
    return type(error)(
        f"deployment {deployment.name}: status.file == {declared.file!r} is not written: {error}; fix that, then run: "
        f"shadow status {deployment.name} --write"
    )


def _ids(deployment: Deployment, declared: Status) -> dict[str, str]:
    names = [challenger.name for challenger in deployment.promotable]
    ids = {name: declared.ids.get(name, f"{deployment.name}/{name}") for name in names}
    for name, identity in ids.items():
        others = [other for other in ids if other != name and ids[other] == identity]
        if others:
            raise DeploymentError(
                f"deployment {deployment.name}: status.ids.{name} == {identity!r} is also the entry of "
                f"{', '.join(others)}, must be unique"
            )
    return ids


def _keys(declared: Status, status: RecordedStatus) -> dict[str, Any]:
    """Return what an entry holds: the status, and its word under the declared key."""
    word = {declared.field: declared.values.get(status.status, status.status)} if declared.field else {}
    return {**word, STATUS_KEY: status.content}


def _with_entries(file: str, content: bytes | None, list_key: str, entries: dict[str, dict[str, Any]]) -> bytes:
    """Return the file's content with these keys of its entries; log those that it has not."""
    mark = _BOM if content is not None and content.startswith(_BOM) else b""
    try:
        text = new(list_key) if content is None else content.removeprefix(mark).decode()
    except UnicodeDecodeError as error:
        raise EntriesError(f"is not JSON: byte {error.start} is not UTF-8") from None
    for identity, keys in entries.items():
        try:
            text = set_keys(text, list_key, identity, keys)
        except UnknownEntryError as error:
            logger.warning("%s %s; nothing is added: correct status.ids, or add the entry", file, error)
    return mark + text.encode()


@dataclass(frozen=True)
class _Event:
    """Something that has happened to a challenger."""

    at: dt.datetime
    status: StatusName
    reason: str | None
    by: str | None = None


def _status(
    deployment: Deployment,
    challenger: Challenger,
    verdict: VerdictOutcome | None,
    history: list[PromotionRecord],
    requests: list[ApprovalRequest],
) -> RecordedStatus:
    model = (challenger.name, challenger.version)
    changes = [
        change
        for change in history
        if model in ((change.name, change.version), (change.from_name, change.from_version))
    ]
    last = max(_events(model, verdict, history, requests), key=lambda event: event.at, default=None)
    return RecordedStatus(
        deployment=deployment.name,
        challenger=challenger.name,
        version=challenger.version,
        status=last.status if last else "in_shadow",
        since=last.at if last else None,
        day=verdict.day if verdict else None,
        outcome=verdict.outcome if verdict else None,
        reason=last.reason if last else "it was never judged",
        approved_by=last.by if last else None,
        promotion=changes[-1].number if changes else None,
        newer_versions=challenger.newer_versions or None,
    )


def _events(
    model: tuple[str, str],
    verdict: VerdictOutcome | None,
    history: list[PromotionRecord],
    requests: list[ApprovalRequest],
) -> Iterator[_Event]:
    """Yield what has happened; while it is champion, only its promotion."""
    if history and (history[-1].name, history[-1].version) == model:
        yield _Event(history[-1].created_at, "promoted", history[-1].reason, history[-1].approved_by)
        return
    if verdict:
        yield _Event(verdict.since, _OUTCOMES[verdict.outcome], next(iter(verdict.reasons), None))
    for change in history:
        if (change.from_name, change.from_version) != model:
            continue
        if change.kind == "rollback":
            yield _Event(change.created_at, "rolled_back", change.reason, change.approved_by)
        else:
            yield _Event(change.created_at, "in_shadow", f"{change.name} {change.version} has replaced it as champion")
    newest = next((request for request in reversed(requests) if (request.challenger, request.version) == model), None)
    if newest and newest.answer is None:
        yield _Event(newest.asked_at, "asked", None)
    elif newest and newest.answer == "rejected" and newest.answered_at:
        yield _Event(newest.answered_at, "rejected", newest.reason, newest.answered_by)
