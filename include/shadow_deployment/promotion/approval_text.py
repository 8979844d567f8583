"""A question to an approver as Markdown: what would follow what, on which evidence, and what each answer does."""

import re
from collections.abc import Iterator
from typing import Any

from shadow_deployment.config.deployment import Deployment
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
    days = "day" if found.days == 1 else "days"
    yield (
        f"**{plain(model.name)} {plain(model.version)}** passes every gate of **{plain(deployment.name)}** on "
        f"{verdict.day}, for {found.days} judged {days} in a row, since {found.since}."
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
    for one in verdict.findings:
        yield _row(one)
    yield ""
    yield "A difference is the champion's loss minus the challenger's: positive favours the challenger."
    yield ""
    yield (
        "**Approve** makes it champion, if the case is still this one then. **Reject** keeps the champion, and the "
        "same is not asked again until its evidence or the policy makes another case. Without an answer within "
        f"{deployment.promotion.response_hours} hours nothing changes, and it is asked again after "
        f"{deployment.promotion.ask_again_days} days."
    )


def _row(one: dict[str, Any]) -> str:
    role = "" if one["role"] == "blocking" else " (advisory)"
    daily = one["lower"] is None and one["upper"] is None
    interval = "of the day" if daily else f"{_number(one['lower'])} to {_number(one['upper'])}"
    cells = [
        f"{plain(one['metric'])} {plain(one['is'].replace('_', ' '))}{role}",
        plain(one["slice"]),
        one["outcome"],
        _number(one["estimate"]),
        interval,
        _number(one["bound"]),
        str(one["observations"]),
        str(one["requests"]),
    ]
    return f"| {' | '.join(cells)} |"


def plain(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _code(text: str | None) -> str:
    """Return text for a span of code: it ends at no backtick of the text's own."""
    return " ".join((text or "unknown").split()).replace("`", "'")


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4g}"
