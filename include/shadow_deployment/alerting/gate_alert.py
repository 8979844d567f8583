"""The alert of a failed gate: which challengers fail which rules, what else is wrong, and what to do.

It names challengers, metrics and slices, never a request or a feature value.
"""

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shadow_deployment.alerting.messages import LONGEST_TITLE, cut, plain, titled
from shadow_deployment.base.redaction import without_observations
from shadow_deployment.config.actions import FORMER_CHAMPION
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.window import window_of
from shadow_deployment.data.sampling import digest
from shadow_deployment.decision.words.finding import Finding, findings_of
from shadow_deployment.decision.words.wording import measurement_of
from shadow_deployment.errors import GateFailed, ShadowError
from shadow_deployment.ledger.alerts import Alert
from shadow_deployment.ledger.verdicts import StoredVerdict
from shadow_deployment.metrics.catalog import Metric

MOST_FINDINGS = 3
SILENT = "the gate's task ended without an error message: it was killed or timed out"
_NUMBER = re.compile(r"(?<!\w)[+-]?\d[\w.,:%+-]*")  # not the digits of a name such as trees_2
_TASKS = (
    ("inputs ", "validate_inputs"),
    ("predictions of ", "validate_predictions"),
    (" was not judged on ", "judge, and the tasks before it"),
    (" was not sampled", "sample"),
    (" are not all scored by ", "score"),
)


def problems_in(error: BaseException | None) -> tuple[str, ...]:
    """Return the problems that a gate's error names; of a foreign error only its type.

    Observed values are removed: that of an expectation on a column's maximum is a feature value.
    """
    if error is None:
        return (SILENT,)
    if not isinstance(error, ShadowError):
        return (f"the gate ended with {type(error).__name__}: see its log",)
    lines = str(error).splitlines()
    lines = lines[1:] if isinstance(error, GateFailed) and len(lines) > 1 else lines
    return tuple(without_observations(line) for line in lines if line.strip())


def gate_failed_alert(
    deployment: Deployment,
    day: dt.date,
    *,
    problems: Sequence[str],
    verdicts: Mapping[str, StoredVerdict],
    link: str | None = None,
    reopened: str | None = None,
) -> Alert:
    """Return the alert of a failed gate.

    Args:
        deployment: the deployment.
        day: day of the gate.
        problems: the problems that the gate has named, a line each.
        verdicts: the newest verdicts by challenger; {} where the ledger cannot be read, then all problems are quoted.
        link: page to look at.
        reopened: signature of this day's recovery alert, after which the same failure is a new one.
    """
    failing = [verdict for _, verdict in sorted(verdicts.items()) if _is_alarm(deployment, day, verdict)]
    names = [verdict.name for verdict in failing]
    prefixes = tuple(f"{name} FAILS: " for name in names)
    others = [plain(line) for line in problems if not line.startswith(prefixes)]
    counted = "observations" if deployment.policy.unit == "week" else "days"
    catalog = deployment.catalog
    details = [_details(verdict, catalog) for verdict in failing]
    failure = _failure_digest(details, others, verdicts.get(FORMER_CHAMPION))
    lines = [line for verdict in failing for line in _challenger_lines(verdict, counted, catalog)]
    lines += [_with_task(problem) for problem in others]
    return Alert(
        "failed",
        deployment.name,
        day,
        digest([failure, reopened]) if reopened else failure,
        titled(deployment, f"gate closed for {day}: {_headline(names, others)}"),
        cut(lines),
        _todo(deployment, names, others),
        str(window_of(deployment, day)),
        link,
        failure,
        {"challengers": details, "problems": others, "chain": _chain_head(verdicts)},
    )


def _chain_head(verdicts: Mapping[str, StoredVerdict]) -> dict[str, Any] | None:
    """Return the newest row of the hash chain among these verdicts, for who wants to compare it later."""
    newest = max(verdicts.values(), key=lambda verdict: verdict.chain_number or 0, default=None)
    return None if newest is None else {"number": newest.chain_number, "hash": newest.chain_hash}


