"""The approval of the promotion DAG: Airflow's own, which also keeps who has rejected."""

from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Context

ANSWER = "answer"


class PromotionApproval(ApprovalOperator):
    """Ask for an approval and push the answer to XCom under the key ANSWER, a rejection and a time-out too.

    Airflow's own operator skips what follows a rejection before it returns, so that its answer would be lost. The
    answer has `approved`, `by` (None where nobody answered in time), `at` (ISO 8601, UTC) and `reason`.
    """

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Push the answer, then go on as Airflow does."""
        if "error" not in event:
            user = event.get("responded_by_user") or {}
            answer = {
                "approved": self.APPROVE in event["chosen_options"],
                "by": user.get("name") or user.get("id"),
                "at": event["responded_at"].isoformat(),
                "reason": str((event.get("params_input") or {}).get("reason") or "").strip(),
            }
            context["ti"].xcom_push(key=ANSWER, value=answer)
        return super().execute_complete(context=context, event=event)
