"""What happens next with the challenger shown: the step that its verdict leads to, and what approvers answered."""

from shadow_deployment.base.numbers import quantity
from shadow_deployment.config.actions import PromotionPolicy
from shadow_deployment.ledger.registry.approval_requests import ApprovalRequest
from shadow_deployment.report.views import ChallengerLine, DeploymentView
from shadow_deployment.report.wording import moment


def next_step(view: DeploymentView, line: ChallengerLine, promotion: PromotionPolicy) -> str:
    """Return what happens next with the challenger shown."""
    champion, usual = view.champion, _after(line, promotion)
    model = (line.name, line.version)
    if champion and champion.number and (champion.name, champion.version) == model:
        return "Nothing: it is champion already."
    if line.outcome != "PASS":
        return usual
    for record in view.promotions:
        if record.kind != "rollback" and (record.name, record.version) == model and record.undone_by:
            taken_back = f"Promotion {record.number} of it was rolled back by {record.undone_by}"
            return f"{taken_back}: approval is requested by hand only."
    requests = [request for request in view.approvals if (request.challenger, request.version) == model]
    newest = max(requests, key=lambda request: request.asked_at, default=None)
    return usual if newest is None else _answered(newest)


def _answered(request: ApprovalRequest) -> str:
    requested = f"Approval of its promotion was requested on {moment(request.asked_at)}"
    who = f" by {request.answered_by}" if request.answered_by else ""
    why = f": {request.reason}" if request.reason else ""
    return {
        None: f"{requested}, and nobody has answered yet.",
        "approved": f"{requested} and given{who}{why}.",
        "rejected": f"{requested} and rejected{who}{why}; it is requested again once the promotion request changes.",
        "silence": f"{requested}, and nobody answered in time; it is requested again some days later.",
        "changed": f"{requested} and given{who}, but the promotion request had changed by then: it is requested anew.",
    }[request.answer]


def _after(line: ChallengerLine, promotion: PromotionPolicy) -> str:
    """Return the step that a verdict leads to."""
    if line.outcome is None:
        return f"No verdict yet: {line.waiting}."
    if line.role == "a_a_check":
        return "Nothing: its verdict shows how much the numbers vary when there is no difference."
    if line.role == "watched":
        back = "it comes back by itself" if promotion.rollback == "automatic" else "a rollback is to be considered"
        return f"On PASS {back}; else it is watched until {promotion.watch_days} days after the promotion."
    return _of_promotable(promotion, line)


def _of_promotable(promotion: PromotionPolicy, line: ChallengerLine) -> str:
    if line.outcome == "PASS":
        return _after_pass(promotion)
    if line.outcome == "FAIL":
        return "Fix the challenger and give it a new version: evidence then starts anew. The champion stays."
    if line.waiting is not None:
        return f"Waiting does not decide it: {line.waiting}."
    return f"Wait: about {quantity(line.more_days or 0, 'more day')} like those so far would decide it."


def _after_pass(promotion: PromotionPolicy) -> str:
    if promotion.approval == "automatic":
        return "It is promoted by the policy, without being asked about."
    days = f" once it has passed on {promotion.consecutive} days in a row" if promotion.consecutive > 1 else ""
    return f"Somebody is asked to approve its promotion{days}; nothing is served before that."
