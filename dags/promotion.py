"""Two DAGs for each deployment: shadow_<name>_promotion asks and promotes, shadow_<name>_rollback puts back.

A PASS starts the first by its asset, or somebody does by hand; it is a DAG of its own because a question that waits
for its answer would hold up the next day. The second is started by hand, and by a former champion that turns out
better where the deployment says so.
"""

import contextlib
import datetime as dt
from typing import Any

from airflow.sdk import DAG, Param, TriggerRule, XComArg, get_parsing_context, task

from include.shadow.deployment import Deployment, load
from include.shadow.deployments import paths
from include.shadow.describe import describe_promotion, describe_rollback
from include.shadow.edge import assets
from include.shadow.edge import promotion_tasks as tasks
from include.shadow.edge.question import ANSWER, Question
from include.shadow.edge.retrying import RETRY
from include.shadow.errors import DeploymentError

REASON = Param(None, type=["null", "string"], title="Reason", description="Kept with the promotion.")


def promotion(deployment: Deployment) -> DAG:
    """Return the DAG that asks whether a challenger shall be champion, and makes it so."""
    names = [one.name for one in deployment.promotable]
    with DAG(
        dag_id=f"shadow_{deployment.name}_promotion",
        description=f"Promotion of {deployment.name}: {', '.join(names)}",
        doc_md=describe_promotion(deployment),
        schedule=[assets.case(deployment.name)],
        tags=["shadow", "promotion"],
        **_common(),
    ) as dag:
        _ask_and_promote(deployment)
    challenger = Param(
        None,
        type=["null", "string"],
        enum=[None, *names],
        title="Challenger",
        description="Who is to be champion. Left empty in a run that a PASS has started.",
    )
    dag.params.update({"challenger": challenger, "reason": REASON})  # after the tasks: each of them would copy them
    return dag


def _ask_and_promote(deployment: Deployment) -> None:
    name, policy = deployment.name, deployment.promotion
    case = task(tasks.case)(name)
    promote = task(outlets=[assets.alias(name)])(tasks.promote)
    if policy.approval == "automatic":
        promote(name, case)
        return
    approve = Question(
        task_id="approve",
        subject="{{ ti.xcom_pull(task_ids='case')['subject'] }}",
        body="{{ ti.xcom_pull(task_ids='case')['body'] }}",
        defaults=[Question.REJECT],
        response_timeout=dt.timedelta(hours=policy.response_hours),
        assigned_users=[{"id": one, "name": one} for one in policy.approvers] or None,
        params={"reason": REASON},
    )
    case >> approve
    promote(name, case, XComArg(approve, key=ANSWER)) >> task(trigger_rule=TriggerRule.ALL_DONE)(tasks.record)(
        name, case
    )


def rollback(deployment: Deployment) -> DAG:
    """Return the DAG that puts the champion back that the newest promotion has replaced."""
    automatic = deployment.promotion.rollback == "automatic"
    with DAG(
        dag_id=f"shadow_{deployment.name}_rollback",
        description=f"Rollback of {deployment.name}: the champion before the newest promotion",
        doc_md=describe_rollback(deployment),
        schedule=[assets.regression(deployment.name)] if automatic else None,
        tags=["shadow", "rollback"],
        **_common(),
    ) as dag:
        task(outlets=[assets.alias(deployment.name)])(tasks.rollback)(deployment.name)
    undoes = Param(
        None,
        type=["null", "integer"],
        minimum=1,
        title="Promotion",
        description="The number of the promotion that is meant. Left empty: the newest that stands.",
    )
    dag.params.update({"reason": REASON, "undoes": undoes})
    return dag


def _common() -> dict[str, Any]:
    return {
        "catchup": False,
        "max_active_runs": 1,
        "dagrun_timeout": dt.timedelta(hours=24),
        "default_args": {
            "owner": "shadow",
            "retries": 3,
            "retry_policy": RETRY,
            "execution_timeout": dt.timedelta(minutes=10),
        },
    }


wanted = get_parsing_context().dag_id  # of the one task that runs; None where all DAGs are parsed
for path in paths():
    with contextlib.suppress(DeploymentError):
        deployment = load(path)
        for kind, build in (("promotion", promotion), ("rollback", rollback)):
            if wanted in (None, f"shadow_{deployment.name}_{kind}"):
                globals()[f"shadow_{deployment.name}_{kind}"] = build(deployment)
