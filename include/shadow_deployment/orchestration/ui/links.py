"""Where Airflow's pages and ours lie, and the button on the gate task: from the grid to the page of the verdict."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from airflow.sdk import BaseOperator, BaseOperatorLink
from airflow.sdk.configuration import conf
from airflow.sdk.types import TaskInstanceKey

PREFIX = "/shadow"
VERDICT_ROUTE = "shadow-day"


def base_path() -> str:
    """Return the path below which Airflow is served, without a slash at its end: empty where it has a host alone."""
    return urlsplit(_base_url()).path.rstrip("/")


def address(dag_id: str, run_id: str, task_id: str | None = None) -> str | None:
    """Return the page of a run, or of one of its tasks; None where Airflow has no address."""
    base = _base_url()
    return f"{base}{_path(dag_id, run_id, task_id)}" if base else None


def verdict_page(run: Mapping[str, Any]) -> str | None:
    """Return the address at a gate that shows its verdict; None where Airflow has no address."""
    page = link_to(run)
    return page and _verdict_tab(page)


def link_to(run: Mapping[str, Any], task_id: str | None = None) -> str | None:
    """Return the page of a task instance, of the one that calls by default; None where Airflow has no address."""
    instance = run["ti"]
    return address(instance.dag_id, instance.run_id, task_id or instance.task_id)


def challenger_page(name: str, challenger: str) -> str | None:
    """Return our page of a deployment's challenger; None where Airflow has no address."""
    base, asked = _base_url(), urlencode({"challenger": challenger})
    return f"{base}{PREFIX}/deployments/{quote(name, safe='')}?{asked}" if base else None


def _verdict_tab(page: str) -> str:
    return f"{page}/plugin/{VERDICT_ROUTE}"


def _base_url() -> str:
    return (conf.get("api", "base_url", fallback="") or "").rstrip("/")


def _path(dag_id: str, run_id: str, task_id: str | None) -> str:
    run = f"/dags/{quote(dag_id, safe='')}/runs/{quote(run_id, safe='')}"
    return run if task_id is None else f"{run}/tasks/{quote(task_id, safe='')}"


class VerdictLink(BaseOperatorLink):
    """Leads from a gate to its run's page inside Airflow; it is kept with the task instance when the task ends."""

    name = "Verdict"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 (its place is Airflow's)
        """Return the path that shows the verdict at its gate: kept for good, it holds wherever Airflow is served."""
        return _verdict_tab(f"{base_path()}{_path(ti_key.dag_id, ti_key.run_id, ti_key.task_id)}")
