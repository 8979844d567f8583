"""How a challenger stands, in one line: its verdict as a sentence, the days of evidence, and how many more it takes."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from shadow_deployment.base.numbers import quantity
from shadow_deployment.config.actions import FORMER_CHAMPION, PromotionPolicy
from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.config.policy import WEEK
from shadow_deployment.data.db import Session
from shadow_deployment.data.sampling import design, digest
from shadow_deployment.decision.finding import Finding, Outcome, findings_of
from shadow_deployment.decision.wording import name_of, reason_of
from shadow_deployment.ledger import page
from shadow_deployment.ledger.page import VerdictRow
from shadow_deployment.ledger.snapshots import Snapshot, snapshots
from shadow_deployment.report.views.facts import ChallengerLine, Role

_ORDER: Final[tuple[Outcome, ...]] = ("PASS", "FAIL", "INCONCLUSIVE")
CONTROL: Final = "is the champion against itself: it measures the noise of the whole pipe and is never promoted"


@dataclass(frozen=True)
class ChallengerSummary:
    """A deployment up to a day, before one challenger is looked at: its days, newest verdicts, and who there is."""

    taken: Sequence[Snapshot]
    judged: Mapping[str, VerdictRow]
    lines: tuple[ChallengerLine, ...]

    @property
    def until(self) -> dt.date | None:
        """The newest sampled day, None where there is none."""
        return self.taken[-1].day if self.taken else None


def standing(session: Session[Any], deployment: Deployment, day: dt.date | None) -> ChallengerSummary:
    """Return how every challenger stands on a day, None for the newest one."""
    judged, present = page.verdicts(session, deployment, day), digest(design(deployment))
    lines = tuple(line(one, judged.get(one.name), present) for one in everyone(deployment, judged))
    return ChallengerSummary(snapshots(session, deployment, None, day), judged, lines)


def line(challenger: Challenger, judged: VerdictRow | None, present: str) -> ChallengerLine:
    """Return how a challenger stands.

    `judged` is the newest verdict under its name, of whatever version and sampling design; `present` is the digest of
    the design that there is now.
    """
    role = role_of(challenger)
    if judged is None or (judged.version, judged.design) != (challenger.version, present):
        return _unjudged(challenger, role, judged)
    findings = findings_of(judged.findings)
    gates = [finding for finding in findings if finding.is_blocking]
    more, waiting = _waiting(judged, role, gates)
    weekly = judged.policy.get("unit") == "week"
    over_days = [one for one in gates if one.alpha_pass is not None]
    most = max(over_days or gates or findings, key=lambda one: one.observations, default=None)
    return ChallengerLine(
        name=challenger.name,
        version=challenger.version,
        role=role,
        outcome=judged.outcome,
        sentence=sentence(challenger, judged, gates),
        day=judged.day,
        decided_on=judged.decided_on,
        days=(most.observations if most else 0) * (WEEK if weekly and over_days else 1),
        requests=most.requests if most else 0,
        more_days=more,
        waiting=waiting,
    )


def role_of(challenger: Challenger) -> Role:
    """Return whether a challenger can be promoted, measures noise, or is a former champion that is watched."""
    if challenger.is_a_a_check:
        return "a_a_check"
    return "watched" if challenger.is_watched else "promotable"


def everyone(deployment: Deployment, judged: Mapping[str, VerdictRow]) -> list[Challenger]:
    """Return the challengers of the file, and the former champion where its newest verdict is as new as theirs."""
    found = list(deployment.challengers)
    former = judged.get(FORMER_CHAMPION)
    newest = max((one.day for name, one in judged.items() if name != FORMER_CHAMPION), default=None)
    if (
        former is not None
        and (newest is None or former.day >= newest)
        and all(one.name != FORMER_CHAMPION for one in found)
    ):
        found.append(Challenger(name=FORMER_CHAMPION, version=former.version, model=former.uri))
    return found


def first_to_look_at(lines: Sequence[ChallengerLine], *, closed: bool = False) -> ChallengerLine:
    """Return the challenger to show where none is named: promotable before others, PASS before FAIL before open.

    With `closed` it is one that closes the gate, where there is one: one that fails, or a former champion that passes.
    """

    def rank(one: ChallengerLine) -> tuple[bool, bool, int]:
        closes = one.outcome == {"promotable": "FAIL", "watched": "PASS"}.get(one.role)
        order = _ORDER.index(one.outcome) if one.outcome else len(_ORDER)
        return not (closed and closes), one.role != "promotable", order

    return min(lines, key=rank)


def sentence(challenger: Challenger, judged: VerdictRow, gates: Sequence[Finding]) -> str:
    """Return a verdict in one sentence, with its first reason where it is not PASS."""
    name, against = f"{judged.name} {judged.version}", f"champion {judged.champion_version}"
    if challenger.is_a_a_check:
        return f"{name} {CONTROL}."
    if judged.outcome == "PASS":
        since = f", first on {judged.decided_on}" if judged.decided_on and judged.decided_on < judged.day else ""
        passes = f"{name} passes {_counted(gates)} against {against}{since}"
        watched = ": the former champion is better than the one that followed it" if challenger.is_watched else ""
        return f"{passes}{watched}."
    if judged.outcome == "FAIL":
        failing = next((one for one in gates if one.outcome == "FAIL"), None)
        why = reason_of(failing) if failing else next(iter(judged.reasons), "")
        return f"{name} fails against {against}: {why}."
    barred = _barred(judged, gates)
    if barred:
        return f"{name} cannot pass against {against}: {barred[0]}."
    passed = sum(one.outcome == "PASS" for one in gates)
    return f"{name} is not decided against {against}: {passed} of {len(gates)} gates pass, {_open(gates)}."


def next_step(deployment: Deployment, shown: ChallengerLine) -> str:
    """Return what happens next for the challenger that is shown."""
    promotion = deployment.promotion
    if shown.outcome is None:
        return f"No verdict yet: {shown.waiting}."
    if shown.role == "a_a_check":
        return "Nothing: its verdict shows how much the numbers vary when there is no difference."
    if shown.role == "watched":
        back = "it comes back by itself" if promotion.rollback == "automatic" else "a rollback is to be considered"
        return f"On PASS {back}; else it is watched until {promotion.watch_days} days after the promotion."
    return _of_promotable(promotion, shown)


def _of_promotable(promotion: PromotionPolicy, shown: ChallengerLine) -> str:
    if shown.outcome == "PASS":
        return _after_pass(promotion)
    if shown.outcome == "FAIL":
        return "Mend the challenger and give it a new version: evidence then starts anew. The champion stays."
    if shown.waiting is not None:
        return f"Waiting does not decide it: {shown.waiting}."
    return f"Wait: about {quantity(shown.more_days or 0, 'more day')} like those so far would decide it."


def _after_pass(promotion: PromotionPolicy) -> str:
    if promotion.approval == "automatic":
        return "It is promoted by the policy, without being asked about."
    days = f" once it has passed on {promotion.consecutive} days in a row" if promotion.consecutive > 1 else ""
    return f"Somebody is asked to approve its promotion{days}; nothing is served before that."


def _unjudged(challenger: Challenger, role: Role, judged: VerdictRow | None) -> ChallengerLine:
    if judged is None:
        why = "it was never judged: unpause the DAG, or run a day"
    elif judged.version == challenger.version:
        why = f"the sampling design has changed since it was judged on {judged.day}, so evidence starts anew: run a day"
    else:
        why = f"version {challenger.version} was never judged, {judged.version} last on {judged.day}: run a day"
    name = f"{challenger.name} {challenger.version}"
    said = f"{name} {CONTROL}; {why}." if role == "a_a_check" else f"{name}: {why}."
    return ChallengerLine(challenger.name, challenger.version, role, None, said, None, None, 0, 0, None, why)


def _waiting(judged: VerdictRow, role: Role, gates: Sequence[Finding]) -> tuple[int | None, str | None]:
    """Return in how many days the last open gate would be decided, or why waiting decides nothing."""
    if judged.outcome != "INCONCLUSIVE":
        return None, None
    if role == "a_a_check":
        return None, "it is the A/A check, which is never promoted"
    barred = _barred(judged, gates)
    if barred:
        return None, barred[0]
    stuck = next((one for one in gates if one.outcome == "INCONCLUSIVE" and one.more_days is None), None)
    if stuck is not None:
        return None, reason_of(stuck)
    return max((one.more_days or 0 for one in gates if one.outcome == "INCONCLUSIVE"), default=0), None


def _barred(judged: VerdictRow, gates: Sequence[Finding]) -> list[str]:
    """Return the reasons that are no rule's: what stands in the way of a PASS whatever the evidence says."""
    of_rules = {reason_of(finding) for finding in gates}
    return [reason for reason in judged.reasons if reason not in of_rules]


def _open(gates: Sequence[Finding]) -> str:
    waiting = [one for one in gates if one.outcome == "INCONCLUSIVE"]
    stuck = next((one for one in waiting if one.more_days is None), None)
    if stuck is not None:
        return f"and waiting does not decide {name_of(stuck)}"
    more = max((one.more_days or 0 for one in waiting), default=0)
    return f"about {quantity(more, 'more day')} would decide the rest"


def _counted(gates: Sequence[Finding]) -> str:
    return "its gate" if len(gates) == 1 else f"all {len(gates)} gates"
