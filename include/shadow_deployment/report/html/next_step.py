"""What happens next with the challenger shown: the step that its verdict leads to, and what was asked and answered."""

from shadow_deployment.report.views.facts import ChallengerLine, DeploymentFacts, PromotionFacts, QuestionFacts
from shadow_deployment.report.wording import moment


def what_next(facts: DeploymentFacts) -> str:
    """Return what happens next with the challenger shown; empty where nothing is known."""
    line, champion = facts.challenger, facts.champion
    if line is None:
        return facts.next_step or ""
    if champion and champion.by_promotion and (champion.name, champion.version) == (line.name, line.version):
        return "Nothing: it is champion already."
    undone = next((one for one in facts.promotions if _is_of(one, line) and one.undone_by), None)
    if undone is not None and line.outcome == "PASS":
        return f"Promotion {undone.number} of it was taken back by {undone.undone_by}: it is asked about by hand only."
    asked = [one for one in facts.questions if (one.challenger, one.version) == (line.name, line.version)]
    newest = max(asked, key=lambda one: one.asked_at, default=None)
    if newest is not None and line.outcome == "PASS":
        return _answered(newest)
    return facts.next_step or ""


def _is_of(one: PromotionFacts, line: ChallengerLine) -> bool:
    return one.kind != "rollback" and (one.to_name, one.to_version) == (line.name, line.version)


def _answered(question: QuestionFacts) -> str:
    asked = f"Its promotion was asked for on {moment(question.asked_at)}"
    who = f" by {question.answered_by}" if question.answered_by else ""
    why = f": {question.answer_reason}" if question.answer_reason else ""
    return {
        None: f"{asked}, and nobody has answered yet.",
        "approved": f"{asked} and approved{who}{why}.",
        "rejected": f"{asked} and rejected{who}{why}; it is asked about again once the case is another.",
        "silence": f"{asked}, and nobody answered in time; it is asked again some days later.",
        "changed": f"{asked} and approved{who}, but the case had changed by then: it is asked anew.",
    }[question.answer]
