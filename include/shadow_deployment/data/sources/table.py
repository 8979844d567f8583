"""A table of production: its columns, and each column as the SQL that Postgres and DuckDB both understand."""

from collections.abc import Mapping
from dataclasses import dataclass

from psycopg import sql

from shadow_deployment.config.yaml_source import suggestion
from shadow_deployment.errors import SourceError

_MOMENT = "to_char({}::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')"
_NUMBERS = ("N", "B")


@dataclass(frozen=True)
class Column:
    """A column's type as SQL writes it, and its category as in pg_type: N number, B boolean, S text, D date or time.

    `cast` is the type without a length: a cast to "character" would keep one letter.
    """

    name: str
    type: str
    cast: str
    category: str


class Table:
    """A table or view of production. Every method raises SourceError where a column is missing or has another type.

    `key` is the key of the deployment that names the column, for the error.
    """

    def __init__(self, name: str, columns: Mapping[str, Column]) -> None:
        self.name = name
        self._columns = columns

    @property
    def columns(self) -> Mapping[str, Column]:
        """All columns by name, in the table's order."""
        return self._columns

    @property
    def identifier(self) -> sql.Identifier:
        """The quoted name."""
        return sql.Identifier(*self.name.split("."))

    def require(self, name: str, key: str) -> Column:
        """Return a column; the error lists those there are."""
        if name not in self._columns:
            near = suggestion(name, self._columns)
            raise SourceError(f"{key} == {name!r}, must be a column of {self.name}: {', '.join(self._columns)}{near}")
        return self._columns[name]

    def require_time(self, name: str, key: str) -> None:
        """Require a date or timestamp."""
        column = self.require(name, key)
        if column.category != "D" or not column.type.startswith(("timestamp", "date")):
            raise SourceError(f"{key} == {name!r} is of type {column.type}, must be timestamptz, timestamp or date")

    def known_at(self, name: str, key: str) -> sql.Composed:
        """Return a time with its zone by which something was known: of a date, the end of that day."""
        self.require_time(name, key)
        if self._columns[name].type == "date":
            return sql.SQL("({} + INTERVAL '1 day')::timestamptz").format(sql.Identifier(name))
        return cast(name, "timestamptz")

    def type_of(self, name: str, key: str) -> sql.SQL:
        """Return a column's type, to cast a parameter to."""
        return sql.SQL(self.require(name, key).cast)

    def text(self, name: str, key: str) -> sql.Composed:
        """Return a column as text."""
        self.require(name, key)
        return cast(name, "text")

    def part_of_key(self, name: str, key: str) -> sql.Composed:
        """Return a column as the text that it has in a key of several columns: a time in UTC, to the microsecond."""
        if not self.require(name, key).type.startswith("timestamp"):
            return self.text(name, key)
        return sql.SQL(_MOMENT).format(sql.Identifier(name))

    def number(self, name: str, key: str) -> sql.Composed:
        """Return a column as double precision; a boolean becomes 0 or 1."""
        column = self.require(name, key)
        if column.category not in _NUMBERS:
            raise SourceError(f"{key} == {name!r} is of type {column.type}, must be a number or boolean")
        return cast(name, "int::float8" if column.category == "B" else "float8")

    def has_number(self, name: str) -> bool:
        """Return whether there is such a column that `number` takes."""
        return name in self._columns and self._columns[name].category in _NUMBERS

    def argmax(self, array: sql.Composed) -> sql.Composed:
        """Return the position of the largest number of an array, counted from 0; the first of equal ones."""
        return sql.SQL(
            "(SELECT (k - 1)::float8 FROM unnest({}) WITH ORDINALITY AS c (p, k) ORDER BY p DESC, k LIMIT 1)"
        ).format(array)

    def fits_double(self, name: str, key: str) -> sql.Composable:
        """Return whether a column's value can be read as double precision."""
        if not self.require(name, key).type.startswith("numeric"):
            return sql.SQL("true")
        return sql.SQL("abs({}) < 1.8e308").format(sql.Identifier(name))

    def number_of_text(
        self, name: str, key: str, numbers: Mapping[str, int], otherwise: int | None = None
    ) -> sql.Composed:
        """Return the number that a column's text stands for, and for any other value `otherwise`, NaN by default."""
        self.require(name, key)
        cases = [sql.SQL("WHEN {} THEN {}").format(text, number) for text, number in numbers.items()]
        other = sql.SQL("'NaN'::float8" if otherwise is None else str(otherwise))
        statement = sql.SQL("(CASE {0}::text {1} ELSE {2} END)::float8")
        return statement.format(sql.Identifier(name), sql.SQL(" ").join(cases), other)

    def feature(self, name: str, key: str) -> sql.Composed:
        """Return a column in a type that models accept: number, boolean, text, date or timestamp."""
        column = self.require(name, key)
        if column.category in ("S", "E") or column.type == "uuid":
            return cast(name, "text")
        if column.category not in ("N", "B", "D"):
            raise SourceError(
                f"{key}: column {name!r} is of type {column.type}, must be a number, boolean, text or time"
            )
        return cast(name, "float8" if column.type == "numeric" else None)


def cast(name: str, type_: str | None) -> sql.Composed:
    """Return a column, cast to a type if there is one."""
    return sql.SQL(f"{{}}::{type_}" if type_ else "{}").format(sql.Identifier(name))
