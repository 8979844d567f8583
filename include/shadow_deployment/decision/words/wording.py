"""What a finding says in words: the reasons of a verdict, and the pieces from which pages, alerts and forms are made.

Everything is plain text; whoever shows it escapes it.
"""

import datetime as dt
import math
from dataclasses import replace
from typing import Final

from shadow_deployment.base.numbers import interval, plain_percent, quantity, significant
from shadow_deployment.config.policy import WITH_MARGIN, Rule
from shadow_deployment.decision.words.finding import Finding, Lately, MissingLabels, Outcome
from shadow_deployment.metrics.catalog import METRICS, Metric
from shadow_deployment.metrics.slices import ALL

NO_BLOCKING_RULE: Final = "no rule is blocking: a policy of advisory rules decides nothing"
NO_EVIDENCE: Final = "there is no evidence: no mature day has a labelled pair"
NO_COMPLETE_WEEK: Final = "no week of evidence is complete"
_UNDECIDABLE: Final = "no number of days would decide an effect as small as the one seen so far"
_REQUIREMENTS: Final = {
    "superior": "superior (bound {})",
    "non_inferior": "not inferior (bound {})",
    "equivalent": "equivalent (bounds {} and {})",
    "guardrail": "guardrail (bound {})",
    "at_most": "at most {}",
    "at_least": "at least {}",
}
# What a rule claims of a metric, what its FAIL shows, and what is open while it is INCONCLUSIVE.
_CLAIMS: Final[dict[str, dict[Outcome, str]]] = {
    "superior": {"PASS": "is better", "FAIL": "is worse", "INCONCLUSIVE": "is not shown to be better"},
    "non_inferior": {
        "PASS": "is not worse than the margin allows",
        "FAIL": "is worse than the margin allows",
        "INCONCLUSIVE": "may be worse than the margin allows",
    },
    "equivalent": {
        "PASS": "is equivalent",
        "FAIL": "is not equivalent",
        "INCONCLUSIVE": "is not shown to be equivalent",
    },
    "guardrail": {"PASS": "is not shown to be worse", "FAIL": "is worse", "INCONCLUSIVE": "may be worse"},
    "at_most": {"PASS": "is at most {}", "FAIL": "is not at most {}", "INCONCLUSIVE": "is not shown to be at most {}"},
    "at_least": {
        "PASS": "is at least {}",
        "FAIL": "is not at least {}",
        "INCONCLUSIVE": "is not shown to be at least {}",
    },
}


def in_slice(name: str) -> str:
    """Return where a rule is judged, as the end of its name; nothing for all requests."""
    return "" if name == ALL else f" in {name}"


def role_note(role: str) -> str:
    """Return the role of a rule, as the end of its name; nothing for a blocking one."""
    return "" if role == "blocking" else f" ({role})"


def difference_shown(lower: float | None, upper: float | None) -> str:
    """Return "better" or "worse" where the interval of a difference of losses shows it, else nothing."""
    return "worse" if upper is not None and upper < 0 else "better" if lower is not None and lower > 0 else ""


def rule_in_slice(rule: Rule, name: str) -> str:
    """Return the name of a rule with its bound, in a slice, as power analysis and calibration report it."""
    limit = f" {rule.bound:g}" if rule.bound else ""
    return f"{rule.metric} {rule.is_}{limit}{in_slice(name)}"


def title_of(metric: str) -> str:
    """Return how people read a metric's name; a unit that its values carry is left out."""
    return METRICS[metric].title.removesuffix(", ms") if metric in METRICS else metric.replace("_", " ")


def metric_in_slice(finding: Finding) -> str:
    """Return the metric of a finding and its slice."""
    return f"{title_of(finding.metric)}{in_slice(finding.slice)}"


def claim_of(finding: Finding, outcome: Outcome = "PASS") -> str:
    """Return in words what the rule of a finding claims, or what another outcome says of it."""
    words = _CLAIMS[finding.is_][outcome].format(significant(finding.bound))
    return f"{title_of(finding.metric)} {words}{in_slice(finding.slice)}"


