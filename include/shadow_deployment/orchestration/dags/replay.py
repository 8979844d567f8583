"""The DAG of a replay: shadow_<name>_replay lets a new challenger answer the days that are kept, and judges it.

The daily DAG starts it by its asset when it meets a new challenger that declares `trained_until`, or somebody does by
hand; it is a DAG of its own because many past days would hold up the next one.
"""

from airflow.sdk import DAG, Param, TriggerRule

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.orchestration import assets
from shadow_deployment.orchestration.dags.step import SCORING_POOL, on_demand, step
from shadow_deployment.orchestration.tasks import replay as tasks
from shadow_deployment.report.description import describe_replay


def replay_dag(deployment: Deployment) -> DAG:
    """Return the DAG that lets a new challenger answer the days that are kept."""
    name = deployment.name
    with DAG(
        dag_id=f"shadow_{name}_replay",
        description=f"Replay of {name}: a new challenger answers the days that are kept",
        doc_md=describe_replay(deployment),
        schedule=[assets.replay(name)],
        tags=["shadow", "replay"],
        **on_demand(deployment.timeout_minutes),
    ) as dag:
        replayed = (
            step(tasks.replay_day, pool=SCORING_POOL, map_index_template="{{ challenger }} {{ day }}")
            .partial(name=name)
            .expand_kwargs(step(tasks.days)(name))
        )
        replayed >> step(tasks.judge, trigger_rule=TriggerRule.NONE_FAILED)(name)
    dag.params.update(_params(deployment))  # after the tasks: each of them would copy them
    return dag


def _params(deployment: Deployment) -> dict[str, Param]:
    return {
        "challenger": Param(
            None,
            type=["null", "string"],
            enum=[None, *(challenger.name for challenger in deployment.promotable)],
            title="Challenger",
            description="Who answers. Left empty in a run that the daily DAG has started.",
        ),
        "days": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            maximum=deployment.policy.replay_days,
            title="Days",
            description=f"Only so many of the newest days. Left empty: {deployment.policy.replay_days}.",
        ),
    }
