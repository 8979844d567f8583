"""What the MCP server answers, as plain data: the queries of the page and of the command line, read only.

A docstring here is what a client is shown of a tool. Nothing is answered of a single request; see `redaction`.
"""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import Field

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.policy import COMPARING
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.db import Session
from shadow_deployment.errors import DeploymentError
from shadow_deployment.ledger import trials as ledger_trials
from shadow_deployment.pipeline.history import planning
from shadow_deployment.report import text
from shadow_deployment.report.queries import days
from shadow_deployment.report.queries.overview import overview
from shadow_deployment.report.queries.pages import reading
from shadow_deployment.report.queries.why_not import why_not

Name = Annotated[str, Field(description="A deployment's name, as `deployments` lists it.")]
ChallengerName = Annotated[str, Field(description="A challenger's name, as `deployments` lists it.")]
Who = Annotated[str | None, Field(description="One challenger; by default all that can be promoted.")]
AsOf = Annotated[dt.date | None, Field(description="The newest verdict up to this day; by default the newest one.")]
Effect = Annotated[float, Field(gt=0, allow_inf_nan=False, description="Distance from the bound, in a rule's unit.")]
LastDays = Annotated[int, Field(ge=1, le=400, description="So many of the newest days with evidence.")]


@dataclass(frozen=True)
class Answers:
    """The tools; each one opens its ledger for one read-only transaction.

    `open_deployment` returns a deployment of a name with its connections, or raises DeploymentError. `every` returns
    all of them, and name and error of each whose file cannot be read.
    """

    open_deployment: Callable[[str], DeploymentContext]
    every: Callable[[], tuple[list[DeploymentContext], dict[str, str]]]

    @property
    def tools(self) -> tuple[Callable[..., dict[str, Any]], ...]:
        """All of them, in the order in which they are listed."""
        return (
            *(self.deployments, self.verdict, self.why_not, self.explain),
            *(self.evidence, self.calendar, self.trials, self.plan),
        )

    def deployments(self) -> dict[str, Any]:
        """List every deployment and challenger: state, what to do, champion, and whether somebody is needed."""
        return {"deployments": overview(*self.every()).rows}

    def verdict(self, deployment: Name, as_of: AsOf = None) -> dict[str, Any]:
        """Show each challenger's newest verdict (PASS, FAIL or INCONCLUSIVE) with its findings, reasons and warnings.

        A finding's interval holds at all looks. Of superior, non_inferior, equivalent and guardrail, estimates are the
        champion's loss minus the challenger's: above 0 the challenger is better.
        """
        with self._ledger(deployment) as (session, declared):
            return text.verdicts(session, declared, as_of)

    def why_not(self, deployment: Name, challenger: ChallengerName, as_of: AsOf = None) -> dict[str, Any]:
        """Say why a challenger does not pass: what bars it, which rules are open or failed, what would decide each.

        `barred` needs somebody, waiting does not remove it. `more_days` is the forecast for the last open rule.
        """
        with self._ledger(deployment) as (session, declared):
            return why_not(session, declared, challenger, as_of)

    def explain(self, deployment: Name, challenger: ChallengerName, as_of: AsOf = None) -> dict[str, Any]:
        """Explain a challenger's newest verdict as a text: what was compared, rules, slices, what would change it."""
        with self._ledger(deployment) as (session, declared):
            stored = text.explained(session, declared, challenger, as_of)
        names = {"deployment": deployment, "challenger": stored.name, "version": stored.version}
        return names | {"day": stored.day, "outcome": stored.outcome, "explanation": stored.explanation}

    def evidence(
        self,
        deployment: Name,
        challenger: ChallengerName,
        metric: Annotated[str | None, Field(description="One metric; by default those that rules compare.")] = None,
        of_slice: Annotated[str, Field(description="all, or a slice as COLUMN=VALUE.")] = "all",
        last_days: LastDays = 28,
    ) -> dict[str, Any]:
        """Show the evidence by day: weighted means of champion and challenger, and of their difference as losses.

        Means over fewer than 10 requests are withheld. `slices` lists the slices that have evidence.
        """
        with self._ledger(deployment) as (session, declared):
            metrics = _metrics(declared, metric)
            rows = list(text.evidence(session, declared, challenger, metrics))
        newest = set(sorted({row["day"] for row in rows})[-last_days:])
        shown = [row for row in rows if row["slice"] == of_slice and row["day"] in newest]
        slices = sorted({row["slice"] for row in rows})
        if rows and of_slice not in slices:
            raise DeploymentError(f"of_slice == {of_slice!r}, must be one of {', '.join(slices)}")
        return {"deployment": deployment, "slices": slices, "rows": shown}

    def calendar(self, deployment: Name, challenger: ChallengerName, as_of: AsOf = None) -> dict[str, Any]:
        """Show what became of each day of a challenger's trial: compared, replayed, not run, withdrawn, and so on.

        A day counts for metrics that need labels where `labels_count` is true and was so of all days before it.
        """
        with self._ledger(deployment) as (session, declared):
            return days.calendar(session, declared, challenger, as_of)

    def trials(self, deployment: Name) -> dict[str, Any]:
        """List every trial that was ever opened: of which model, why, its batch and alpha, and its newest verdict."""
        with self._ledger(deployment) as (session, declared):
            records = ledger_trials.trials(session, declared)
        # The terms hold the key that decides which requests are drawn.
        return {"trials": [{key: value for key, value in vars(each).items() if key != "terms"} for each in records]}

    def plan(self, deployment: Name, effect: Effect, challenger: Who = None) -> dict[str, Any]:
        """Forecast in how many days an effect of this size beyond a rule's bound would be decided, rule by rule."""
        with self._ledger(deployment) as (session, declared):
            next_alpha = ledger_trials.alpha_of_next(session, declared)
            planned = planning.plans(session, declared, effect, challenger)
        shown = {who: [rule.to_json() for rule in rules] for who, rules in planned.items()}
        return {"next_alpha": next_alpha, "challengers": shown}

    @contextmanager
    def _ledger(self, name: str) -> Iterator[tuple[Session[Any], Deployment]]:
        context = self.open_deployment(name)
        with reading(context) as session:
            yield session, context.deployment


def _metrics(deployment: Deployment, metric: str | None) -> list[str]:
    """Return the metrics to show: that of a name, or those on which rules compare."""
    if metric is None:
        return [rule.metric for rule in deployment.policy.rules if rule.is_ in COMPARING] or list(deployment.tracked)
    if metric not in deployment.tracked:
        allowed = ", ".join(deployment.tracked)
        raise DeploymentError(f"deployment {deployment.name}: metric == {metric!r}, must be one of {allowed}")
    return [metric]
