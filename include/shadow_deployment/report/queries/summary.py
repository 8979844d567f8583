"""A challenger in one line: its verdict as a sentence, the days of evidence, and how many more it takes."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shadow_deployment.base.numbers import quantity
from shadow_deployment.config.actions import FORMER_CHAMPION
from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.config.policy import WEEK
from shadow_deployment.data.db import Session
from shadow_deployment.data.sampling import design, digest
from shadow_deployment.decision.words.finding import Finding, Outcome, findings_of
from shadow_deployment.decision.words.wording import name_of, reason_of
from shadow_deployment.ledger import page
from shadow_deployment.ledger.page import VerdictRow
from shadow_deployment.ledger.snapshots import Snapshot, snapshots
from shadow_deployment.report.views import ChallengerLine, Role

_ORDER: Final[tuple[Outcome, ...]] = ("PASS", "FAIL", "INCONCLUSIVE")
A_A_CHECK: Final = "is the champion against itself: it measures the noise of the pipeline and is never promoted"


@dataclass(frozen=True)
class DeploymentSummary:
    """A deployment up to a day: its sampled days, the newest verdicts by name, and a line for each challenger."""

    sampled: Sequence[Snapshot]
    verdicts: Mapping[str, VerdictRow]
    lines: tuple[ChallengerLine, ...]

    @property
    def last_day(self) -> dt.date | None:
        """The newest sampled day, None where there is none."""
        return self.sampled[-1].day if self.sampled else None


def summarise(session: Session[Any], deployment: Deployment, day: dt.date | None) -> DeploymentSummary:
    """Return every challenger as of a day, None for the newest one."""
    verdicts, present = page.verdicts(session, deployment, day), digest(design(deployment))
    challengers = _challengers(deployment, verdicts)
    lines = tuple(_line(challenger, verdicts.get(challenger.name), present) for challenger in challengers)
    return DeploymentSummary(snapshots(session, deployment, None, day), verdicts, lines)


def _line(challenger: Challenger, judged: VerdictRow | None, present: str) -> ChallengerLine:
    """Return a challenger's line.

    `judged` is the newest verdict under its name, of whatever version and sampling design; `present` is the digest of
    the design that there is now.
    """
    role = _role(challenger)
    if judged is None or (judged.version, judged.design) != (challenger.version, present):
        return _unjudged(challenger, role, judged)
    findings = findings_of(judged.findings)
    blocking = [finding for finding in findings if finding.is_blocking]
    more, waiting = _waiting(judged, role, blocking)
    weekly = judged.policy.get("unit") == "week"
    over_days = [finding for finding in blocking if finding.alpha_pass is not None]
    most = max(over_days or blocking or findings, key=lambda finding: finding.observations, default=None)
    return ChallengerLine(
        name=challenger.name,
        version=challenger.version,
        role=role,
        outcome=judged.outcome,
        sentence=_sentence(challenger, judged, blocking),
        day=judged.day,
        decided_on=judged.decided_on,
        days=(most.observations if most else 0) * (WEEK if weekly and over_days else 1),
        requests=most.requests if most else 0,
        more_days=more,
        waiting=waiting,
    )


def _role(challenger: Challenger) -> Role:
    if challenger.is_a_a_check:
        return "a_a_check"
    return "watched" if challenger.is_watched else "promotable"


def _challengers(deployment: Deployment, verdicts: Mapping[str, VerdictRow]) -> list[Challenger]:
    """Return the challengers of the file, and the former champion where its newest verdict is as new as theirs."""
    challengers, former = list(deployment.challengers), verdicts.get(FORMER_CHAMPION)
    if former is None or any(challenger.name == FORMER_CHAMPION for challenger in challengers):
        return challengers
    if all(former.day >= verdict.day for verdict in verdicts.values()):
        challengers.append(Challenger(name=FORMER_CHAMPION, version=former.version, model=former.uri))
    return challengers


def first_to_look_at(lines: Sequence[ChallengerLine], *, closed: bool = False) -> ChallengerLine:
    """Return the challenger to show where none is named: promotable before others, PASS before FAIL before open.

    With `closed` it is one that closes the gate, where there is one: one that fails, or a former champion that passes.
    """

    def rank(line: ChallengerLine) -> tuple[bool, bool, int]:
        closes = line.outcome == {"promotable": "FAIL", "watched": "PASS"}.get(line.role)
        order = _ORDER.index(line.outcome) if line.outcome else len(_ORDER)
        return not (closed and closes), line.role != "promotable", order

    return min(lines, key=rank)


def _sentence(challenger: Challenger, judged: VerdictRow, blocking: Sequence[Finding]) -> str:
    """Return a verdict in one sentence, with its first reason where it is not PASS."""
    name, against = f"{judged.name} {judged.version}", judged.champion
    if challenger.is_a_a_check:
        return f"{name} {A_A_CHECK}."
    if judged.outcome == "PASS":
        since = f", first on {judged.decided_on}" if judged.decided_on and judged.decided_on < judged.day else ""
        passes = f"{name} passes {_counted(blocking)} against {against}{since}"
        watched = ": the former champion is better than the one that followed it" if challenger.is_watched else ""
        return f"{passes}{watched}."
    if judged.outcome == "FAIL":
        failing = next((finding for finding in blocking if finding.outcome == "FAIL"), None)
        why = reason_of(failing) if failing else next(iter(judged.reasons), "")
        return f"{name} fails against {against}: {why}."
    barred = _barred(judged, blocking)
    if barred:
        return f"{name} cannot pass against {against}: {barred[0]}."
    passed = sum(finding.outcome == "PASS" for finding in blocking)
    rules = f"{passed} of {quantity(len(blocking), 'blocking rule')}"
    return f"{name} is not decided against {against}: {rules} passed, {_open(blocking)}."


def _unjudged(challenger: Challenger, role: Role, judged: VerdictRow | None) -> ChallengerLine:
    if judged is None:
        why = "it was never judged: unpause the DAG, or run a day"
    elif judged.version == challenger.version:
        why = f"the sampling design has changed since it was judged on {judged.day}, so evidence starts anew: run a day"
    else:
        why = f"version {challenger.version} was never judged, {judged.version} last on {judged.day}: run a day"
    name = f"{challenger.name} {challenger.version}"
    sentence = f"{name} {A_A_CHECK}; {why}." if role == "a_a_check" else f"{name}: {why}."
    return ChallengerLine(challenger.name, challenger.version, role, None, sentence, waiting=why)


def _waiting(judged: VerdictRow, role: Role, blocking: Sequence[Finding]) -> tuple[int | None, str | None]:
    """Return in how many days the last open gate would be decided, or why waiting decides nothing."""
    if judged.outcome != "INCONCLUSIVE":
        return None, None
    if role == "a_a_check":
        return None, "it is the A/A check, which is never promoted"
    barred = _barred(judged, blocking)
    if barred:
        return None, barred[0]
    stuck, more = _undecided(blocking)
    return (more, None) if stuck is None else (None, reason_of(stuck))


def _barred(judged: VerdictRow, blocking: Sequence[Finding]) -> list[str]:
    """Return the reasons that are no rule's: what stands in the way of a PASS whatever the evidence says."""
    of_rules = {reason_of(finding) for finding in blocking}
    return [reason for reason in judged.reasons if reason not in of_rules]


def _undecided(blocking: Sequence[Finding]) -> tuple[Finding | None, int]:
    """Return the first open finding that waiting does not decide, and in how many days the last one would be."""
    undecided = [finding for finding in blocking if finding.outcome == "INCONCLUSIVE"]
    stuck = next((finding for finding in undecided if finding.more_days is None), None)
    return stuck, max((finding.more_days or 0 for finding in undecided), default=0)


def _open(blocking: Sequence[Finding]) -> str:
    stuck, more = _undecided(blocking)
    if stuck is not None:
        return f"and waiting does not decide {name_of(stuck)}"
    return f"about {quantity(more, 'more day')} would decide the rest"


def _counted(blocking: Sequence[Finding]) -> str:
    return "its blocking rule" if len(blocking) == 1 else f"all {len(blocking)} blocking rules"
