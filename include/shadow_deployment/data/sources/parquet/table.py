"""What columns the Parquet files of a window have, and what each can be used for.

Whatever is told by a column's text, such as a request's id or a stratum, must be the same text as Postgres would write,
or other requests would be drawn: so types whose text differs between the two are refused there.
"""

from collections.abc import Mapping, Sequence
from itertools import islice

from duckdb import DuckDBPyConnection
from psycopg import sql

from shadow_deployment.data.sources.catalogue import Column, Table
from shadow_deployment.errors import SourceError

_CATEGORIES = {
    "N": ("tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint", "uinteger", "ubigint", "hugeint",
          "float", "double", "decimal"),
    "B": ("boolean",),
    "S": ("varchar",),
    "D": ("date", "time", "timestamp"),
    "U": ("uuid",),
    "null": ('"null"',),
}  # fmt: skip
_WHOLE = ("tinyint", "smallint", "integer", "bigint", "utinyint", "usmallint", "uinteger", "ubigint", "hugeint")
_WIDER = {"tinyint": "smallint", "utinyint": "smallint", "usmallint": "integer", "uinteger": "bigint"}
_SAME_TEXT = (*_WHOLE, "varchar", "uuid", "boolean", "date", '"null"')


class ParquetTable(Table):
    """The files of one window as one table, whose columns must be of one kind in all of them."""

    def __init__(self, name: str, columns: Mapping[str, Column], files: Mapping[str, Mapping[str, Column]]) -> None:
        super().__init__(name, columns)
        self._files = files

    def require(self, column: str, key: str) -> Column:
        """Return a column; raise SourceError where a file lacks it or has another kind of it."""
        found = super().require(column, key)
        kinds: dict[str, tuple[str, Column]] = {}
        for path, columns in self._files.items():
            if any(other != column and other.lower() == column.lower() for other in columns):
                raise SourceError(f"{key} == {column!r}, must differ from other columns in more than capitals: {path}")
            if column not in columns:
                has = ", ".join(columns)
                raise SourceError(f"{key} == {column!r}, must be a column of every file: {path} has {has}")
            if columns[column].category != "null":
                kinds.setdefault(columns[column].category, (path, columns[column]))
        if len(kinds) > 1:
            (one, first), (other, second) = islice(kinds.values(), 2)
            raise SourceError(
                f"{key} == {column!r}, must be of one kind in all files: it is of type {first.type} in {one} and "
                f"of type {second.type} in {other}; write one of them again"
            )
        return found

    def identity(self, column: str, key: str) -> sql.Composed:
        """Return a request's id as text; raise SourceError where Postgres would write another text."""
        found = self.require(column, key)
        if found.type not in (*_WHOLE, "varchar", "uuid", '"null"'):
            raise SourceError(
                f"{key} == {column!r} is of type {found.type}, must be text, a whole number or a UUID in Parquet: the "
                "draw depends on the id's text, which is not the same everywhere for other types"
            )
        return sql.SQL("{}::text").format(sql.Identifier(column))

    def text(self, column: str, key: str) -> sql.Composed:
        """Return a column as text; raise SourceError where Postgres would write another text."""
        found = self.require(column, key)
        if found.type not in _SAME_TEXT:
            raise SourceError(
                f"{key} == {column!r} is of type {found.type}, must be text, a whole number, a boolean, a date or a "
                "UUID in Parquet: the text of other types is not the same everywhere"
            )
        return super().text(column, key)

    def moment(self, column: str, key: str) -> sql.Composed:
        """Return a time with its zone; one without counts as UTC."""
        self.require_time(column, key)
        return sql.SQL("{}::timestamptz").format(sql.Identifier(column))

    def comparable(self, column: str, parameter: str) -> tuple[sql.Composable, sql.Composed]:
        """Return a time and a parameter so that the files' own statistics spare reading what is out of bounds."""
        kind = self._columns[column].type
        moment = sql.SQL("{}::timestamptz").format(sql.SQL(f"${parameter}"))
        if kind == "date":  # a date is its first moment
            return sql.SQL("{}::timestamptz").format(sql.Identifier(column)), moment
        return sql.Identifier(column), sql.SQL("CAST({} AS {})").format(moment, sql.SQL(kind))

    def number(self, column: str, key: str) -> sql.Composed:
        """Return a column as double precision, decimals rounded as Postgres does; a boolean becomes 0 or 1."""
        found = self.require(column, key)
        if found.category == "null":
            return sql.SQL("{}::float8").format(sql.Identifier(column))
        if found.category == "N" and found.type.startswith("decimal"):
            return sql.SQL("{}::text::float8").format(sql.Identifier(column))
        return super().number(column, key)

    def position(self, column: str, key: str, classes: Sequence[str]) -> sql.Composed:
        """Return which of the classes a column holds, counted from 0; -1 for any other value."""
        self.text(column, key)
        return super().position(column, key, classes)

    def feature(self, column: str, key: str) -> sql.Composed:
        """Return a column as a model can take it, in the type that Postgres would have for it."""
        found = self.require(column, key)
        if found.type in _WIDER:
            return sql.SQL("{}::{}").format(sql.Identifier(column), sql.SQL(_WIDER[found.type]))
        if found.category == "null" or found.type.startswith(("decimal", "ubigint", "hugeint")):
            return self.number(column, key)
        if found.type.startswith("timestamp"):
            zone = "timestamptz" if _is_zoned(found.type) else "timestamp"
            return sql.SQL("{}::{}").format(sql.Identifier(column), sql.SQL(zone))
        return super().feature(column, key)

    def likeliest(self, array: sql.Composed) -> sql.Composed:
        """Return where an array of numbers is largest, counted from 0; the first of equal ones."""
        return sql.SQL("(list_position({0}, list_max({0})) - 1)::float8").format(array)


def table_of(session: DuckDBPyConnection, name: str, paths: Sequence[str]) -> ParquetTable:
    """Return the table that these files make; `name` is what the deployment calls it."""
    described = session.execute(
        "DESCRIBE SELECT * FROM read_parquet($files, union_by_name = true, hive_partitioning = false)",
        {"files": list(paths)},
    ).fetchall()
    files: dict[str, dict[str, Column]] = {}
    rows = session.execute(
        "SELECT file_name, name, duckdb_type, num_children FROM parquet_schema($files)", {"files": list(paths)}
    ).fetchall()
    waiting: list[int] = []  # how many children are to come, from the root down
    for path, column, kind, children in rows:
        if path not in files:
            files[path], waiting = {}, [children or 0]
            continue
        if len(waiting) == 1:
            files[path][column] = _column(column, kind or "nested")
        waiting[-1] -= 1
        if children:
            waiting.append(children)
        while len(waiting) > 1 and not waiting[-1]:
            waiting.pop()
    return ParquetTable(name, {column: _column(column, kind) for column, kind, *_ in described}, files)


def _column(name: str, kind: str) -> Column:
    kind = kind.lower()
    plain = kind.split("(")[0].split("_")[0].split()[0].removesuffix("tz")
    category = next((one for one, kinds in _CATEGORIES.items() if plain in kinds and not kind.endswith("]")), "other")
    return Column(name, kind, kind, category)


def _is_zoned(kind: str) -> bool:
    return "with time zone" in kind or kind.startswith("timestamptz")
