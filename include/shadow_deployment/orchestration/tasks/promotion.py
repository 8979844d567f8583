"""The tasks of the promotion and rollback DAGs: the case, the promotion, the record of an answer, the way back.

This file is imported where DAGs are parsed, so the engine is imported inside the tasks.
"""

import datetime as dt
import logging
from collections.abc import Mapping
from typing import Any

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowSkipException

from shadow_deployment.errors import RegistryError
from shadow_deployment.orchestration import engine
from shadow_deployment.orchestration.alerts import promotion as announcements
from shadow_deployment.orchestration.tasks.approval import ANSWER

logger = logging.getLogger(__name__)


def prepare_request(name: str) -> dict[str, Any]:
    """Put the case together and keep that it is asked about; return it with the text of the question.

    A run that a PASS has started skips where the case is gone or was asked about before; one that somebody started
    fails with what stands in the way.
    """
    context = get_current_context()
    found, challenger = engine.run_context.context_of(name), _challenger(context)
    by_hand = not _events(context)
    try:
        question, proposal = engine.approval.request_approval(found, challenger, context["run_id"], by_hand=by_hand)
    except RegistryError as refused:
        if by_hand:
            raise
        raise AirflowSkipException(str(refused)) from refused
    announcements.asked(context, found, question)
    return {
        "challenger": challenger,
        "digest": question.case_digest,
        "subject": engine.approval_text.subject(found.deployment, proposal),
        "body": engine.approval_text.body(found.deployment, proposal),
    }


def promote(name: str, request: dict[str, Any], answer: dict[str, Any] | None = None) -> dict[str, Any]:
    """Promote what was approved, on the very case that was shown; without an answer it is approved by policy."""
    context = get_current_context()
    found = engine.run_context.context_of(name)
    question = engine.approval.approval_request_of(found, context["run_id"], request["digest"])
    if answer is None:
        by, at = engine.approval.BY_POLICY, question.asked_at
    else:
        by, at = str(answer["by"]), dt.datetime.fromisoformat(answer["at"])
    reason = _reason(context, answer) or f"PASS on {question.day}"
    made = engine.approval.approve(found, question, approved_by=by, reason=reason, at=at)
    return announcements.changed(context, found, made, question.day)


def record_answer(name: str, request: dict[str, Any] | None) -> str:
    """Keep that a question was rejected, or that nobody answered it; return what became of it.

    Raises RegistryError where it was approved and the promotion was not made.
    """
    if request is None:
        raise AirflowSkipException("nothing was asked")
    context = get_current_context()
    answer = context["ti"].xcom_pull(task_ids="approve", key=ANSWER)  # as an argument it would skip this task too
    if answer is None:
        raise RegistryError(f"the question about {request['challenger']} was not put: see the task approve")
    found = engine.run_context.context_of(name)
    question = engine.approval.approval_request_of(found, context["run_id"], request["digest"])
    if answer["approved"]:
        if question.answer != "approved":
            raise RegistryError(
                f"{answer['by']} approved {request['challenger']}, and it was not promoted: see promote"
            )
        return "approved"
    if answer["by"] is None:
        engine.approval.record_decision(found, question, "silence", None, "nobody answered in time")
    else:
        reason = _reason(context, answer) or "no reason was given"
        engine.approval.record_decision(found, question, "rejected", answer["by"], reason)
    engine.status.update_quietly(found)
    return "silence" if answer["by"] is None else "rejected"


def rollback(name: str) -> dict[str, Any]:
    """Put the former champion back: on the word of who has started the run, or on the case of a watched champion."""
    context = get_current_context()
    found = engine.run_context.context_of(name)
    params, event = context.get("params") or {}, _newest_event(context)
    if event is None:
        undoes = params.get("undoes") or engine.registry.promotion_to_undo(found).number
        by, reason = _starter(context), str(params.get("reason") or "").strip()
    else:
        undoes, by, reason = _regression(name, event)
    made = engine.registry.rollback(found, approved_by=by, reason=reason, undoes=undoes)
    undone = next(one for one in engine.registry.history(found) if one.number == made.undoes)
    return announcements.changed(context, found, made, undone.day or made.created_at.date())


def _regression(name: str, event: Mapping[str, Any]) -> tuple[int, str, str]:
    """Return what an automatic rollback takes back, by whom and why; skip where that is so no more."""
    day = dt.date.fromisoformat(event["day"])
    found = engine.watch.regression(engine.run_context.context_of(name, day), day)
    if found is None or found.promotion.number != event["promotion"]:
        raise AirflowSkipException(f"promotion {event['promotion']} stands: nothing speaks against it any more")
    return found.promotion.number, "policy: promotion.rollback is automatic", found.reason


def _challenger(context: Mapping[str, Any]) -> str:
    """Return the challenger that a run is about: the one that its form names, else the newest that has passed."""
    event, named = _newest_event(context), (context.get("params") or {}).get("challenger")
    if named:
        return str(named)
    if event is None:
        raise RegistryError("challenger is empty: choose in the form who is to be champion")
    return str(event["challenger"])


def _events(context: Mapping[str, Any]) -> list[Any]:
    found = context.get("triggering_asset_events") or {}
    return [event for events in found.values() for event in events]


def _newest_event(context: Mapping[str, Any]) -> dict[str, Any] | None:
    events = sorted(_events(context), key=lambda event: event.timestamp)
    return dict(events[-1].extra) if events else None


def _starter(context: Mapping[str, Any]) -> str:
    run: Any = context["dag_run"]
    return str(getattr(run, "triggering_user_name", None) or f"whoever started run {context['run_id']}")


def _reason(context: Mapping[str, Any], answer: Mapping[str, Any] | None) -> str:
    """Return why: what was said with the answer, else what the run's form says; it may be empty."""
    given = (answer or {}).get("reason") or (context.get("params") or {}).get("reason")
    return str(given or "").strip()
