"""A question to an approver as Markdown: what would follow what, on which evidence, and what each answer does."""

import re
from collections.abc import Iterator

from shadow_deployment.base.numbers import quantity, significant
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.decision.finding import Finding, findings_of
from shadow_deployment.decision.wording import interval_of, rule_in_words
from shadow_deployment.promotion.approval import Proposal

_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~:@&$])")


def subject(deployment: Deployment, found: Proposal) -> str:
    """Return the question in one line."""
    model, champion = found.case.challenger, found.case.champion
    return (
        f"Promote {model.name} {model.version} to champion of {deployment.name}, in place of "
        f"{champion.name} {champion.version}?"
    )


def body(deployment: Deployment, found: Proposal) -> str:
    """Return the case in full: verdict, findings, digests, and what happens on Approve, on Reject and on silence."""
    return "\n".join(_lines(deployment, found))


def _lines(deployment: Deployment, found: Proposal) -> Iterator[str]:
    case, verdict = found.case, found.case.verdict
    if verdict is None:
        return
    model, champion = case.challenger, case.champion
    yield (
        f"**{plain(model.name)} {plain(model.version)}** passes every gate of **{plain(deployment.name)}** on "
        f"{verdict.day}, for {quantity(found.days, 'judged day')} in a row, since {found.since}."
    )
    yield ""
    yield f"- champion now: {plain(str(champion))}"
    yield f"- model: `{_code(model.uri)}`, digest `{_code(model.digest)}`"
    yield f"- evidence: `{verdict.input_digest}`"
    yield f"- case: `{case.digest}`"
    if found.rivals:
        yield f"- {', '.join(map(plain, found.rivals))} passes too, and is compared with the new champion from then on"
    yield ""
    yield "| rule | slice | outcome | estimate | interval | bound | days | requests |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    yield from map(_row, findings_of(verdict.findings))
    yield ""
    yield "A difference is the champion's loss minus the challenger's: positive favours the challenger."
    yield ""
    yield (
        "**Approve** makes it champion, if the case is still this one then. **Reject** keeps the champion, and the "
        "same is not asked again until its evidence or the policy makes another case. Without an answer within "
        f"{deployment.promotion.response_hours} hours nothing changes, and it is asked again after "
        f"{deployment.promotion.ask_again_days} days."
    )


def _row(finding: Finding) -> str:
    cells = [
        plain(rule_in_words(finding)),
        plain(finding.slice),
        finding.outcome,
        significant(finding.estimate, none="none"),
        interval_of(finding, none="of the day"),
        significant(finding.bound),
        str(finding.observations),
        str(finding.requests),
    ]
    return f"| {' | '.join(cells)} |"


def plain(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _code(text: str | None) -> str:
    """Return text for a span of code: it ends at no backtick of the text's own."""
    return " ".join((text or "unknown").split()).replace("`", "'")
