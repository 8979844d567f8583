"""Where a challenger stands: read off its newest verdict, the promotions, and what production serves."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from shadow_deployment.base.numbers import quantity
from shadow_deployment.config.actions import PromotionPolicy
from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.config.policy import COMPARING, FEWEST_WEEKS, WEEK
from shadow_deployment.config.window import day_after
from shadow_deployment.data.db import Session
from shadow_deployment.decision.words.finding import Finding
from shadow_deployment.decision.words.wording import name_of, reason_of
from shadow_deployment.ledger.checks.acknowledgements import REGRESSION, acknowledgements
from shadow_deployment.ledger.labels import maturity_of
from shadow_deployment.ledger.registry import approval_requests, promotions
from shadow_deployment.ledger.registry.approval_requests import ApprovalRequest
from shadow_deployment.ledger.registry.promotions import CurrentChampion, PromotionRecord
from shadow_deployment.ledger.registry.serving import ServedDay, served_day
from shadow_deployment.ledger.verdicts import StoredVerdict
from shadow_deployment.report.status import ChallengerStatus
from shadow_deployment.report.wording import moment

A_A_CHECK: Final = "is the champion against itself: it measures the noise of the pipeline and is never promoted"


@dataclass(frozen=True)
class StatusFacts:
    """What a status depends on beside verdicts: promotions, what production serves, and when labels are complete.

    `is_acknowledged`: somebody has looked into a former champion that is better, since the newest promotion.
    """

    policy: PromotionPolicy
    champion: CurrentChampion | None
    history: Sequence[PromotionRecord]
    approvals: Sequence[ApprovalRequest]
    served: ServedDay | None
    is_acknowledged: bool = False
    maturity: dt.timedelta = dt.timedelta(0)
    end: dt.date | None = None

    def wait(self, what: str, expected: dt.date) -> str:
        """Return what to do about something expected on a day: wait, unless the deployment ends before that day."""
        if self.end is None or expected <= self.end:
            return f"Wait: {what} about {expected}."
        return f"Set a later end than {self.end}, or none: {what} about {expected}, when no day is run any more."

    @property
    def is_served(self) -> bool:
        """Whether nothing shows that production serves another model than the newest promotion says."""
        return self.served is None or not self.served.others

    def is_champion(self, model: tuple[str, str]) -> bool:
        """Whether a promotion has made this model champion, given by name and version."""
        return self.champion is not None and (self.champion.name, self.champion.version) == model


def status_facts(session: Session[Any], deployment: Deployment, former: StoredVerdict | None) -> StatusFacts:
    """Return what is known of a deployment's promotions; `former` is the newest verdict on a former champion."""
    history = promotions.history(session, deployment)
    known = acknowledgements(session, former.challenger_id).get(REGRESSION) if former and history else None
    return StatusFacts(
        deployment.promotion,
        history[-1].champion if history else None,
        history,
        approval_requests.asked(session, deployment),
        served_day(session, deployment, history),
        is_acknowledged=known is not None and known.at >= history[-1].created_at,
        maturity=maturity_of(deployment),
        end=deployment.end and day_after(deployment, deployment.end) - dt.timedelta(days=1),
    )


def status_of(
    challenger: Challenger, judged: StoredVerdict, blocking: Sequence[Finding], facts: StatusFacts
) -> ChallengerStatus:
    """Return where a challenger stands by its newest verdict, whose blocking findings are given."""
    if challenger.is_a_a_check:
        return _of_a_a_check(judged, blocking)
    if challenger.is_watched:
        return _of_watched(judged, blocking, facts)
    if facts.is_champion((judged.name, judged.version)):
        return _of_champion(judged, facts)
    if judged.outcome == "PASS":
        newest = _newest_request(judged, facts)
        waiting = newest.run_id if newest is not None and newest.is_open else None
        return ChallengerStatus(
            "ready", passes(judged, blocking), _after_pass(judged, newest, facts), approval_run=waiting
        )
    if judged.outcome == "FAIL":
        return _failed(judged, blocking)
    return _undecided(judged, blocking, facts)


def not_started(challenger: Challenger, why: str) -> ChallengerStatus:
    """Return the status of a challenger without a verdict on its present version and sampling design."""
    name = f"{challenger.name} {challenger.version}"
    sentence = f"{name} {A_A_CHECK}; {why}." if challenger.is_a_a_check else f"{name}: {why}."
    return ChallengerStatus("not_started", sentence, f"No verdict yet: {why}.")


def passes(judged: StoredVerdict, blocking: Sequence[Finding]) -> str:
    """Return a PASS in one sentence."""
    since = f", first on {judged.decided_on}" if judged.decided_on and judged.decided_on < judged.day else ""
    rules = "its blocking rule" if len(blocking) == 1 else f"all {len(blocking)} blocking rules"
    return f"{judged.name} {judged.version} passes {rules} against {judged.champion}{since}."


