"""All deployments in one list: where each challenger stands and what to do; what needs somebody is first."""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from shadow_deployment.context import DeploymentContext
from shadow_deployment.decision.words.finding import Outcome
from shadow_deployment.errors import ShadowError
from shadow_deployment.report.queries.pages import read_line
from shadow_deployment.report.status import Stage
from shadow_deployment.report.views import ChallengerLine, DeploymentView

_DECISION_WAITS: Final = 1  # of ChallengerStatus.urgency


@dataclass(frozen=True)
class AttentionLine:
    """One challenger of one deployment, or a deployment that cannot be read: then only `what_to_do` is known.

    `state` is its stage in words. `since` is the first day of its outcome, or the newest judged day where it is open.
    `urgency` is that of its status, 0 where the deployment cannot be read.
    """

    deployment: str
    owner: str | None
    urgency: int
    what_to_do: str
    state: str = "Cannot be read"
    champion: str | None = None
    challenger: str | None = None
    version: str | None = None
    stage: Stage | None = None
    outcome: Outcome | None = None
    since: dt.date | None = None

    @property
    def needs_somebody(self) -> bool:
        """Whether somebody is needed now, or a decision waits."""
        return self.urgency <= _DECISION_WAITS

    @property
    def content(self) -> dict[str, Any]:
        """The line as plain data: its day as text."""
        return asdict(self) | {"since": self.since and str(self.since), "needs_somebody": self.needs_somebody}


def attention(contexts: Iterable[DeploymentContext], broken: Mapping[str, str]) -> list[AttentionLine]:
    """Return a line for each challenger, deployments in the order of their most urgent one, then of their names.

    Args:
        contexts: The deployments.
        broken: Name and error of each whose file cannot be read.
    """
    found = [list(_of_deployment(context)) for context in contexts]
    found += [[AttentionLine(name, None, 0, error)] for name, error in broken.items()]
    ordered = sorted(found, key=lambda lines: (min(line.urgency for line in lines), lines[0].deployment))
    return [line for lines in ordered for line in lines]


def _of_deployment(context: DeploymentContext) -> Iterator[AttentionLine]:
    deployment = context.deployment
    try:
        with context.ledger() as session:
            view = read_line(session, deployment)
    except ShadowError as error:
        yield AttentionLine(deployment.name, deployment.owner, 0, str(error))
        return
    for line in view.challengers:
        yield _line(deployment.owner, view, line)


def _line(owner: str | None, view: DeploymentView, line: ChallengerLine) -> AttentionLine:
    return AttentionLine(
        deployment=view.name,
        owner=owner,
        urgency=line.status.urgency,
        what_to_do=view.next_step or line.status.action,
        state=line.status.label,
        champion=None if view.champion is None else f"{view.champion.name} {view.champion.version}",
        challenger=line.name,
        version=line.version,
        stage=line.status.stage,
        outcome=line.outcome,
        since=line.decided_on or line.day,
    )
