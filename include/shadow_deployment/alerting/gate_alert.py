"""What the alert of a failed gate says: who fails which rule by which numbers, what else is wrong, and what to do.

It names challengers, metrics and slices, never a request or a value of a feature.
"""

import datetime as dt
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shadow_deployment.alerting.messages import LONGEST_TITLE, cut, plain, titled
from shadow_deployment.base.numbers import quantity
from shadow_deployment.config.actions import FORMER_CHAMPION
from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.window import window_of
from shadow_deployment.data.sampling import digest
from shadow_deployment.decision.finding import Finding, findings_of
from shadow_deployment.decision.wording import measurement_of
from shadow_deployment.errors import GateFailed, ShadowError
from shadow_deployment.ledger.alerts import Alert
from shadow_deployment.ledger.verdicts import Stored
from shadow_deployment.metrics.catalog import METRICS

MOST_FINDINGS = 3
SILENT = "the gate's task ended without a word: it was killed, or timed out"
_NUMBER = re.compile(r"(?<!\w)[+-]?\d[\w.,:%+-]*")  # not the digits of a name such as trees_2
_OBSERVED = re.compile(r": observed \S+?(?=;|$)")
_BROKEN = re.compile(r"could not be evaluated: .*")
_TASKS = (
    ("inputs ", "validate_inputs"),
    ("predictions of ", "validate_predictions"),
    (" was not judged on ", "judge, and the tasks before it"),
    (" was not sampled", "sample"),
)


def said_by(error: BaseException | None) -> tuple[str, ...]:
    """Return what a gate's error says, a line for each problem; of an error that is not ours only its type.

    An observed value is left out: of an expectation on a column's largest value it is a value of that feature.
    """
    if error is None:
        return (SILENT,)
    if not isinstance(error, ShadowError):
        return (f"the gate ended with {type(error).__name__}: see its log",)
    lines = str(error).splitlines()
    lines = lines[1:] if isinstance(error, GateFailed) and len(lines) > 1 else lines
    return tuple(_BROKEN.sub("could not be evaluated", _OBSERVED.sub("", line)) for line in lines if line.strip())


def failed_gate(
    deployment: Deployment,
    day: dt.date,
    *,
    said: Sequence[str],
    verdicts: Mapping[str, Stored],
    link: str | None = None,
    reopened: str | None = None,
) -> Alert:
    """Return the alert of a gate that failed.

    `said` are the problems that the gate has named, `verdicts` the newest ones by challenger, {} where the ledger
    cannot be read: then what the gate said is told as it is. `reopened` is the signature of the recovery that was told
    of this very day: failing after it is news again.
    """
    failing = [verdicts[name] for name in sorted(verdicts) if _fails(deployment, day, verdicts[name])]
    known = tuple(f"{one.name} FAILS: " for one in failing)
    problems = [plain(line) for line in said if not line.startswith(known)]
    unit = "observations" if deployment.policy.unit == "week" else "days"
    facts = [_facts(one) for one in failing]
    case = _case(facts, problems, verdicts.get(FORMER_CHAMPION))
    lines = [line for one in failing for line in _challenger(one, unit)]
    lines += [_hinted(problem) for problem in problems]
    return Alert(
        "failed",
        deployment.name,
        day,
        digest([case, reopened]) if reopened else case,
        titled(deployment, f"gate closed for {day}: {_headline([one.name for one in failing], problems)}"),
        cut(lines),
        _todo(deployment, [one.name for one in failing], problems),
        str(window_of(deployment, day)),
        link,
        case,
        {"challengers": facts, "problems": problems},
    )


def _fails(deployment: Deployment, day: dt.date, verdict: Stored) -> bool:
    """Whether a verdict of the day is an alarm: a former champion that fails is as it should be."""
    declared = {one.name for one in deployment.challengers if not one.is_watched}
    return verdict.day == day and verdict.outcome == "FAIL" and verdict.name in declared


def _facts(verdict: Stored) -> dict[str, Any]:
    return {
        "name": plain(verdict.name),
        "version": plain(verdict.version),
        "outcome": verdict.outcome,
        "champion_version": plain(verdict.champion_version),
        "findings": [_finding(one) for one in _failing(verdict)],
    }


def _failing(verdict: Stored) -> list[Finding]:
    return [one for one in findings_of(verdict.findings) if one.is_blocking and one.outcome == "FAIL"]


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "metric": plain(finding.metric),
        "title": _title(finding),
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


def _title(finding: Finding) -> str:
    return METRICS[finding.metric].title if finding.metric in METRICS else plain(finding.metric)


def _case(facts: Sequence[Mapping[str, Any]], problems: Sequence[str], former: Stored | None) -> str:
    """Return the digest of what is wrong, without the numbers that differ from one try, or day, to the next."""
    about: list[Any] = [
        [one["name"], one["version"], sorted([rule["metric"], rule["is"], rule["slice"]] for rule in one["findings"])]
        for one in facts
    ]
    if former is not None and any(line.startswith(FORMER_CHAMPION) for line in problems):
        about.append([FORMER_CHAMPION, former.version, former.champion_version])
    return digest([about, sorted({_NUMBER.sub("#", line) for line in problems})])


def _challenger(verdict: Stored, unit: str) -> Iterable[str]:
    name, version, champion = map(plain, (verdict.name, verdict.version, verdict.champion_version))
    yield f"{name} {version} FAILS against champion {champion}"
    findings = _failing(verdict)
    for finding in findings[:MOST_FINDINGS]:
        yield plain(f"- {measurement_of(finding, _title(finding), unit)}")
    if len(findings) > MOST_FINDINGS:
        yield f"- and {len(findings) - MOST_FINDINGS} more rules or slices"


def _hinted(problem: str) -> str:
    task = next((task for words, task in _TASKS if problem.startswith(words) or words in problem), None)
    return f"{problem} [task {task}]" if task else problem


def _headline(failing: Sequence[str], problems: Sequence[str]) -> str:
    parts = [f"{', '.join(failing)} {'FAILS' if len(failing) == 1 else 'FAIL'}"] if failing else []
    if problems and not failing:
        parts.append(problems[0])
    more = len(problems) if failing else len(problems) - 1
    if more > 0:
        parts.append(f"{quantity(more, 'problem')}{'' if failing else ' more'}")
    return plain(" and ".join(parts) or "see its log", LONGEST_TITLE)


def _todo(deployment: Deployment, failing: Sequence[str], problems: Sequence[str]) -> str:
    texts = []
    if failing:
        texts.append(
            f"shadow explain {deployment.name} --challenger {failing[0]} says why in plain words; "
            "mend the challenger and give it a new version, or take it out of the deployment. Nobody is served its "
            "answers."
        )
    if problems:
        texts.append("Mend what the lines name, then clear the run from that task on: what is there stays as it is.")
    return " ".join(texts)
