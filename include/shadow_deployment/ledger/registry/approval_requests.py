"""Approval requests in the ledger, and the decisions on them."""

import datetime as dt
from dataclasses import dataclass
from typing import Any, Literal

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.data.db import Session
from shadow_deployment.ledger.reading import read_row, read_rows, statement
from shadow_deployment.ledger.snapshots import deployment_id
from shadow_deployment.ledger.writing.rows import insert

Answer = Literal["approved", "rejected", "silence", "changed"]
LONGEST_WAIT = dt.timedelta(hours=24)  # response_hours is at most 23


@dataclass(frozen=True)
class ApprovalRequest:
    """An approval request and its decision, None while it is open."""

    id: int
    challenger: str
    version: str
    topic: str
    day: dt.date
    case_digest: str
    run_id: str
    asked_at: dt.datetime
    answer: Answer | None
    answered_by: str | None
    answered_at: dt.datetime | None
    reason: str | None

    @property
    def is_open(self) -> bool:
        """Whether somebody may still answer."""
        return self.answer is None and self.asked_at > dt.datetime.now(dt.UTC) - LONGEST_WAIT


@dataclass(frozen=True)
class Streak:
    """On how many consecutive judged days a challenger has passed on the same terms, and since when."""

    since: dt.date | None
    days: int


def ask(
    session: Session[Any],
    deployment: Deployment,
    *,
    challenger: int,
    topic: str,
    day: dt.date,
    case_digest: str,
    run_id: str,
) -> None:
    """Record an approval request; the same promotion request in the same run is recorded once. The caller commits."""
    row = {
        "deployment_id": deployment_id(session, deployment),
        "challenger_id": challenger,
        "terms_digest": topic,
        "day": day,
        "promotion_request_digest": case_digest,
        "run_id": run_id,
    }
    insert(session, "approval_request", row, once=True)


def answer(session: Session[Any], question: int, given: Answer, by: str | None, reason: str) -> None:
    """Record the decision on an approval request; the first one stands. The caller commits."""
    row = {"approval_request_id": question, "decision": given, "decided_by": by, "reason": reason}
    insert(session, "approval_decision", row, once=True)


def asked(session: Session[Any], deployment: Deployment) -> list[ApprovalRequest]:
    """Return every approval request of a deployment, in order."""
    return read_rows(session, ApprovalRequest, statement("approval_requests"), {"deployment": deployment.name})


def streak(session: Session[Any], challenger: int, day: dt.date) -> Streak:
    """Return since when a challenger has passed on every judged day up to this one, on the terms of this one."""
    values = {"challenger": challenger, "day": day}
    streak = read_row(session, Streak, statement("streak"), values)
    return streak or Streak(None, 0)
