"""A challenger in one line: its verdict as a sentence, the days of evidence, and how many more it takes."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from shadow_deployment.config.actions import FORMER_CHAMPION
from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.config.policy import WEEK
from shadow_deployment.data.db import Session
from shadow_deployment.data.sampling import design, digest
from shadow_deployment.decision.words.finding import Outcome, findings_of
from shadow_deployment.errors import NotFoundError
from shadow_deployment.ledger.snapshots import Snapshot, sampled
from shadow_deployment.ledger.verdicts import StoredVerdict, latest
from shadow_deployment.pipeline.window_guard import gaps
from shadow_deployment.report.queries.status import StatusFacts, not_started, status_facts, status_of, waiting_for
from shadow_deployment.report.status import ChallengerStatus
from shadow_deployment.report.views import ChallengerLine, Role

_ORDER: Final[tuple[Outcome, ...]] = ("PASS", "FAIL", "INCONCLUSIVE")


@dataclass(frozen=True)
class DeploymentSummary:
    """A deployment up to a day: its sampled days, the newest verdicts by name, and a line for each challenger.

    `begun` is a day after those of which only some windows were sampled; `gaps` says of each day which are missing.
    """

    sampled: Sequence[Snapshot]
    verdicts: Mapping[str, StoredVerdict]
    lines: tuple[ChallengerLine, ...]
    begun: Snapshot | None = None
    gaps: Sequence[str] = ()

    @property
    def last_day(self) -> dt.date | None:
        """The newest sampled day, None where there is none."""
        return self.sampled[-1].day if self.sampled else None


def summarise(session: Session[Any], deployment: Deployment, day: dt.date | None) -> DeploymentSummary:
    """Return every challenger as of a day, None for the newest one."""
    taken = sampled(session, deployment, None, day)
    return DeploymentSummary(
        [each for each in taken if each.is_complete],
        *lines_of(session, deployment, day),
        begun=next((each for each in taken[-1:] if not each.is_complete), None),
        gaps=gaps(session, deployment, day),
    )


def lines_of(
    session: Session[Any], deployment: Deployment, day: dt.date | None
) -> tuple[Mapping[str, StoredVerdict], tuple[ChallengerLine, ...]]:
    """Return the newest verdicts by name and a line for each challenger, as of a day, None for the newest one."""
    verdicts, present = latest(session, deployment, day), digest(design(deployment))
    challengers = _challengers(deployment, verdicts)
    facts = status_facts(session, deployment, verdicts.get(FORMER_CHAMPION))
    return verdicts, tuple(_line(each, verdicts.get(each.name), present, facts) for each in challengers)


def _line(challenger: Challenger, judged: StoredVerdict | None, present: str, facts: StatusFacts) -> ChallengerLine:
    """Return a challenger's line.

    `judged` is the newest verdict under its name, of whatever version and sampling design; `present` is the digest of
    the design that there is now.
    """
    role = _role(challenger)
    if judged is None or (judged.version, judged.design) != (challenger.version, present):
        return _unjudged(challenger, role, judged)
    findings = findings_of(judged.findings)
    blocking = [finding for finding in findings if finding.is_blocking]
    more, waiting = waiting_for(judged, blocking)
    weekly = judged.policy.get("unit") == "week" and judged.period == "day"
    over_days = [finding for finding in blocking if finding.alpha_pass is not None]
    most = max(over_days or blocking or findings, key=lambda finding: finding.observations, default=None)
    return ChallengerLine(
        name=challenger.name,
        version=challenger.version,
        role=role,
        outcome=judged.outcome,
        status=_with_newer(challenger, status_of(challenger, judged, blocking, facts)),
        day=judged.day,
        decided_on=judged.decided_on,
        days=(most.observations if most else 0) * (WEEK if weekly and over_days else 1),
        requests=most.requests if most else 0,
        more_days=more,
        waiting=waiting,
        period=judged.period,
    )


def _role(challenger: Challenger) -> Role:
    if challenger.is_a_a_check:
        return "a_a_check"
    return "watched" if challenger.is_watched else "promotable"


def _challengers(deployment: Deployment, verdicts: Mapping[str, StoredVerdict]) -> list[Challenger]:
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


def line_of(deployment: Deployment, lines: Sequence[ChallengerLine], name: str) -> ChallengerLine:
    """Return a challenger's line; raise NotFoundError, with the names there are, for an unknown one."""
    for line in lines:
        if line.name == name:
            return line
    names = ", ".join(line.name for line in lines)
    raise NotFoundError(f"deployment {deployment.name}: challenger == {name!r}, must be one of {names}")


def _with_newer(challenger: Challenger, status: ChallengerStatus) -> ChallengerStatus:
    """Return a status with the versions in MLflow that wait for a tag."""
    newer = challenger.newer_versions
    return replace(status, sentence=f"{status.sentence} {newer[0].upper()}{newer[1:]}.") if newer else status


def _unjudged(challenger: Challenger, role: Role, judged: StoredVerdict | None) -> ChallengerLine:
    if challenger.is_newest and challenger.newer_versions:
        why = challenger.newer_versions
    elif judged is None:
        why = "it was never judged: unpause the DAG, or run a day"
    elif judged.version == challenger.version:
        why = f"the sampling design has changed since it was judged on {judged.day}, so evidence starts anew: run a day"
    else:
        why = f"version {challenger.version} was never judged, {judged.version} last on {judged.day}: run a day"
    status = not_started(challenger, why)
    status = status if why == challenger.newer_versions else _with_newer(challenger, status)
    return ChallengerLine(challenger.name, challenger.version, role, None, status, waiting=why)
