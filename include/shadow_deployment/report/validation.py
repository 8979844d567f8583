"""What a validation report rests on: the page's view, and what those who sign need besides, read and verified anew."""

import datetime as dt
import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.policy import Policy
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.db import Session, clock
from shadow_deployment.errors import DeploymentError, ShadowError, SnapshotError
from shadow_deployment.ledger import trials
from shadow_deployment.ledger.audit import chain
from shadow_deployment.ledger.audit.chain import ChainHead
from shadow_deployment.ledger.checks import acknowledgements, replay_checks
from shadow_deployment.ledger.checks.acknowledgements import GivenAcknowledgement
from shadow_deployment.ledger.checks.replay_checks import ReplayTotals
from shadow_deployment.ledger.registry import approval_requests, promotions
from shadow_deployment.ledger.registry.approval_requests import ApprovalRequest
from shadow_deployment.ledger.registry.promotions import PromotionRecord
from shadow_deployment.ledger.snapshots import Snapshot
from shadow_deployment.ledger.trials import TrialRecord
from shadow_deployment.ledger.verdicts import StoredVerdict
from shadow_deployment.models.loading import model_digest
from shadow_deployment.pipeline.history.verify import Verification, verify
from shadow_deployment.pipeline.sample import files_of
from shadow_deployment.report.queries.pages import read_page
from shadow_deployment.report.queries.rules import policy_of
from shadow_deployment.report.views import ChallengerLine, DeploymentView, LabelDay

_PACKAGES = ("shadow-deployment", "apache-airflow", "numpy", "scipy", "pyarrow", "onnxruntime", "great-expectations")


@dataclass(frozen=True)
class StratumTotals:
    """What was drawn from one stratum over the days of evidence; probabilities are those of inclusion, of a day."""

    name: str
    population: int
    drawn: int
    least: float
    most: float


@dataclass(frozen=True)
class ValidationView:
    """One challenger as of one verdict, with all that the deployment's ledger holds about it.

    `page` is what its page shows. `strata` is empty where snapshots are no longer kept, and `strata_missing` then says
    so. `champion_digest` is of the champion's model file, None where the log alone knows it. `withdrawn` maps days to
    reasons. `versions` are of the software that wrote the report.
    """

    page: DeploymentView
    line: ChallengerLine
    verdict: StoredVerdict
    deployment: Deployment
    policy: Policy
    written_at: dt.datetime
    strata: Sequence[StratumTotals]
    strata_missing: str | None
    champion_digest: str | None
    replay_checks: ReplayTotals
    trials: Sequence[TrialRecord]
    promotions: Sequence[PromotionRecord]
    approvals: Sequence[ApprovalRequest]
    acknowledgements: Sequence[GivenAcknowledgement]
    withdrawn: Mapping[dt.date, str]
    verification: Verification
    head: ChainHead | None
    versions: Mapping[str, str]

    @property
    def counted_labels(self) -> list[LabelDay]:
        """The labels of the days of evidence."""
        days = {snapshot.day for snapshot in self.page.compared}
        return [label for label in self.page.labels if label.day in days]


def read_validation(
    context: DeploymentContext, challenger: str | None = None, day: dt.date | None = None
) -> ValidationView:
    """Verify the ledger, and return what a validation report says of one challenger, by default the one to look at.

    Raises:
        DeploymentError: The challenger is unknown, or was never judged in this version and sampling design.
    """
    verification = verify(context)
    with context.ledger() as session:
        page = read_page(session, context.deployment, challenger, day)
        line, verdict = page.challenger, page.verdict
        if line is None or verdict is None:
            reason = line.status.sentence if line else "it has no challenger"
            raise DeploymentError(f"deployment {context.deployment.name}: there is nothing to validate yet: {reason}")
        return _view(session, context, page, line, verdict, verification)


def _view(
    session: Session[Any],
    context: DeploymentContext,
    page: DeploymentView,
    line: ChallengerLine,
    verdict: StoredVerdict,
    verification: Verification,
) -> ValidationView:
    deployment = context.deployment
    strata, missing = _strata(context, page.compared)
    return ValidationView(
        page=page,
        line=line,
        verdict=verdict,
        deployment=deployment,
        policy=policy_of(verdict, deployment.policy),
        written_at=clock(session),
        strata=strata,
        strata_missing=missing,
        champion_digest=_champion_digest(deployment, page),
        replay_checks=replay_checks.totals(session, page.compared),
        trials=trials.trials(session, deployment),
        promotions=promotions.history(session, deployment),
        approvals=approval_requests.asked(session, deployment),
        acknowledgements=acknowledgements.given(session, deployment),
        withdrawn=trials.withdrawn(session, deployment),
        verification=verification,
        head=chain.head(session, deployment),
        versions=_versions(session),
    )


def _strata(context: DeploymentContext, compared: Sequence[Snapshot]) -> tuple[list[StratumTotals], str | None]:
    """Return what was drawn from each stratum, added up over days; or why that is not known."""
    totals: dict[str, StratumTotals] = {}
    try:
        for snapshot in compared:
            for draw in files_of(context, snapshot).strata:
                before = totals.get(draw.stratum, StratumTotals(draw.stratum, 0, 0, 1.0, 0.0))
                totals[draw.stratum] = StratumTotals(
                    draw.stratum,
                    before.population + draw.population,
                    before.drawn + draw.size,
                    min(before.least, draw.probability),
                    max(before.most, draw.probability),
                )
    except SnapshotError as error:
        return [], f"The inclusion probabilities by stratum cannot be read: {error}"
    return sorted(totals.values(), key=lambda each: each.name), None


def _champion_digest(deployment: Deployment, page: DeploymentView) -> str | None:
    """Return the digest of the champion's model: of its promotion, else of the file that the deployment names."""
    if page.champion is not None and page.champion.digest:
        return page.champion.digest
    if deployment.champion is None:
        return None
    with suppress(ShadowError):
        return model_digest(deployment.champion.as_challenger)
    return None


def _versions(session: Session[Any]) -> dict[str, str]:
    ((postgres,),) = session.execute("SHOW server_version").fetchall()
    versions = {"Python": platform.python_version(), "PostgreSQL": str(postgres)}
    for name in _PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions
