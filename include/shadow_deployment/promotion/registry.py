"""The registry: the champion of a deployment changes only here, by promotion or rollback.

Each change is one transaction that holds the deployment, looks at everything again, and adds a row behind the one that
it was decided on: compare and set. What tells others, a manifest and an alias in MLflow where they are configured, is
written after the commit; `publish` writes it again, and is what repairs it after a crash between the two.
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
from shadow_deployment.ledger import predictions, promotions
from shadow_deployment.ledger.promotions import Approval, Champion, Promotion
from shadow_deployment.promotion import mlflow_alias
from shadow_deployment.promotion.request import PromotionRequest, assemble, observe


def promotion_request(context: DeploymentContext, challenger_name: str, day: dt.date | None = None) -> PromotionRequest:
    """Return what a promotion of this challenger would rest on, and what stands in its way.

    `day` None takes the newest verdict; the case of a past day can be looked at, never promoted. Raises
    DeploymentError for an unknown challenger, ModelError where its file is missing.
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
) -> Promotion:
    """Make a challenger the champion; return the promotion as it is kept.

    `expected` is the case, or its digest, that was approved: where it has changed since, nothing is promoted. With it
    a call can be repeated after a crash: what it has promoted is returned and published again. `force` overrides the
    case's problems, where the deployment allows it, and is kept as forced.

    Raises RegistryError where the promotion is refused; RegistryError or TransientError where it stands and `publish`
    fails.
    """
    deployment, approval = context.deployment, _approval(context.deployment, approved_by, reason, approved_at)
    seen, wanted = None, expected
    if isinstance(expected, PromotionRequest):
        seen, wanted = expected.champion.number, expected.digest

    def is_mine(newest: Promotion) -> bool:
        is_same = (newest.name, newest.kind) == (challenger_name, "forced" if force else "promotion")
        return is_same and newest.case_digest == wanted and newest.approval == replace(approval, approved_at=None)

    with context.ledger() as session:
        present = observe(context, session, challenger_name)
        promotion = _hold(session, deployment, seen, is_mine)
        if promotion is None:
            found = assemble(session, deployment, challenger_name, present)
            _require_expected(deployment, expected, found)
            require_promotable(deployment, found, force=force)
            promotion = _add(session, deployment, found, approval, force=force)
        session.commit()
    publish(context)
    return promotion


def require_promotable(deployment: Deployment, found: PromotionRequest, *, force: bool = False) -> None:
    """Raise RegistryError that says everything that stands in the way of a promotion."""
    in_the_way = found.barred if force else (*found.barred, *found.problems)
    if force and not deployment.promotion.allow_force:
        raise RegistryError(
            f"deployment {deployment.name}: promotion.allow_force == false, so that nothing can be forced: "
            "promote on a PASS, or set it to true in the deployment file"
        )
    if in_the_way:
        name = f"deployment {deployment.name}: {found.challenger.name} {found.challenger.version} is not promoted"
        raise RegistryError("\n".join(f"{name}: {one}" for one in in_the_way))


def rollback(
    context: DeploymentContext,
    *,
    approved_by: str,
    reason: str,
    undoes: int | None = None,
    approved_at: dt.datetime | None = None,
) -> Promotion:
    """Put the champion back that the newest promotion replaced; a second rollback goes one promotion further back.

    `undoes` is the number of the promotion that is meant: another one is then not taken back, and a call can be
    repeated after a crash. Raises RegistryError where nothing is left to take back or another promotion came first;
    RegistryError or TransientError where the rollback stands and `publish` fails.
    """
    deployment, approval = context.deployment, _approval(context.deployment, approved_by, reason, approved_at)

    def is_mine(newest: Promotion) -> bool:
        same = newest.undoes == undoes and newest.approval == replace(approval, approved_at=None)
        return undoes is not None and same

    with context.ledger() as session:
        promotion = _hold(session, deployment, None, is_mine)
        if promotion is None:
            promotion = _take_back(session, deployment, undoes, approval)
        session.commit()
    publish(context)
    return promotion


def promotion_to_undo(context: DeploymentContext) -> Promotion:
    """Return the promotion that a rollback would take back; raise RegistryError where there is none."""
    return _newest_standing(context.deployment, history(context))


def history(context: DeploymentContext) -> list[Promotion]:
    """Return every promotion and rollback, in order."""
    with context.ledger() as session:
        return promotions.history(session, context.deployment)


def champion(context: DeploymentContext) -> Champion | None:
    """Return the champion as production sees it in the view; None before the first promotion."""
    with context.ledger() as session:
        return promotions.champion(session, context.deployment)


def publish(context: DeploymentContext) -> str | None:
    """Write the manifest and point MLflow's alias as the ledger has it now; return where to.

    None where the deployment has neither, or nothing was promoted yet. Raises RegistryError or TransientError where
    one cannot be written: the promotion stands all the same.
    """
    deployment, declared = context.deployment, context.deployment.promotion
    if declared.manifest is None and declared.mlflow is None:
        return None
    with context.ledger() as session, exclusively(session, f"manifest/{deployment.name}"):
        present = promotions.champion(session, deployment)  # inside, so that who writes last has read last
        if present is None:
            return None
        try:
            places = [*_write_manifest(context, present), *mlflow_alias.follow(context, present)]
        except ShadowError as error:
            raise type(error)(
                f"deployment {deployment.name}: the champion is {present}, but {error}; mend that and publish it "
                f"again: shadow champion {deployment.name} --publish"
            ) from error
    return " and ".join(places)


def _write_manifest(context: DeploymentContext, present: Champion) -> list[str]:
    uri, conn_id = context.deployment.promotion.manifest, context.deployment.promotion.conn_id
    if uri is None:
        return []
    content = _manifest(context.deployment, present)
    try:
        document = context.cloud.document(uri, conn_id)
        revise(document, lambda _: content)
    except ShadowError as error:
        raise type(error)(f"promotion.manifest == {uri!r} is not written: {error}") from error
    return [str(document)]


def _manifest(deployment: Deployment, present: Champion) -> bytes:
    content = {
        "deployment": deployment.name,
        "champion": {key: getattr(present, key) for key in ("name", "version", "digest", "uri")},
        "number": present.number,
        "since": present.since.isoformat() if present.since else None,
        "approved_by": present.approved_by,
    }
    return (json.dumps(content, indent=2) + "\n").encode()


def _hold(
    session: Session[Any], deployment: Deployment, seen: int | None, is_mine: Callable[[Promotion], bool]
) -> Promotion | None:
    """Hold the deployment until the commit; return the newest promotion where it is this very one, made before.

    Raises RegistryError where another has come after what this caller had seen, None being what there is now.
    """
    if seen is None:
        seen = len(promotions.history(session, deployment))
    session.commit()  # what is read from here on is read with the deployment held
    promotions.lock(session, deployment)
    past = promotions.history(session, deployment)
    if past and is_mine(past[-1]):
        return past[-1]
    if len(past) != seen:
        newest = past[-1]
        raise RegistryError(
            f"deployment {deployment.name}: somebody else was first: the champion is now {newest.champion} "
            f"({newest.kind}: {newest.reason}); look at the case again"
        )
    return None


def _add(
    session: Session[Any], deployment: Deployment, found: PromotionRequest, approval: Approval, *, force: bool
) -> Promotion:
    model = found.challenger
    key = predictions.challenger_id(session, deployment, deployment.challenger(model.name), str(model.digest))
    return promotions.add(
        session,
        deployment,
        kind="forced" if force else "promotion",
        champion=found.champion,
        successor=replace(model, model_id=key),
        approval=approval,
        verdict=found.verdict,
        overridden=found.problems if force else (),
        case_digest=found.digest,
    )


def _take_back(session: Session[Any], deployment: Deployment, undoes: int | None, approval: Approval) -> Promotion:
    past = promotions.history(session, deployment)
    undone = _newest_standing(deployment, past)
    if undoes not in (None, undone.number):
        raise RegistryError(
            f"deployment {deployment.name}: undoes == {undoes}, must be {undone.number}, the newest promotion that "
            f"stands: {undone.champion}"
        )
    return promotions.add(
        session,
        deployment,
        kind="rollback",
        champion=past[-1].champion,
        successor=undone.before,
        approval=approval,
        undoes=undone.number,
    )


def _newest_standing(deployment: Deployment, past: list[Promotion]) -> Promotion:
    for one in reversed(past):
        if one.kind != "rollback" and one.undone_by is None:
            return one
    said = "every promotion has been taken back" if past else "nothing was promoted"
    raise RegistryError(f"deployment {deployment.name}: {said}: there is nothing to roll back to")


def _require_expected(deployment: Deployment, expected: PromotionRequest | str | None, found: PromotionRequest) -> None:
    """Raise RegistryError where the case is another than the one that was approved."""
    if expected is None or found.digest == (expected.digest if isinstance(expected, PromotionRequest) else expected):
        return
    what = "it is another case"
    if isinstance(expected, PromotionRequest):
        changed = [name for name, part in found.parts.items() if part != expected.parts[name]]
        what = f"changed since: {', '.join(changed)}"
        if expected.verdict and found.verdict and expected.verdict.day < found.verdict.day:
            what += (
                f"; {found.verdict.day} is judged now and is {found.verdict.outcome}: the verdict of "
                f"{expected.verdict.day} is past and never overrules a newer one"
            )
    raise RegistryError(
        f"deployment {deployment.name}: {found.challenger.name} {found.challenger.version} is not promoted: the case "
        f"that was approved is not the case there is ({what}); look at it and approve again"
    )


def _approval(deployment: Deployment, approved_by: str, reason: str, approved_at: dt.datetime | None) -> Approval:
    for name, text in {"approved_by": approved_by, "reason": reason}.items():
        if not text.strip():
            raise RegistryError(f"deployment {deployment.name}: {name} == {text!r}, must not be empty: it is kept")
    return Approval(approved_by, reason, approved_at)
