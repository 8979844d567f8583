"""Approval requests: which promotion to request approval for, at most once, and what was decided."""

import datetime as dt
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.db import Session
from shadow_deployment.data.sampling import digest
from shadow_deployment.decision.trial import SERVICE
from shadow_deployment.decision.words.finding import findings_of
from shadow_deployment.errors import RegistryError
from shadow_deployment.ledger import predictions, verdicts
from shadow_deployment.ledger.registry import approval_requests, promotions
from shadow_deployment.ledger.registry.approval_requests import ApprovalRequest
from shadow_deployment.ledger.registry.promotions import PromotionRecord
from shadow_deployment.promotion import registry
from shadow_deployment.promotion.request import PromotionRequest

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Proposal:
    """A promotion request of a challenger that has passed on `days` consecutive judged days since `since`.

    `terms` is a digest that stays the same from day to day. It changes with the challenger's model, the champion, the
    policy, the sampling design, and a day that interrupts the passing. `rivals` pass as well.
    """

    request: PromotionRequest
    terms: str
    since: dt.date
    days: int
    rivals: tuple[str, ...] = ()


def proposal_of_day(context: DeploymentContext, day: dt.date) -> Proposal | None:
    """Return the promotion to request approval for on a day; None where there is none, and the log says why.

    Of several passing challengers it is the one furthest ahead on the first blocking rule: after its promotion the
    others are compared with another champion.
    """
    deployment = context.deployment
    with context.ledger() as session:
        stored = verdicts.latest(session, deployment)
        earlier = approval_requests.asked(session, deployment)
        history = promotions.history(session, deployment)
    proposals: list[Proposal] = []
    for challenger in deployment.promotable:
        verdict = stored.get(challenger.name)
        if verdict is None or (verdict.day, verdict.outcome) != (day, "PASS"):
            continue
        proposal = build_proposal(context, challenger.name, day)
        obstacle = _obstacle(deployment, proposal, day, earlier, history)
        if obstacle:
            logger.info("%s passes, but no approval is requested: %s", challenger.name, obstacle)
        else:
            proposals.append(proposal)
    if not proposals:
        return None
    best, *others = sorted(proposals, key=_lead, reverse=True)
    return replace(best, rivals=tuple(other.request.challenger.name for other in others))


def only_passing(context: DeploymentContext) -> str:
    """Return the one challenger whose newest verdict is PASS; raise RegistryError where there is none, or more."""
    deployment = context.deployment
    with context.ledger() as session:
        stored = verdicts.latest(session, deployment)
    declared = [challenger.name for challenger in deployment.promotable]
    passing = [name for name in declared if name in stored and stored[name].outcome == "PASS"]
    if len(passing) == 1:
        return passing[0]
    outcome = f"{', '.join(passing)} pass" if passing else "none passes"
    raise RegistryError(
        f"deployment {deployment.name}: challenger is not chosen, must be one of {', '.join(declared)}, since {outcome}"
    )


def build_proposal(context: DeploymentContext, challenger_name: str, day: dt.date | None = None) -> Proposal:
    """Return a challenger's promotion request with its terms, whether it may be promoted or not."""
    request = registry.promotion_request(context, challenger_name)
    day = day or (request.verdict.day if request.verdict else dt.date.min)
    with context.ledger() as session:
        streak = approval_requests.streak(session, _key(context, session, request), day)
        session.commit()
    since = streak.since or day
    parts = [request.parts[part] for part in _lasting(request)]
    terms = digest([*parts, request.verdict.terms if request.verdict else None, str(since)])
    return Proposal(request, terms, since, streak.days)


def _lasting(request: PromotionRequest) -> Iterator[str]:
    """Yield the parts that are the same from day to day; the versions of a service come and go."""
    yield from ("challenger", "policy")
    if request.champion.number or request.verdict is None or request.verdict.champion_version != SERVICE:
        yield "champion"


def request_approval(
    context: DeploymentContext, challenger_name: str, run_id: str, *, by_hand: bool
) -> tuple[ApprovalRequest, Proposal]:
    """Record that a run requests approval for a challenger; return the approval request and its proposal.

    Raises:
        RegistryError: the promotion is not possible, the run's approval request is decided, or, unless `by_hand`,
            approval was requested on the same terms before.
    """
    deployment = context.deployment
    proposal = build_proposal(context, challenger_name)
    request = proposal.request
    registry.require_promotable(deployment, request)
    if request.verdict is None:
        raise RegistryError(f"{challenger_name} was never judged")
    with context.ledger() as session:
        _require_requestable(session, deployment, proposal, request.verdict.day, run_id, by_hand=by_hand)
        approval_requests.ask(
            session,
            deployment,
            challenger=_key(context, session, request),
            topic=proposal.terms,
            day=request.verdict.day,
            case_digest=request.digest,
            run_id=run_id,
        )
        session.commit()
        return _of_run(session, deployment, run_id, request.digest), proposal


