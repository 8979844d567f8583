"""Opens a table of production by its name and connection."""

from shadow_deployment.base.extras import requires_extra
from shadow_deployment.config.partitions import Pattern, is_files
from shadow_deployment.context import Cloud
from shadow_deployment.data.connections import Connections
from shadow_deployment.errors import DeploymentError
from shadow_deployment.onboarding.tables.port import ProductionTable


def open_table(name: str, conn_id: str | None, key: str, connections: Connections, cloud: Cloud) -> ProductionTable:
    """Return a table of production; `key` is the flag or question that names it, for errors.

    Raises:
        DeploymentError: The name is no table, or a table has no connection.
        CredentialsError: The connection is not declared.
    """
    if is_files(name):
        with requires_extra("duckdb", f"{key} {name}"):
            from shadow_deployment.onboarding.tables.files import TableFiles
        try:
            pattern = Pattern.parse(name)
        except ValueError as error:
            raise DeploymentError(f"{key} == {name!r}, {error}") from None
        return TableFiles(cloud.lake(pattern, conn_id), name, key)
    if conn_id is None:
        raise DeploymentError(f"{key} == {name!r} is a table, whose Airflow connection is missing: give --conn-id")
    from shadow_deployment.onboarding.tables.postgres import PostgresTable

    return PostgresTable(connections(conn_id), name, key)
