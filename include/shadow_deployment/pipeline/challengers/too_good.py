"""What is too good to be true of a challenger: found in the ledger, blocked or acknowledged. The rules: decision."""

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final

from shadow_deployment.config.deployment import Challenger, Deployment
from shadow_deployment.context import DeploymentContext
from shadow_deployment.data.db import Session
from shadow_deployment.decision import calendar
from shadow_deployment.decision.safeguards.too_good import EVIDENCE, Alarm, alarms, area_under_curve, settle
from shadow_deployment.decision.series import Evidence, gather
from shadow_deployment.errors import DeploymentError
from shadow_deployment.ledger import series, verdicts
from shadow_deployment.ledger.batches.histograms import labelled_bins
from shadow_deployment.ledger.batches.same_predictions import shares
from shadow_deployment.ledger.checks.acknowledgements import REGRESSION, acknowledgements
from shadow_deployment.ledger.checks.acknowledgements import acknowledge as store
from shadow_deployment.metrics.catalog import metrics_of
from shadow_deployment.pipeline.challengers.basis import Basis, basis_of, evidence_rows
from shadow_deployment.pipeline.challengers.former_champion import with_former_champion
from shadow_deployment.pipeline.challengers.identities import challenger_key

DAYS_OF_PREDICTIONS: Final = 3  # the newest, on which challengers are compared with each other


def doubts(
    session: Session[Any],
    deployment: Deployment,
    challenger: Challenger,
    key: int,
    basis: Basis,
    rows: Sequence[int],
    evidence: Evidence,
) -> tuple[list[str], list[str]]:
    """Return what blocks a challenger's PASS, and warnings where a person has acknowledged it.

    `key` is the ledger's key of the challenger's model, `rows` are those of its evidence on all days that are shown, of
    which `evidence` has been read.
    """
    command = f"shadow acknowledge {deployment.name} --challenger {challenger.name} --reason WHY"
    alarms_raised = raised(session, deployment, challenger, key, basis, rows, evidence)
    return settle(alarms_raised, acknowledgements(session, key), command=command)


def raised(
    session: Session[Any],
    deployment: Deployment,
    challenger: Challenger,
    key: int,
    basis: Basis,
    rows: Sequence[int],
    evidence: Evidence,
) -> Sequence[Alarm]:
    """Return the alarms of a challenger, acknowledged or not; an A/A check has none. Arguments as for `doubts`."""
    if challenger.is_a_a_check or not basis.shown:
        return []
    evidence = _completed(session, deployment, rows, evidence)
    labels_count = calendar.in_order(basis.mature)
    mature = [each.id for each in basis.shown if labels_count[each.day]]
    auc: dict[str, float] = {}
    if deployment.task == "binary":
        bins = labelled_bins(session, key, mature, basis.champion_version)
        auc = {model: area_under_curve(of_model) for model, of_model in bins.items()}
    others = [each for each in deployment.challengers if each.name != challenger.name and not each.is_a_a_check]
    shared = shares(session, deployment, key, others, basis.shown[-DAYS_OF_PREDICTIONS:])
    return list(alarms(deployment.policy, evidence, auc=auc, shared=shared, live_from=basis.live_from))


def _completed(session: Session[Any], deployment: Deployment, rows: Sequence[int], evidence: Evidence) -> Evidence:
    """Return evidence with the metrics of EVIDENCE that it has not, on all requests."""
    known = {metric for metric, _ in evidence}
    missing = [name for name in metrics_of(deployment.task) if name in EVIDENCE - known]
    if not missing:
        return evidence
    return {**evidence, **gather(series.read(session, rows, metrics=missing, squares=False, every_slice=False))}


def acknowledge(context: DeploymentContext, name: str, *, by: str, reason: str) -> tuple[dt.date, Sequence[Alarm]]:
    """Keep that a person has looked into what is too good of a challenger, as on the day of its newest verdict.

    Returns:
        That day, which has to be judged again, and the alarms that were open.

    Raises:
        DeploymentError: The challenger is not declared, was never judged, or no alarm of it is open.
        ModelError: Its model is missing.
    """
    with context.ledger() as session:
        judged = verdicts.latest(session, context.deployment).get(name)
        if judged is not None:
            context = with_former_champion(context, judged.day)
        deployment, challenger = context.deployment, context.deployment.challenger(name)
        if judged is None:
            raise DeploymentError(f"deployment {deployment.name}: challenger == {name!r}, was never judged: run a day")
        key = challenger_key(context, session, challenger)
        known = acknowledgements(session, key)
        basis = basis_of(session, deployment, challenger, key, judged.day)
        rows = evidence_rows(session, key, basis, basis.shown)
        alarms_raised = raised(session, deployment, challenger, key, basis, rows, {})
        open_alarms = [alarm for alarm in alarms_raised if alarm.kind not in known]
        if challenger.is_watched and judged.outcome == "PASS":
            open_alarms.append(Alarm(REGRESSION, f"{name} is better than its successor, {judged.champion}"))
        if not open_alarms:
            raise DeploymentError(
                f"deployment {deployment.name}: challenger == {name!r}, has no alarm to acknowledge on {judged.day}"
            )
        store(session, key, [alarm.kind for alarm in open_alarms], by=by, reason=reason)
    return judged.day, open_alarms
