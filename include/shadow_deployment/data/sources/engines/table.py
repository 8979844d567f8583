"""The columns of what a query engine reads, as SQL in DuckDB's dialect; types have DuckDB's names.

A request's id and its strata are drawn by their text, which must be what Postgres would write: types whose text differs
between engines are refused for them.
"""

from collections.abc import Mapping, Sequence

from psycopg import sql

from shadow_deployment.data.sources.identity import key_text
from shadow_deployment.data.sources.table import Column, Table, cast
from shadow_deployment.errors import SourceError

_INTEGERS = (
    *("tinyint", "smallint", "integer", "bigint", "hugeint"),
    *("utinyint", "usmallint", "uinteger", "ubigint"),
)
_CATEGORIES = {
    "N": (*_INTEGERS, "float", "double", "decimal"),
    "B": ("boolean",),
    "S": ("varchar",),
    "D": ("date", "time", "timestamp"),
    "U": ("uuid",),
    "null": ('"null"',),
}
_WIDER = {"tinyint": "smallint", "utinyint": "smallint", "usmallint": "integer", "uinteger": "bigint"}
_MOMENT = "replace(strftime({}::timestamptz AT TIME ZONE 'UTC', '%Y-%m-%d %H:%M:%S.%f'), ' ', 'T') || 'Z'"
_ID_TYPES = (*_INTEGERS, "varchar", "uuid", '"null"')
_BOUNDS = ("since", "start", "end")


class EngineTable(Table):
    """A table, a view or files as one table."""

    def id_text(self, name: str, key: str) -> sql.Composed:
        """Return a request's id as text; raise SourceError where Postgres would write another text."""
        column = self.require(name, key)
        if column.type not in _ID_TYPES:
            raise SourceError(
                f"{key} == {name!r} is of type {column.type}, must be text, a whole number or a UUID outside Postgres: "
                "the draw depends on the id's text, which is not the same everywhere for other types"
            )
        return cast(name, "text")

    def key_text(self, columns: str | Sequence[str], key: str) -> sql.Composable:
        """Return a request's id as text, of one column or of several."""
        return self.id_text(columns, key) if isinstance(columns, str) else key_text(self, columns, key)

    def text(self, name: str, key: str) -> sql.Composed:
        """Return a column as text; raise SourceError where Postgres would write another text."""
        column = self.require(name, key)
        if column.type not in (*_ID_TYPES, "boolean", "date"):
            raise SourceError(
                f"{key} == {name!r} is of type {column.type}, must be text, a whole number, a boolean, a date or a "
                "UUID outside Postgres: the text of other types is not the same everywhere"
            )
        return cast(name, "text")

    def part_of_key(self, name: str, key: str) -> sql.Composed:
        """Return a column as the text that it has in a key of several columns, as in Postgres."""
        if not self.require(name, key).type.startswith("timestamp"):
            return self.text(name, key)
        return sql.SQL(_MOMENT).format(sql.Identifier(name))

    def time_pieces(self, name: str, key: str) -> dict[str, sql.Composable]:
        """Return "moment", a time with its zone, and "time", "since", "start", "end", to compare it with parameters.

        A time without a zone is in UTC. Bounds have the column's type, so that the files' statistics spare reading what
        lies outside.
        """
        self.require_time(name, key)
        type_ = self._columns[name].type
        moment = cast(name, "timestamptz")
        if type_ == "date":  # a date is its first moment
            return {"moment": moment, "time": moment, **{bound: sql.SQL(f"${bound}::timestamptz") for bound in _BOUNDS}}
        bounds = {bound: sql.SQL(f"CAST(${bound}::timestamptz AS {type_})") for bound in _BOUNDS}
        return {"moment": moment, "time": sql.Identifier(name), **bounds}

    def number(self, name: str, key: str) -> sql.Composed:
        """Return a column as double precision, decimals rounded as Postgres does; a boolean becomes 0 or 1."""
        column = self.require(name, key)
        if column.category == "null":
            return cast(name, "float8")
        if column.type.startswith("decimal") and column.category == "N":
            return cast(name, "text::float8")
        return super().number(name, key)

    def number_of_text(
        self, name: str, key: str, numbers: Mapping[str, int], otherwise: int | None = None
    ) -> sql.Composed:
        """Return the number that a column's text stands for, and for any other value `otherwise`, NaN by default."""
        self.text(name, key)
        return super().number_of_text(name, key, numbers, otherwise)

    def feature(self, name: str, key: str) -> sql.Composed:
        """Return a column in a type that models accept, the one that Postgres would have for it."""
        column = self.require(name, key)
        if column.type in _WIDER:
            return cast(name, _WIDER[column.type])
        if column.category == "null" or column.type.startswith(("decimal", "ubigint", "hugeint")):
            return self.number(name, key)
        if column.type.startswith("timestamp"):
            is_zoned = "with time zone" in column.type or column.type.startswith("timestamptz")
            return cast(name, "timestamptz" if is_zoned else "timestamp")
        return super().feature(name, key)

    def argmax(self, array: sql.Composed) -> sql.Composed:
        """Return the position of the largest number of an array, counted from 0; the first of equal ones."""
        return sql.SQL("(array_position({0}, list_max({0})) - 1)::float8").format(array)


def column_of(name: str, type_: str) -> Column:
    """Return a column by its type as DuckDB names it."""
    type_ = type_.lower()
    base = type_.split("(")[0].split("_")[0].split()[0].removesuffix("tz")
    is_list = type_.endswith("]")
    category = next((key for key, types in _CATEGORIES.items() if base in types and not is_list), "other")
    return Column(name, type_, type_, category)