def barred(judged: StoredVerdict, blocking: Sequence[Finding]) -> list[str]:
    """Return the reasons that are no rule's: what stands in the way of a PASS whatever the evidence says."""
    of_rules = {reason_of(finding) for finding in blocking}
    return [reason for reason in judged.reasons if reason not in of_rules]


def waiting_for(judged: StoredVerdict, blocking: Sequence[Finding]) -> tuple[int | None, str | None]:
    """Return in how many days the last open rule would be decided, or why waiting decides nothing."""
    if judged.outcome != "INCONCLUSIVE":
        return None, None
    reasons = barred(judged, blocking)
    if reasons:
        return None, reasons[0]
    stuck, more = _open(blocking)
    return (more, None) if stuck is None else (None, reason_of(stuck))


def _of_a_a_check(judged: StoredVerdict, blocking: Sequence[Finding]) -> ChallengerStatus:
    name = f"{judged.name} {judged.version}"
    differs = next((each for each in blocking if each.is_ in COMPARING and _excludes_zero(each)), None)
    fails = next((each for each in blocking if each.outcome == "FAIL"), differs)
    if fails is None:
        action = "Nothing: its numbers show how much the others vary where there is no difference."
        return ChallengerStatus("as_expected", f"{name} {A_A_CHECK}.", action)
    sentence = f"{name} is the champion against itself, and differs from it: {reason_of(fails)}."
    return ChallengerStatus("a_a_alarm", sentence, "Trust no verdict before it is found out what makes the two differ.")


def _excludes_zero(finding: Finding) -> bool:
    return (finding.lower is not None and finding.lower > 0) or (finding.upper is not None and finding.upper < 0)


def _of_watched(judged: StoredVerdict, blocking: Sequence[Finding], facts: StatusFacts) -> ChallengerStatus:
    name, automatic = f"{judged.name} {judged.version}", facts.policy.rollback == "automatic"
    if not facts.is_served:
        sentence = f"{name} cannot be compared with its successor yet: {facts.served}."
        return ChallengerStatus("watching", sentence, "Let production serve the champion.", "not served yet")
    if judged.outcome == "PASS":
        sentence = f"{passes(judged, blocking)[:-1]}: the former champion is better than the one that followed it."
        action = "It comes back by itself." if automatic else "Roll back, or acknowledge it and say why."
        if facts.is_acknowledged:
            return ChallengerStatus("watching", sentence, "Nothing: it is acknowledged.", "a regression, acknowledged")
        return ChallengerStatus("regression", sentence, action)
    newest = facts.history[-1] if facts.history else None
    began = newest and (newest.day or newest.created_at.date())
    detail = f"day {(judged.day - began).days} of {facts.policy.watch_days}" if began else ""
    sentence = f"{name}, the former champion, is not better than its successor by every rule."
    back = "it comes back by itself" if automatic else "a rollback is to be considered"
    action = f"On PASS {back}; it is watched until {facts.policy.watch_days} days after the promotion."
    return ChallengerStatus("watching", sentence, action, detail)


def _of_champion(judged: StoredVerdict, facts: StatusFacts) -> ChallengerStatus:
    name = f"{judged.name} {judged.version}"
    if not facts.is_served:
        action = "Let production serve it, as the view shadow.champion says, or roll back."
        return ChallengerStatus("promoted_not_served", f"{name} was {facts.served}.", action)
    if facts.served is None:
        sentence = f"{name} was promoted; no day has been sampled yet that began after that."
        action = "Let production serve it; the next sampled days show whether it does."
        return ChallengerStatus("champion", sentence, action)
    count = facts.served.requests
    sentence = f"{name} is champion, and production serves it: {count} of {count} requests on {facts.served.day}."
    return ChallengerStatus("champion", sentence, "Nothing: it is champion already.")


def _failed(judged: StoredVerdict, blocking: Sequence[Finding]) -> ChallengerStatus:
    failing = next((finding for finding in blocking if finding.outcome == "FAIL"), None)
    why = reason_of(failing) if failing else next(iter(judged.reasons), "")
    first = judged.decided_on or judged.day
    since = f" since {first}" if first < judged.day else ""
    ends = judged.policy.get("after_fail", "conclude") == "conclude"
    return ChallengerStatus(
        "failed",
        f"{judged.name} {judged.version} fails against {judged.champion}{since}: {why}.",
        "Fix the challenger and give it a new version: that opens another trial. The champion stays.",
        f"concluded on {first}" if ends else f"since {first}",
    )


