"""A verdict in plain words: what was compared, each rule with its numbers, where it is worse, what would change it."""

from collections.abc import Iterator, Sequence

from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.config.policy import COMPARING
from shadow_deployment.decision.disagreement import DisagreeingRequest
from shadow_deployment.decision.series import Evidence
from shadow_deployment.decision.verdict import Finding, Verdict
from shadow_deployment.metrics.slices import ALL

MOST_SLICES = 10


def explain(
    deployment: Deployment,
    challenger: Challenger,
    verdict: Verdict,
    evidence: Evidence,
    disagreements: Sequence[DisagreeingRequest],
    *,
    champion_version: str,
    warnings: Sequence[str],
) -> str:
    """Return the explanation as text of several lines. It names requests, never their features."""
    lines = [f"{challenger.name} {challenger.version} against champion {champion_version}: {verdict.outcome}", ""]
    lines += ["What was compared", *_compared(deployment, evidence), ""]
    lines += ["Rules", *(f"- {_rule(finding)}" for finding in verdict.findings), ""]
    lines += _section("Why not PASS", [f"- {reason}" for reason in verdict.reasons if verdict.outcome != "PASS"])
    lines += _section("Warnings", [f"- {warning}" for warning in warnings])
    lines += _section("Slices, worst first", list(_slices(deployment, evidence)))
    lines += _section("Requests on which the two disagree most", list(_requests(deployment, disagreements)))
    lines += ["What would change the verdict", *(f"- {text}" for text in _changes(verdict))]
    return "\n".join(lines)


def _section(title: str, lines: list[str]) -> list[str]:
    return [title, *lines, ""] if lines else []


def _compared(deployment: Deployment, evidence: Evidence) -> Iterator[str]:
    names = [rule.metric for rule in deployment.policy.rules]
    overall = [evidence[name, ALL] for name in names if (name, ALL) in evidence]
    longest = max(overall, key=lambda series: (series.metric in _comparing(deployment), len(series.days)), default=None)
    if longest is None or not longest.days:
        yield "- nothing yet: no day has evidence"
        return
    yield (
        f"- {longest.total_requests} requests from {deployment.requests.table} on {len(longest.days)} days, "
        f"{longest.days[0]} to {longest.days[-1]}, answered by both"
    )
    yield f"- labels from {deployment.labels.table}, waited for up to {deployment.labels.maturity_days} days"
    yield "- a difference is the champion's loss minus the challenger's: positive favours the challenger"


def _comparing(deployment: Deployment) -> list[str]:
    """Return the metrics on which the two are compared, in the order of their rules."""
    return [rule.metric for rule in deployment.policy.rules if rule.is_ in COMPARING]


def _rule(finding: Finding) -> str:
    where = "" if finding.slice == ALL else f" in {finding.slice}"
    role = "" if finding.role == "blocking" else " (advisory)"
    since = f", first on {finding.decided_on}" if finding.decided_on else ""
    alphas = ""
    if finding.alpha_pass is not None and finding.alpha_fail is not None:
        alphas = f" [alpha {finding.alpha_pass:.3g} to pass, {finding.alpha_fail:.3g} to fail]"
    rule = f"{finding.metric} {finding.is_.replace('_', ' ')}"
    return f"{finding.outcome}{since}: {rule}{where}{role}: {finding.reason}{alphas}"


def _slices(deployment: Deployment, evidence: Evidence) -> Iterator[str]:
    """List the slices of the first metric on which the two are compared, by mean daily difference."""
    metric = next(iter(_comparing(deployment)), None)
    found = [one for (name, _), one in evidence.items() if name == metric and one.slice != ALL and one.days]
    for series in sorted(found, key=lambda one: float(one.difference.mean()))[:MOST_SLICES]:
        mean = float(series.difference.mean())
        yield (
            f"- {series.slice}: mean daily difference in {metric} {mean:.4g} over {len(series.days)} days, "
            f"{series.total_requests} requests{', worse than the champion' if mean < 0 else ''}"
        )


def _requests(deployment: Deployment, disagreements: Sequence[DisagreeingRequest]) -> Iterator[str]:
    def answer(value: float) -> str:
        return deployment.classes[int(value)] if deployment.classes else f"{value:.4g}"

    for one in disagreements:
        label = "no label yet" if one.label is None else f"label {answer(one.label)}"
        slices = ", ".join(f"{name}={value}" for name, value in one.slices.items())
        yield (
            f"- {one.day} {one.request_id}: champion {answer(one.champion)}, "
            f"challenger {answer(one.challenger)}, {label}{f' ({slices})' if slices else ''}"
        )


def _changes(verdict: Verdict) -> Iterator[str]:
    gates = [finding for finding in verdict.findings if finding.role == "blocking"]
    open_gates = [finding for finding in gates if finding.outcome == "INCONCLUSIVE"]
    failing = [finding for finding in gates if finding.outcome == "FAIL"]
    if verdict.outcome == "PASS":
        yield "an interval that widens again makes it INCONCLUSIVE, an operational rule that no longer holds FAIL"
    for finding in failing:
        yield f"{_name(finding)} must come back to {_bound(finding)}: mend the challenger and give it a new version"
    for finding in open_gates:
        if finding.more_days is not None:
            yield f"{_name(finding)} would be decided by about {finding.more_days} more days like those so far"
        else:
            yield f"{_name(finding)} is not decided by waiting: {finding.reason}"
    if not gates:
        yield "a rule that is a gate"


def _name(finding: Finding) -> str:
    return finding.metric if finding.slice == ALL else f"{finding.metric} in {finding.slice}"


def _bound(finding: Finding) -> str:
    relation = {"at_most": "at most", "at_least": "at least"}.get(finding.is_, "above")
    return f"{relation} {finding.bound:.4g}"