def name_of(finding: Finding) -> str:
    """Return the rule of a finding and its slice as a name."""
    return f'"{claim_of(finding)}"'


def rule_of(finding: Finding) -> str:
    """Return the rule of a finding as its policy states it, with margin or value, and its role."""
    bound = {"superior": ""}.get(
        finding.is_, f" {abs(finding.bound) if finding.is_ in WITH_MARGIN else finding.bound:g}"
    )
    return f"{finding.metric} {finding.is_}{bound}{role_note(finding.role)}"


def value_of(metric: str, value: float | None) -> str:
    """Return a metric's value; beside a mean squared error its root, which has the label's unit."""
    shown = significant(value)
    return f"{shown} (RMSE {significant(math.sqrt(value))})" if metric == "squared_error" and value else shown


def rule_in_words(finding: Finding) -> str:
    """Return the rule of a finding and its role, without slice."""
    return f"{claim_of(replace(finding, slice=ALL))}{role_note(finding.role)}"


def reason_of(finding: Finding) -> str:
    """Return a finding as the reason for a verdict."""
    return f"{claim_of(finding, finding.outcome)}: {finding.reason}"


def summary_of(finding: Finding) -> str:
    """Return a finding as a line of a list, its outcome first."""
    rule = f"{finding.metric} {finding.is_} in {finding.slice}{role_note(finding.role)}"
    return f"{finding.outcome.lower():<13}{rule}: {finding.reason}"


def explanation_of(finding: Finding) -> str:
    """Return a finding in full: outcome, since when, rule, reason, and the error rates that it was judged at."""
    since = f" since the evidence of {finding.decided_on}" if finding.decided_on else ""
    alphas = ""
    if finding.alpha_pass is not None and finding.alpha_fail is not None:
        to_pass, to_fail = significant(finding.alpha_pass, 3), significant(finding.alpha_fail, 3)
        alphas = f" [alpha {to_pass} to pass, {to_fail} to fail]"
    rule = f"{claim_of(finding)}{role_note(finding.role)}"
    return f"{finding.outcome}{since}: {rule}: {finding.reason}{alphas}"


def change_needed(finding: Finding) -> str:
    """Return what would change the outcome of a blocking finding that does not pass."""
    name = metric_in_slice(finding)
    if finding.outcome == "FAIL":
        relation = {"at_most": "at most", "at_least": "at least"}.get(finding.is_, "above")
        bound = f"{relation} {significant(finding.bound)}"
        if finding.is_ == "equivalent":
            bound = f"within {_within(finding.bound)}"
        return f"{name} must return to {bound}: fix the challenger and give it a new version"
    if finding.more_days is not None:
        return f"{name} would be decided by about {quantity(finding.more_days, 'more day')} like those so far"
    return f"{name} is not decided by waiting: {finding.reason}"


def missing_of(finding: Finding) -> str:
    """Return how many requests lack a usable prediction, as what follows their number; nothing for none."""
    counts = {"unanswered": finding.unanswered, "without the champion's prediction": finding.champion_missing}
    missing = ", ".join(f"{count} {words}" for words, count in counts.items() if count)
    return f" ({missing})" if missing else ""


def interval_of(finding: Finding, *, none: str = "-") -> str:
    """Return the interval of a finding in the rule's unit; `none` where it has none."""
    return interval(finding.lower, finding.upper, none=none)


def measurement_of(finding: Finding, title: str, unit: str) -> str:
    """Return the numbers of a finding, what was required, and on how many observations they rest.

    Args:
        finding: The finding; one without an interval ends with its reason.
        title: The metric's title.
        unit: What an observation is, in the plural.
    """
    estimate = significant(finding.estimate, none="no value")
    required = _REQUIREMENTS[finding.is_].format(*map(significant, finding.bounds))
    text = f"{title}{in_slice(finding.slice)}: {estimate}"
    text += f", interval {interval_of(finding)}" if finding.has_interval else ""
    text += f", must be {required}, n = {finding.observations} {unit} with {finding.requests} requests"
    text += missing_of(finding) if finding.has_interval else ""
    return text if finding.has_interval else f"{text}: {finding.reason}"


