"""The daily DAG of a deployment: shadow_<name>, a window at a time, and with the last of a day its verdicts.

The tasks and their order are here; what each does is a step of `shadow_deployment.pipeline.steps`, which the command
line calls too.
"""

import datetime as dt
from typing import Any

from airflow.sdk import DAG, CronDataIntervalTimetable, Param, TriggerRule

from shadow_deployment.config.deployment import Deployment
from shadow_deployment.config.window import has_several_windows, window_of, windows_of
from shadow_deployment.orchestration import assets
from shadow_deployment.orchestration.alerts.deadline import deadline_of
from shadow_deployment.orchestration.alerts.gate import gate_callbacks
from shadow_deployment.orchestration.dags.step import SCORING_POOL, defaults, step
from shadow_deployment.orchestration.tasks import daily as tasks
from shadow_deployment.orchestration.timetable import LastWindowTimetable
from shadow_deployment.orchestration.ui.links import VerdictLink
from shadow_deployment.report.description import describe


def daily_dag(deployment: Deployment) -> DAG:
    """Return the daily DAG of one deployment."""
    name = deployment.name
    challengers = [challenger.name for challenger in deployment.challengers]
    with DAG(
        dag_id=f"shadow_{name}",
        description=f"Shadow deployment {name}: {', '.join(challengers)}",
        doc_md=describe(deployment),
        schedule=_schedule(deployment),
        start_date=window_of(deployment, deployment.start).start,
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=dt.timedelta(hours=12),
        deadline=deadline_of(deployment),
        default_args=defaults(deployment.timeout_minutes),
        tags=["shadow", deployment.task],
    ) as dag:
        _tasks(name)
        if deployment.store.keep_days is not None:
            dag.task_dict["judge"] >> step(tasks.prune)(name)
    dag.params.update(_params(deployment, challengers))  # after the tasks: each of them would copy them
    dag.task_dict["gate"].operator_extra_links = (VerdictLink(),)
    return dag


def _schedule(deployment: Deployment) -> Any:
    cron, timezone = deployment.schedule, deployment.timezone
    if deployment.end is None:
        return CronDataIntervalTimetable(cron, timezone=timezone)
    return LastWindowTimetable(cron, timezone, windows_of(deployment, deployment.end)[-1].start)


def _params(deployment: Deployment, challengers: list[str]) -> dict[str, Param]:
    hour = Param(
        None,
        type=["null", "string"],
        pattern=r"^([01]\d|2[0-3]):[0-5]\d$",
        title="Hour",
        description=f"Only its window that begins then, as HH:MM in {deployment.timezone}. Left empty: all of them.",
    )
    period = deployment.policy.period
    return {
        "day": Param(
            None,
            type=["null", "string"],
            format="date",
            title="Day" if period == "day" else "First day of the week",
            description=f"Shadow this {period}. Left empty: the first {period} that is over and was not run, else the "
            "newest.",
        ),
        **({"hour": hour} if has_several_windows(deployment) else {}),
        "challengers": Param(
            challengers,
            type="array",
            items={"type": "string", "enum": challengers},
            examples=challengers,
            title="Challengers",
            description="Score and judge only these. The others keep what they have.",
        ),
    }


def _tasks(name: str) -> None:
    """Wire the day: steps that report a failure run whatever came before; only the gate fails and alerts for it."""
    challengers = step(tasks.select_challengers)(name)
    sampled = step(tasks.sample, outlets=[assets.alias(name)])(name)
    validated_inputs = step(tasks.validate_inputs)(name, sampled)
    plan = step(tasks.plan_scoring)(name, sampled, challengers)
    scored = (
        step(tasks.score, pool=SCORING_POOL, map_index_template="{{ challenger }}, shard {{ shard }}")
        .partial(name=name)
        .expand_kwargs(plan)
    )
    validated_predictions = (
        step(tasks.validate_predictions, trigger_rule=TriggerRule.ALL_DONE, map_index_template="{{ challenger }}")
        .partial(name=name, sampled=sampled, plan=plan)
        .expand(challenger=challengers)
    )
    changed_days = step(tasks.collect_labels, trigger_rule=TriggerRule.ALL_DONE)(name, sampled)
    compared = step(tasks.compare, map_index_template="{{ day }}").partial(name=name).expand(day=changed_days)
    judged = (
        step(tasks.judge, trigger_rule=TriggerRule.NONE_FAILED, map_index_template="{{ challenger }}")
        .partial(name=name, sampled=sampled)
        .expand(challenger=challengers)
    )
    gate = step(tasks.gate, trigger_rule=TriggerRule.ALL_DONE, **gate_callbacks(name))(name)
    report = step(tasks.publish_report)(name, challengers)
    publish = step(tasks.publish_results, trigger_rule=TriggerRule.ALL_DONE, outlets=[assets.alias(name)])
    results = publish(name, sampled)
    validated_inputs >> plan
    scored >> validated_predictions >> changed_days
    compared >> judged >> [gate, results, report]
