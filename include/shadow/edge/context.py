"""What a task knows from Airflow: its deployment, its day, and connections."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException, AirflowSkipException

from include.shadow.connection import Connection
from include.shadow.day import Shadow
from include.shadow.deployments import find
from include.shadow.errors import CredentialsError
from include.shadow.window import day_of


def airflow_connection(conn_id: str) -> Connection:
    """Return a connection as Airflow declares it: secrets backend, environment or its own page."""
    try:
        found = BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        raise CredentialsError(
            f"connection {conn_id} is not declared: add it in Airflow under Admin, Connections, or set "
            f"AIRFLOW_CONN_{conn_id.upper()}"
        ) from None
    return Connection(
        conn_id=conn_id,
        host=found.host,
        port=found.port,
        login=found.login,
        password=found.password,
        database=found.schema,
        extra=found.extra_dejson,
    )


def shadow(name: str) -> Shadow:
    """Return a deployment with Airflow's connections."""
    return Shadow(find(name), airflow_connection)


def day_of_run(context: Mapping[str, Any], name: str) -> dt.date:
    """Return the day that a run is about: the one asked for in its form, else that of its data interval."""
    asked = (context.get("params") or {}).get("day")
    if asked:
        return dt.date.fromisoformat(str(asked)[:10])
    return day_of(find(name), context["data_interval_start"])


def chosen(context: Mapping[str, Any]) -> list[str] | None:
    """Return the challengers that the run's form names; None means all."""
    names = (context.get("params") or {}).get("challengers")
    return list(names) if names else None


def skip_unless_chosen(context: Mapping[str, Any], challenger: str) -> None:
    """Skip the task where the run's form leaves its challenger out."""
    names = chosen(context)
    if names is not None and challenger not in names:
        raise AirflowSkipException(f"{challenger} was not chosen for this run")
