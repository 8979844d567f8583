"""What happens next with the challenger shown: the step that its verdict leads to, and what approvers answered."""

from shadow_deployment.ledger.approval_requests import ApprovalRequest
from shadow_deployment.report.views import DeploymentView
from shadow_deployment.report.wording import moment


def what_next(view: DeploymentView) -> str:
    """Return what happens next with the challenger shown; empty where nothing is known."""
    line, champion, usual = view.challenger, view.champion, view.next_step or ""
    if line is None:
        return usual
    model = (line.name, line.version)
    if champion and champion.number and (champion.name, champion.version) == model:
        return "Nothing: it is champion already."
    if line.outcome != "PASS":
        return usual
    for promotion in view.promotions:
        if promotion.kind != "rollback" and (promotion.name, promotion.version) == model and promotion.undone_by:
            taken_back = f"Promotion {promotion.number} of it was rolled back by {promotion.undone_by}"
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
