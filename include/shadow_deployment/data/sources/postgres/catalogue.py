"""The tables and columns that a session can read."""

from pathlib import Path
from typing import Any

from psycopg import sql

from shadow_deployment.base.sql_templates import load_statement
from shadow_deployment.config.yaml_source import suggestion
from shadow_deployment.data.connections import Connection
from shadow_deployment.data.db import Session
from shadow_deployment.data.sources.table import Column, Table
from shadow_deployment.errors import CredentialsError, SourceError

_NO_TABLES = {"i": "an index", "I": "an index", "S": "a sequence", "c": "a type", "t": "a part of another table"}
_HERE = Path(__file__).parent


class Catalogue:
    """The tables that a session can see."""

    def __init__(self, session: Session[tuple[Any, ...]], connection: Connection) -> None:
        self._session = session
        self._connection = connection

    def table(self, name: str, key: str) -> Table:
        """Return the table `name`, which the deployment's `key` names.

        Raises SourceError where it is missing, listing the tables there are, or is no table, and CredentialsError where
        the role may not read it.
        """
        self._require_encoding()
        quoted_name = sql.Identifier(*name.split(".")).as_string(self._session)
        relation = "SELECT relkind::text FROM pg_class WHERE oid = to_regclass(%s)"
        row = self._session.execute(relation, [quoted_name]).fetchone()
        if row is None:
            tables = [str(table) for (table,) in self._session.execute(load_statement(_HERE / "tables.sql"))]
            listed = ", ".join(tables[:20]) or "no tables at all"
            raise SourceError(
                f"{key} == {name!r}, must be a table in {self._connection}: it has {listed}{suggestion(name, tables)}"
            )
        if row[0] in _NO_TABLES:
            raise SourceError(f"{key} == {name!r} is {_NO_TABLES[row[0]]}, must be a table or a view")
        self._require_select(name, quoted_name)
        rows = self._session.execute(load_statement(_HERE / "columns.sql"), {"table": quoted_name}).fetchall()
        return Table(name, {row[0]: Column(*row) for row in rows})

    def _require_encoding(self) -> None:
        if self._session.info.parameter_status("server_encoding") == "SQL_ASCII":
            raise SourceError(
                f"connection {self._connection}: its database is encoded in SQL_ASCII, which does not say what letters "
                "its bytes are, must be UTF8 or another encoding that Postgres can turn into it"
            )

    def _require_select(self, name: str, quoted_name: str) -> None:
        row = self._session.execute("SELECT has_table_privilege(%s, 'SELECT')", [quoted_name]).fetchone()
        if row is None or not row[0]:
            raise CredentialsError(
                f"connection {self._connection} may not read {name}: "
                f"GRANT SELECT ON {name} TO {self._connection.login}, and nothing more"
            )