def approve(
    context: DeploymentContext, approval: ApprovalRequest, *, approved_by: str, reason: str, at: dt.datetime
) -> PromotionRecord:
    """Promote the challenger of an approval request, and record the decision.

    Raises:
        RegistryError: the promotion request has changed meanwhile. That is recorded, and approval may be requested
            again.
    """
    try:
        promotion = registry.promote(
            context,
            approval.challenger,
            approved_by=approved_by,
            reason=reason,
            expected=approval.case_digest,
            approved_at=at,
        )
    except RegistryError as error:  # also where the promotion stands and only publishing it failed
        stands = any(past.case_digest == approval.case_digest for past in registry.history(context))
        if stands:
            record_decision(context, approval, "approved", approved_by, reason)
        else:
            record_decision(context, approval, "changed", approved_by, str(error))
        raise
    record_decision(context, approval, "approved", approved_by, reason)
    return promotion


def record_decision(
    context: DeploymentContext,
    approval: ApprovalRequest,
    decision: approval_requests.Answer,
    by: str | None,
    reason: str,
) -> None:
    """Record the decision on an approval request; the first one stands."""
    with context.ledger() as session:
        approval_requests.answer(session, approval.id, decision, by, reason)
        session.commit()


def approval_request_of(context: DeploymentContext, run_id: str, request_digest: str) -> ApprovalRequest:
    """Return a run's approval request for a promotion request; raise RegistryError where it has none."""
    with context.ledger() as session:
        return _of_run(session, context.deployment, run_id, request_digest)


def _of_run(session: Session[Any], deployment: Deployment, run_id: str, request_digest: str) -> ApprovalRequest:
    for approval in approval_requests.asked(session, deployment):
        if (approval.run_id, approval.case_digest) == (run_id, request_digest):
            return approval
    raise RegistryError(
        f"run {run_id} has no approval request for promotion request {request_digest[:12]}; clear its task "
        "prepare_request"
    )


def _require_requestable(
    session: Session[Any], deployment: Deployment, proposal: Proposal, day: dt.date, run_id: str, *, by_hand: bool
) -> None:
    label = f"deployment {deployment.name}: {proposal.request.challenger.name}"
    earlier = approval_requests.asked(session, deployment)
    for approval in earlier:
        if approval.run_id == run_id and approval.answer:
            raise RegistryError(
                f"{label}: the approval request of this run was {_decision(approval)}; trigger another run"
            )
    if by_hand:
        return
    others = [approval for approval in earlier if approval.run_id != run_id]
    obstacle = _obstacle(deployment, proposal, day, others, promotions.history(session, deployment))
    if obstacle:
        raise RegistryError(f"{label}: no approval is requested: {obstacle}")


def _obstacle(
    deployment: Deployment,
    proposal: Proposal,
    day: dt.date,
    earlier: list[ApprovalRequest],
    history: list[PromotionRecord],
) -> str | None:
    """Return why no approval is requested for a passing challenger on a day; None where it is."""
    request, required = proposal.request, deployment.promotion.consecutive
    problems = [*request.barred, *request.problems]
    if problems:
        return problems[0]
    if proposal.days < required:
        judged = f"{proposal.days} consecutive judged {deployment.policy.period}s"
        return f"it has passed on {judged}, promotion.consecutive == {required}"
    model = request.challenger
    for past in history:
        if past.undone_by and (past.name, past.version, past.digest) == (model.name, model.version, model.digest):
            return f"its promotion {past.number} was rolled back: give it a new version, or request approval by hand"
    return next(_earlier_requests(deployment, proposal, day, earlier), None)


def _earlier_requests(
    deployment: Deployment, proposal: Proposal, day: dt.date, earlier: list[ApprovalRequest]
) -> Iterator[str]:
    pause = dt.timedelta(days=deployment.promotion.ask_again_days)
    for approval in earlier:
        if approval.is_open:
            yield f"the approval request for {approval.challenger} of {approval.day} is still open"
        if approval.topic != proposal.terms or approval.answer == "changed":
            continue
        if approval.answer in ("approved", "rejected"):
            yield (
                f"it was {_decision(approval)}, which stands until the model, champion, policy or sampling design "
                "changes, or its passing is interrupted"
            )
        elif day < approval.day + pause:
            yield f"nobody answered on {approval.day}: approval is requested again after {pause.days} days"


def _decision(approval: ApprovalRequest) -> str:
    by = f" by {approval.answered_by}" if approval.answered_by else ""
    return f"{approval.answer}{by} for {approval.day}"


def _lead(proposal: Proposal) -> float:
    """Return the estimate of the first blocking rule that has one."""
    findings = findings_of(proposal.request.verdict.findings if proposal.request.verdict else [])
    estimates = (finding.estimate for finding in findings if finding.is_blocking)
    return float(next((estimate for estimate in estimates if estimate is not None), 0.0))


def _key(context: DeploymentContext, session: Session[Any], request: PromotionRequest) -> int:
    challenger = context.deployment.challenger(request.challenger.name)
    return predictions.challenger_id(session, context.deployment, challenger, str(request.challenger.digest))
