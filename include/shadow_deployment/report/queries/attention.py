"""All deployments in one list: each challenger's outcome, since when, and what to do; what needs somebody is first."""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.db import Session
from shadow_deployment.decision.words.finding import Outcome
from shadow_deployment.errors import ShadowError
from shadow_deployment.ledger.registry import approval_requests, promotions
from shadow_deployment.report.queries.next_step import next_step
from shadow_deployment.report.queries.pages import read_line
from shadow_deployment.report.views import ChallengerLine, DeploymentView, Role


@dataclass(frozen=True)
class AttentionLine:
    """One challenger of one deployment, or a deployment that cannot be read: then only `what_to_do` is known.

    `needs_somebody`: an approval is open or due, a former champion is better, the A/A check decides what it must not,
    or the deployment is broken. `since` is the first day of the outcome, or the newest judged day where it is open.
    """

    deployment: str
    owner: str | None
    champion: str | None
    challenger: str | None
    version: str | None
    role: Role | None
    outcome: Outcome | None
    since: dt.date | None
    needs_somebody: bool
    what_to_do: str

    @property
    def content(self) -> dict[str, Any]:
        """The line as plain data: its day as text."""
        return asdict(self) | {"since": self.since and str(self.since)}


def attention(contexts: Iterable[DeploymentContext], broken: Mapping[str, str]) -> list[AttentionLine]:
    """Return a line for each challenger; deployments that need somebody come first, then by name.

    Args:
        contexts: The deployments.
        broken: Name and error of each whose file cannot be read.
    """
    found = [list(_of_deployment(context)) for context in contexts]
    found += [[_broken(name, None, error)] for name, error in broken.items()]
    ordered = sorted(found, key=lambda lines: (not any(line.needs_somebody for line in lines), lines[0].deployment))
    return [line for lines in ordered for line in lines]


def _of_deployment(context: DeploymentContext) -> Iterator[AttentionLine]:
    deployment = context.deployment
    try:
        with context.ledger() as session:
            view = _view(session, deployment)
    except ShadowError as error:
        yield _broken(deployment.name, deployment.owner, str(error))
        return
    for line in view.challengers:
        yield AttentionLine(
            deployment=deployment.name,
            owner=deployment.owner,
            champion=None if view.champion is None else f"{view.champion.name} {view.champion.version}",
            challenger=line.name,
            version=line.version,
            role=line.role,
            outcome=line.outcome,
            since=line.decided_on or line.day,
            needs_somebody=_needs_somebody(view, line),
            what_to_do=view.next_step or next_step(view, line, deployment.promotion),
        )


def _view(session: Session[Any], deployment: Deployment) -> DeploymentView:
    """Return a deployment with what next steps depend on."""
    return replace(
        read_line(session, deployment),
        promotions=tuple(promotions.history(session, deployment)),
        approvals=tuple(approval_requests.asked(session, deployment)),
    )


def _broken(name: str, owner: str | None, error: str) -> AttentionLine:
    return AttentionLine(name, owner, None, None, None, None, None, None, needs_somebody=True, what_to_do=error)


def _needs_somebody(view: DeploymentView, line: ChallengerLine) -> bool:
    if line.role == "a_a_check":
        return line.outcome in ("PASS", "FAIL")
    if line.role == "watched":
        return line.outcome == "PASS"
    model = (line.name, line.version)
    if line.outcome != "PASS" or (view.champion and (view.champion.name, view.champion.version) == model):
        return False
    answers = [request.answer for request in view.approvals if (request.challenger, request.version) == model]
    return not answers or answers[-1] not in ("rejected", "silence")
