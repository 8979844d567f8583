"""The registry: the only place where the champion of a deployment changes, by promotion or rollback.

Each change is one transaction that locks the deployment, checks everything again, and appends a row to the history that
it was decided on: compare and set. The manifest and the MLflow alias, where configured, are written after the commit;
`publish` writes them again, also after a crash between the two.
"""

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.db import Session, exclusively
from shadow_deployment.data.documents import revise
from shadow_deployment.errors import RegistryError, ShadowError
from shadow_deployment.ledger import predictions
from shadow_deployment.ledger.audit import chain
from shadow_deployment.ledger.audit.chain import ChainHead
from shadow_deployment.ledger.registry import promotions
from shadow_deployment.ledger.registry.promotions import Approval, CurrentChampion, Kind, PromotionRecord
from shadow_deployment.ledger.writing import locks
from shadow_deployment.promotion import mlflow_alias
from shadow_deployment.promotion.request import PromotionRequest, assemble, observe

BY_POLICY = "policy: promotion.approval is automatic"


def promotion_request(context: DeploymentContext, challenger_name: str, day: dt.date | None = None) -> PromotionRequest:
    """Return what a promotion of this challenger would rest on, and what prevents it.

    `day` is that of the verdict, None the newest. The request of a past day can be shown, never promoted.

    Raises:
        DeploymentError: the challenger is unknown.
        ModelError: its model is missing.
    """
    with context.ledger() as session:
        return assemble(session, context.deployment, challenger_name, observe(context, session, challenger_name), day)


def promote(
    context: DeploymentContext,
    challenger_name: str,
    *,
    approved_by: str,
    reason: str,
    expected: PromotionRequest | str | None = None,
    force: bool = False,
    approved_at: dt.datetime | None = None,
) -> PromotionRecord:
    """Make a challenger the champion; return the stored promotion.

    Args:
        context: the deployment.
        challenger_name: who is to be champion.
        approved_by: who decided.
        reason: why.
        expected: the approved promotion request or its digest; nothing is promoted if it has changed. With it the call
            can be repeated after a crash: the promotion that it has made is returned and published again.
        force: override the request's problems, where the deployment allows that; recorded as forced.
        approved_at: when it was decided; None means now.

    Raises:
        RegistryError: the promotion is refused, or it stands and publishing it failed.
        TransientError: it stands and publishing it failed.
    """
    deployment, approval = context.deployment, _approval(context.deployment, approved_by, reason, approved_at)
    _require_approver(deployment, approved_by)
    kind: Kind = "forced" if force else "promotion"
    known, digest = None, expected
    if isinstance(expected, PromotionRequest):
        known, digest = expected.champion.number, expected.digest

    def is_same(newest: PromotionRecord) -> bool:
        same_request = (newest.name, newest.kind, newest.case_digest) == (challenger_name, kind, digest)
        return same_request and newest.approval == replace(approval, approved_at=None)

    with context.ledger() as session:
        observed = observe(context, session, challenger_name)
        promotion = _lock(session, deployment, known, is_same)
        if promotion is None:
            request = assemble(session, deployment, challenger_name, observed)
            _require_expected(deployment, expected, request)
            require_promotable(deployment, request, force=force)
            promotion = _add(session, deployment, request, approval, kind)
        session.commit()
    publish(context)
    return promotion


def require_promotable(deployment: Deployment, request: PromotionRequest, *, force: bool = False) -> None:
    """Raise RegistryError with everything that prevents a promotion."""
    problems = request.barred if force else (*request.barred, *request.problems)
    if force and not deployment.promotion.allow_force:
        raise RegistryError(
            f"deployment {deployment.name}: promotion.allow_force == false, must be true to force a promotion; "
            "promote on a PASS, or set it in the deployment file"
        )
    if problems:
        model = request.challenger
        label = f"deployment {deployment.name}: {model.name} {model.version} is not promoted"
        raise RegistryError("\n".join(f"{label}: {problem}" for problem in problems))


