"""What tables and columns production has, and what each column can be used for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from shadow_deployment.config.yaml_source import suggestion
from shadow_deployment.data.connections import Connection
from shadow_deployment.errors import CredentialsError, SourceError

_COLUMNS = """
SELECT a.attname, format_type(a.atttypid, NULL), format_type(a.atttypid, -1),
    CASE WHEN coalesce(nullif(t.typbasetype, 0), t.oid) = ANY (%(codes)s::regtype[]) THEN 'U' ELSE t.typcategory END
FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
WHERE a.attrelid = %(table)s::regclass AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""
_CODES = [  # Postgres counts them among the numbers, and none can be made one
    *("money", "oid", "regclass", "regcollation", "regconfig", "regdictionary", "regnamespace"),
    *("regoper", "regoperator", "regproc", "regprocedure", "regrole", "regtype"),
]
_KINDS = {"i": "an index", "I": "an index", "S": "a sequence", "c": "a type", "t": "a part of another table"}
_TABLES = """
SELECT schemaname || '.' || tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
UNION ALL
SELECT schemaname || '.' || viewname FROM pg_views WHERE schemaname NOT IN ('pg_catalog', 'information_schema')
ORDER BY 1
"""


@dataclass(frozen=True)
class Column:
    """A column's type as SQL writes it, and its category in pg_type: N number, B boolean, S text, D date or time.

    `cast` is the type without a length: a cast to "character" would keep one letter.
    """

    name: str
    type: str
    cast: str
    category: str


class Table:
    """One table or view of production; every method that names a column makes sure that it is there."""

    def __init__(self, name: str, columns: Mapping[str, Column]) -> None:
        self.name = name
        self._columns = columns

    @property
    def identifier(self) -> sql.Identifier:
        """The quoted name."""
        return sql.Identifier(*self.name.split("."))

    def require(self, column: str, key: str) -> Column:
        """Return a column; raise SourceError that lists the columns there are."""
        if column not in self._columns:
            near = suggestion(column, self._columns)
            raise SourceError(f"{key} == {column!r}, must be a column of {self.name}: {', '.join(self._columns)}{near}")
        return self._columns[column]

    def require_time(self, column: str, key: str) -> None:
        """Raise SourceError where a column is neither a date nor a timestamp."""
        found = self.require(column, key)
        if found.category != "D" or not found.type.startswith(("timestamp", "date")):
            raise SourceError(f"{key} == {column!r} is of type {found.type}, must be timestamptz, timestamp or date")

    def type_of(self, column: str, key: str) -> sql.SQL:
        """Return a column's type as SQL, to cast a parameter to."""
        return sql.SQL(self.require(column, key).cast)

    def text(self, column: str, key: str) -> sql.Composed:
        """Return a column as text."""
        self.require(column, key)
        return sql.SQL("{}::text").format(sql.Identifier(column))

    def likeliest(self, array: sql.Composed) -> sql.Composed:
        """Return where an array of numbers is largest, counted from 0; the first of equal ones."""
        return sql.SQL(
            "(SELECT (k - 1)::float8 FROM unnest({}) WITH ORDINALITY AS c (p, k) ORDER BY p DESC, k LIMIT 1)"
        ).format(array)

    def number(self, column: str, key: str) -> sql.Composed:
        """Return a column as double precision; a boolean becomes 0 or 1."""
        found = self.require(column, key)
        if found.category not in ("N", "B"):
            raise SourceError(f"{key} == {column!r} is of type {found.type}, must be a number or boolean")
        cast = "{}::int::float8" if found.category == "B" else "{}::float8"
        return sql.SQL(cast).format(sql.Identifier(column))

    def position(self, column: str, key: str, classes: Sequence[str]) -> sql.Composed:
        """Return which of the classes a column holds, counted from 0; -1 for any other value."""
        self.require(column, key)
        cases = [
            sql.SQL("WHEN {} THEN {}").format(sql.Literal(name), sql.Literal(number))
            for number, name in enumerate(classes)
        ]
        return sql.SQL("(CASE WHEN {0} IS NOT NULL THEN CASE {0}::text {1} ELSE -1 END END)::float8").format(
            sql.Identifier(column), sql.SQL(" ").join(cases)
        )

    def feature(self, column: str, key: str) -> sql.Composed:
        """Return a column as a model can take it: number, boolean, text, date or timestamp."""
        found = self.require(column, key)
        if found.category not in ("N", "B", "S", "D", "E") and found.type != "uuid":
            raise SourceError(
                f"{key}: column {column!r} is of type {found.type}, must be a number, boolean, text or time"
            )
        if found.category in ("S", "E") or found.type == "uuid":
            return sql.SQL("{}::text").format(sql.Identifier(column))
        if found.type == "numeric":
            return sql.SQL("{}::float8").format(sql.Identifier(column))
        return sql.SQL("{}").format(sql.Identifier(column))


class Catalogue:
    """The tables that a session can see."""

    def __init__(self, session: "psycopg.Connection[tuple[Any, ...]]", connection: Connection) -> None:
        self._session = session
        self._connection = connection

    def table(self, name: str, key: str) -> Table:
        """Return a table by name; raise SourceError that names those there are, CredentialsError if unreadable."""
        self._require_letters()
        quoted_name = sql.Identifier(*name.split(".")).as_string(self._session)
        relation = "SELECT oid, relkind::text FROM pg_class WHERE oid = to_regclass(%s)"
        row = self._session.execute(relation, [quoted_name]).fetchone()
        if row is not None and row[1] in _KINDS:
            raise SourceError(f"{key} == {name!r} is {_KINDS[row[1]]}, must be a table or a view")
        if row is None:
            there = [str(found) for (found,) in self._session.execute(_TABLES)]
            shown = ", ".join(there[:20]) or "no tables at all"
            raise SourceError(
                f"{key} == {name!r}, must be a table in {self._connection}: it has {shown}{suggestion(name, there)}"
            )
        self._require_select(name, quoted_name)
        rows = self._session.execute(_COLUMNS, {"table": quoted_name, "codes": _CODES}).fetchall()
        return Table(name, {column: Column(column, *found) for column, *found in rows})

    def _require_letters(self) -> None:
        if self._session.info.parameter_status("server_encoding") == "SQL_ASCII":
            raise SourceError(
                f"connection {self._connection}: its database is encoded in SQL_ASCII, which does not say what letters "
                "its bytes are, must be UTF8 or another encoding that Postgres can turn into it"
            )

    def _require_select(self, name: str, quoted_name: str) -> None:
        allowed = self._session.execute("SELECT has_table_privilege(%s, 'SELECT')", [quoted_name]).fetchone()
        if allowed is None or not allowed[0]:
            raise CredentialsError(
                f"connection {self._connection} may not read {name}: "
                f"GRANT SELECT ON {name} TO {self._connection.login}, and nothing more"
            )
