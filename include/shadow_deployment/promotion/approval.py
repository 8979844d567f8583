"""Asking for a promotion: which case somebody should be asked about, once, and what came of it."""

import datetime as dt
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.db import Session
from shadow_deployment.data.sampling import digest
from shadow_deployment.decision.finding import findings_of
from shadow_deployment.errors import RegistryError
from shadow_deployment.ledger import approval_requests, predictions, promotions, verdicts
from shadow_deployment.ledger.approval_requests import Question
from shadow_deployment.ledger.promotions import Promotion
from shadow_deployment.promotion import registry
from shadow_deployment.promotion.request import PromotionRequest

logger = logging.getLogger(__name__)
BY_POLICY = "policy: promotion.approval is automatic"
_WAITING = dt.timedelta(hours=24)


@dataclass(frozen=True)
class Proposal:
    """A case that nothing stands in the way of: the challenger has passed on each judged day since `since`.

    `topic` is what is asked about: it stays the same while the days go by, and changes with the challenger's model,
    the champion, the policy, the sampling design, and evidence that interrupts the passing. `rivals` pass as well.
    """

    case: PromotionRequest
    topic: str
    since: dt.date
    days: int
    rivals: tuple[str, ...] = ()


def proposal(context: DeploymentContext, day: dt.date) -> Proposal | None:
    """Return the case of a day that somebody should be asked about, None where there is none; the log says why.

    Of several challengers that pass it is the one that is furthest ahead on the first gate: after its promotion the
    others have another champion to be compared with.
    """
    with context.ledger() as session:
        stored = verdicts.latest(session, context.deployment)
        asked = approval_requests.asked(session, context.deployment)
        history = promotions.history(session, context.deployment)
    found: list[Proposal] = []
    for challenger in context.deployment.promotable:
        newest = stored.get(challenger.name)
        if newest is None or newest.outcome != "PASS":
            continue
        one = examine(context, challenger.name, day)
        reason = _why_not(context.deployment, one, day, asked, history)
        if reason:
            logger.info("%s passes and is not asked about: %s", challenger.name, reason)
        else:
            found.append(one)
    found.sort(key=_lead, reverse=True)
    return replace(found[0], rivals=tuple(one.case.challenger.name for one in found[1:])) if found else None


def examine(context: DeploymentContext, challenger_name: str, day: dt.date | None = None) -> Proposal:
    """Return the case of a challenger with its topic, whether it may be promoted or not."""
    case = registry.promotion_request(context, challenger_name)
    day = day or (case.verdict.day if case.verdict else dt.date.min)
    with context.ledger() as session:
        key = _key(context, session, case)
        found = approval_requests.streak(session, key, day)
        session.commit()
    since = found.since or day
    about = [case.parts[part] for part in ("challenger", "champion", "policy")]
    return Proposal(
        case, digest([*about, case.verdict.design if case.verdict else None, str(since)]), since, found.days
    )


def ask(context: DeploymentContext, challenger_name: str, run_id: str, *, by_hand: bool) -> tuple[Question, Proposal]:
    """Keep that a run asks about a challenger; return the question and its case.

    Raises RegistryError where something stands in the way of the promotion, or the run's question was answered; and,
    unless somebody asks `by_hand`, where the same was asked before.
    """
    found = examine(context, challenger_name)
    registry.require_promotable(context.deployment, found.case)
    verdict = found.case.verdict
    if verdict is None:
        raise RegistryError(f"{challenger_name} was never judged")
    name = f"deployment {context.deployment.name}: {challenger_name}"
    with context.ledger() as session:
        before = approval_requests.asked(session, context.deployment)
        answered = [one for one in before if one.run_id == run_id and one.answer]
        if answered:
            raise RegistryError(f"{name}: this run's question was answered, {_said(answered[-1])}: trigger another run")
        others = [one for one in before if one.run_id != run_id]
        history = promotions.history(session, context.deployment)
        reason = None if by_hand else _why_not(context.deployment, found, verdict.day, others, history)
        if reason:
            raise RegistryError(f"{name} is not asked about: {reason}")
        approval_requests.ask(
            session,
            context.deployment,
            challenger=_key(context, session, found.case),
            topic=found.topic,
            day=verdict.day,
            case_digest=found.case.digest,
            run_id=run_id,
        )
        session.commit()
        return _of_run(approval_requests.asked(session, context.deployment), run_id, found.case.digest), found


