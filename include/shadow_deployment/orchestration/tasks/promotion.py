"""The tasks of the promotion and rollback DAGs: the approval request, the promotion, the answer, the rollback.

This file is imported where DAGs are parsed, so the engine is imported inside the tasks.
"""

import datetime as dt
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowSkipException

from shadow_deployment.errors import RegistryError
from shadow_deployment.orchestration import engine
from shadow_deployment.orchestration.alerts import promotion as announcements
from shadow_deployment.orchestration.run_origin import asset_events
from shadow_deployment.orchestration.tasks.approval import ANSWER
from shadow_deployment.orchestration.ui.links import challenger_page

if TYPE_CHECKING:
    from shadow_deployment.context import DeploymentContext

logger = logging.getLogger(__name__)
ANY = "the one that passes"
BY_HAND = "rolled back by hand"


def prepare_request(name: str) -> dict[str, Any]:
    """Record an approval request; return it with its text.

    A run that a PASS has started skips where there is nothing to request, or it was requested before; one that
    somebody started fails with what stands in the way.
    """
    run = get_current_context()
    context = engine.run_context.context_of(name)
    challenger = _challenger(run, context)
    by_hand = not asset_events(run)
    try:
        approval, proposal = engine.approval.request_approval(context, challenger, run["run_id"], by_hand=by_hand)
    except RegistryError as error:
        if by_hand:
            raise
        raise AirflowSkipException(str(error)) from error
    announcements.announce_request(run, context, approval)
    return {
        "challenger": challenger,
        "digest": approval.case_digest,
        "subject": engine.approval_text.subject(context.deployment, proposal),
        "body": engine.approval_text.body(context.deployment, proposal, challenger_page(name, challenger)),
    }


def promote(name: str, request: dict[str, Any], answer: dict[str, Any] | None = None) -> dict[str, Any]:
    """Promote what was approved, on the very case that was shown; without an answer it is approved by policy."""
    run = get_current_context()
    context = engine.run_context.context_of(name)
    approval = engine.approval.approval_request_of(context, run["run_id"], request["digest"])
    if answer is None:
        by, at = engine.registry.BY_POLICY, approval.asked_at
    else:
        by, at = str(answer["by"]), dt.datetime.fromisoformat(answer["at"])
    reason = _reason(run, answer) or f"PASS on {approval.day}"
    promotion = engine.approval.approve(context, approval, approved_by=by, reason=reason, at=at)
    return announcements.announce_change(run, context, promotion, approval.day)


def record_answer(name: str, request: dict[str, Any] | None) -> str:
    """Record that an approval request was rejected, or that nobody answered it; return which.

    Raises RegistryError where it was approved and the promotion was not made.
    """
    if request is None:
        raise AirflowSkipException("no approval was requested")
    run = get_current_context()
    answer = run["ti"].xcom_pull(task_ids="approve", key=ANSWER)  # as an argument it would skip this task too
    if answer is None:
        raise RegistryError(
            f"no approval request was created for {request['challenger']}; check the log of task 'approve'"
        )
    context = engine.run_context.context_of(name)
    approval = engine.approval.approval_request_of(context, run["run_id"], request["digest"])
    if answer["approved"]:
        if approval.answer != "approved":
            raise RegistryError(
                f"{answer['by']} approved {request['challenger']}, and it was not promoted: see promote"
            )
        return "approved"
    if answer["by"] is None:
        engine.approval.record_decision(context, approval, "silence", None, "nobody answered in time")
    else:
        reason = _reason(run, answer) or "no reason was given"
        engine.approval.record_decision(context, approval, "rejected", answer["by"], reason)
    engine.status.update_quietly(context)
    return "silence" if answer["by"] is None else "rejected"


def rollback(name: str) -> dict[str, Any]:
    """Put the former champion back: on the word of who has started the run, or on the case of a watched champion."""
    run = get_current_context()
    context = engine.run_context.context_of(name)
    params, event = run.get("params") or {}, _newest_event(run)
    if event is None:
        undoes = params.get("undoes") or engine.registry.promotion_to_undo(context).number
        by, reason = _starter(run), str(params.get("reason") or "").strip()
    else:
        undoes, by, reason = _regression(name, event)
    promotion = engine.registry.rollback(context, approved_by=by, reason=reason, undoes=undoes)
    undone = next(past for past in engine.registry.history(context) if past.number == promotion.undoes)
    return announcements.announce_change(run, context, promotion, undone.day or promotion.created_at.date())


def _regression(name: str, event: Mapping[str, Any]) -> tuple[int, str, str]:
    """Return what an automatic rollback takes back, by whom and why; skip where that is so no more."""
    day = dt.date.fromisoformat(event["day"])
    regression = engine.watch.regression(engine.run_context.context_of(name, day), day)
    if regression is None or regression.promotion.number != event["promotion"]:
        raise AirflowSkipException(f"promotion {event['promotion']} stands: nothing speaks against it any more")
    return regression.promotion.number, "policy: promotion.rollback is automatic", regression.reason


def _challenger(run: Mapping[str, Any], context: "DeploymentContext") -> str:
    """Return the challenger that a run is about: the one that its form names, else the newest that has passed."""
    event, named = _newest_event(run), (run.get("params") or {}).get("challenger")
    if named not in (None, ANY):
        return str(named)
    return engine.approval.only_passing(context) if event is None else str(event["challenger"])


def _newest_event(run: Mapping[str, Any]) -> dict[str, Any] | None:
    events = sorted(asset_events(run), key=lambda event: event.timestamp)
    return dict(events[-1].extra) if events else None


def _starter(run: Mapping[str, Any]) -> str:
    dag_run: Any = run["dag_run"]
    return str(getattr(dag_run, "triggering_user_name", None) or f"whoever started run {run['run_id']}")


def _reason(run: Mapping[str, Any], answer: Mapping[str, Any] | None) -> str:
    """Return why: the reason given with the answer, else what the run's form says; it may be empty."""
    given = (answer or {}).get("reason") or (run.get("params") or {}).get("reason")
    return str(given or "").strip()
