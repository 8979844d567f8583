"""A stored verdict's findings as facts: each with its rule, its unit, and its place on a scale that all rules share."""

import json
from collections.abc import Iterator, Mapping, Sequence

from pydantic import ValidationError

from shadow_deployment.config.policy import COMPARING, Policy, Rule
from shadow_deployment.decision.finding import Finding
from shadow_deployment.ledger.page import VerdictRow
from shadow_deployment.metrics.slices import ALL
from shadow_deployment.report.views.facts import RuleFacts, Scaled, Unit

_UNIT_WORDS: Mapping[Unit, str] = {
    "difference": "champion's loss minus challenger's, {title}: above 0 favours the challenger",
    "value": "the challenger's {title}",
    "change": "challenger minus champion, {title}",
}


def policy_of(judged: VerdictRow, present: Policy) -> Policy:
    """Return the policy that a verdict was judged by; the present one where its form is not known any more."""
    try:
        return Policy.model_validate_json(json.dumps(judged.policy))
    except ValidationError:
        return present


def with_rules(findings: Sequence[Finding], policy: Policy) -> Iterator[tuple[Rule, Finding]]:
    """Yield each finding with its rule: a rule's first finding is of all requests, those of its slices follow.

    What fits no rule of the policy, since it was judged by another, is left out.
    """
    number = -1
    for finding in findings:
        number += finding.slice == ALL
        rule = policy.rules[number] if 0 <= number < len(policy.rules) else None
        if rule is not None and (rule.metric, rule.is_, rule.role) == (finding.metric, finding.is_, finding.role):
            yield rule, finding


def rule_facts(rule: Rule, finding: Finding) -> RuleFacts:
    """Return a finding with its rule in words, its unit and its place on the scale of all rules."""
    unit = unit_of(rule)
    return RuleFacts(
        text=str(rule),
        metric=rule.metric,
        title=rule.definition.title,
        slice=finding.slice,
        is_=rule.is_,
        role=rule.role,
        outcome=finding.outcome,
        reason=finding.reason,
        bound=finding.bound,
        estimate=finding.estimate,
        lower=finding.lower,
        upper=finding.upper,
        unit=unit,
        unit_words=unit_words(rule),
        holds_above=holds_above(rule),
        is_daily=rule.is_daily,
        observations=finding.observations,
        requests=finding.requests,
        minimum_requests=rule.requests_needed(finding.slice),
        alpha_pass=finding.alpha_pass,
        alpha_fail=finding.alpha_fail,
        decided_on=finding.decided_on,
        more_days=finding.more_days,
        scaled=_scaled(finding, holds_above(rule)),
    )


def unit_of(rule: Rule) -> Unit:
    """Return what estimate, interval and bound of a rule are."""
    if rule.is_relative:
        return "share"
    return "difference" if rule.is_ in COMPARING else "change" if rule.of == "change" else "value"


def unit_words(rule: Rule) -> str:
    """Return the unit of a rule in words."""
    if rule.is_relative:
        what = "champion's loss minus challenger's" if rule.is_ in COMPARING else "challenger minus champion"
        return f"{what}, as a share of the champion's {rule.definition.title}"
    return _UNIT_WORDS[unit_of(rule)].format(title=rule.definition.title)


def holds_above(rule: Rule) -> bool:
    """Say whether a rule holds above its bound, or else below it."""
    return rule.is_ != "at_most"


def _scaled(finding: Finding, above: bool) -> Scaled:
    sign = 1.0 if above else -1.0
    lower, upper = (finding.lower, finding.upper) if above else (finding.upper, finding.lower)
    distances = [
        None if value is None else sign * (value - finding.bound) for value in (lower, finding.estimate, upper)
    ]
    farthest = max((abs(one) for one in distances if one is not None), default=0.0) or 1.0
    return Scaled(*(None if one is None else one / farthest for one in distances))
