"""The DAGs of promotion: shadow_<name>_promotion requests approval and promotes, shadow_<name>_rollback undoes it.

A PASS starts the first by its asset, or somebody does by hand; it is a DAG of its own because a request that waits
for its answer would hold up the next day. The second is started by hand, and by a former champion that turns out
better where the deployment says so.
"""

import datetime as dt
from typing import Any

from airflow.sdk import DAG, Param, TriggerRule, XComArg

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.orchestration import assets
from shadow_deployment.orchestration.dags.step import on_demand, step
from shadow_deployment.orchestration.tasks import promotion as tasks
from shadow_deployment.orchestration.tasks.approval import ANSWER, PromotionApproval
from shadow_deployment.orchestration.tasks.promotion import ANY, BY_HAND
from shadow_deployment.report.description import describe_promotion, describe_rollback

OF_PROMOTION = "Kept with the promotion; left empty: that it passes, and on which day."
OF_ROLLBACK = "Kept with the rollback."


def promotion_dag(deployment: Deployment) -> DAG:
    """Return the DAG that requests approval of a promotion, and promotes."""
    names = [challenger.name for challenger in deployment.promotable]
    with DAG(
        dag_id=f"shadow_{deployment.name}_promotion",
        description=f"Promotion of {deployment.name}: {', '.join(names)}",
        doc_md=describe_promotion(deployment),
        schedule=[assets.promotion_request(deployment.name)],
        tags=["shadow", "promotion"],
        **on_demand(10),
    ) as dag:
        _request_and_promote(deployment)
    challenger = Param(
        ANY,
        type="string",
        enum=[ANY, *names],
        title="Challenger",
        description="Who is to be champion.",
    )
    # After the tasks: each of them would copy them.
    dag.params.update({"challenger": challenger, "reason": _reason(OF_PROMOTION, default="")})
    return dag


def _request_and_promote(deployment: Deployment) -> None:
    name, policy = deployment.name, deployment.promotion
    request = step(tasks.prepare_request)(name)
    promote = step(tasks.promote, outlets=[assets.alias(name)])
    if policy.approval == "automatic":
        promote(name, request)
        return
    approve = PromotionApproval(
        task_id="approve",
        subject="{{ ti.xcom_pull(task_ids='prepare_request')['subject'] }}",
        body="{{ ti.xcom_pull(task_ids='prepare_request')['body'] }}",
        defaults=[PromotionApproval.REJECT],
        response_timeout=dt.timedelta(hours=policy.response_hours),
        assigned_users=[{"id": approver, "name": approver} for approver in policy.approvers] or None,
        params={"reason": _reason(OF_PROMOTION, default="")},
    )
    request >> approve
    promote(name, request, XComArg(approve, key=ANSWER)) >> step(
        tasks.record_answer, trigger_rule=TriggerRule.ALL_DONE
    )(name, request)


def rollback_dag(deployment: Deployment) -> DAG:
    """Return the DAG that puts the champion back that the newest promotion has replaced."""
    automatic = deployment.promotion.rollback == "automatic"
    with DAG(
        dag_id=f"shadow_{deployment.name}_rollback",
        description=f"Rollback of {deployment.name}: the champion before the newest promotion",
        doc_md=describe_rollback(deployment),
        schedule=[assets.regression(deployment.name)] if automatic else None,
        tags=["shadow", "rollback"],
        **on_demand(10),
    ) as dag:
        step(tasks.rollback, outlets=[assets.alias(deployment.name)])(deployment.name)
    undoes = Param(
        None,
        type=["null", "integer"],
        minimum=1,
        title="Promotion",
        description="The number of the promotion that is meant. Left empty: the newest that stands.",
    )
    # What also starts by itself must have a valid form; by hand alone it has to be filled in.
    reason = _reason(OF_ROLLBACK, minLength=1, **({"default": BY_HAND} if automatic else {}))
    dag.params.update({"reason": reason, "undoes": undoes})
    return dag


def _reason(description: str, **options: Any) -> Param:
    return Param(type="string", title="Reason", description=description, **options)
