"""Opens a table of production by its name and connection."""

from typing import TYPE_CHECKING

from shadow_deployment.base.extras import requires_extra
from shadow_deployment.config.partitions import Pattern, engine_of
from shadow_deployment.context import Cloud
from shadow_deployment.data.connections import Connections
from shadow_deployment.errors import DeploymentError
from shadow_deployment.onboarding.tables.port import ProductionTable

if TYPE_CHECKING:
    from shadow_deployment.config.sources.tables import SourceTable


def open_table(
    name: str,
    conn_id: str | None,
    key: str,
    connections: Connections,
    cloud: Cloud,
    declared: "SourceTable | None" = None,
) -> ProductionTable:
    """Return a table of production; `key` is the flag or question that names it, for errors.

    `declared` is what a deployment says of it, where there is one.

    Raises:
        DeploymentError: The name is no table, or a table has no connection.
        CredentialsError: The connection is not declared.
    """
    if engine_of(name) == "duckdb":
        with requires_extra("duckdb", f"{key} {name}"):
            from shadow_deployment.data.sources.duckdb.formats import format_of
            from shadow_deployment.onboarding.tables.files import TableFiles
        try:
            pattern = Pattern.parse(name)
        except ValueError as error:
            raise DeploymentError(f"{key} == {name!r}, {error}") from None
        form = format_of(key.partition(".")[0], declared) if declared else None
        return TableFiles(cloud.lake(pattern, conn_id), name, key, form)
    if conn_id is not None and engine_of(name) == "spark":
        with requires_extra("spark", f"{key} {name}"):
            from shadow_deployment.data.sources.engines.spark import SparkEngine
        from shadow_deployment.onboarding.tables.engines import TableOfEngine

        return TableOfEngine(SparkEngine(connections(conn_id), key, name), name)
    if engine_of(name) == "athena":
        raise DeploymentError(f"{key} == {name!r}, must be in Postgres, Spark or Parquet files: write the file by hand")
    if conn_id is None:
        raise DeploymentError(f"{key} == {name!r} is a table, whose Airflow connection is missing: give --conn-id")
    from shadow_deployment.onboarding.tables.postgres import PostgresTable

    return PostgresTable(connections(conn_id), name, key)