def rollback(
    context: DeploymentContext,
    *,
    approved_by: str,
    reason: str,
    undoes: int | None = None,
    approved_at: dt.datetime | None = None,
) -> PromotionRecord:
    """Restore the champion that the newest promotion replaced; a second rollback goes one promotion further back.

    `undoes` is the number of the promotion to roll back: no other is, and the call can be repeated after a crash.

    Raises:
        RegistryError: nothing is left to roll back, the champion has changed meanwhile, or the rollback stands and
            publishing it failed.
        TransientError: it stands and publishing it failed.
    """
    deployment, approval = context.deployment, _approval(context.deployment, approved_by, reason, approved_at)

    def is_same(newest: PromotionRecord) -> bool:
        same_decision = newest.undoes == undoes and newest.approval == replace(approval, approved_at=None)
        return undoes is not None and same_decision

    with context.ledger() as session:
        promotion = _lock(session, deployment, None, is_same)
        if promotion is None:
            promotion = _undo(session, deployment, undoes, approval)
        session.commit()
    publish(context)
    return promotion


def promotion_to_undo(context: DeploymentContext) -> PromotionRecord:
    """Return the promotion that a rollback would undo; raise RegistryError where there is none."""
    return _newest_standing(context.deployment, history(context))


def history(context: DeploymentContext) -> list[PromotionRecord]:
    """Return every promotion and rollback, in order."""
    with context.ledger() as session:
        return promotions.history(session, context.deployment)


def champion(context: DeploymentContext) -> CurrentChampion | None:
    """Return the champion that production reads from the view; None before the first promotion."""
    with context.ledger() as session:
        return promotions.champion(session, context.deployment)


def publish(context: DeploymentContext) -> str | None:
    """Write the manifest and set the MLflow alias from the ledger; return where to.

    None where the deployment has neither, or before the first promotion.

    Raises:
        RegistryError: one cannot be written; the promotion stands all the same.
        TransientError: the same, and worth another try.
    """
    deployment, declared = context.deployment, context.deployment.promotion
    if declared.manifest is None and declared.mlflow is None:
        return None
    with context.ledger() as session, exclusively(session, f"manifest/{deployment.name}"):
        current = promotions.champion(session, deployment)  # under the lock: whoever writes last has read last
        if current is None:
            return None
        try:
            link = chain.of_promotion(session, deployment, current.number)
            places = [*_write_manifest(context, current, link), *mlflow_alias.follow(context, current)]
        except ShadowError as error:
            raise type(error)(
                f"deployment {deployment.name}: the champion is {current}, but {error}; fix that and publish again: "
                f"shadow champion {deployment.name} --publish"
            ) from error
    return " and ".join(places)


def _write_manifest(context: DeploymentContext, current: CurrentChampion, link: ChainHead | None) -> list[str]:
    uri, conn_id = context.deployment.promotion.manifest, context.deployment.promotion.conn_id
    if uri is None:
        return []
    content = _manifest(context.deployment, current, link)
    try:
        document = context.cloud.document(uri, conn_id)
        revise(document, lambda _: content)
    except ShadowError as error:
        raise type(error)(f"promotion.manifest == {uri!r} is not written: {error}") from error
    return [str(document)]


def _manifest(deployment: Deployment, current: CurrentChampion, link: ChainHead | None) -> bytes:
    content = {
        "deployment": deployment.name,
        "champion": {key: getattr(current, key) for key in ("name", "version", "digest", "uri")},
        "number": current.number,
        "since": current.since.isoformat() if current.since else None,
        "approved_by": current.approved_by,
        "chain": vars(link) if link else None,
    }
    return (json.dumps(content, indent=2) + "\n").encode()


