"""The text of an approval request in Markdown: the models, the evidence, and the effect of each answer."""

import re
from collections.abc import Iterator

from shadow_deployment.base.numbers import significant
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.decision.words.finding import Finding, findings_of
from shadow_deployment.decision.words.wording import interval_of, missing_of, rule_in_words
from shadow_deployment.promotion.approval import Proposal

_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~:@&$])")


def subject(deployment: Deployment, proposal: Proposal) -> str:
    """Return the request in one line."""
    model, champion = proposal.request.challenger, proposal.request.champion
    return (
        f"Promote {model.name} {model.version} to champion of {deployment.name}, in place of "
        f"{champion.name} {champion.version}?"
    )


def body(deployment: Deployment, proposal: Proposal) -> str:
    """Return the promotion request in full: verdict, findings, digests, and what each answer does."""
    return "\n".join(_lines(deployment, proposal))


def _lines(deployment: Deployment, proposal: Proposal) -> Iterator[str]:
    request, verdict, policy = proposal.request, proposal.request.verdict, deployment.promotion
    if verdict is None:
        return
    model = request.challenger
    days = "judged day" if proposal.days == 1 else "consecutive judged days"
    yield (
        f"**{plain(model.name)} {plain(model.version)}** passes every blocking rule of **{plain(deployment.name)}** on "
        f"{verdict.day}, and has done so on {proposal.days} {days} since {proposal.since}."
    )
    yield ""
    yield f"- current champion: {plain(str(request.champion))}"
    yield f"- model: `{_code(model.uri)}`, digest `{_code(model.digest)}`"
    yield f"- compared with: {plain(verdict.champion)}"
    if request.tried:
        yield f"- {plain(str(request.tried))}; `shadow trials {_code(request.deployment)}` lists them"
    yield f"- evidence: `{verdict.input_digest}`"
    yield f"- promotion request: `{request.digest}`"
    if proposal.rivals:
        verb = "passes" if len(proposal.rivals) == 1 else "pass"
        yield f"- {', '.join(map(plain, proposal.rivals))} also {verb}, to be compared with the new champion"
    yield ""
    yield "| rule | slice | outcome | estimate | interval | bound | days | requests |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    yield from map(_row, findings_of(verdict.findings))
    yield ""
    yield "A difference is the champion's loss minus the challenger's: positive favours the challenger."
    yield ""
    yield (
        "**Approve** promotes it, provided that nothing above has changed by then. **Reject** keeps the champion; a "
        "rejection stands until the model, champion, policy or sampling design changes, or its passing is interrupted. "
        f"Without an answer within {policy.response_hours} hours nothing changes, and approval is requested again "
        f"after {policy.ask_again_days} days."
    )


def _row(finding: Finding) -> str:
    cells = [
        plain(rule_in_words(finding)),
        plain(finding.slice),
        finding.outcome,
        significant(finding.estimate, none="none"),
        interval_of(finding, none="of the day"),
        " and ".join(map(significant, finding.bounds)),
        str(finding.observations),
        f"{finding.requests}{missing_of(finding)}",
    ]
    return f"| {' | '.join(cells)} |"


def plain(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _code(text: str | None) -> str:
    """Return text for a code span, which a backtick would end."""
    return " ".join((text or "unknown").split()).replace("`", "'")