def _undecided(judged: StoredVerdict, blocking: Sequence[Finding], facts: StatusFacts) -> ChallengerStatus:
    name, against = f"{judged.name} {judged.version}", judged.champion
    reasons = barred(judged, blocking)
    if reasons:
        sentence = f"{name} cannot pass against {against}: {reasons[0]}."
        return ChallengerStatus("broken", sentence, "Somebody has to mend this: waiting does not.")
    young = [finding for finding in blocking if _is_young(finding, judged)]
    if young:
        return _collecting(judged, young, facts)
    passed = sum(finding.outcome == "PASS" for finding in blocking)
    rules = f"{passed} of {quantity(len(blocking), 'blocking rule')} passed"
    undecided = f"{name} is not decided against {against}: {rules}"
    stuck, more = _open(blocking)
    futile = next((finding for finding in blocking if finding.is_futile), None)
    if futile is not None:
        sentence = f"{name} does not differ enough from {against}: {reason_of(futile)}."
        return ChallengerStatus("no_difference", sentence, "Keep the champion, or weigh up a margin that is enough.")
    if stuck is not None:
        sentence = f"{undecided}, and waiting does not decide {name_of(stuck)}."
        return ChallengerStatus("undecided", sentence, f"Waiting does not decide it: {reason_of(stuck)}.")
    wait = quantity(more, "more day")
    sentence = f"{undecided}, about {wait} would decide the rest."
    action = facts.wait(f"about {wait} like those so far would decide it, to", judged.day + dt.timedelta(days=more))
    return ChallengerStatus("undecided", sentence, action, f"about {wait}")


def _is_young(finding: Finding, judged: StoredVerdict) -> bool:
    """Whether a rule is open because there are not yet the days that its first interval takes."""
    days = finding.observations * _days_of(judged)
    is_of_days = finding.alpha_pass is not None or not finding.observations
    return finding.outcome == "INCONCLUSIVE" and is_of_days and days < _needed(judged)


def _days_of(judged: StoredVerdict) -> int:
    """Return how many days an observation has."""
    return WEEK if judged.policy.get("unit") == "week" else 1


def _needed(judged: StoredVerdict) -> int:
    """Return how many days its first interval takes."""
    return max(int(judged.policy.get("burn_in", 0)), FEWEST_WEEKS * WEEK if _days_of(judged) == WEEK else 0)


def _collecting(judged: StoredVerdict, young: Sequence[Finding], facts: StatusFacts) -> ChallengerStatus:
    """Return the status before the first interval: how many of the days there are, and when a verdict may come."""
    needed, waiting = _needed(judged), int(judged.days.get("waiting", 0))
    counted, period = min(finding.observations for finding in young) * _days_of(judged), judged.period
    expected, length = judged.day + dt.timedelta(days=needed - counted), WEEK if period == "week" else 1
    labels = f"; {quantity(waiting, period)} more {'waits' if waiting == 1 else 'wait'} for labels" if waiting else ""
    if waiting and not counted:
        complete = judged.day - dt.timedelta(days=(waiting - 1) * length - (length - 1)) + facts.maturity
        labels = f"; its first {period}'s labels are complete about {complete}"
    counted, needed = counted // length, -(-needed // length)
    return ChallengerStatus(
        "collecting",
        f"{judged.name} {judged.version} has {counted} of the {needed} {period}s before the first interval against "
        f"{judged.champion}{labels}.",
        facts.wait("the first interval is expected", expected),
        f"{period} {counted} of {needed}",
    )


def _open(blocking: Sequence[Finding]) -> tuple[Finding | None, int]:
    """Return the first open finding that waiting does not decide, and in how many days the last one would be."""
    undecided = [finding for finding in blocking if finding.outcome == "INCONCLUSIVE"]
    stuck = next((finding for finding in undecided if finding.more_days is None), None)
    return stuck, max((finding.more_days or 0 for finding in undecided), default=0)


def _newest_request(judged: StoredVerdict, facts: StatusFacts) -> ApprovalRequest | None:
    model = (judged.name, judged.version)
    requests = [request for request in facts.approvals if (request.challenger, request.version) == model]
    return max(requests, key=lambda request: request.asked_at, default=None)


def _after_pass(judged: StoredVerdict, newest: ApprovalRequest | None, facts: StatusFacts) -> str:
    model, policy = (judged.name, judged.version), facts.policy
    for record in reversed(facts.history):
        if record.kind != "rollback" and (record.name, record.version) == model and record.undone_by:
            taken_back = f"Promotion {record.number} of it was rolled back by {record.undone_by}"
            return f"{taken_back}: approval is requested by hand only."
    if newest is not None:
        return _answered(newest)
    if policy.approval == "automatic":
        return "It is promoted by the policy, without being asked about."
    days = f" once it has passed on {policy.consecutive} {judged.period}s in a row" if policy.consecutive > 1 else ""
    return f"Somebody is asked to approve its promotion{days}; nothing is served before that."


def _answered(request: ApprovalRequest) -> str:
    requested = f"Approval of its promotion was requested on {moment(request.asked_at)}"
    who = f" by {request.answered_by}" if request.answered_by else ""
    why = f": {request.reason}" if request.reason else ""
    return {
        None: f"{requested}, and nobody has answered {'yet' if request.is_open else 'in time'}.",
        "approved": f"{requested} and given{who}{why}.",
        "rejected": f"{requested} and rejected{who}{why}; it is requested again once the promotion request changes.",
        "silence": f"{requested}, and nobody answered in time; it is requested again some days later.",
        "changed": f"{requested} and given{who}, but the promotion request had changed by then: it is requested anew.",
    }[request.answer]