def _lock(
    session: Session[Any], deployment: Deployment, known: int | None, is_same: Callable[[PromotionRecord], bool]
) -> PromotionRecord | None:
    """Lock the deployment until the commit; return the newest promotion where it is this very one, made before.

    `known` is the number of the newest promotion that the caller knows, None for that of now. Raises RegistryError
    where a later one exists.
    """
    if known is None:
        known = len(promotions.history(session, deployment))
    session.commit()  # what is read from here on is read under the lock
    locks.whole(session, deployment)
    history = promotions.history(session, deployment)
    if history and is_same(history[-1]):
        return history[-1]
    if len(history) != known:
        newest = history[-1]
        raise RegistryError(
            f"deployment {deployment.name}: the champion has changed meanwhile to {newest.champion} "
            f"({newest.kind}: {newest.reason}); review the promotion request again"
        )
    return None


def _add(
    session: Session[Any], deployment: Deployment, request: PromotionRequest, approval: Approval, kind: Kind
) -> PromotionRecord:
    model = request.challenger
    key = predictions.challenger_id(session, deployment, deployment.challenger(model.name), str(model.digest))
    return promotions.add(
        session,
        deployment,
        kind=kind,
        champion=request.champion,
        successor=replace(model, model_id=key),
        approval=approval,
        verdict=request.verdict,
        overridden=request.problems if kind == "forced" else (),
        case_digest=request.digest,
    )


def _undo(session: Session[Any], deployment: Deployment, undoes: int | None, approval: Approval) -> PromotionRecord:
    history = promotions.history(session, deployment)
    undone = _newest_standing(deployment, history)
    if undoes not in (None, undone.number):
        raise RegistryError(
            f"deployment {deployment.name}: undoes == {undoes}, must be {undone.number}, the newest promotion that is "
            f"not rolled back: {undone.champion}"
        )
    return promotions.add(
        session,
        deployment,
        kind="rollback",
        champion=history[-1].champion,
        successor=undone.before,
        approval=approval,
        undoes=undone.number,
    )


def _newest_standing(deployment: Deployment, history: list[PromotionRecord]) -> PromotionRecord:
    for promotion in reversed(history):
        if promotion.kind != "rollback" and promotion.undone_by is None:
            return promotion
    reason = "every promotion is rolled back already" if history else "there was no promotion yet"
    raise RegistryError(f"deployment {deployment.name}: nothing to roll back: {reason}")


def _require_expected(
    deployment: Deployment, expected: PromotionRequest | str | None, request: PromotionRequest
) -> None:
    """Raise RegistryError where the promotion request is not the approved one."""
    if expected is None or request.digest == (expected.digest if isinstance(expected, PromotionRequest) else expected):
        return
    changes = ""
    if isinstance(expected, PromotionRequest):
        changed = [name for name, part in request.parts.items() if part != expected.parts[name]]
        changes = f": {', '.join(changed)}"
        if expected.verdict and request.verdict and expected.verdict.day < request.verdict.day:
            changes += (
                f"; the verdict of {expected.verdict.day} is superseded by that of {request.verdict.day}, "
                f"{request.verdict.outcome}"
            )
    model = request.challenger
    raise RegistryError(
        f"deployment {deployment.name}: {model.name} {model.version} is not promoted: the promotion request has "
        f"changed since it was approved{changes}; review and approve it again"
    )


def _approval(deployment: Deployment, approved_by: str, reason: str, approved_at: dt.datetime | None) -> Approval:
    for name, text in {"approved_by": approved_by, "reason": reason}.items():
        if not text.strip():
            raise RegistryError(f"deployment {deployment.name}: {name} == {text!r}, must not be empty: it is recorded")
    return Approval(approved_by, reason, approved_at)


def _require_approver(deployment: Deployment, approved_by: str) -> None:
    """Raise RegistryError for somebody who may not approve; anybody may roll back."""
    policy = deployment.promotion
    by_policy = policy.approval == "automatic" and approved_by == BY_POLICY
    if policy.approvers and approved_by not in policy.approvers and not by_policy:
        raise RegistryError(
            f"deployment {deployment.name}: approved_by == {approved_by!r}, must be one of promotion.approvers: "
            f"{', '.join(policy.approvers)}"
        )
