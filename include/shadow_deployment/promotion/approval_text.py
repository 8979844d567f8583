"""The text of an approval request in Markdown: recommendation, effect, warnings, and what each answer does."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from shadow_deployment.base.numbers import MINUS, percent, significant
from shadow_deployment.config.actions import PromotionPolicy
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.policy import COMPARING
from shadow_deployment.decision.words.finding import Finding, findings_of
from shadow_deployment.decision.words.wording import interval_of, missing_of, rule_in_words
from shadow_deployment.ledger.verdicts import StoredVerdict
from shadow_deployment.metrics.slices import ALL
from shadow_deployment.promotion.approval import Proposal

SHORT: Final = 12  # characters of a digest that tell one from another

_SPECIAL = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~:@&$])")


def subject(deployment: Deployment, proposal: Proposal) -> str:
    """Return the request in one line."""
    model, champion = proposal.request.challenger, proposal.request.champion
    return (
        f"Promote {model.name} {model.version} to champion of {deployment.name}, in place of "
        f"{champion.name} {champion.version}?"
    )


def body(deployment: Deployment, proposal: Proposal, page: str | None = None) -> str:
    """Return the promotion request: recommendation, effect, warnings, what each answer does; rules and digests last.

    `page` is the address of the challenger's page; None where there is none.
    """
    return "\n".join(_lines(deployment, proposal, page))


def _lines(deployment: Deployment, proposal: Proposal, page: str | None) -> Iterator[str]:
    verdict = proposal.request.verdict
    if verdict is None:
        return
    findings = findings_of(verdict.findings)
    yield from _recommendation(deployment, proposal, verdict, page)
    yield from _effect(deployment, proposal, findings)
    yield from _warnings(proposal, verdict)
    yield from _answers(deployment.promotion)
    yield f"| rule | slice | outcome | estimate | interval | bound | {deployment.policy.period}s | requests |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    yield from map(_row, findings)
    yield ""
    yield "A difference is the champion's loss minus the challenger's: positive favours the challenger."
    yield ""
    yield from _digests(proposal, verdict)


def _recommendation(
    deployment: Deployment, proposal: Proposal, verdict: StoredVerdict, page: str | None
) -> Iterator[str]:
    model = proposal.request.challenger
    period = deployment.policy.period
    days = f"judged {period}" if proposal.days == 1 else f"consecutive judged {period}s"
    yield (
        f"**{plain(model.name)} {plain(model.version)}** passes every blocking rule of **{plain(deployment.name)}** "
        f"against {plain(verdict.champion)} on {verdict.day}, and has done so on {proposal.days} {days} since "
        f"{proposal.since}."
    )
    yield ""
    if page is not None:
        yield f"[Look at its page first]({page}): every rule, day and slice."
        yield ""


def _effect(deployment: Deployment, proposal: Proposal, findings: Sequence[Finding]) -> Iterator[str]:
    """Yield how much better it is: a line for each metric that a blocking rule compares over all requests."""
    rows = [row for finding in findings if (row := _effect_row(deployment, finding)) is not None]
    if not rows:
        return
    champion, model = proposal.request.champion, proposal.request.challenger
    yield f"| metric | {plain(champion.version)} | {plain(model.name)} | change | interval of the change |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    yield from dict.fromkeys(rows)
    yield ""
    yield "Each interval holds on all days at once, however often somebody looks."
    yield ""


def _effect_row(deployment: Deployment, finding: Finding) -> str | None:
    if finding.is_ not in COMPARING or not finding.is_blocking or finding.slice != ALL or not finding.champion:
        return None
    metric, champion = deployment.catalog[finding.metric], finding.champion
    unit = 1.0 if _is_relative(deployment, finding) else abs(champion)
    ends = [None if end is None else -metric.sign * end / unit for end in (finding.lower, finding.upper)]
    low, high = ends if metric.higher_is_better else ends[::-1]
    better = "higher" if metric.higher_is_better else "lower"
    cells = [
        f"{plain(metric.title)} ({better} is better)",
        significant(champion),
        significant(finding.challenger),
        percent(None if finding.estimate is None else -metric.sign * finding.estimate / unit, 1),
        f"{_interval(low, high)}{_level(finding)}",
    ]
    return f"| {' | '.join(cells)} |"


def _interval(low: float | None, high: float | None) -> str:
    return f"{f'{MINUS}∞' if low is None else percent(low, 1)} to {'∞' if high is None else percent(high, 1)}"


def _is_relative(deployment: Deployment, finding: Finding) -> bool:
    """Whether a finding's numbers are shares of the champion's value."""
    same = [rule for rule in deployment.policy.rules if (rule.metric, rule.is_) == (finding.metric, finding.is_)]
    return any(rule.is_relative and rule.bound == finding.bound for rule in same)


def _level(finding: Finding) -> str:
    if finding.alpha_pass is None or finding.alpha_fail is None:
        return ""
    return f" ({percent(1 - finding.alpha_pass - finding.alpha_fail, 2)})"


def _warnings(proposal: Proposal, verdict: StoredVerdict) -> Iterator[str]:
    rivals = ", ".join(map(plain, proposal.rivals))
    verb = "passes" if len(proposal.rivals) == 1 else "pass"
    also = [f"{rivals} also {verb}, to be compared with the new champion"] if rivals else []
    warnings = [*map(plain, verdict.warnings), *also]
    yield "**Warnings**" if warnings else "There are no warnings."
    yield ""
    if warnings:
        yield from (f"- {warning}" for warning in warnings)
        yield ""


def _answers(policy: PromotionPolicy) -> Iterator[str]:
    yield (
        "**Approve** promotes it, provided that nothing here has changed by then. **Reject** keeps the champion; a "
        "rejection stands until the model, champion, policy or sampling design changes, or its passing is interrupted. "
        f"Without an answer within {policy.response_hours} hours nothing changes, and approval is requested again "
        f"after {policy.ask_again_days} days."
    )
    yield ""


def _digests(proposal: Proposal, verdict: StoredVerdict) -> Iterator[str]:
    request = proposal.request
    if request.tried:
        yield f"- {plain(str(request.tried))}; `shadow trials {_code(request.deployment)}` lists them"
    yield f"- current champion: {plain(str(request.champion))}"
    model = request.challenger
    yield f"- model: `{_code(model.uri)}`, digest `{_code((model.digest or 'unknown')[:SHORT])}`"
    yield f"- evidence `{verdict.input_digest[:SHORT]}`, promotion request `{request.digest[:SHORT]}`"


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