def _is_alarm(deployment: Deployment, day: dt.date, verdict: StoredVerdict) -> bool:
    """Whether a verdict of the day is a trial's first failure; a former champion is expected to fail."""
    declared = {challenger.name for challenger in deployment.challengers if not challenger.is_watched}
    return verdict.day == day and verdict.is_first_failure and verdict.name in declared


def _failing(verdict: StoredVerdict) -> list[Finding]:
    return [finding for finding in findings_of(verdict.findings) if finding.is_blocking and finding.outcome == "FAIL"]


def _details(verdict: StoredVerdict, catalog: Mapping[str, Metric]) -> dict[str, Any]:
    return {
        "name": plain(verdict.name),
        "version": plain(verdict.version),
        "outcome": verdict.outcome,
        "champion_version": plain(verdict.champion_version),
        "findings": [_finding_details(finding, catalog) for finding in _failing(verdict)],
    }


def _finding_details(finding: Finding, catalog: Mapping[str, Metric]) -> dict[str, Any]:
    return {
        "metric": plain(finding.metric),
        "title": _title(finding, catalog),
        "is": plain(finding.is_),
        "slice": plain(finding.slice),
        "bound": finding.bound,
        "estimate": finding.estimate,
        "lower": finding.lower,
        "upper": finding.upper,
        "observations": finding.observations,
        "requests": finding.requests,
        "reason": plain(finding.reason),
    }


def _title(finding: Finding, catalog: Mapping[str, Metric]) -> str:
    return catalog[finding.metric].title if finding.metric in catalog else plain(finding.metric)


def _failure_digest(details: Sequence[Mapping[str, Any]], problems: Sequence[str], former: StoredVerdict | None) -> str:
    """Return the digest of what is wrong, without numbers that change with each try or day."""
    parts: list[Any] = [
        [
            challenger["name"],
            challenger["version"],
            sorted([rule["metric"], rule["is"], rule["slice"]] for rule in challenger["findings"]),
        ]
        for challenger in details
    ]
    if former is not None and any(line.startswith(FORMER_CHAMPION) for line in problems):
        parts.append([FORMER_CHAMPION, former.version, former.champion_version])
    return digest([parts, sorted({_NUMBER.sub("#", line) for line in problems})])


def _challenger_lines(verdict: StoredVerdict, counted: str, catalog: Mapping[str, Metric]) -> Iterator[str]:
    name, version, champion = map(plain, (verdict.name, verdict.version, verdict.champion))
    yield f"{name} {version} FAILS against {champion}"
    findings = _failing(verdict)
    for finding in findings[:MOST_FINDINGS]:
        yield plain(f"- {measurement_of(finding, _title(finding, catalog), counted)}")
    if len(findings) > MOST_FINDINGS:
        yield f"- and {len(findings) - MOST_FINDINGS} more rules or slices"


def _with_task(problem: str) -> str:
    task = next((task for words, task in _TASKS if words in problem), None)
    return f"{problem} [task {task}]" if task else problem


def _headline(failing: Sequence[str], problems: Sequence[str]) -> str:
    if failing:
        first = f"{', '.join(failing)} {'FAILS' if len(failing) == 1 else 'FAIL'}"
        more, word = len(problems), ""
    else:
        first = problems[0] if problems else "see its log"
        more, word = len(problems) - 1, "more "
    rest = f" and {more} {word}{'problem' if more == 1 else 'problems'}" if more > 0 else ""
    return plain(first + rest, LONGEST_TITLE)


def _todo(deployment: Deployment, failing: Sequence[str], problems: Sequence[str]) -> str:
    texts = []
    if failing:
        texts.append(
            f"shadow explain {deployment.name} --challenger {failing[0]} explains the verdict. Fix the challenger and "
            "give it a new version, or remove it from the deployment. Its predictions are not served."
        )
    if problems:
        texts.append("Fix what the lines name, then clear the run from that task on: stored results are kept.")
    return " ".join(texts)
