"""The button on the gate task: from the grid to the page of the verdict."""

from urllib.parse import quote, urlsplit

from airflow.sdk import BaseOperator, BaseOperatorLink
from airflow.sdk.configuration import conf
from airflow.sdk.types import TaskInstanceKey

PREFIX = "/shadow"
VERDICT_ROUTE = "shadow-verdict"


def base_path() -> str:
    """Return the path below which Airflow is served, without a slash at its end: empty where it has a host alone."""
    return urlsplit(conf.get("api", "base_url", fallback="") or "").path.rstrip("/")


class VerdictLink(BaseOperatorLink):
    """Leads from a gate to its run's page inside Airflow; it is kept with the task instance when the task ends."""

    name = "Verdict"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 (its place is Airflow's)
        """Return the address of the tab that shows the verdict."""
        parts = ("dags", ti_key.dag_id, "runs", ti_key.run_id, "tasks", ti_key.task_id, "plugin", VERDICT_ROUTE)
        return (
            f"{conf.get('api', 'base_url', fallback='').rstrip('/')}/{'/'.join(quote(one, safe='') for one in parts)}"
        )