def not_a_number(day: dt.date) -> str:
    """Return the reason of a series with a value that is not finite."""
    return f"the value of {day} is not a number"


def missing_note(metric: Metric, unanswered: int, champion_missing: int) -> str:
    """Return how many requests lack a usable prediction, and whether a metric counts them; nothing for none."""
    if metric.counts_every_request:
        return ""
    notes = []
    if unanswered:
        notes.append(f"{quantity(unanswered, 'request')} unanswered, {'counted' if metric.is_charged else 'left out'}")
    if champion_missing:
        is_equal = metric.is_charged and metric.compares
        requests = f"{quantity(champion_missing, 'request')} without the champion's prediction"
        notes.append(f"{requests}, {'counted as equal' if is_equal else 'left out'}")
    return f" ({'; '.join(notes)})" if notes else ""


def missing_labels_note(missing: MissingLabels) -> str:
    """Return whether a finding that passes holds whatever the missing labels are, as the end of a sentence."""
    share, point = plain_percent(missing.share), missing.tipping_point
    if missing.holds:
        return f"holds whatever the missing labels are ({share} of the requests)"
    requests = f"requests without a label ({share})"
    if point is None:
        return f"does not hold for every label that {requests} may have"
    if point < 0:
        return f"holds only if {requests} gain at least {significant(-point, 3)} each on average"
    lose = f"lose more than {significant(point, 3)} each on average"
    return f"holds unless {requests} {lose}; at worst they lose {significant(missing.at_most, 3)}"


def too_few_requests(requests: int, needed: int) -> str:
    """Return the reason of a series with fewer requests than the rule requires."""
    return f"{requests} requests are too few: {needed} are required"


def no_value_on(day: dt.date, newest: dt.date) -> str:
    """Return the reason of a daily rule whose metric has no value on the judged day."""
    return f"{day} has no value, the newest is of {newest}"


def daily_reason(rule: Rule, day: dt.date, value: float, *, holds: bool, held: int, recent: int) -> str:
    """Return the reason of a rule that is judged on daily values: on `held` of `recent` days it held."""
    relation = f"{'is' if holds else 'is not'} {rule.is_.replace('_', ' ')} {significant(rule.bound)}"
    shown = value_of(rule.metric, value) if rule.of == "value" else significant(value)
    reason = f"{shown} on {day} {relation}"
    if rule.last:
        looked = f"{held} of the last {recent} {rule.last.period}s"
        reason += f"; it held on {looked}, {rule.last.hold} of {rule.last.of} are required"
    return reason


def before_burn_in(outcome: Outcome, observations: str, unit: str, first: int) -> str:
    """Return the reason of a sequence before its burn-in is over."""
    status = f"{observations} of evidence, first bound on {unit} {first}"
    return f"no harm detected yet: {status}" if outcome == "PASS" else status


def sequence_reason(rule: Rule, outcome: Outcome, bounds: tuple[float, float], observations: str, forecast: str) -> str:
    """Return the reason of a rule that is judged by a sequence, after its burn-in.

    Args:
        rule: The rule.
        outcome: What the newest look decides.
        bounds: The interval in the rule's unit; infinite on both sides where observations do not differ.
        observations: How many there are, with their unit.
        forecast: How many more would decide, as `forecast_of` says.
    """
    bound = significant(rule.bound)
    if not any(map(math.isfinite, bounds)):
        status = f"{observations} of evidence do not differ from each other: nothing can be concluded from them"
        return f"no harm detected: {status}" if outcome == "PASS" else status
    charged = f", one more day that lost {significant(rule.worst_day)} included," if rule.worst_day else ""
    seen = f"after {observations} the interval {significant(bounds[0])} to {significant(bounds[1])}{charged}"
    if rule.is_ == "equivalent":
        return _equivalence(rule, outcome, bounds, seen, forecast)
    if outcome == "FAIL":
        return f"{seen} is entirely {'above' if rule.is_ == 'at_most' else 'below'} {bound}"
    if rule.is_ == "guardrail":
        shows = "shows no harm below" if outcome == "PASS" else "no longer shows, but has shown, harm below"
        return f"{seen} {shows} {bound}"
    return f"{seen} clears {bound}" if outcome == "PASS" else f"{seen} contains {bound}; {forecast}"


