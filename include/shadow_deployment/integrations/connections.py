"""Connections as Airflow declares them: secrets backend, environment or its own page."""

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from shadow_deployment.data.connections import Connection
from shadow_deployment.errors import CredentialsError


def airflow_connection(conn_id: str) -> Connection:
    """Return a connection as Airflow declares it: secrets backend, environment or its own page."""
    try:
        connection = BaseHook.get_connection(conn_id)
    except PermissionError:  # AirflowSecretsBackendAccessDenied, which Airflow 3.2.1 does not have
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
        host=connection.host,
        port=connection.port,
        login=connection.login,
        password=connection.password,
        database=connection.schema,
        extra=connection.extra_dejson,
    )
