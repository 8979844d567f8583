"""What a deployment's policy allows, and hardly anybody means: bounds that always hold, and rules that never decide."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.policy import BOUNDING, COMPARING, Rule
from shadow_deployment.config.yaml_source import Location, YamlSource
from shadow_deployment.metrics.catalog import SKEW
from shadow_deployment.metrics.ranges import Range, range_of

LARGEST_ALPHA: Final = 0.1
SHORTEST_BURN_IN: Final = 14
YEAR: Final = 365

Warnings = Iterator[tuple[Location, str]]


def policy_warnings(deployment: Deployment, file: Path) -> list[str]:
    """Return what is doubtful in a deployment's policy: lines with the key, what was got, what to do, and where."""
    source = YamlSource.read(file)
    return [f"{message} ({source.where(location)})" for location, message in _warnings(deployment)]


def _warnings(deployment: Deployment) -> Warnings:
    yield from _error_rate(deployment)
    yield from _comparing(deployment)
    yield from _too_late(deployment)
    for position, rule in enumerate(deployment.policy.rules):
        for key, message in _rule(rule, deployment):
            yield ("policy", "rules", position, key), f"policy.rules[{position}].{key} {message}"


def _error_rate(deployment: Deployment) -> Warnings:
    alpha, burn_in = deployment.policy.alpha, deployment.policy.burn_in
    if alpha > LARGEST_ALPHA:
        text = "so many years promote a challenger that is no better; lower it, 0.05 is usual"
        yield ("policy", "alpha"), f"policy.alpha == {alpha:g}, above {LARGEST_ALPHA}: {text}"
    if burn_in < SHORTEST_BURN_IN:
        text = "the error rate does not hold on so few days; raise it, 28 is usual"
        yield ("policy", "burn_in"), f"policy.burn_in == {burn_in}, below {SHORTEST_BURN_IN}: {text}"


def _comparing(deployment: Deployment) -> Warnings:
    """Yield that nothing which blocks compares with the champion; a guardrail passes where nothing is known."""
    blocking = [rule for rule in deployment.policy.rules if rule.role == "blocking"]
    if any(rule.is_ in COMPARING and rule.is_ != "guardrail" for rule in blocking):
        return
    if any(rule.is_ in BOUNDING and rule.of != "value" and not rule.is_daily for rule in blocking):
        return
    text = "a challenger that is worse can pass" if blocking else "nothing can pass"
    message = f"policy.rules has no blocking rule that compares with the champion: {text}"
    yield ("policy", "rules"), f"{message}; add one that is superior or non_inferior"


def _too_late(deployment: Deployment) -> Warnings:
    """Yield what keeps a year from being enough, whatever the evidence."""
    policy, most = deployment.policy, deployment.sample.max_rows
    first = policy.observations_before_bound * policy.days_per_observation
    if first > YEAR:
        text = f"the first verdict comes on day {first}; lower it to decide within a year"
        yield ("policy", "burn_in"), f"policy.burn_in == {policy.burn_in}: {text}"
    for position, rule in enumerate(policy.rules):
        each = rule.minimum_requests
        needed = max(each.values(), default=0) if isinstance(each, dict) else each
        if needed > YEAR * most:
            text = f"a year of {most} requests a day (sample.max_rows) has fewer; lower it, or raise sample.max_rows"
            key = f"policy.rules[{position}].minimum_requests"
            yield ("policy", "rules", position, "minimum_requests"), f"{key} == {needed}: {text}"


def _rule(rule: Rule, deployment: Deployment) -> Iterator[tuple[str, str]]:
    """Yield the bounds of a rule that always or never hold."""
    if rule.metric == SKEW and not deployment.skewable:
        text = "is 0 whatever is served: no challenger's features_from names one of requests.features; name one there"
        yield "metric", f"== {SKEW!r}, {text}, or remove the rule"
    lowest, highest = range_of(rule.definition, deployment.task)
    name, where = rule.metric, f"{rule.metric} is from {lowest:g} to {highest:g}"
    if rule.margin is not None and rule.margin >= highest - lowest:
        yield "margin", f"== {rule.margin:g}, holds whatever a challenger predicts: {where}; choose a smaller one"
    worth = rule.definition.higher_is_better and lowest >= 0
    if rule.relative_margin is not None and rule.relative_margin >= 1 and worth:
        yield "relative_margin", f"== {rule.relative_margin:g}, tolerates a {name} of 0; choose one below 1"
    if rule.value is None:
        return
    possible = _possible(rule, (lowest, highest))
    if _always(rule, rule.value, possible):
        yield "value", f"== {rule.value:g}, always holds: {_words(rule, possible)}; choose a bound within, or remove it"
    elif _never(rule, rule.value, possible):
        yield "value", f"== {rule.value:g}, never holds: {_words(rule, possible)}; choose a bound within"


def _possible(rule: Rule, span: Range) -> Range:
    """Return between which values lies what `at_most` and `at_least` bound."""
    lowest, highest = span
    if rule.of == "value":
        return span
    if rule.of == "relative_change":
        return (-1.0 if lowest >= 0 else -math.inf), math.inf
    return lowest - highest, highest - lowest


def _always(rule: Rule, value: float, possible: Range) -> bool:
    return value >= possible[1] if rule.is_ == "at_most" else value <= possible[0]


def _never(rule: Rule, value: float, possible: Range) -> bool:
    return value < possible[0] if rule.is_ == "at_most" else value > possible[1]


def _words(rule: Rule, possible: Range) -> str:
    of = {"value": "", "change": "the change of ", "relative_change": "the relative change of "}[rule.of]
    return f"{of}{rule.metric} is from {possible[0]:g} to {possible[1]:g}"