def _equivalence(rule: Rule, outcome: Outcome, bounds: tuple[float, float], seen: str, forecast: str) -> str:
    margin = significant(-rule.bound)
    if outcome == "PASS":
        return f"{seen} lies within {_within(rule.bound)}: enough data, no difference above {margin}"
    if outcome == "FAIL":
        is_worse = bounds[0] + bounds[1] < 0
        return f"{seen} is entirely {f'below -{margin}, worse' if is_worse else f'above {margin}, better'}"
    return f"{seen} reaches beyond {_within(rule.bound)}; {forecast}"


def _within(bound: float) -> str:
    return f"{significant(bound)} to {significant(-bound)}"


def dependent_requests(ratio: float) -> str:
    """Return the reason of a rule judged on requests, whose daily means vary `ratio` times as much as theirs would."""
    return (
        f"days differ by more than their requests explain (design effect {significant(ratio, 2)}): requests of a day "
        "depend on each other, so nothing is concluded from them one by one; use policy.unit: day"
    )


def both_means(means: Lately) -> str:
    """Return the mean differences since the start and over the newest days, where they disagree."""
    return (
        f"since {means.first} {_better_or_worse(means.since_first)}, "
        f"in the last {means.days} days {_better_or_worse(means.newest)}"
    )


def _better_or_worse(difference: float) -> str:
    return f"{significant(abs(difference), 3)} {'better' if difference > 0 else 'worse' if difference < 0 else 'apart'}"


def not_lately(reason: str, means: Lately) -> str:
    """Return the reason of a finding that would pass, were its newest days on that side of the bound too."""
    return f"{reason}, but no longer lately: {both_means(means)}"


def has_turned(reason: str, since: dt.date) -> str:
    """Return the reason of a finding that would pass, had its weekly means not fallen below the bound."""
    return f"{reason}, but its weekly means have fallen below that bound since about the week from {since}"


def concluded(day: dt.date) -> str:
    """Return that a trial has ended in a FAIL on a day."""
    return (
        f"the FAIL of {day} concluded this trial: days since then are not scored (policy.after_fail == conclude); "
        "corrected labels of the days before are judged again"
    )


def successor_got_worse(metric: str, since: dt.date) -> str:
    """Return the warning that a promoted model has got worse than its predecessor, which is watched."""
    return (
        f"alarm: in {metric} the promoted model has got worse than this predecessor, since about the week from {since} "
        "(weekly means, one false alarm in ten years on average where both are equal)"
    )


def futility_note(horizon: int) -> str:
    """Return that a rule which is not decided will not pass within the horizon, in days."""
    return f"; even if the truth were the best that the interval allows, it would not pass within {horizon} days"


def left_out_reason(reason: str, days: int) -> str:
    """Return the reason of a finding that passes only as long as left-out days are not entered at their worst."""
    are = f"{quantity(days, 'left-out day')} at the worst value counted so far"
    return f"{reason}, but not with {are}: it might rest on which days were left out"


def replayed_only(reason: str, counted: str) -> str:
    """Return the reason of a finding that passes on replayed days only."""
    return f"{reason}, replayed days included; on the days that count: {counted}"


def replayed_would_pass(since: dt.date | None) -> str:
    """Return what a verdict says first where nothing but the policy on replayed days stands in the way of PASS."""
    return (
        f"with its replayed days it would PASS{f' since {since}' if since else ''}; they began before it was "
        "registered, and count where its trained_until is declared and policy.replay is count"
    )


def forecast_of(more: int | None, unit: str) -> str:
    """Return in how many more observations the effect seen so far would be decided; None for never."""
    if more is None:
        return _UNDECIDABLE
    return f"about {quantity(more, f'more {unit}')} would decide an effect like the one seen so far"
