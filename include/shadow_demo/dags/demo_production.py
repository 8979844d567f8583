"""A DAG of the demo alone: its production serves the champion that Airflow has promoted or rolled back to."""

import datetime as dt

from airflow.sdk import DAG, task

from shadow_deployment.orchestration import assets

DEPLOYMENT = "flight_delay"

with DAG(
    "demo_production",
    description="The demo's production: serves whom the registry names champion, from the next day on",
    schedule=[assets.champion(DEPLOYMENT)],
    catchup=False,
    max_active_runs=1,
    is_paused_upon_creation=False,
    tags=["demo"],
    default_args={"owner": "demo", "retries": 3, "retry_delay": dt.timedelta(seconds=10)},
):

    @task
    def serve() -> str:
        """Let the champion answer the requests that are still to come."""
        from shadow_demo import production

        return production.main(DEPLOYMENT)

    serve()