def approve(
    context: DeploymentContext, question: Question, *, approved_by: str, reason: str, at: dt.datetime
) -> Promotion:
    """Promote what was asked about, on the very case that was shown; keep the answer.

    Raises RegistryError where the case is another by now, which is kept as the answer: it may then be asked again.
    """
    try:
        made = registry.promote(
            context,
            question.challenger,
            approved_by=approved_by,
            reason=reason,
            expected=question.case_digest,
            approved_at=at,
        )
    except RegistryError as error:
        stands = any(one.case_digest == question.case_digest for one in registry.history(context))
        answer(context, question, "approved" if stands else "changed", approved_by, reason if stands else str(error))
        raise
    answer(context, question, "approved", approved_by, reason)
    return made


def answer(
    context: DeploymentContext, question: Question, given: approval_requests.Answer, by: str | None, reason: str
) -> None:
    """Keep an answer; the first one stays."""
    with context.ledger() as session:
        approval_requests.answer(session, question.id, given, by, reason)
        session.commit()


def question_of(context: DeploymentContext, run_id: str, case_digest: str) -> Question:
    """Return the question that a run has asked about a case; raise RegistryError where it has asked none."""
    with context.ledger() as session:
        return _of_run(approval_requests.asked(session, context.deployment), run_id, case_digest)


def _of_run(asked: list[Question], run_id: str, case_digest: str) -> Question:
    for one in asked:
        if (one.run_id, one.case_digest) == (run_id, case_digest):
            return one
    raise RegistryError(f"run {run_id} has asked nothing about case {case_digest[:12]}: run its task case again")


def _why_not(
    deployment: Deployment, found: Proposal, day: dt.date, asked: list[Question], history: list[Promotion]
) -> str | None:
    """Return why a challenger that passes is not asked about on a day; None where it is."""
    in_the_way = (*found.case.barred, *found.case.problems)
    wanted = deployment.promotion.consecutive
    if in_the_way:
        return in_the_way[0]
    if found.case.verdict is None or found.case.verdict.day != day:
        return f"{day} is past: the newest verdict is another day's"
    if found.days < wanted:
        return f"it has passed on {found.days} judged days in a row, promotion.consecutive asks for {wanted}"
    model = found.case.challenger
    for one in history:
        if one.undone_by and (one.name, one.version, one.digest) == (model.name, model.version, model.digest):
            return f"promotion {one.number} of it was taken back: give it another version, or ask by hand"
    return next(_asked_before(deployment, found, day, asked), None)


def _asked_before(deployment: Deployment, found: Proposal, day: dt.date, asked: list[Question]) -> Iterator[str]:
    pause = dt.timedelta(days=deployment.promotion.ask_again_days)
    now = dt.datetime.now(dt.UTC)
    for one in asked:
        if one.answer is None and one.asked_at > now - _WAITING:
            yield f"the question about {one.challenger} of {one.day} still waits for an answer"
        if one.topic != found.topic or one.answer == "changed":
            continue
        if one.answer in ("approved", "rejected"):
            yield f"it was {_said(one)}: it is asked about again when its evidence or the policy makes another case"
        elif day < one.day + pause:
            yield f"nobody answered on {one.day}: it is asked about again {pause.days} days later"


def _said(one: Question) -> str:
    by = f" by {one.answered_by}" if one.answered_by else ""
    return f"{one.answer}{by} for {one.day}"


def _lead(found: Proposal) -> float:
    """Return how far ahead a challenger is on the first gate that has an estimate."""
    findings = findings_of(found.case.verdict.findings if found.case.verdict else [])
    return next((one.estimate for one in findings if one.is_blocking and one.estimate is not None), 0.0)


def _key(context: DeploymentContext, session: Session[Any], case: PromotionRequest) -> int:
    challenger = context.deployment.challenger(case.challenger.name)
    return predictions.challenger_id(session, context.deployment, challenger, str(case.challenger.digest))
