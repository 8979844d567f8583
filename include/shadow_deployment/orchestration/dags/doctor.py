"""The doctor as a DAG: looks every morning whether all is there that the deployments need.

It fails where something is missing, and its log says what and what to do. Its task in the pool `shadow_scoring` shows
that challengers can be scored: where the pool is missing, that task never starts and the run times out.
"""

import datetime as dt

from airflow.sdk import DAG

from shadow_deployment.orchestration.dags.step import SCORING_POOL, defaults, step
from shadow_deployment.orchestration.tasks import doctor as doctor_tasks

DOCTOR = "shadow_doctor"


def doctor_dag() -> DAG:
    """Return the DAG that runs the doctor each morning."""
    with DAG(
        dag_id=DOCTOR,
        description="Is all there that the shadow deployments need?",
        doc_md=__doc__,
        schedule="30 5 * * *",
        start_date=dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=dt.timedelta(hours=1),
        default_args=defaults(20, retries=1),
        tags=["shadow"],
    ) as dag:
        step(doctor_tasks.installation)()
        step(doctor_tasks.scoring_pool, pool=SCORING_POOL)()
        names = step(doctor_tasks.deployments)()
        step(doctor_tasks.deployment, map_index_template="{{ deployment }}").expand(name=names)
    return dag
