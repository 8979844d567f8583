"""What Airflow's UI shows of shadow deployments: pages in the navigation, on DAGs and runs, and a button on gates.

Airflow shows a view on every DAG, run or task there is, and cannot be told on which. So tasks have none: the gate's
button opens the run's page where the gate is.
"""

from collections.abc import Callable, MutableMapping
from typing import Any

from airflow.plugins_manager import AirflowPlugin

from shadow_deployment.orchestration.timetable import LastWindowTimetable
from shadow_deployment.orchestration.ui.links import PREFIX, VERDICT_ROUTE, VerdictLink, base_path

PAGES = f"{base_path()}{PREFIX}"


async def pages(scope: MutableMapping[str, Any], receive: Callable[..., Any], send: Callable[..., Any]) -> None:
    """Hand a request to the pages' application, which is imported by the first one: plugins load in every process."""
    from shadow_deployment.orchestration.ui.app import app

    await app(scope, receive, send)


class ShadowPlugin(AirflowPlugin):
    """Registers the pages, each behind the login and the right to read the DAG, the gate's button, and a timetable."""

    name = "shadow"
    fastapi_apps = [{"app": pages, "url_prefix": PREFIX, "name": "Shadow"}]
    external_views = [
        {"name": "Shadow", "href": f"{PAGES}/", "destination": "nav", "url_route": "shadow", "nav_top_level": True},
        {
            "name": "Shadow",
            "href": f"{PAGES}/dags/{{DAG_ID}}",
            "destination": "dag",
            "url_route": "shadow-deployment",
        },
        {
            "name": "Shadow",
            "href": f"{PAGES}/dags/{{DAG_ID}}/runs/{{RUN_ID}}",
            "destination": "dag_run",
            "url_route": VERDICT_ROUTE,
        },
    ]
    operator_extra_links = [VerdictLink()]
    timetables = [LastWindowTimetable]
