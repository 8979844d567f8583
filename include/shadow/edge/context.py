"""What a task knows from Airflow: its deployment, its day, and connections."""

import datetime as dt
import logging
from collections.abc import Mapping
from typing import Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException, AirflowSecretsBackendAccessDenied

from include.shadow.aliases import resolved
from include.shadow.connection import Connection
from include.shadow.deployment import Deployment
from include.shadow.deployments import find
from include.shadow.edge.outside import Cloud
from include.shadow.edge.run_type import run_type
from include.shadow.errors import CredentialsError
from include.shadow.ledger import verdicts
from include.shadow.surroundings import Shadow
from include.shadow.watch import watched
from include.shadow.window import day_of

logger = logging.getLogger(__name__)


def airflow_connection(conn_id: str) -> Connection:
    """Return a connection as Airflow declares it: secrets backend, environment or its own page."""
    try:
        found = BaseHook.get_connection(conn_id)
    except AirflowSecretsBackendAccessDenied:
        raise CredentialsError(
            f"connection {conn_id} cannot be read here: Airflow keeps the connections of its own database from the "
            f"callback of a deadline; set AIRFLOW_CONN_{conn_id.upper()} or put it into a secrets backend"
        ) from None
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


def shadow(name: str, day: dt.date | None = None) -> Shadow:
    """Return a deployment with Airflow's connections and no alias; on a day, with a former champion that is watched."""
    found = resolved(surround(find(name)))
    return found if day is None else watched(found, day)


def surround(deployment: Deployment) -> Shadow:
    """Return a deployment with Airflow's connections around it, and places on S3 as Airflow opens them."""
    return Shadow(deployment, airflow_connection, Cloud())


def day_of_run(context: Mapping[str, Any], name: str) -> dt.date:
    """Return the day that a run is about: the one asked for in its form, else that of its data interval."""
    asked = (context.get("params") or {}).get("day")
    if asked:
        return dt.date.fromisoformat(str(asked)[:10])
    return day_of(find(name), context["data_interval_start"])


def is_news(context: Mapping[str, Any], found: Shadow, day: dt.date) -> bool:
    """Whether anybody should hear of a run: it is no backfill, and no newer day was judged; the log says why not."""
    if run_type(context) == "backfill":
        logger.info("%s is backfilled: nobody is told", day)
        return False
    with found.ledger() as session:
        newest = max((one.day for one in verdicts.latest(session, found.deployment).values()), default=day)
    if newest > day:
        logger.info("%s is past, %s was judged: nobody is told", day, newest)
    return newest <= day


def chosen(context: Mapping[str, Any], deployment: Deployment) -> list[str]:
    """Return the challengers that a run is about: those that its form names, and a former champion that is watched."""
    names = set((context.get("params") or {}).get("challengers") or [])
    return [one.name for one in deployment.challengers if not names or one.name in names or one.is_watched]
